//! What agents report, as it is handed to the store.

use domain::model::{
    AgentCapabilities, AgentDescription, AvailableComponents, ConfigMap, ConnectionSettingsStatus,
    CustomCapabilities, Health, HealthTimes, InstanceUid, PackageStatuses, RemoteConfigStatus,
};
use domain::{
    AgentId, Approval, ContentHash, Epoch, EventId, Labels, Namespace, NewEvent, NodeName,
};
use jiff::Timestamp;

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
    /// Counts the agent's reports: a session's state that was flushed belongs to one of them.
    pub number: u64,
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
    /// Its namespace.
    pub namespace: Namespace,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// The number of its newest report ([`AgentReport::number`]), which is committed.
    pub follows: u64,
    /// Its session's state; never ahead of what is committed of its reports.
    pub wire: Box<[u8]>,
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
            number: 0,
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
        self.number = later.number;
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
