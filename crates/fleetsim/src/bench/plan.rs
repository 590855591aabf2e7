//! How large and how long a benchmark is.

use std::time::Duration;

use super::figure::Mode;

/// Agents for which the budgets are defined.
pub(super) const BUDGET_AGENTS: usize = 15_000;
/// Bytes of the released configuration.
pub(super) const CONFIG_BYTES: usize = 8 * 1024;

/// Sizes and times of the measurements.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) agents: usize,
    /// First connections a second.
    ramp: f64,
    /// From the last APPLIED to the look at resident memory: two rounds of heartbeats.
    pub(super) idle: Duration,
    /// Status reports in a closed loop.
    pub(super) closed_loop: Duration,
    /// Health flips a second, and how long.
    pub(super) changes_per_second: f64,
    pub(super) changes: Duration,
    /// Requests for pages of agents, at least, while configs go out.
    pub(super) list_requests: usize,
    /// The server's liveness flush: after so long everything that was reported is stored.
    pub(super) liveness_flush: Duration,
    /// Whether the server is told that interval, or has it by default.
    pub(super) sets_liveness_flush: bool,
    /// Longest wait for anything.
    pub(super) limit: Duration,
}

impl Plan {
    /// The budgets' own sizes and times.
    pub(super) fn full(agents: usize, mode: Mode) -> Self {
        Self {
            agents,
            ramp: match mode {
                Mode::Plain => 3000.0,
                Mode::Tls => 1500.0,
            },
            idle: Duration::from_secs(65),
            closed_loop: Duration::from_secs(10),
            changes_per_second: 2500.0,
            changes: Duration::from_secs(60),
            list_requests: 1_200,
            liveness_flush: Duration::from_secs(60),
            sets_liveness_flush: false,
            limit: Duration::from_secs(120),
        }
    }

    /// The same procedure in a few seconds: it shows that everything works, not how fast.
    pub(super) fn smoke(agents: usize) -> Self {
        Self {
            agents,
            ramp: 1000.0,
            idle: Duration::from_millis(500),
            closed_loop: Duration::from_millis(500),
            changes_per_second: 200.0,
            changes: Duration::from_secs(1),
            list_requests: 40,
            liveness_flush: Duration::from_millis(500),
            sets_liveness_flush: true,
            limit: Duration::from_secs(60),
        }
    }

    pub(super) fn ramp(&self) -> crate::Ramp {
        crate::Ramp::PerSecond(self.ramp)
    }
}
