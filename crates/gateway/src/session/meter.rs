//! A stream's body with a deadline for each message: what has begun must be whole in time.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

/// The prefix of a gRPC message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// What a body and the session that reads it know of each other.
#[derive(Default)]
pub(super) struct Meter {
    received_bytes: AtomicUsize,
    taken_bytes: AtomicUsize,
    overdue: AtomicBool,
}

/// A body that fails when a message stays incomplete for too long.
pub(super) struct Metered {
    body: Incoming,
    meter: Arc<Meter>,
    within: Duration,
    /// Runs while a message is incomplete, for as long as these bytes are all that was taken.
    waiting: Option<(usize, Pin<Box<Sleep>>)>,
}

impl Meter {
    /// The session took a message.
    pub fn took(&self, message: &[u8]) {
        self.taken_bytes
            .fetch_add(PREFIX_BYTES + message.len(), Ordering::AcqRel);
    }

    /// Whether the body ended for a message that did not come to its end.
    pub fn is_overdue(&self) -> bool {
        self.overdue.load(Ordering::Acquire)
    }
}

impl Metered {
    pub fn new(body: Incoming, meter: Arc<Meter>, within: Duration) -> Self {
        Self {
            body,
            meter,
            within,
            waiting: None,
        }
    }

    /// Ready when the message that has begun is overdue.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let taken = self.meter.taken_bytes.load(Ordering::Acquire);
        if self.meter.received_bytes.load(Ordering::Acquire) == taken {
            self.waiting = None;
            return Poll::Pending;
        }
        let within = self.within;
        let fresh = || (taken, Box::pin(tokio::time::sleep(within)));
        let waiting = self.waiting.get_or_insert_with(fresh);
        if waiting.0 != taken {
            *waiting = fresh();
        }
        ready!(waiting.1.as_mut().poll(cx));
        self.meter.overdue.store(true, Ordering::Release);
        Poll::Ready(())
    }
}

impl Body for Metered {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            if let Some(Ok(frame)) = &frame
                && let Some(data) = frame.data_ref()
            {
                this.meter
                    .received_bytes
                    .fetch_add(data.len(), Ordering::AcqRel);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(this.poll_overdue(cx));
        Poll::Ready(Some(Err("a message is too slow".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
