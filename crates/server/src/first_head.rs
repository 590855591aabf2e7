//! The head of a connection's first request, read before hyper sees the connection: half a head costs no more than its
//! bytes here, and some 30 KiB there.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is read at once.
const READ_BYTES: usize = 4096;

/// A line feed, and an empty line with its carriage return.
const EMPTY_LINE_BYTES: usize = 3;

/// A stream whose first bytes were read already.
pub struct Headed<S> {
    head: Vec<u8>,
    read: usize,
    stream: S,
}

impl<S: AsyncRead + Unpin> Headed<S> {
    /// Reads until a head is whole, or has so many bytes that whoever reads it refuses it. HTTP/2 begins with what is a
    /// head as well.
    ///
    /// # Errors
    /// The peer ended before that.
    pub async fn read(mut stream: S, most_bytes: usize) -> io::Result<Self> {
        let mut head = Vec::new();
        let mut looked_at = 0;
        while head.len() < most_bytes && !is_whole(&head[looked_at..]) {
            // An empty line may have begun in what is there; looking at all of it each time adds up over small pieces.
            looked_at = head.len().saturating_sub(EMPTY_LINE_BYTES - 1);
            poll_fn(|cx| {
                let mut piece = [0; READ_BYTES];
                let mut piece = ReadBuf::new(&mut piece);
                ready!(Pin::new(&mut stream).poll_read(cx, &mut piece))?;
                let piece = piece.filled();
                if piece.is_empty() {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof)));
                }
                keep(&mut head, piece);
                Poll::Ready(Ok(()))
            })
            .await?;
        }
        Ok(Self {
            head,
            read: 0,
            stream,
        })
    }
}

/// Appends without the room that a vector makes for more to come.
fn keep(head: &mut Vec<u8>, piece: &[u8]) {
    const STEP: usize = 512;
    let needed = head.len() + piece.len();
    if head.capacity() < needed {
        head.reserve_exact(needed.next_multiple_of(STEP) - head.len());
    }
    head.extend_from_slice(piece);
}

/// Whether there is an empty line, with or without carriage returns.
fn is_whole(head: &[u8]) -> bool {
    let ends = |from: usize| matches!(head[from..], [b'\n', b'\n', ..] | [b'\n', b'\r', b'\n', ..]);
    (0..head.len()).any(ends)
}

impl<S: AsyncRead + Unpin> AsyncRead for Headed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.head.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        }
        let left = &this.head[this.read..];
        let length = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..length]);
        this.read += length;
        if this.read == this.head.len() {
            this.head = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Headed<S> {
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn a_head_ends_with_an_empty_line() {
        for whole in [
            "GET / HTTP/1.1\r\n\r\nbody",
            "GET /\n\n",
            "a\r\nb\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM",
        ] {
            assert!(is_whole(whole.as_bytes()), "{whole:?}");
        }
        for half in ["", "\r\n", "GET / HTTP/1.1\r\n", "a\r\nb\r\n\r", "a\r\r"] {
            assert!(!is_whole(half.as_bytes()), "{half:?}");
        }
    }

    #[tokio::test]
    async fn everything_is_read_again_in_its_order() {
        let (mut peer, stream) = tokio::io::duplex(64);
        let sending = tokio::spawn(async move {
            for part in ["GET / HT", "TP/1.1\r\n", "\r\nbo", "dy"] {
                peer.write_all(part.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut stream = Headed::read(stream, 1000).await.unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        sending.await.unwrap();
        assert_eq!(all, "GET / HTTP/1.1\r\n\r\nbody");
    }

    #[tokio::test]
    async fn a_head_without_end_is_read_to_its_limit() {
        let (mut peer, stream) = tokio::io::duplex(100_000);
        peer.write_all(&[b'x'; 10_000]).await.unwrap();
        let headed = Headed::read(stream, 5_000).await.unwrap();
        assert!(headed.head.len() < 5_000 + READ_BYTES);
        drop(peer);
        let (peer, stream) = tokio::io::duplex(10);
        drop(peer);
        assert!(Headed::read(stream, 5_000).await.is_err());
    }

    /// Sends bytes in pieces and ends; what the head came to, and everything that is read after it.
    async fn headed(sent: &[u8], piece: usize, most_bytes: usize) -> io::Result<(usize, Vec<u8>)> {
        let (mut peer, stream) = tokio::io::duplex(piece);
        let sending = async move {
            // The reader may be gone before the end.
            peer.write_all(sent).await.ok();
        };
        let reading = async {
            let mut stream = Headed::read(stream, most_bytes).await?;
            let mut all = Vec::new();
            let head = stream.head.len();
            stream.read_to_end(&mut all).await?;
            Ok((head, all))
        };
        tokio::join!(sending, reading).1
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_read_again_or_have_no_whole_head(
            text in "([a-c:/ ]|\r\n|\n|\r){0,40}",
            raw in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..20),
            piece in 1_usize..12,
            most_bytes in 1_usize..60,
        ) {
            let sent = [text.as_bytes(), &raw].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let first = (0..=sent.len()).find(|end| is_whole(&sent[..*end]));
            match runtime.block_on(headed(&sent, piece, most_bytes)) {
                Ok((head, all)) => {
                    assert_eq!(all, sent);
                    let needed = first.map_or(most_bytes, |end| end.min(most_bytes));
                    assert!((needed..needed + piece).contains(&head), "{head} bytes for {needed}");
                }
                Err(_) => assert!(first.is_none() && sent.len() < most_bytes),
            }
        }
    }
}
