//! Agents: who they are, what they report and where they stand.

use domain::model::{
    AgentCapabilities, AgentDescription, AvailableComponents, ConfigMap, ConnectionSettingsStatus,
    CustomCapabilities, Health, HealthTimes, InstanceUid, PackageStatuses, RemoteConfigStatus,
};
use domain::{
    Actor, AgentId, Answered, Approval, ConfigState, ContentHash, Epoch, EventId, Labels,
    LabelsBySource, Namespace, NewEvent, NodeName, Selector,
};
use jiff::Timestamp;

use crate::{Conn, StoreError, Tx, Versioned};

/// What one agent reported since its last report was stored. Everything that is `None` stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentReport {
    /// The agent.
    pub agent: AgentId,
    /// Its namespace.
    pub namespace: Namespace,
    /// The attachment it came over; a report of an older attachment than the stored one is refused.
    pub epoch: Epoch,
    /// When.
    pub at: Timestamp,
    /// The agent was made by this report.
    pub created: Option<NewAgent>,
    /// The agent has another instance uid now.
    pub uid: Option<InstanceUid>,
    /// It came or went.
    pub attachment: Option<AttachmentChange>,
    /// What it can do.
    pub capabilities: Option<AgentCapabilities>,
    /// Its description as it sent it.
    pub description: Option<AgentDescription>,
    /// The labels its description gives it ([`domain::labels_of`]).
    pub reported_labels: Option<Labels>,
    /// The labels its credential gives it.
    pub credential_labels: Option<Labels>,
    /// Its health, when the tree changed. Times that change alone go through [`crate::Db::flush_liveness`].
    pub health: Option<HealthChange>,
    /// Its effective config.
    pub effective_config: Option<ConfigMap>,
    /// What became of the config it was offered.
    pub remote_config_status: Option<RemoteConfigStatus>,
    /// What became of the packages it was offered.
    pub package_statuses: Option<PackageStatuses>,
    /// Its custom capabilities.
    pub custom_capabilities: Option<CustomCapabilities>,
    /// Its component inventory; a hash alone keeps the stored components if they have that hash.
    pub available_components: Option<AvailableComponents>,
    /// What became of the connection settings it was offered.
    pub connection_settings_status: Option<ConnectionSettingsStatus>,
    /// The config it was last sent.
    pub offered: Option<Offered>,
    /// The hash of what it should run; `Some(None)`: nothing.
    pub desired: Option<Option<ContentHash>>,
    /// The session's state that covers all of the above; most reports leave it to the liveness flush.
    pub wire: Option<Box<[u8]>>,
    /// When it was last seen, if that is to be stored now.
    pub last_seen: Option<Timestamp>,
    /// What happened to it.
    pub events: Vec<NewEvent>,
}

/// What an agent is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAgent {
    /// Its uid on the wire.
    pub uid: InstanceUid,
    /// Whether it is managed.
    pub approval: Approval,
}

/// An agent came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttachmentChange {
    /// It opened a session.
    Attached(Attachment),
    /// Its session ended.
    Detached {
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
}

/// An agent's presence on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The node.
    pub node: NodeName,
    /// How it is connected: `websocket`, `http` or `grpc`.
    pub transport: String,
    /// Where it connects from.
    pub remote_addr: String,
    /// Since when.
    pub at: Timestamp,
}

/// A new health tree.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthChange {
    /// The tree without its times.
    pub tree: Health,
    /// Its times.
    pub times: HealthTimes,
}

/// A config that was sent to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offered {
    /// Its hash.
    pub hash: ContentHash,
    /// When.
    pub at: Timestamp,
}

/// What [`crate::Db::apply_reports`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Agents whose reports were refused: a newer attachment stands, or the agent was deleted.
    pub stale: Vec<AgentId>,
    /// The newest event that was stored.
    pub last_event: Option<EventId>,
}

/// One agent's row of a liveness flush.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Liveness {
    /// The agent.
    pub agent: AgentId,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// Its session's state; never ahead of what is committed of its reports.
    pub wire: Option<Box<[u8]>>,
    /// The times of its health tree as it is stored.
    pub health_times: Option<HealthTimes>,
}

impl AgentReport {
    /// A report that says nothing yet.
    #[must_use]
    pub fn new(agent: AgentId, namespace: Namespace, epoch: Epoch, at: Timestamp) -> Self {
        Self {
            agent,
            namespace,
            epoch,
            at,
            created: None,
            uid: None,
            attachment: None,
            capabilities: None,
            description: None,
            reported_labels: None,
            credential_labels: None,
            health: None,
            effective_config: None,
            remote_config_status: None,
            package_statuses: None,
            custom_capabilities: None,
            available_components: None,
            connection_settings_status: None,
            offered: None,
            desired: None,
            wire: None,
            last_seen: None,
            events: Vec::new(),
        }
    }

    /// Takes a later report of the same agent into this one: what it says wins, events add up.
    pub fn absorb(&mut self, later: Self) {
        macro_rules! later_wins {
            ($($field:ident),*) => { $(if later.$field.is_some() { self.$field = later.$field; })* };
        }
        self.epoch = later.epoch;
        self.at = later.at;
        later_wins!(
            created,
            uid,
            attachment,
            capabilities,
            description,
            reported_labels,
            credential_labels,
            health,
            effective_config,
            remote_config_status,
            package_statuses,
            custom_capabilities,
            connection_settings_status,
            offered,
            desired,
            wire,
            last_seen
        );
        if let Some(newer) = later.available_components {
            let known = self
                .available_components
                .take()
                .filter(|known| known.hash == newer.hash);
            let components = newer
                .components
                .or_else(|| known.and_then(|known| known.components));
            self.available_components = Some(AvailableComponents {
                hash: newer.hash,
                components,
            });
        }
        self.events.extend(later.events);
    }
}

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
    /// Its session's state as of the last flush.
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

/// Which agents to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListAgents {
    /// Of this namespace.
    pub namespace: Namespace,
    /// That this selector matches.
    pub selector: Selector,
    /// Whose id, uid or a label's value contains this text, whatever its case.
    pub text: Option<String>,
    /// That are connected, or not.
    pub connected: Option<bool>,
    /// That say they are healthy, or that they are not.
    pub healthy: Option<bool>,
    /// That stand so with their desired config.
    pub config_state: Option<ConfigState>,
    /// That run what they should (`applied`), or that should run something and do not (yet).
    pub in_sync: Option<bool>,
    /// That are managed, or wait for approval.
    pub approval: Option<Approval>,
    /// That come after this one.
    pub after: Option<AgentId>,
    /// At most so many.
    pub limit: u32,
}

impl ListAgents {
    /// Every agent of a namespace, 100 at a time.
    #[must_use]
    pub fn all(namespace: Namespace) -> Self {
        Self {
            namespace,
            selector: Selector::default(),
            text: None,
            connected: None,
            healthy: None,
            config_state: None,
            in_sync: None,
            approval: None,
            after: None,
            limit: 100,
        }
    }
}

/// One page of agents.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentPage {
    /// The agents, ascending by id.
    pub items: Vec<AgentSummary>,
    /// Where the next page begins, if there is one ([`ListAgents::after`]).
    pub next: Option<AgentId>,
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

/// Who makes a change, and when.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// When.
    pub at: Timestamp,
}

/// What a starting server needs of every agent, in ascending order of their ids, `limit` at a time.
///
/// # Errors
/// [`StoreError`].
pub async fn load_page(
    _conn: &mut Conn,
    _after: Option<AgentId>,
    _limit: u32,
) -> Result<Vec<StoredAgent>, StoreError> {
    unimplemented!()
}

/// What a starting server needs of every agent, all at once.
///
/// # Errors
/// [`StoreError`].
pub async fn load_all(_conn: &mut Conn) -> Result<Vec<StoredAgent>, StoreError> {
    unimplemented!()
}

/// One page of the agents that a filter admits.
///
/// # Errors
/// [`StoreError`].
pub async fn list(_conn: &mut Conn, _filter: &ListAgents) -> Result<AgentPage, StoreError> {
    unimplemented!()
}

/// Everything stored of one agent.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    _conn: &mut Conn,
    _ns: &Namespace,
    _agent: AgentId,
) -> Result<Option<AgentDetail>, StoreError> {
    unimplemented!()
}

/// The agent that has a uid.
///
/// # Errors
/// [`StoreError`].
pub async fn find_by_uid(
    _conn: &mut Conn,
    _ns: &Namespace,
    _uid: &InstanceUid,
) -> Result<Option<AgentId>, StoreError> {
    unimplemented!()
}

/// Replaces the labels that operators gave an agent; `expected` is the version it must still have.
/// Gives its labels by source as they are then.
///
/// # Errors
/// [`StoreError`].
pub async fn set_operator_labels(
    _tx: &mut Tx,
    _ns: &Namespace,
    _agent: AgentId,
    _labels: &Labels,
    _expected: Option<u64>,
    _by: By<'_>,
) -> Result<Versioned<LabelsBySource>, StoreError> {
    unimplemented!()
}

/// Approves an agent or puts it back on pending; says whether there is such an agent.
///
/// # Errors
/// [`StoreError`].
pub async fn set_approval(
    _tx: &mut Tx,
    _ns: &Namespace,
    _agent: AgentId,
    _approval: Approval,
    _by: By<'_>,
) -> Result<bool, StoreError> {
    unimplemented!()
}

/// Forgets an agent and all that hangs on it but its events; says whether there was one.
///
/// # Errors
/// [`StoreError`].
pub async fn delete(_tx: &mut Tx, _ns: &Namespace, _agent: AgentId) -> Result<bool, StoreError> {
    unimplemented!()
}

/// Marks every agent that is attached to a node as gone, as at its start and its end. Says how many.
///
/// # Errors
/// [`StoreError`].
pub async fn detach_node(
    _tx: &mut Tx,
    _node: &NodeName,
    _at: Timestamp,
    _reason: &str,
) -> Result<u64, StoreError> {
    unimplemented!()
}

/// Counts of a namespace's agents.
///
/// # Errors
/// [`StoreError`].
pub async fn counts(_conn: &mut Conn, _ns: &Namespace) -> Result<FleetCounts, StoreError> {
    unimplemented!()
}

/// How many agents a selector matches.
///
/// # Errors
/// [`StoreError`].
pub async fn count_matching(
    _conn: &mut Conn,
    _ns: &Namespace,
    _selector: &Selector,
) -> Result<u64, StoreError> {
    unimplemented!()
}

/// What changed about an agent, newest first, before an entry if one is named.
///
/// # Errors
/// [`StoreError`].
pub async fn history(
    _conn: &mut Conn,
    _ns: &Namespace,
    _agent: AgentId,
    _before: Option<i64>,
    _limit: u32,
) -> Result<Vec<AgentChange>, StoreError> {
    unimplemented!()
}
