//! The byte stream under a connection: TCP with or without TLS, and a stream with bytes put back in front.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use crate::http::opening::Unacknowledged;

/// What is read at once while an acknowledgment is looked for.
const FILTERED_BYTES: usize = 1024;
/// The most that is held back of a frame's head.
const FILTERED_SPARE_BYTES: usize = 16;

/// TCP, or TLS over it. One type, so that everything above exists once; TLS is boxed because plain connections would pay for its size.
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

/// A TCP connection that counts what goes out: below TLS, this alone shows whether a peer still reads. What comes in is
/// counted for as long as a handshake is under way.
pub(crate) struct Socket {
    tcp: TcpStream,
    written: u64,
    /// What the peer may still send before it has shaken hands; `None` once it has, or where nobody shakes hands.
    left_bytes: Option<usize>,
}

impl Socket {
    pub fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            written: 0,
            left_bytes: None,
        }
    }

    /// Lets the peer send so many bytes, and fails with [`io::ErrorKind::QuotaExceeded`] where more are asked for.
    pub fn allow(&mut self, bytes: usize) {
        self.left_bytes = Some(bytes);
    }

    /// Lets the peer send what it likes.
    pub fn allow_all(&mut self) {
        self.left_bytes = None;
    }

    /// Waits until the peer has sent something, or is gone.
    pub async fn readable(&self) -> io::Result<()> {
        self.tcp.readable().await
    }

    fn count(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.written += u64::try_from(bytes).expect("a write is smaller than 2^64");
        }
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(left_bytes) = &mut this.left_bytes else {
            return Pin::new(&mut this.tcp).poll_read(cx, buffer);
        };
        if *left_bytes == 0 {
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.tcp).poll_read(cx, buffer))?;
        *left_bytes = left_bytes.saturating_sub(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.tcp).poll_write(cx, bytes);
        this.count(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.tcp).poll_write_vectored(cx, slices);
        this.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

impl Stream {
    /// What the handshake agreed on.
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol(),
        }
    }

    /// Bytes that have gone out to the peer.
    pub fn written(&self) -> u64 {
        match self {
            Self::Plain(socket) => socket.written,
            Self::Tls(stream) => stream.get_ref().0.written,
        }
    }
}

macro_rules! both {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Plain($inner) => $call,
            Stream::Tls($inner) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        both!(self.get_mut(), inner => Pin::new(inner).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        both!(self.get_mut(), inner => Pin::new(inner).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        both!(self.get_mut(), inner => Pin::new(inner).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        both!(self, inner => inner.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        both!(self.get_mut(), inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        both!(self.get_mut(), inner => Pin::new(inner).poll_shutdown(cx))
    }
}

/// A stream whose first bytes were read already.
pub(crate) struct Prefixed {
    prefix: Bytes,
    stream: Stream,
    /// Of HTTP/2, until the settings that were sent by hand are acknowledged.
    unacknowledged: Option<Box<Unacknowledged>>,
}

impl Prefixed {
    pub fn new(prefix: Bytes, stream: Stream) -> Self {
        Self {
            prefix,
            stream,
            unacknowledged: None,
        }
    }

    /// A stream of HTTP/2 on which settings were sent of which the reader does not know.
    pub fn with_own_settings(prefix: Bytes, stream: Stream) -> Self {
        Self {
            unacknowledged: Some(Box::new(Unacknowledged::new())),
            ..Self::new(prefix, stream)
        }
    }

    /// The bytes that nobody read, and the stream.
    pub fn into_parts(self) -> (Bytes, Stream) {
        (self.prefix, self.stream)
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let length = self.prefix.len().min(buffer.remaining());
        buffer.put_slice(&self.prefix[..length]);
        self.prefix.advance(length);
        if self.prefix.is_empty() {
            self.prefix = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Reads in small pieces what is not all for the reader: for as long as the first answer takes to the peer and back.
    fn poll_filtered(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        mut filter: Box<Unacknowledged>,
    ) -> Poll<io::Result<()>> {
        let mut piece = [0; FILTERED_BYTES];
        let mut passed = Vec::new();
        // What was held back comes on top of a piece.
        let room = buffer.remaining().saturating_sub(FILTERED_SPARE_BYTES);
        let room = room.clamp(1, FILTERED_BYTES);
        loop {
            let mut read = ReadBuf::new(&mut piece[..room]);
            match self.poll_next(cx, &mut read) {
                Poll::Ready(Ok(())) => {}
                other => {
                    self.unacknowledged = Some(filter);
                    return other;
                }
            }
            let is_end = read.filled().is_empty();
            let found = filter.pass(read.filled(), &mut passed);
            if is_end || found || !passed.is_empty() {
                buffer.put_slice(&passed);
                if !found {
                    self.unacknowledged = Some(filter);
                    return Poll::Ready(Ok(()));
                }
                return match passed.is_empty() {
                    true => self.poll_next(cx, buffer),
                    false => Poll::Ready(Ok(())),
                };
            }
        }
    }
}

impl AsyncRead for Prefixed {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.unacknowledged.take() {
            None => this.poll_next(cx, buffer),
            Some(filter) => this.poll_filtered(cx, buffer, filter),
        }
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Writes all of `bytes` and flushes.
pub(crate) async fn write_all(stream: &mut Stream, mut bytes: &[u8]) -> io::Result<()> {
    std::future::poll_fn(|cx| {
        while !bytes.is_empty() {
            match ready!(Pin::new(&mut *stream).poll_write(cx, bytes))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => bytes = &bytes[written..],
            }
        }
        Pin::new(&mut *stream).poll_flush(cx)
    })
    .await
}
