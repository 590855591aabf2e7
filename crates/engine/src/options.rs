//! What a server decides about the engine before it starts.

use std::sync::Arc;
use std::time::Duration;

use trust::SealingKey;

use crate::delta::EncodeDelta;

/// Settings of the engine, checked by the server's configuration before they come here.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Name of this node in attachments and events.
    pub node: String,
    /// How agents prove who they are.
    pub auth: AgentsAuth,
    /// Whether unknown agents wait for a person.
    pub approval: ApprovalMode,
    /// Sizes and counts that agents may not exceed.
    pub limits: EngineLimits,
    /// An agent that is polled (plain HTTP) and silent for this long is disconnected.
    pub liveness: Duration,
    /// How long agents that are gone are remembered.
    pub forget_offline_after: Duration,
    /// How long timed events are kept.
    pub keep_events: Duration,
    /// How long revisions are kept that are not in use and could not be returned to.
    pub keep_revisions: Duration,
    /// How many of the newest revisions of each config are kept, whatever their age.
    pub keep_revisions_per_config: u32,
    /// What secrets are sealed with; nothing: none can be made.
    pub sealing_key: Option<Arc<SealingKey>>,
    /// How contents are encoded as what changed, for agents that take that; `None`: they are sent the whole.
    pub deltas: Option<EncodeDelta>,
    /// Seeds ids and token secrets; a simulation passes a fixed one, a server 32 bytes of the system's randomness.
    pub seed: [u8; 32],
}

impl EngineOptions {
    /// The defaults of a server, with the given seed.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            node: "opamp-server".to_owned(),
            auth: AgentsAuth::Token,
            approval: ApprovalMode::Automatic,
            limits: EngineLimits::default(),
            liveness: Duration::from_secs(90),
            forget_offline_after: Duration::from_secs(30 * 24 * 3600),
            keep_events: Duration::from_secs(90 * 24 * 3600),
            keep_revisions: Duration::from_secs(90 * 24 * 3600),
            keep_revisions_per_config: 100,
            sealing_key: None,
            deltas: None,
            seed,
        }
    }
}

/// How agents prove who they are (`agents.auth`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentsAuth {
    /// Anybody who reaches the port is an agent of the namespace `default`.
    None,
    /// A bearer token that this server made.
    Token,
}

/// Whether an agent that was never seen before is offered anything (`agents.approval`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalMode {
    /// It is.
    Automatic,
    /// It is seen and listed, and offered nothing until an operator approves it.
    Manual,
}

/// Limits on what agents send, applied by the engine (those on the wire are the gateway's).
#[derive(Clone, Debug)]
pub struct EngineLimits {
    /// Agents, connected or not, that this server keeps; an unknown one beyond it is refused.
    pub agents: usize,
    /// Agents with a report that is not committed yet; above it agents are told to come back later.
    pub pending_reports: usize,
    /// Bytes of reports that are not committed yet; above it agents are told to come back later.
    pub pending_bytes: usize,
    /// Commands and custom messages that wait for one agent.
    pub queue: usize,
    /// Secrets of a namespace.
    pub secrets: usize,
    /// Sizes of revisions and of what they merge to.
    pub desired: desired::Limits,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            agents: 200_000,
            pending_reports: 50_000,
            pending_bytes: 256 * 1024 * 1024,
            queue: 16,
            secrets: 1_000,
            desired: desired::Limits::default(),
        }
    }
}
