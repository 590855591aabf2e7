//! The server's messages.

use std::time::Duration;

use bytes::Bytes;
use opamp_model::{ConfigMap, CustomCapabilities, CustomMessage, InstanceUid, ServerCapabilities};

use crate::proto;

/// Builds one `ServerToAgent`; starts as a plain acknowledgement.
#[derive(Clone, Debug)]
pub struct Reply {
    head: Vec<u8>,
    shared: Bytes,
}

/// An encoded `ServerToAgent`: its own few bytes and a slice that many messages share.
///
/// The two slices in order are the protobuf message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    head: Vec<u8>,
    shared: Bytes,
}

/// Why a message was not processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No reason that the protocol knows; not to be sent again.
    Unknown,
    /// The message is wrong; not to be sent again.
    BadRequest,
    /// The server is overloaded; come back later.
    Unavailable,
}

/// What an agent is told to do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Restart the agent.
    Restart,
}

impl Reply {
    /// An acknowledgement: the agent's uid and the server's capabilities.
    pub fn to(uid: InstanceUid, capabilities: ServerCapabilities) -> Self {
        let _ = (uid, capabilities);
        unimplemented!()
    }

    /// A refusal; it excludes everything but the uid. `retry_after` goes with `Unavailable` only.
    pub fn error(
        uid: Option<InstanceUid>,
        kind: ErrorKind,
        message: &str,
        retry_after: Option<Duration>,
    ) -> Encoded {
        let _ = (uid, kind, message, retry_after);
        unimplemented!()
    }

    /// A command; it excludes everything but the uid and the capabilities.
    pub fn command(
        uid: InstanceUid,
        capabilities: ServerCapabilities,
        command: Command,
    ) -> Encoded {
        let _ = (uid, capabilities, command);
        unimplemented!()
    }

    /// Asks for every status the agent has.
    pub fn report_full_state(self) -> Self {
        unimplemented!()
    }

    /// Asks for the map of available components.
    pub fn report_available_components(self) -> Self {
        unimplemented!()
    }

    /// Gives the agent a new identity.
    pub fn new_uid(self, uid: InstanceUid) -> Self {
        let _ = uid;
        unimplemented!()
    }

    /// Offers a remote configuration that [`encode_remote_config`] encoded.
    pub fn remote_config(self, encoded: Bytes) -> Self {
        let _ = encoded;
        unimplemented!()
    }

    /// Offers connection settings.
    pub fn connection_settings(self, offers: &proto::ConnectionSettingsOffers) -> Self {
        let _ = offers;
        unimplemented!()
    }

    /// Offers packages.
    pub fn packages(self, packages: &proto::PackagesAvailable) -> Self {
        let _ = packages;
        unimplemented!()
    }

    /// Announces the server's custom capabilities.
    pub fn custom_capabilities(self, capabilities: &CustomCapabilities) -> Self {
        let _ = capabilities;
        unimplemented!()
    }

    /// Carries a custom message; there is at most one in a message.
    pub fn custom_message(self, message: &CustomMessage) -> Self {
        let _ = message;
        unimplemented!()
    }

    /// The finished message.
    pub fn encode(self) -> Encoded {
        Encoded {
            head: self.head,
            shared: self.shared,
        }
    }
}

impl Encoded {
    /// The bytes that are this message's own.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The bytes that follow the head and may be shared with other messages; often empty.
    pub fn shared(&self) -> &Bytes {
        &self.shared
    }

    /// Size of the message in bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.shared.len()
    }

    /// Whether the message has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The message in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        [&self.head[..], &self.shared].concat()
    }
}

/// Encodes a remote configuration once for all agents that get it, its field tag included.
pub fn encode_remote_config(config: &ConfigMap, hash: &[u8]) -> Bytes {
    let _ = (config, hash);
    unimplemented!()
}
