//! Who is to be woken when the server drains: one waker per WebSocket session.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use metrics::Gauge;
use parking_lot::Mutex;
use tokio::sync::Notify;

const SHARDS: usize = 16;

/// Open connections, and those of their tasks that must hear of a drain.
///
/// A shared cancellation token would cost each session a registered waiter and a global lock per poll; here a session
/// registers its task once and reads a flag.
pub(crate) struct Roster {
    gauge: Gauge,
    draining: AtomicBool,
    closed: AtomicBool,
    open: AtomicUsize,
    open_at_drain: AtomicUsize,
    changed: Notify,
    next: AtomicUsize,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    wakers: Vec<Option<Waker>>,
    free: Vec<u32>,
}

/// A session's place; dropping it leaves.
pub(crate) struct Place {
    roster: Arc<Roster>,
    shard: u32,
    index: u32,
}

/// Counts one open connection until dropped.
pub(crate) struct Open(Arc<Roster>);

impl Roster {
    /// A roster that shows its count in a gauge.
    pub fn new(gauge: Gauge) -> Arc<Self> {
        Arc::new(Self {
            gauge,
            draining: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            open_at_drain: AtomicUsize::new(0),
            changed: Notify::new(),
            next: AtomicUsize::new(0),
            shards: Default::default(),
        })
    }

    /// Counts a connection (or a stream that must end before the process does).
    pub fn open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.gauge.increment(1.0);
        Open(Arc::clone(self))
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Resolves when the last connection closed. The count only falls when nothing is accepted any more.
    pub async fn empty(&self) {
        loop {
            let changed = self.changed.notified();
            if self.open_connections() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Registers the task that is being polled.
    pub fn enter(self: &Arc<Self>, cx: &Context<'_>) -> Place {
        let number = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let mut shard = self.shards[number].lock();
        let waker = Some(cx.waker().clone());
        let index = match shard.free.pop() {
            Some(index) => {
                shard.wakers[index as usize] = waker;
                index
            }
            None => {
                shard.wakers.push(waker);
                u32::try_from(shard.wakers.len() - 1)
                    .expect("descriptors run out long before 2^32 sessions")
            }
        };
        drop(shard);
        Place {
            roster: Arc::clone(self),
            shard: u32::try_from(number).expect("a shard's number is small"),
            index,
        }
    }

    /// Whether the server is going down.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Connections that were open when the drain began.
    pub fn open_at_drain(&self) -> usize {
        self.open_at_drain.load(Ordering::Acquire)
    }

    /// Tells every session that the server is going down; later ones see the flag.
    pub fn drain(&self) {
        self.open_at_drain
            .store(self.open_connections(), Ordering::Release);
        self.draining.store(true, Ordering::Release);
        self.wake_all();
    }

    /// Resolves when the server is going down.
    pub async fn drained(self: &Arc<Self>) {
        let mut place = None;
        poll_fn(|cx| {
            place.get_or_insert_with(|| self.enter(cx));
            if self.is_draining() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Whether what is open is to be dropped.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Tells everybody to end at once.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake_all();
    }

    fn wake_all(&self) {
        for shard in &self.shards {
            for waker in shard.lock().wakers.iter().flatten() {
                waker.wake_by_ref();
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shard = self.roster.shards[self.shard as usize].lock();
        shard.wakers[self.index as usize] = None;
        shard.free.push(self.index);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.gauge.decrement(1.0);
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster() -> Arc<Roster> {
        Roster::new(Gauge::noop())
    }

    #[tokio::test]
    async fn a_session_that_waits_is_woken_by_a_drain() {
        let roster = roster();
        let open = roster.open();
        let session = tokio::spawn({
            let roster = Arc::clone(&roster);
            async move {
                roster.drained().await;
                drop(open);
            }
        });
        tokio::task::yield_now().await;
        roster.drain();
        session.await.unwrap();
        roster.empty().await;
    }

    #[tokio::test]
    async fn places_are_used_again() {
        let roster = roster();
        poll_fn(|cx| {
            for _ in 0..100 {
                drop(roster.enter(cx));
            }
            Poll::Ready(())
        })
        .await;
        assert!(
            roster
                .shards
                .iter()
                .all(|shard| shard.lock().wakers.len() <= 1)
        );
    }
}
