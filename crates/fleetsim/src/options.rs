//! What a fleet is told before it starts.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use opamp::transport::Endpoint;
use runtime::{Clock, SecretText, SystemClock};

use crate::{behavior::BehaviorShare, labels::Distribution};

/// Everything about a simulated fleet; [`Options::new`] has the defaults.
#[derive(Clone)]
pub struct Options {
    /// Where to dial.
    pub endpoint: Endpoint,
    /// How many agents.
    pub agents: usize,
    /// Uids, label and behavior shuffles and own configurations follow from it.
    pub seed: u64,
    /// What the agents' names begin with; part of their uids too.
    pub name: String,
    /// Attributes of a description, labels included.
    pub attributes: usize,
    /// Components below the root of a health tree.
    pub health_components: usize,
    /// Bytes of each agent's own effective configuration.
    pub effective_bytes: usize,
    /// Whether an agent that applied a config reports that as its effective one, or always its own.
    pub effective_follows_offer: bool,
    /// Labels and how they are spread.
    pub labels: Vec<Distribution>,
    /// Who misbehaves, and how.
    pub behaviors: Vec<BehaviorShare>,
    /// Time between an agent's messages when nothing happens; over plain HTTP its poll. Zero: none.
    pub heartbeat: Duration,
    /// How fast the first connections are made.
    pub ramp: Ramp,
    /// What an agent does whose connection ended.
    pub redial: Redial,
    /// Dials that may wait for the server's answer at once. The listen queue of a server is finite
    /// (4,096 here), and what overflows it waits a whole second.
    pub dial_window: usize,
    /// Longest wait for a connection and its handshakes.
    pub dial_timeout: Duration,
    /// Addresses to dial from in turn; empty: chosen by [`crate::capacity::sources_for`].
    pub sources: Vec<IpAddr>,
    /// Bearer token of the agents.
    pub token: Option<SecretText>,
    /// Which server certificates are accepted.
    pub trust: Trust,
    /// File that gets one JSON line for each change of what an agent runs.
    pub log: Option<PathBuf>,
    /// Source of the times in reports and log.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("endpoint", &self.endpoint.to_string())
            .field("agents", &self.agents)
            .field("seed", &self.seed)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How fast the first connections are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ramp {
    /// All at once.
    Storm,
    /// So many a second, evenly.
    PerSecond(f64),
    /// None before [`crate::Fleet::dial`].
    Held,
}

/// What an agent does whose connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redial {
    /// As the protocol says: at once, then full jitter from 5 s to 60 s; Retry-After wins.
    Backoff,
    /// At this interval, without jitter: the worst fleet there is.
    Every(Duration),
    /// Not before [`crate::Fleet::dial`].
    Held,
}

/// Which server certificates are accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those signed by a certificate in this PEM text.
    Roots(String),
    /// Any: for a server whose certificate is not at hand.
    #[default]
    Anything,
}

impl Options {
    /// A fleet of `agents` agents as the benchmark has it: 12 attributes, 10 health components,
    /// 4 KiB of own configuration, heartbeats each 30 s, 500 connections a second.
    #[must_use]
    pub fn new(endpoint: Endpoint, agents: usize) -> Self {
        Self {
            endpoint,
            agents,
            seed: 1,
            name: "sim".to_owned(),
            attributes: 12,
            health_components: 10,
            effective_bytes: 4096,
            effective_follows_offer: true,
            labels: Vec::new(),
            behaviors: Vec::new(),
            heartbeat: Duration::from_secs(30),
            ramp: Ramp::PerSecond(500.0),
            redial: Redial::Backoff,
            dial_window: 1024,
            dial_timeout: Duration::from_secs(30),
            sources: Vec::new(),
            token: None,
            trust: Trust::Anything,
            log: None,
            clock: Arc::new(SystemClock),
        }
    }
}
