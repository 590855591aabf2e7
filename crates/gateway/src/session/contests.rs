//! Messages that wait until it is known whether another connection still speaks for their agent.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use engine::Contest;
use opamp::model::WireUid;

/// Messages held for one contested agent after which nothing more is read until the contest is settled.
const MOST_HELD: usize = 2;
/// Contests of one connection after which nothing more is read until one of them is settled.
const MOST_PENDING: usize = 16;

/// The contests of one connection. Rare, and over within seconds.
#[derive(Default)]
pub(crate) struct Contests {
    pending: Vec<Pending>,
    held_bytes: usize,
}

struct Pending {
    uid: WireUid,
    probe: Pin<Box<dyn Future<Output = (Contest, bool)> + Send>>,
    held: Vec<Vec<u8>>,
}

/// A contest that is over: whether the other connection is alive, and the messages that waited for it.
pub(crate) struct Settled {
    pub uid: WireUid,
    pub contest: Contest,
    pub alive: bool,
    pub held: Vec<Vec<u8>>,
}

impl Contests {
    /// Holds a message; the first one of an agent starts the question to the other connection.
    pub fn hold(&mut self, contest: Contest, uid: WireUid, message: &[u8], timeout: Duration) {
        self.held_bytes += message.len();
        let mut pending = self.pending.iter_mut();
        if let Some(pending) = pending.find(|pending| pending.uid.uid() == uid.uid()) {
            pending.held.push(message.to_vec());
            return;
        }
        let probe = Box::pin(async move {
            let alive = contest.probe(timeout).await;
            (contest, alive)
        });
        self.pending.push(Pending {
            uid,
            probe,
            held: vec![message.to_vec()],
        });
    }

    /// Whether reading has to wait: what is held is bounded by one message over `message_bytes`.
    pub fn are_full(&self, message_bytes: usize) -> bool {
        MOST_PENDING <= self.pending.len()
            || message_bytes <= self.held_bytes
            || self
                .pending
                .iter()
                .any(|pending| MOST_HELD <= pending.held.len())
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// The next contest that is over.
    pub fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<Settled> {
        for index in 0..self.pending.len() {
            if let Poll::Ready((contest, alive)) = self.pending[index].probe.as_mut().poll(cx) {
                let Pending { uid, held, .. } = self.pending.swap_remove(index);
                self.held_bytes -= held.iter().map(Vec::len).sum::<usize>();
                return Poll::Ready(Settled {
                    uid,
                    contest,
                    alive,
                    held,
                });
            }
        }
        Poll::Pending
    }
}
