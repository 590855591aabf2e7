//! Agents as they are read.

use domain::model::{
    AgentCapabilities, AgentDescription, AvailableComponents, ConfigMap, ConnectionSettingsStatus,
    CustomCapabilities, Health, InstanceUid, PackageStatuses, RemoteConfigStatus,
};
use domain::{
    Actor, AgentId, Answered, Approval, ConfigState, ContentHash, Epoch, Labels, LabelsBySource,
    Namespace,
};
use jiff::Timestamp;

use super::report::{Attachment, Offered};

/// What a starting server needs of each agent to take it over without a query per agent.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAgent {
    /// Its id.
    pub id: AgentId,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its uid on the wire.
    pub uid: InstanceUid,
    /// Its labels.
    pub labels: LabelsBySource,
    /// What it can do.
    pub capabilities: AgentCapabilities,
    /// Whether it is managed.
    pub approval: Approval,
    /// Its newest attachment's epoch.
    pub epoch: Epoch,
    /// Whether that attachment stands.
    pub connected: bool,
    /// The number of its newest report.
    pub reports: u64,
    /// Its session's state as of the last report or flush.
    pub wire: Option<Box<[u8]>>,
    /// What it last said of a remote config.
    pub answered: Option<Answered>,
    /// What it was last sent.
    pub offered: Option<Offered>,
    /// What it should run.
    pub desired: Option<ContentHash>,
    /// Whether it is healthy; `None`: it never said.
    pub healthy: Option<bool>,
    /// The start time that its health names (nanoseconds since 1970); 0: it never said.
    pub start_time_unix_nano: u64,
    /// When it was last seen, as of the last flush.
    pub last_seen: Timestamp,
    /// Under which hash the components are stored that it reports.
    pub components: Option<ContentHash>,
    /// Its custom capabilities; `None`: it never said.
    pub custom_capabilities: Option<CustomCapabilities>,
}

/// One agent as lists show it.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentSummary {
    /// Its id.
    pub id: AgentId,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its uid on the wire.
    pub uid: InstanceUid,
    /// The labels that selectors match.
    pub labels: Labels,
    /// What it can do.
    pub capabilities: AgentCapabilities,
    /// Whether it is managed.
    pub approval: Approval,
    /// Grows with every change that an operator makes; what `If-Match` compares.
    pub version: u64,
    /// Whether it is connected.
    pub connected: bool,
    /// Its newest attachment.
    pub attachment: Option<Attachment>,
    /// When and why it went, if it is not connected.
    pub detached: Option<(Timestamp, String)>,
    /// Whether it is healthy; `None`: it never said.
    pub healthy: Option<bool>,
    /// Its own words for its health.
    pub health_status: String,
    /// The error of its health.
    pub last_error: String,
    /// Where it stands with its desired config.
    pub config_state: ConfigState,
    /// What it should run.
    pub desired: Option<ContentHash>,
    /// What it was last sent.
    pub offered: Option<Offered>,
    /// What it last said of a remote config.
    pub remote_config_status: Option<RemoteConfigStatus>,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// When it was last seen, as of the last flush.
    pub last_seen: Timestamp,
}

/// Everything stored of one agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentDetail {
    /// What lists show of it.
    pub summary: AgentSummary,
    /// Its labels by source.
    pub labels: LabelsBySource,
    /// Its description.
    pub description: Option<AgentDescription>,
    /// Its health, with times.
    pub health: Option<Health>,
    /// Its effective config.
    pub effective_config: Option<ConfigMap>,
    /// What became of the packages it was offered.
    pub package_statuses: Option<PackageStatuses>,
    /// Its custom capabilities.
    pub custom_capabilities: Option<CustomCapabilities>,
    /// Its component inventory.
    pub available_components: Option<AvailableComponents>,
    /// What became of the connection settings it was offered.
    pub connection_settings_status: Option<ConnectionSettingsStatus>,
}

/// How many agents there are of which sort.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FleetCounts {
    /// All.
    pub total: u64,
    /// Connected.
    pub connected: u64,
    /// Connected or not, saying that they are healthy.
    pub healthy: u64,
    /// Connected or not, saying that they are not.
    pub unhealthy: u64,
    /// Waiting for approval.
    pub pending_approval: u64,
    /// By where they stand with their desired config; every state is there.
    pub config_states: Vec<(ConfigState, u64)>,
}

/// A change of an agent that is kept for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentChange {
    /// Its place in the agent's history.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// What changed: `description`, `labels`, `uid`, `approval`.
    pub what: String,
    /// Who changed it; `None`: the agent itself.
    pub actor: Option<Actor>,
    /// The value before, as JSON or text.
    pub old: Option<String>,
    /// The value after.
    pub new: Option<String>,
}
