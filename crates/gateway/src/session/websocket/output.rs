//! Frames on their way to the socket: a few bytes of one's own and a slice that many connections share, in one write.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use opamp::{server::Encoded, ws};
use tokio::{io::AsyncWrite, time::Instant};

use crate::stream::Stream;

/// What one connection writes before the others of its thread have their turn. A large config to many agents would
/// otherwise keep the thread for as long as it takes to copy all of it into sockets.
const TURN_BYTES: usize = 16 * 1024;

/// Frames that are not written yet, in order: own bytes, then a shared slice, then own bytes again.
#[derive(Default)]
pub(super) struct Output {
    own: Vec<u8>,
    own_sent: usize,
    shared: Bytes,
    after: Vec<u8>,
    after_sent: usize,
    /// Whether it was its own turn's end that stopped it, and not the socket.
    gave_way: bool,
}

impl Output {
    /// Appends a message. The first shared slice travels as it is; a second one, which is rare, is copied.
    pub fn put_message(&mut self, reply: &Encoded) {
        if self.shared.is_empty() {
            ws::put_message(&mut self.own, reply);
            self.shared = reply.shared().clone();
        } else {
            ws::put_message(&mut self.after, reply);
            self.after.extend_from_slice(reply.shared());
        }
    }

    pub fn put_ping(&mut self) {
        ws::put_ping(self.end(), &[], None);
    }

    pub fn put_pong(&mut self, payload: &[u8]) {
        ws::put_pong(self.end(), payload, None);
    }

    pub fn put_close(&mut self, code: u16, reason: &str) {
        ws::put_close(self.end(), code, reason, None);
    }

    /// Where the next own bytes go.
    fn end(&mut self) -> &mut Vec<u8> {
        if self.shared.is_empty() {
            &mut self.own
        } else {
            &mut self.after
        }
    }

    /// Puts all of another output behind this one.
    pub fn append(&mut self, other: Self) {
        let Self {
            own,
            own_sent,
            shared,
            after,
            after_sent,
            gave_way: _,
        } = other;
        let end = self.end();
        end.extend_from_slice(&own[own_sent..]);
        if self.shared.is_empty() {
            self.shared = shared;
            self.after = after;
            self.after_sent = after_sent;
        } else {
            self.after.extend_from_slice(&shared);
            self.after.extend_from_slice(&after[after_sent..]);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that are not written yet.
    pub fn len(&self) -> usize {
        self.own.len() - self.own_sent + self.shared.len() + self.after.len() - self.after_sent
    }

    /// Writes all of it and flushes; after [`TURN_BYTES`] it lets others go first and comes back by itself.
    pub fn poll_send(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.gave_way = false;
        let mut left = TURN_BYTES;
        while !self.is_empty() {
            if left == 0 {
                self.gave_way = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &self.slices(left)))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => {
                    self.advance(written);
                    left -= written;
                }
            }
        }
        Pin::new(stream).poll_flush(cx)
    }

    /// The next bytes, so many at most.
    fn slices(&self, most: usize) -> [IoSlice<'_>; 3] {
        let mut left = most;
        [
            &self.own[self.own_sent..],
            &self.shared,
            &self.after[self.after_sent..],
        ]
        .map(|bytes: &[u8]| {
            let taken = bytes.len().min(left);
            left -= taken;
            IoSlice::new(&bytes[..taken])
        })
    }

    fn advance(&mut self, mut written: usize) {
        let own = written.min(self.own.len() - self.own_sent);
        self.own_sent += own;
        written -= own;
        let shared = written.min(self.shared.len());
        self.shared.advance(shared);
        self.after_sent += written - shared;
    }
}

/// What the socket did not take, and since when it takes nothing.
pub(super) struct Blocked {
    pub output: Output,
    /// When bytes last went out.
    pub progress_at: Instant,
    /// Whether bytes went out after the socket had been full, which only a peer that reads makes possible.
    pub was_read: bool,
    written: u64,
    waited: bool,
}

impl Blocked {
    pub fn new(output: Output, stream: &Stream, now: Instant) -> Box<Self> {
        Box::new(Self {
            output,
            progress_at: now,
            was_read: false,
            written: stream.written(),
            waited: false,
        })
    }

    /// Goes on writing, and notes whether the peer takes anything.
    pub fn poll_send(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Poll<io::Result<()>> {
        let sent = self.output.poll_send(stream, cx);
        if self.written != stream.written() {
            self.written = stream.written();
            self.progress_at = now;
            self.was_read |= self.waited;
        }
        self.waited |= sent.is_pending() && !self.output.gave_way;
        sent
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Wake, Waker},
    };

    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::stream::Socket;

    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn a_large_message_goes_out_in_turns_and_giving_way_is_no_sign_of_life() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.writable().await.unwrap();
        let mut stream = Stream::Plain(Socket::new(tcp));
        let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&wakes));
        let mut cx = Context::from_waker(&waker);
        // Two turns and a bit, in three slices, which the buffers of a loopback socket take.
        let output = Output {
            own: vec![1; 1_000],
            shared: vec![2; 2 * TURN_BYTES].into(),
            after: vec![3; 1_000],
            ..Output::default()
        };
        let all = output.len();
        let mut blocked = Blocked::new(output, &stream, Instant::now());
        for turn in 1..=2 {
            let sent = blocked.poll_send(&mut stream, &mut cx, Instant::now());
            assert!(sent.is_pending());
            assert_eq!(blocked.output.len(), all - turn * TURN_BYTES);
            assert_eq!(wakes.0.load(Ordering::SeqCst), turn);
        }
        let sent = blocked.poll_send(&mut stream, &mut cx, Instant::now());
        assert!(matches!(sent, Poll::Ready(Ok(()))));
        assert!(blocked.output.is_empty());
        // The socket was never full: nobody need have read.
        assert!(!blocked.was_read);
    }
}
