//! A client WebSocket for thousands: the codec of `opamp` on a raw stream, read through one buffer
//! that all connections of a thread share. Between messages it holds no buffer of its own.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use opamp::{Limits, ws};
use rand::{RngExt as _, SeedableRng, rngs::SmallRng};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};

use super::LinkError;
use crate::{
    stream::Stream,
    wire::{
        answer::{self, Answer},
        content::Contents,
    },
};

/// Bytes read at once. A pushed configuration fits.
const READ_BYTES: usize = 32 * 1024;
/// Longest answer to the upgrade request.
const RESPONSE_BYTES: usize = 4096;
/// A write buffer larger than this is given back once it is empty.
const KEPT_BYTES: usize = 1024;
/// How long the server may take to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// An open WebSocket.
pub(crate) struct WsLink {
    stream: Stream,
    decoder: ws::Decoder,
    /// Frames not written yet, from `written` on.
    out: Vec<u8>,
    written: usize,
    /// Messages that were read and not taken yet.
    inbox: VecDeque<Answer>,
    closed: Option<(u16, String)>,
    masks: SmallRng,
}

impl WsLink {
    /// Sends the upgrade request and waits for the server to agree.
    pub(super) async fn upgrade(
        mut stream: Stream,
        request: &[u8],
        nonce: [u8; 16],
    ) -> Result<Self, LinkError> {
        let lost = |error: io::Error| LinkError::io("WebSocket upgrade", error);
        stream.write_all(request).await.map_err(lost)?;
        stream.flush().await.map_err(lost)?;
        let mut response = Vec::with_capacity(256);
        let length = loop {
            if stream.read_buf(&mut response).await.map_err(lost)? == 0 {
                return Err(lost(io::ErrorKind::UnexpectedEof.into()));
            }
            match ws::server_accepts(&response, nonce) {
                Ok(Some(length)) => break length,
                Ok(None) if response.len() <= RESPONSE_BYTES => {}
                Ok(None) => return Err(refused(0, &response)),
                Err(status) => return Err(refused(status, &response)),
            }
        };
        let mut link = Self {
            stream,
            decoder: ws::Decoder::client(&Limits::CLIENT),
            out: Vec::new(),
            written: 0,
            inbox: VecDeque::new(),
            closed: None,
            masks: SmallRng::from_seed(seed(nonce)),
        };
        // A server may send a frame in the same packet as its answer.
        let mut early = response.split_off(length);
        link.take_frames(&mut early, &Contents::default())?;
        Ok(link)
    }

    /// Puts a message into the write buffer.
    pub(super) fn queue(&mut self, message: &[u8]) {
        let key = self.masks.random();
        ws::put_masked_message(&mut self.out, message, key);
    }

    /// Writes what is queued, then waits for the next message.
    pub(super) async fn receive(&mut self, contents: &Contents) -> Result<Answer, LinkError> {
        poll_fn(|cx| self.poll_receive(cx, contents)).await
    }

    /// Writes what is queued.
    pub(super) async fn flush(&mut self) -> Result<(), LinkError> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Sends a close frame, waits for the server's, closes the socket.
    pub(super) async fn close(mut self) -> Result<(), LinkError> {
        let key = self.masks.random();
        ws::put_close(&mut self.out, 1000, "", Some(key));
        let contents = Contents::default();
        let handshake = async {
            self.flush().await?;
            loop {
                match self.receive(&contents).await {
                    Ok(_) => {}
                    Err(LinkError::Closed { .. }) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        };
        tokio::time::timeout(CLOSE_TIMEOUT, handshake)
            .await
            .map_err(|_| LinkError::TimedOut)?
    }

    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        contents: &Contents,
    ) -> Poll<Result<Answer, LinkError>> {
        // A blocked write does not keep it from reading: the server may wait for that.
        if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
            return Poll::Ready(Err(error));
        }
        loop {
            if let Some(answer) = self.inbox.pop_front() {
                return Poll::Ready(Ok(answer));
            }
            if let Some((code, reason)) = self.closed.take() {
                return Poll::Ready(Err(LinkError::Closed { code, reason }));
            }
            ready!(self.poll_read(cx, contents))?;
            if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                return Poll::Ready(Err(error));
            }
        }
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        contents: &Contents,
    ) -> Poll<Result<(), LinkError>> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut read = ReadBuf::new(buffer);
            let polled = Pin::new(&mut self.stream).poll_read(cx, &mut read);
            ready!(polled).map_err(|error| LinkError::io("reading", error))?;
            let length = read.filled().len();
            if length == 0 {
                let end = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Poll::Ready(Err(LinkError::io("reading", end)));
            }
            Poll::Ready(self.take_frames(&mut buffer[..length], contents))
        })
    }

    fn take_frames(&mut self, bytes: &mut [u8], contents: &Contents) -> Result<(), LinkError> {
        let mut input = bytes;
        loop {
            let event = self.decoder.next(&mut input);
            match event.map_err(|violation| LinkError::io("WebSocket frame", violation))? {
                None => return Ok(()),
                Some(ws::Event::Binary(message)) => {
                    let message = ws::strip_header(message).map_err(|_| LinkError::Malformed)?;
                    let answer = answer::read(message, contents);
                    self.inbox
                        .push_back(answer.map_err(|_| LinkError::Malformed)?);
                }
                Some(ws::Event::Ping(payload)) => {
                    let key = self.masks.random();
                    ws::put_pong(&mut self.out, payload, Some(key));
                }
                Some(ws::Event::Close(close)) => {
                    let (code, reason) =
                        close.map_or((1005, ""), |close| (close.code, close.reason));
                    self.closed = Some((code, reason.to_owned()));
                    let key = self.masks.random();
                    ws::put_close(&mut self.out, 1000, "", Some(key));
                    return Ok(());
                }
                Some(ws::Event::Pong(_)) => {}
                Some(ws::Event::Text(_)) => return Err(LinkError::Malformed),
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let lost = |error| LinkError::io("writing", error);
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.written < self.out.len() {
            let rest = &self.out[self.written..];
            let wrote = ready!(Pin::new(&mut self.stream).poll_write(cx, rest)).map_err(lost)?;
            if wrote == 0 {
                return Poll::Ready(Err(lost(io::ErrorKind::WriteZero.into())));
            }
            self.written += wrote;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx)).map_err(lost)?;
        self.written = 0;
        self.out.clear();
        self.out.shrink_to(KEPT_BYTES);
        Poll::Ready(Ok(()))
    }
}

/// The error for a server that did not switch protocols, with its `Retry-After`.
fn refused(status: u16, response: &[u8]) -> LinkError {
    LinkError::Refused {
        status,
        retry_after: retry_after(response),
    }
}

/// `Retry-After` in seconds out of a response's head.
fn retry_after(response: &[u8]) -> Option<Duration> {
    let head = String::from_utf8_lossy(response);
    let mut headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let (_, value) = headers.find(|(name, _)| name.trim().eq_ignore_ascii_case("retry-after"))?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// Masks follow from the handshake's nonce, which is random.
fn seed(nonce: [u8; 16]) -> [u8; 32] {
    std::array::from_fn(|at| nonce[at % nonce.len()].wrapping_add(u8::from(nonce.len() <= at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rt_09_retry_after_is_read_from_a_refusal() {
        let response = b"HTTP/1.1 503 Service Unavailable\r\nretry-After: 7\r\n\r\n";
        assert_eq!(retry_after(response), Some(Duration::from_secs(7)));
        assert_eq!(
            retry_after(b"HTTP/1.1 503 x\r\nRetry-After: soon\r\n\r\n"),
            None
        );
        assert_eq!(retry_after(b""), None);
    }
}
