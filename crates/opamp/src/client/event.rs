//! What a server's message means to an agent.

use std::time::Duration;

use opamp_model::{ConfigMap, CustomCapabilities, CustomMessage, InstanceUid, ServerCapabilities};

use crate::proto;
use crate::server::ErrorKind;

/// Something that the server said and the agent has to act on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A configuration is offered; the agent answers through its remote config status.
    RemoteConfig(RemoteConfigOffer),
    /// Connection settings are offered.
    ConnectionSettings(Box<proto::ConnectionSettingsOffers>),
    /// Packages are offered.
    Packages(proto::PackagesAvailable),
    /// The agent shall restart.
    Restart,
    /// The server gave the agent a new identity, which the session already uses.
    UidChanged {
        /// The identity so far.
        old: InstanceUid,
        /// The identity from now on; keep it.
        new: InstanceUid,
    },
    /// The server's capabilities became known or changed.
    ServerCapabilities(ServerCapabilities),
    /// The server's custom capabilities became known or changed.
    CustomCapabilities(CustomCapabilities),
    /// A custom message under one of the agent's own capabilities.
    CustomMessage(CustomMessage),
    /// The server refused a message.
    Error(ServerError),
}

/// An offered configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteConfigOffer {
    /// The configuration, or nothing where the server knows that the agent holds this hash.
    pub config: Option<ConfigMap>,
    /// The server's hash of it, to be echoed in the status.
    pub hash: Vec<u8>,
}

/// Why a server refused a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// The kind.
    pub kind: ErrorKind,
    /// The server's words.
    pub message: String,
}

/// What came out of one received message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Received {
    /// What to act on, in order.
    pub events: Vec<Event>,
    /// The server is overloaded: disconnect and come back later.
    pub reconnect: Option<Reconnect>,
}

/// How to come back to an overloaded server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconnect {
    /// How long to stay away; without it, back off exponentially.
    pub after: Option<Duration>,
}

/// A custom capability was not announced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no name of a custom capability")]
pub struct InvalidCustomCapability {
    /// The name.
    pub name: String,
}

/// Why a custom message cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CustomMessageRefused {
    /// The agent itself did not announce the capability.
    #[error("capability is not among the agent's custom capabilities")]
    NotAnnounced,
    /// The server does not support the capability.
    #[error("the server does not support the capability")]
    Unsupported,
    /// Too many messages wait already.
    #[error("{limit} custom messages are waiting already")]
    QueueFull {
        /// How many may wait.
        limit: usize,
    },
}
