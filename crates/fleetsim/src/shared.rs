//! What all agents of one fleet share, and the place each of them has in it.

use std::{
    sync::atomic::{AtomicBool, AtomicU64},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::{
    latency::Latencies,
    link::Target,
    log::Log,
    options::{Options, Redial},
    orders::Orders,
    profile::FleetProfile,
    session::{ConfigStatus, Session},
    stats::Counters,
    wire::content::Contents,
};

/// What all agents share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) profile: FleetProfile,
    pub(crate) target: Target,
    pub(crate) contents: Contents,
    pub(crate) counters: Counters,
    pub(crate) slots: Vec<Slot>,
    pub(crate) log: Option<Log>,
    /// Dials that may wait for an answer at once.
    pub(crate) dials: Semaphore,
    /// How long answers took, while that is asked for.
    pub(crate) latencies: Latencies,
    /// Whether each answer is followed by the next report at once.
    pub(crate) closed_loop: AtomicBool,
    /// What agents do whose connection ended.
    pub(crate) redial: Mutex<Redial>,
    /// When the present round was ordered, in nanoseconds since `started`.
    pub(crate) round_ns: AtomicU64,
    pub(crate) started: Instant,
}

/// One agent as the fleet sees it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) orders: Orders,
    pub(crate) state: Mutex<AgentState>,
}

/// What one agent knows and what was measured on it.
#[derive(Debug)]
pub(crate) struct AgentState {
    pub(crate) session: Session,
    pub(crate) connected: bool,
    /// Messages sent on this connection and not answered.
    pub(crate) outstanding: u32,
    pub(crate) marks: Marks,
    /// Why the last connection or dial ended.
    pub(crate) last_error: Option<String>,
}

/// Moments, in nanoseconds since the fleet started; 0 is not yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The dial of the present round began.
    pub(crate) dialed: u64,
    /// Its connection stood.
    pub(crate) connected: u64,
    /// The first answer came.
    pub(crate) answered: u64,
    /// Everything sent was answered.
    pub(crate) settled: u64,
    /// The newest offer had come in whole and its hash was checked.
    pub(crate) checked: u64,
    /// The newest offer runs.
    pub(crate) applied: u64,
}

impl AgentState {
    /// Counts what became of the newest offer, if that is decided.
    pub(crate) fn count_outcome(&mut self, shared: &Shared) {
        match self.session.status().1 {
            ConfigStatus::Applied => {
                self.marks.applied = shared.mark();
                shared.counters.applied.add();
            }
            ConfigStatus::Failed => shared.counters.failed.add(),
            ConfigStatus::Unset | ConfigStatus::Applying => {}
        }
    }
}

impl Shared {
    /// Nanoseconds since the fleet started, at least 1.
    pub(crate) fn mark(&self) -> u64 {
        to_mark(self.started.elapsed())
    }

    /// Wall-clock nanoseconds for reports.
    pub(crate) fn wall_ns(&self) -> u64 {
        u64::try_from(self.options.clock.now().as_nanosecond()).unwrap_or(0)
    }

    /// A moment as a mark.
    pub(crate) fn mark_of(&self, moment: Instant) -> u64 {
        to_mark(moment.saturating_duration_since(self.started))
    }
}

fn to_mark(since_start: Duration) -> u64 {
    u64::try_from(since_start.as_nanos())
        .unwrap_or(u64::MAX)
        .max(1)
}
