//! The wake handle of one agent connection: the engine leaves word here, the connection's task waits for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::agent::Attachment;

/// What one connection is woken with. It holds no content: the connection asks [`crate::Engine::take`] for that,
/// so a wake-up that comes twice or late does no harm.
#[derive(Default)]
pub struct Mailbox {
    waiting: Mutex<Wakes>,
    notify: Notify,
    /// Agents attached through this connection; at 0 nobody reads the mailbox any more.
    attached: AtomicUsize,
}

/// Everything that gathered since the connection last looked.
#[derive(Default)]
pub struct Wakes {
    /// Agents of this connection that have something to take.
    pub agents: Vec<Attachment>,
    /// Questions whether this connection is alive; each wants an answer after the peer answered a ping.
    pub probes: Vec<Probe>,
    /// The connection is to be closed.
    pub close: Option<CloseReason>,
}

/// Why the engine wants a connection closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The credential that the session was opened with is no longer valid.
    CredentialRevoked,
    /// An operator deleted the agent.
    AgentDeleted,
}

impl CloseReason {
    /// The reason in the words of logs and close frames.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CredentialRevoked => "credential revoked",
            Self::AgentDeleted => "agent deleted",
        }
    }
}

/// A question put to an old connection: does its peer still answer? Dropped unanswered, it means no.
#[derive(Debug)]
pub struct Probe(oneshot::Sender<()>);

impl Probe {
    /// The peer answered.
    pub fn alive(self) {
        // The asker may have stopped waiting; its deadline has then decided already.
        self.0.send(()).ok();
    }
}

impl Wakes {
    fn is_empty(&self) -> bool {
        self.agents.is_empty() && self.probes.is_empty() && self.close.is_none()
    }
}

impl Mailbox {
    /// Makes the handle of a new connection.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Waits until there is word, and takes all of it.
    ///
    /// Cancel-safe: word is taken only in the poll that returns it.
    pub async fn wait(&self) -> Wakes {
        loop {
            let wakes = self.take();
            if !wakes.is_empty() {
                return wakes;
            }
            self.notify.notified().await;
        }
    }

    /// Takes what is there without waiting.
    pub fn take(&self) -> Wakes {
        std::mem::take(&mut *self.waiting.lock())
    }

    /// Says that an agent of this connection has something to take. Many calls before the connection looks make one entry.
    pub(crate) fn wake(&self, attachment: &Attachment) {
        let mut waiting = self.waiting.lock();
        if !waiting.agents.iter().any(|known| known.is_same(attachment)) {
            waiting.agents.push(attachment.clone());
        }
        drop(waiting);
        self.notify.notify_one();
    }

    /// Asks for the connection to be closed; the first reason stands.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.waiting.lock().close.get_or_insert(reason);
        self.notify.notify_one();
    }

    /// Asks whether the peer still answers, for at most `timeout`.
    pub(crate) async fn probe(&self, timeout: Duration) -> bool {
        if self.attached.load(Ordering::Acquire) == 0 {
            return false;
        }
        let (sender, answer) = oneshot::channel();
        self.waiting.lock().probes.push(Probe(sender));
        self.notify.notify_one();
        tokio::time::timeout(timeout, answer)
            .await
            .is_ok_and(|answer| answer.is_ok())
    }

    /// An agent is attached through this connection from now on.
    pub(crate) fn agent_attached(&self) {
        self.attached.fetch_add(1, Ordering::AcqRel);
    }

    /// An agent left; with the last one, open questions are answered "dead".
    pub(crate) fn agent_detached(&self) {
        if self.attached.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.waiting.lock().probes.clear();
        }
    }
}
