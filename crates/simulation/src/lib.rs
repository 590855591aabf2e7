//! The server's sessions, engine and store, and the client's sessions, on a simulated clock and network: one seed decides
//! everything that happens, so a run that fails can be had again.
//!
//! Real are `gateway`'s conversations, `engine`, `store` on SQLite and `opamp`'s client sessions with their backoff.
//! Simulated are time, connections (loss, delay, late frames, half-open ends), plain HTTP (lost, doubled and late
//! requests), crashes of both sides, commits that fail or whose outcome gets lost, and what agents and operators do.
//! Left out: sockets, frames and TLS, which tests over real sockets have.
//!
//! Start at [`run`]; what must hold stands in `checks.rs`, what goes wrong in `mishaps.rs`.

mod batch;
mod checks;
mod dice;
mod host;
mod machine;
mod mishaps;
mod network;
mod node;
mod operator;
mod schedule;
mod serve;
mod show;
mod truth;
mod work;
mod world;

use std::time::Duration;

pub use crate::batch::{Batch, run_all};
use crate::dice::Dice;

/// What one run is to be like; all of it follows from the seed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// Agent processes.
    pub hosts: usize,
    /// How long things go wrong.
    pub storm: Duration,
    /// At most so long between two things that go wrong, in milliseconds.
    pub pace_ms: u64,
    /// How late reports are committed.
    pub commit_interval: Duration,
    /// Between two flushes of what is known of agents' liveness, while things go wrong.
    pub flush_interval: Duration,
    /// Whether the agents' first processes have said much before: their numbers are high.
    pub veterans: bool,
    /// Whether each server process opens a file, instead of one database in memory.
    pub on_file: bool,
    /// Whether to print each event.
    pub tells: bool,
}

/// A run in which everything held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Events.
    pub steps: u64,
    /// Messages of agents.
    pub messages: u64,
    /// Offers of configs.
    pub offers: u64,
    /// Those of them that were sent as what changed.
    pub deltas: u64,
    /// Those of which the whole was asked for.
    pub refused_deltas: u64,
    /// Server processes, one after the other.
    pub servers: u64,
    /// SHA-256 of everything that was said, and when.
    pub trace: [u8; 32],
}

/// Something that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, after {at:?}: it does not hold that {what}: {detail}")]
pub struct Violation {
    /// The run.
    pub seed: u64,
    /// What should hold.
    pub what: &'static str,
    /// Simulated time since the start.
    pub at: Duration,
    /// What was so instead.
    pub detail: String,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x5eed);
        Self {
            seed,
            hosts: 2 + dice.index(3),
            storm: dice.time(20_000..120_000),
            pace_ms: *dice.pick(&[500, 2_000, 6_000]),
            commit_interval: *dice.pick(&[
                Duration::from_millis(50),
                Duration::from_millis(200),
                Duration::from_millis(2_000),
            ]),
            on_file: dice.percent(5),
            tells: false,
            flush_interval: *dice.pick(&[
                Duration::from_secs(1),
                Duration::from_secs(5),
                Duration::from_secs(60),
            ]),
            veterans: dice.percent(50),
        }
    }
}

/// Runs one seed.
///
/// # Errors
/// [`Violation`]: the first thing that did not hold.
///
/// # Panics
/// Where no database can be opened.
pub fn run(plan: Plan) -> Result<Summary, Violation> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async { Box::pin(world::World::new(plan)).await.run().await })
}
