//! An agent's session.

use std::time::{Duration, Instant};

use opamp_model::{
    AgentCapabilities, AgentDescription, AvailableComponents, ConfigMap, ConnectionSettingsStatus,
    CustomCapabilities, CustomMessage, Health, InstanceUid, PackageStatuses, RemoteConfigStatus,
    ServerCapabilities,
};

use super::{CustomMessageRefused, Received};
use crate::{Limits, Malformed};

/// What a session starts with.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The agent's identity.
    pub uid: InstanceUid,
    /// What the agent can do; `ReportsStatus` is always added.
    pub capabilities: AgentCapabilities,
    /// Time between heartbeats, or between polls over plain HTTP.
    pub heartbeat_interval: Duration,
    /// The number of the first message.
    pub first_sequence_num: u64,
    /// Limits on what the server sends, and on the size of what the agent sends.
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
#[derive(Debug)]
pub struct ClientSession {
    options: SessionOptions,
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
        Self { options }
    }

    /// The agent's identity as it is now.
    pub fn uid(&self) -> InstanceUid {
        self.options.uid
    }

    /// The agent's capabilities.
    pub fn capabilities(&self) -> AgentCapabilities {
        unimplemented!()
    }

    /// What the server announced; nothing before its first message.
    pub fn server_capabilities(&self) -> Option<ServerCapabilities> {
        unimplemented!()
    }

    /// The number that the next message will have; keep it to continue after a restart.
    pub fn next_sequence_num(&self) -> u64 {
        unimplemented!()
    }

    /// Replaces the agent's capabilities.
    pub fn set_capabilities(&mut self, capabilities: AgentCapabilities) {
        let _ = capabilities;
        unimplemented!()
    }

    /// Replaces the description.
    pub fn set_description(&mut self, description: &AgentDescription) {
        let _ = description;
        unimplemented!()
    }

    /// Replaces the health, times included.
    pub fn set_health(&mut self, health: &Health) {
        let _ = health;
        unimplemented!()
    }

    /// Replaces the effective configuration.
    pub fn set_effective_config(&mut self, config: &ConfigMap) {
        let _ = config;
        unimplemented!()
    }

    /// Replaces the status of the remote configuration.
    pub fn set_remote_config_status(&mut self, status: &RemoteConfigStatus) {
        let _ = status;
        unimplemented!()
    }

    /// Replaces the package statuses.
    pub fn set_package_statuses(&mut self, statuses: &PackageStatuses) {
        let _ = statuses;
        unimplemented!()
    }

    /// Replaces the agent's custom capabilities.
    pub fn set_custom_capabilities(&mut self, capabilities: &CustomCapabilities) {
        let _ = capabilities;
        unimplemented!()
    }

    /// Replaces the inventory of components; the map travels only when the server asks for it.
    pub fn set_available_components(&mut self, components: &AvailableComponents) {
        let _ = components;
        unimplemented!()
    }

    /// Replaces the status of connection settings.
    pub fn set_connection_settings_status(&mut self, status: &ConnectionSettingsStatus) {
        let _ = status;
        unimplemented!()
    }

    /// Queues a custom message.
    ///
    /// # Errors
    /// [`CustomMessageRefused`] when a side does not have the capability or the queue is full.
    pub fn send_custom_message(
        &mut self,
        message: CustomMessage,
    ) -> Result<(), CustomMessageRefused> {
        let _ = message;
        unimplemented!()
    }

    /// Asks for a client certificate with a PEM signing request, once the server allows it.
    pub fn request_certificate(&mut self, csr_pem: Vec<u8>) {
        let _ = csr_pem;
        unimplemented!()
    }

    /// Asks the server for an instance uid; the present one is temporary meanwhile.
    pub fn request_uid(&mut self) {
        unimplemented!()
    }

    /// A connection was made: a status report is due at once.
    pub fn connected(&mut self, mode: Mode, now: Instant) {
        let _ = (mode, now);
        unimplemented!()
    }

    /// The connection was lost: nothing is sent until the next one.
    pub fn disconnected(&mut self) {
        unimplemented!()
    }

    /// The next message to send, as bare protobuf, if there is something to say at `now`.
    ///
    /// Call it after every change, every received message and at [`next_wake`](Self::next_wake).
    pub fn poll_send(&mut self, now: Instant) -> Option<Vec<u8>> {
        let _ = now;
        unimplemented!()
    }

    /// When the next heartbeat or poll is due.
    pub fn next_wake(&self) -> Option<Instant> {
        unimplemented!()
    }

    /// The last message of a session, which says that the agent disconnects.
    pub fn goodbye(&mut self) -> Vec<u8> {
        unimplemented!()
    }

    /// Reads a message of the server, as bare protobuf.
    ///
    /// # Errors
    /// [`Malformed`] with the reason; drop the connection and connect again.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) -> Result<Received, Malformed> {
        let _ = (bytes, now);
        unimplemented!()
    }
}
