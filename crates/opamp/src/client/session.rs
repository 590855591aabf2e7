//! An agent's session: its options, its status and its life over connections.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use opamp_model::{
    AgentCapabilities, AgentDescription, AvailableComponents, ConfigMap, ConnectionSettingsStatus,
    CustomCapabilities, CustomMessage, Health, InstanceUid, PackageStatuses, RemoteConfigStatus,
    ServerCapabilities,
};
use prost::Message as _;

use super::asks::Asks;
use super::status::{Gate, Part, SkippedPart, Status};
use super::{CustomMessageRefused, InvalidCustomCapability};
use crate::{Limits, proto};

/// How many custom messages may wait for being sent.
const CUSTOM_MESSAGES: usize = 16;

/// What a session starts with.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The agent's identity.
    pub uid: InstanceUid,
    /// What the agent can do; `ReportsStatus` is always added.
    pub capabilities: AgentCapabilities,
    /// Time between heartbeats, or between polls over plain HTTP; zero for no heartbeats.
    pub heartbeat_interval: Duration,
    /// The number of the first message.
    pub first_sequence_num: u64,
    /// Limits on what the server sends; `message_bytes` also on what the agent sends.
    pub limits: Limits,
}

/// How the session's messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A connection on which either side may speak (WebSocket, gRPC).
    Stream,
    /// Requests of the agent (plain HTTP): a heartbeat is a poll and cannot be switched off.
    Polling,
}

/// What an agent has to say and what it knows of its server.
///
/// Set the status whenever it changes; [`poll_send`](Self::poll_send) makes messages of whatever
/// the server does not know yet. The session outlives connections: make one for the process.
///
/// ```
/// use opamp::client::{ClientSession, Event, Mode, SessionOptions};
/// use opamp::model::{AgentCapabilities, AgentDescription, Attribute, InstanceUid, ServerCapabilities, WireState};
/// use opamp::{Limits, server};
/// use std::time::Instant;
///
/// let uid = InstanceUid::new([7; 16]);
/// let mut session = ClientSession::new(SessionOptions::new(uid, AgentCapabilities::REPORTS_HEARTBEAT));
/// session.set_description(&AgentDescription {
///     identifying: vec![Attribute::new("service.name", "collector")],
///     non_identifying: vec![],
/// });
///
/// let now = Instant::now();
/// session.connected(Mode::Stream, now);
/// let report = session.poll_send(now).expect("a status report is due at once");
/// assert_eq!(session.poll_send(now), None, "nothing else is new");
///
/// let received = server::receive(&mut WireState::default(), &report, &Limits::SERVER)?;
/// assert!(received.changes.description.is_some() && !received.full_state_needed);
///
/// let reply = server::Reply::to(uid, ServerCapabilities::ACCEPTS_STATUS).encode();
/// let events = session.receive(&reply.to_vec(), now)?.events;
/// assert_eq!(events, [Event::ServerCapabilities(ServerCapabilities::ACCEPTS_STATUS)]);
/// # Ok::<(), opamp::Malformed>(())
/// ```
#[derive(Debug)]
pub struct ClientSession {
    pub(super) limits: Limits,
    pub(super) uid: InstanceUid,
    pub(super) previous_uid: Option<InstanceUid>,
    pub(super) capabilities: AgentCapabilities,
    pub(super) heartbeat_interval: Duration,
    pub(super) next_sequence_num: u64,
    pub(super) status: Status,
    /// The inventory with its map, encoded; the status has the hash alone.
    pub(super) components: Option<Vec<u8>>,
    pub(super) custom_capabilities: CustomCapabilities,
    pub(super) custom_messages: VecDeque<CustomMessage>,
    pub(super) certificate_request: Option<Vec<u8>>,
    pub(super) wants_uid: bool,
    pub(super) skipped: Vec<SkippedPart>,
    pub(super) connection: Option<LiveConnection>,
    pub(super) server: KnownServer,
    pub(super) asks: Asks,
}

/// The present connection.
#[derive(Debug)]
pub(super) struct LiveConnection {
    pub(super) mode: Mode,
    /// Whether a message must go out whatever it says: the first one, or one with a new identity.
    pub(super) due: bool,
    /// Whether a new identity was announced at once on this connection; once is enough, or a
    /// server that gives one in every answer would be answered forever.
    pub(super) announced_uid: bool,
    /// Whether something was sent under the present identity: if the server has no report, that was one.
    pub(super) reported: bool,
    pub(super) last_sent: Instant,
}

/// What is known of the server.
#[derive(Debug, Default)]
pub(super) struct KnownServer {
    /// Whether it answered after it was sent a full report.
    pub(super) has_report: bool,
    pub(super) capabilities: Option<ServerCapabilities>,
    pub(super) custom_capabilities: CustomCapabilities,
    /// Hash of the last configuration that was passed on.
    pub(super) config_hash: Option<Vec<u8>>,
    /// Hash of the last connection settings that were passed on.
    pub(super) settings_hash: Option<Vec<u8>>,
}

impl SessionOptions {
    /// Options with a heartbeat each 30 s and the client's default limits.
    pub fn new(uid: InstanceUid, capabilities: AgentCapabilities) -> Self {
        Self {
            uid,
            capabilities,
            heartbeat_interval: Duration::from_secs(30),
            first_sequence_num: 0,
            limits: Limits::CLIENT,
        }
    }
}

impl ClientSession {
    /// A session that has not connected yet.
    pub fn new(options: SessionOptions) -> Self {
        Self {
            limits: options.limits,
            uid: options.uid,
            previous_uid: None,
            capabilities: options.capabilities | AgentCapabilities::REPORTS_STATUS,
            heartbeat_interval: options.heartbeat_interval,
            next_sequence_num: options.first_sequence_num,
            status: Status::default(),
            components: None,
            custom_capabilities: CustomCapabilities::default(),
            custom_messages: VecDeque::new(),
            certificate_request: None,
            wants_uid: false,
            skipped: Vec::new(),
            connection: None,
            server: KnownServer::default(),
            asks: Asks::default(),
        }
    }

    /// The agent's identity as it is now.
    pub fn uid(&self) -> InstanceUid {
        self.uid
    }

    /// The agent's capabilities.
    pub fn capabilities(&self) -> AgentCapabilities {
        self.capabilities
    }

    /// What the server announced; nothing before its first message.
    pub fn server_capabilities(&self) -> Option<ServerCapabilities> {
        self.server.capabilities
    }

    /// The number that the next message will have; keep it to continue after a restart.
    pub fn next_sequence_num(&self) -> u64 {
        self.next_sequence_num
    }

    /// Time between heartbeats, as set or as the server offered it.
    pub fn heartbeat_interval(&self) -> Duration {
        self.heartbeat_interval
    }

    /// Replaces the agent's capabilities.
    pub fn set_capabilities(&mut self, capabilities: AgentCapabilities) {
        let capabilities = capabilities | AgentCapabilities::REPORTS_STATUS;
        if capabilities != self.capabilities {
            self.capabilities = capabilities;
            self.make_due();
        }
    }

    /// Replaces the time between heartbeats; zero switches them off, but not polls.
    pub fn set_heartbeat_interval(&mut self, interval: Duration) {
        self.heartbeat_interval = interval;
    }

    /// Replaces the description.
    pub fn set_description(&mut self, description: &AgentDescription) {
        self.status.set(
            Part::Description,
            &proto::AgentDescription::from(description),
        );
    }

    /// Replaces the health, times included.
    pub fn set_health(&mut self, health: &Health) {
        self.status
            .set(Part::Health, &proto::ComponentHealth::from(health));
    }

    /// Replaces the effective configuration.
    pub fn set_effective_config(&mut self, config: &ConfigMap) {
        self.status.set(
            Part::EffectiveConfig,
            &proto::EffectiveConfig {
                config_map: Some(config.into()),
            },
        );
    }

    /// Replaces the status of the remote configuration.
    pub fn set_remote_config_status(&mut self, status: &RemoteConfigStatus) {
        self.status.set(
            Part::RemoteConfigStatus,
            &proto::RemoteConfigStatus::from(status),
        );
    }

    /// Replaces the package statuses.
    pub fn set_package_statuses(&mut self, statuses: &PackageStatuses) {
        self.status.set(
            Part::PackageStatuses,
            &proto::PackageStatuses::from(statuses),
        );
    }

    /// Replaces the agent's custom capabilities.
    ///
    /// # Errors
    /// [`InvalidCustomCapability`] for a name that is none; nothing is replaced then.
    pub fn set_custom_capabilities(
        &mut self,
        capabilities: &CustomCapabilities,
    ) -> Result<(), InvalidCustomCapability> {
        if let Some(name) = capabilities.find_malformed() {
            let name = name.to_owned();
            return Err(InvalidCustomCapability { name });
        }
        self.custom_capabilities = capabilities.clone();
        self.status.set(
            Part::CustomCapabilities,
            &proto::CustomCapabilities::from(capabilities),
        );
        Ok(())
    }

    /// Adds to the agent's custom capabilities.
    ///
    /// # Errors
    /// As [`set_custom_capabilities`](Self::set_custom_capabilities).
    pub fn add_custom_capability(&mut self, name: &str) -> Result<(), InvalidCustomCapability> {
        let mut all = self.custom_capabilities.clone();
        if !all.contains(name) {
            all.0.push(name.to_owned());
        }
        self.set_custom_capabilities(&all)
    }

    /// Replaces the inventory of components; the map travels only when the server asks for it.
    pub fn set_available_components(&mut self, components: &AvailableComponents) {
        let hash_alone = AvailableComponents {
            hash: components.hash.clone(),
            components: None,
        };
        self.status.set(
            Part::AvailableComponents,
            &proto::AvailableComponents::from(&hash_alone),
        );
        self.components = Some(proto::AvailableComponents::from(components).encode_to_vec());
    }

    /// Replaces the status of connection settings.
    pub fn set_connection_settings_status(&mut self, status: &ConnectionSettingsStatus) {
        self.status.set(
            Part::ConnectionSettingsStatus,
            &proto::ConnectionSettingsStatus::from(status),
        );
    }

    /// Queues a custom message; each travels in a message of its own.
    ///
    /// # Errors
    /// [`CustomMessageRefused`] when a side does not have the capability or the queue is full.
    pub fn send_custom_message(
        &mut self,
        message: CustomMessage,
    ) -> Result<(), CustomMessageRefused> {
        if !self.custom_capabilities.contains(&message.capability) {
            return Err(CustomMessageRefused::NotAnnounced);
        }
        if !self
            .server
            .custom_capabilities
            .contains(&message.capability)
        {
            return Err(CustomMessageRefused::Unsupported);
        }
        if CUSTOM_MESSAGES <= self.custom_messages.len() {
            return Err(CustomMessageRefused::QueueFull {
                limit: CUSTOM_MESSAGES,
            });
        }
        self.custom_messages.push_back(message);
        Ok(())
    }

    /// Asks for the whole of an offer that came as a delta and could not be had from it. The offer counts as not seen.
    ///
    /// # Errors
    /// As for [`send_custom_message`](Self::send_custom_message).
    pub fn ask_for_whole(&mut self, hash: &[u8]) -> Result<(), CustomMessageRefused> {
        self.server.config_hash.take_if(|seen| seen == hash);
        self.send_custom_message(CustomMessage {
            capability: CustomCapabilities::DELTA.to_owned(),
            kind: CustomMessage::WHOLE.to_owned(),
            data: hash.to_vec(),
        })
    }

    /// Asks for a client certificate with a PEM signing request, once the server allows it.
    pub fn request_certificate(&mut self, csr_pem: Vec<u8>) {
        self.certificate_request = Some(csr_pem);
    }

    /// Asks the server for an instance uid; the present one is temporary meanwhile.
    pub fn request_uid(&mut self) {
        self.wants_uid = true;
        self.make_due();
    }

    /// A connection was made: a status report is due at once.
    ///
    /// The first one is full, on each connection until the server has answered one: the numbers of a
    /// process that was there before may end just where this one's begin. After that only what
    /// changed is sent: what is lost with a connection shows as a gap in the numbers, and the server
    /// asks for everything. Custom capabilities are told with each connection, so that a server that acts on them knows
    /// that they are those of this process.
    pub fn connected(&mut self, mode: Mode, now: Instant) {
        self.status.repeat(Part::CustomCapabilities);
        self.connection = Some(LiveConnection {
            mode,
            due: true,
            announced_uid: false,
            reported: false,
            last_sent: now,
        });
    }

    /// The connection was lost: nothing is sent until the next one.
    pub fn disconnected(&mut self) {
        self.connection = None;
    }

    /// The next connection goes to another server: it is told everything, and nothing is known of it.
    pub fn forget_server(&mut self) {
        self.server = KnownServer::default();
        self.custom_messages.clear();
        self.connection = None;
    }

    /// Parts that did not fit in a message since the last call; report them to whoever watches.
    pub fn take_skipped(&mut self) -> Vec<SkippedPart> {
        std::mem::take(&mut self.skipped)
    }

    pub(super) fn gate(&self) -> Gate {
        Gate {
            agent: self.capabilities,
            server: self.server.capabilities,
        }
    }

    pub(super) fn make_due(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.due = true;
        }
    }
}
