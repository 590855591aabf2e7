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

/// Frames that are not written yet, in order: own bytes, then a shared slice, then own bytes again.
#[derive(Default)]
pub(super) struct Output {
    own: Vec<u8>,
    own_sent: usize,
    shared: Bytes,
    after: Vec<u8>,
    after_sent: usize,
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

    /// Writes all of it and flushes.
    pub fn poll_send(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let slices = [
                IoSlice::new(&self.own[self.own_sent..]),
                IoSlice::new(&self.shared),
                IoSlice::new(&self.after[self.after_sent..]),
            ];
            match ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.advance(written),
            }
        }
        Pin::new(stream).poll_flush(cx)
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
        self.waited |= sent.is_pending();
        sent
    }
}
