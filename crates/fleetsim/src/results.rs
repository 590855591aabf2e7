//! What a fleet measured on itself, in the form of its JSON result.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    fleet::Fleet,
    process::Usage,
    samples::{Summary, summarize},
    session::ConfigStatus,
    shared::{AgentState, Marks},
    stats::Stats,
};

/// How the agents came to be attached since the last ordered round: the start, a storm, a dial.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Round {
    /// Agents that had to attach.
    pub agents: usize,
    /// Connections a second, from the first dial to the last connection.
    pub connects_per_second: f64,
    /// From an agent's own dial to its first answer.
    pub first_answer: Option<Summary>,
    /// From the order to each agent's connection.
    pub connected_after: Option<Summary>,
    /// From the order to each agent's first answer.
    pub answered_after: Option<Summary>,
    /// From the order to the moment when everything an agent had sent was answered, full state
    /// that was asked for included: recovery.
    pub settled_after: Option<Summary>,
}

/// How a configuration spread.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigLatency {
    /// Its `config_hash` in hex.
    pub hash: String,
    /// Until an agent had checked the hash of what it received.
    pub received: Option<Summary>,
    /// Until an agent ran it.
    pub applied: Option<Summary>,
    /// Agents that rejected it.
    pub failed: usize,
}

/// The whole result of one fleet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FleetResult {
    /// Where it dialed.
    pub endpoint: String,
    /// How many agents it had.
    pub agents: usize,
    /// How long it ran.
    pub seconds: f64,
    /// Source addresses it dialed from; 0: the kernel chose.
    pub source_addresses: usize,
    /// What it counted.
    pub stats: Stats,
    /// The first attachment.
    pub start: Option<Round>,
    /// The last storm or ordered dial.
    pub last_round: Option<Round>,
    /// The last configuration that was offered.
    pub config: Option<ConfigLatency>,
    /// Why an agent has no connection, if one has none: one of the reasons.
    pub trouble: Option<String>,
    /// What the server cost.
    pub server: Option<Cost>,
    /// What the fleet itself cost.
    pub fleet: Option<Cost>,
}

/// CPU time and memory of a process over a fleet's life.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// At the start.
    pub before: Usage,
    /// At the end.
    pub after: Usage,
    /// User and system time between, in milliseconds.
    pub cpu_ms: u64,
    /// Growth of resident memory, in KiB, for each agent.
    pub rss_kib_per_agent: f64,
}

impl Cost {
    /// What lies between two looks at a process.
    #[must_use]
    pub fn between(before: Usage, after: Usage, agents: usize) -> Self {
        let cpu = after.cpu().saturating_sub(before.cpu());
        let grown = after.rss_kib as f64 - before.rss_kib as f64;
        Self {
            before,
            after,
            cpu_ms: u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX),
            rss_kib_per_agent: grown / agents.max(1) as f64,
        }
    }
}

impl Fleet {
    /// How the agents attached since the last order to dial.
    #[must_use]
    pub fn round(&self) -> Round {
        let ordered = self.shared.round_ns.load(Ordering::Relaxed);
        let marks: Vec<Marks> = self
            .marks()
            .into_iter()
            .filter(|m| ordered <= m.dialed)
            .collect();
        let after = |pick: fn(&Marks) -> u64| {
            let reached = marks.iter().map(pick).filter(|mark| *mark != 0);
            summarize(reached.map(|mark| since(mark, ordered)).collect())
        };
        let answered = marks.iter().filter(|mark| mark.answered != 0);
        Round {
            agents: self.size(),
            connects_per_second: connect_rate(&marks),
            first_answer: summarize(answered.map(|m| since(m.answered, m.dialed)).collect()),
            connected_after: after(|mark| mark.connected),
            answered_after: after(|mark| mark.answered),
            settled_after: after(|mark| mark.settled),
        }
    }

    /// How long after `moment` the present round was ordered.
    #[must_use]
    pub fn ordered_after(&self, moment: Instant) -> Duration {
        since(
            self.shared.round_ns.load(Ordering::Relaxed),
            self.shared.mark_of(moment),
        )
    }

    /// How the configuration with this hash spread since `moment`.
    #[must_use]
    pub fn config_latency(&self, hash: &[u8], moment: Instant) -> ConfigLatency {
        let from = self.shared.mark_of(moment);
        let (mut received, mut applied, mut failed) = (Vec::new(), Vec::new(), 0);
        self.each_with(hash, |state| {
            received.push(since(state.marks.checked, from));
            match state.session.status().1 {
                ConfigStatus::Applied => applied.push(since(state.marks.applied, from)),
                ConfigStatus::Failed => failed += 1,
                ConfigStatus::Unset | ConfigStatus::Applying => {}
            }
        });
        ConfigLatency {
            hash: crate::wire::identity::hex(hash),
            received: summarize(received),
            applied: summarize(applied),
            failed,
        }
    }

    /// Waits until `agents` agents have received the configuration with this hash.
    pub async fn received(&self, hash: &[u8], agents: usize, limit: Duration) -> bool {
        const LOOK_EVERY: Duration = Duration::from_millis(250);
        let deadline = Instant::now() + limit;
        let expected = self.stats().offers + agents as u64;
        let mut looked = None;
        loop {
            // Looking at every agent costs what the agents need, so the counter is asked first; it
            // misses offers that came before this call. The measured times suffer from neither.
            let enough = expected <= self.stats().offers;
            let long_ago = looked.is_none_or(|at: Instant| LOOK_EVERY <= at.elapsed());
            if enough || long_ago {
                if agents <= self.holding(hash) {
                    return true;
                }
                looked = Some(Instant::now());
            }
            if deadline <= Instant::now() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// How many agents have received the configuration with this hash.
    #[must_use]
    pub fn holding(&self, hash: &[u8]) -> usize {
        let mut holding = 0;
        self.each_with(hash, |_| holding += 1);
        holding
    }

    /// Why an agent has no connection, if one has none: the first agent's reason that is known.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.shared.slots.iter().find_map(|slot| {
            let state = slot.state.lock();
            state.last_error.clone().filter(|_| !state.connected)
        })
    }

    /// How many agents run the configuration with this hash.
    #[must_use]
    pub fn running(&self, hash: &[u8]) -> usize {
        let runs = |state: &AgentState| state.session.running_hash() == hash;
        self.shared
            .slots
            .iter()
            .filter(|slot| runs(&slot.state.lock()))
            .count()
    }

    /// How the configuration spread that was offered most lately: since `marked`, or else since
    /// the first agent had it.
    #[must_use]
    pub fn newest_config(&self, marked: Option<Instant>) -> Option<ConfigLatency> {
        let newest = self.shared.slots.iter().filter_map(|slot| {
            let state = slot.state.lock();
            let hash = state.session.status().0;
            // An agent that vanishes at every offer has received it and has no hash of it.
            (!hash.is_empty()).then(|| (state.marks.checked, hash.to_vec()))
        });
        let (_, hash) = newest.max()?;
        let mut first = None;
        self.each_with(&hash, |state| {
            let checked = Duration::from_nanos(state.marks.checked);
            first = Some(first.map_or(checked, |first: Duration| first.min(checked)));
        });
        let from = marked.unwrap_or(self.shared.started + first?);
        Some(self.config_latency(&hash, from))
    }

    fn each_with(&self, hash: &[u8], mut look: impl FnMut(&AgentState)) {
        for slot in &self.shared.slots {
            let state = slot.state.lock();
            if state.marks.checked != 0 && state.session.status().0 == hash {
                look(&state);
            }
        }
    }
}

fn since(mark: u64, from: u64) -> Duration {
    Duration::from_nanos(mark.saturating_sub(from))
}

fn connect_rate(marks: &[Marks]) -> f64 {
    let dialed = marks.iter().map(|mark| mark.dialed).min();
    let connected = marks.iter().map(|mark| mark.connected).max();
    match (dialed, connected) {
        (Some(first), Some(last)) if first < last => {
            marks.len() as f64 / since(last, first).as_secs_f64()
        }
        _ => 0.0,
    }
}
