//! Retention: what is forgotten, and when. Driven from outside, in bounded steps.

use std::time::Duration;

use domain::{AgentId, Namespace};
use jiff::Timestamp;

use crate::{Db, StoreError};

/// How long things are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// An agent that was not seen for so long is forgotten.
    pub offline_agents: Duration,
    /// Events and history older than this are dropped.
    pub events: Duration,
    /// The most events kept of one agent, and the most entries of its history.
    pub events_per_agent: u32,
    /// Contents and desired contents that nothing refers to are dropped when they are older than this.
    pub contents_grace: Duration,
    /// Answers kept for idempotency keys.
    pub idempotency_keys: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 24 * 3600);
        Self {
            offline_agents: days(30),
            events: days(90),
            events_per_agent: 256,
            contents_grace: Duration::from_secs(3600),
            idempotency_keys: days(1),
        }
    }
}

/// What a sweep dropped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Agents that were forgotten; the caller forgets them in memory too.
    pub agents: Vec<(Namespace, AgentId)>,
    /// Events and history entries.
    pub events: u64,
    /// Desired contents.
    pub desired: u64,
    /// Contents.
    pub contents: u64,
    /// Saved answers.
    pub answers: u64,
}

/// Drops what is to be forgotten at a time, at most some thousands of each per call: call it again while it
/// reports more than nothing, or at the next interval.
///
/// # Errors
/// [`StoreError`].
pub async fn sweep(_db: &Db, _keep: &Retention, _now: Timestamp) -> Result<Swept, StoreError> {
    unimplemented!()
}
