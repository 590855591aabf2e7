//! The server's messages.

use std::time::Duration;

use bytes::Bytes;
use opamp_model::{
    AgentCapabilities, ConfigMap, CustomCapabilities, CustomMessage, InstanceUid,
    ServerCapabilities, WireUid,
};
use prost::Message;
use prost::encoding;

use crate::proto::{self, ServerToAgentFlags};

/// Builds one `ServerToAgent`; starts as a plain acknowledgement.
///
/// ```
/// use opamp::model::{ConfigFile, ConfigMap, InstanceUid, ServerCapabilities};
/// use opamp::server::{Reply, encode_remote_config};
///
/// let config = ConfigMap::from([("config.yaml".into(), ConfigFile::new("receivers: {}", "text/yaml"))]);
/// let encoded = encode_remote_config(&config, b"its hash"); // once, for every agent that gets it
///
/// let capabilities = ServerCapabilities::ACCEPTS_STATUS | ServerCapabilities::OFFERS_REMOTE_CONFIG;
/// let reply = Reply::to(InstanceUid::new([7; 16]), capabilities).remote_config(encoded.clone()).encode();
/// assert_eq!(reply.shared().as_ptr(), encoded.as_ptr());
/// assert!(reply.head().len() < 32);
/// ```
#[derive(Clone, Debug)]
pub struct Reply {
    /// To whom, in the spelling in which a new identity is given, too.
    uid: WireUid,
    head: Vec<u8>,
    flags: u64,
    shared: Bytes,
    agent: Option<AgentCapabilities>,
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

/// Field numbers of `ServerToAgent`.
mod field {
    pub(super) const INSTANCE_UID: u32 = 1;
    pub(super) const ERROR_RESPONSE: u32 = 2;
    pub(super) const REMOTE_CONFIG: u32 = 3;
    pub(super) const CONNECTION_SETTINGS: u32 = 4;
    pub(super) const PACKAGES_AVAILABLE: u32 = 5;
    pub(super) const FLAGS: u32 = 6;
    pub(super) const CAPABILITIES: u32 = 7;
    pub(super) const AGENT_IDENTIFICATION: u32 = 8;
    pub(super) const COMMAND: u32 = 9;
    pub(super) const CUSTOM_CAPABILITIES: u32 = 10;
    pub(super) const CUSTOM_MESSAGE: u32 = 11;
}

impl Reply {
    /// An acknowledgement: the agent's uid and the server's capabilities.
    ///
    /// The capabilities always stand in the message, with `AcceptsStatus` among them, although only
    /// an agent's first answer must have them.
    pub fn to(uid: impl Into<WireUid>, capabilities: ServerCapabilities) -> Self {
        let mut reply = Self::empty(uid.into());
        reply.put_uid();
        reply.put_varint(
            field::CAPABILITIES,
            (capabilities | ServerCapabilities::ACCEPTS_STATUS).bits(),
        );
        reply
    }

    /// A refusal; it excludes everything but the uid. `retry_after` counts for `Unavailable` only.
    pub fn error(
        uid: Option<WireUid>,
        kind: ErrorKind,
        message: &str,
        retry_after: Option<Duration>,
    ) -> Encoded {
        let retry_info = retry_after
            .filter(|_| kind == ErrorKind::Unavailable)
            .map(|after| {
                let nanoseconds = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
                proto::server_error_response::Details::RetryInfo(proto::RetryInfo {
                    retry_after_nanoseconds: nanoseconds,
                })
            });
        let response = proto::ServerErrorResponse {
            r#type: proto::ServerErrorResponseType::from(kind).into(),
            error_message: message.to_owned(),
            details: retry_info,
        };
        let mut reply = Self::empty(uid.unwrap_or(InstanceUid::default().into()));
        if uid.is_some() {
            reply.put_uid();
        }
        reply.put_message(field::ERROR_RESPONSE, &response);
        reply.encode()
    }

    /// A command; it excludes everything but the uid and the capabilities.
    pub fn command(
        uid: impl Into<WireUid>,
        capabilities: ServerCapabilities,
        command: Command,
    ) -> Encoded {
        let Command::Restart = command;
        let mut reply = Self::to(uid, capabilities);
        reply.put_message(
            field::COMMAND,
            &proto::ServerToAgentCommand {
                r#type: proto::CommandType::Restart.into(),
            },
        );
        reply.encode()
    }

    /// Leaves out whatever is added from here on and needs a capability that the agent lacks.
    ///
    /// Spec: "Interoperability of Partial Implementations".
    #[must_use]
    pub fn for_agent(mut self, capabilities: AgentCapabilities) -> Self {
        self.agent = Some(capabilities);
        self
    }

    /// Asks for every status the agent has.
    #[must_use]
    pub fn report_full_state(mut self) -> Self {
        self.flags |= ServerToAgentFlags::ReportFullState as u64;
        self
    }

    /// Asks for the map of available components.
    #[must_use]
    pub fn report_available_components(mut self) -> Self {
        if self.agent_can(AgentCapabilities::REPORTS_AVAILABLE_COMPONENTS) {
            self.flags |= ServerToAgentFlags::ReportAvailableComponents as u64;
        }
        self
    }

    /// Gives the agent a new identity, in the spelling of its own.
    #[must_use]
    pub fn new_uid(mut self, uid: InstanceUid) -> Self {
        let identification = proto::AgentIdentification {
            new_instance_uid: self.uid.spell(uid).to_bytes().as_slice().to_vec(),
        };
        self.put_message(field::AGENT_IDENTIFICATION, &identification);
        self
    }

    /// Offers a remote configuration that [`encode_remote_config`] encoded; the last one counts.
    #[must_use]
    pub fn remote_config(mut self, encoded: Bytes) -> Self {
        if self.agent_can(AgentCapabilities::ACCEPTS_REMOTE_CONFIG) {
            self.shared = encoded;
        }
        self
    }

    /// Offers connection settings.
    #[must_use]
    pub fn connection_settings(mut self, offers: &proto::ConnectionSettingsOffers) -> Self {
        let mut offers = offers.clone();
        offers.retain_supported(self.agent.unwrap_or(AgentCapabilities::ALL));
        if !offers.is_empty() {
            self.put_message(field::CONNECTION_SETTINGS, &offers);
        }
        self
    }

    /// Offers packages.
    #[must_use]
    pub fn packages(mut self, packages: &proto::PackagesAvailable) -> Self {
        if self.agent_can(AgentCapabilities::ACCEPTS_PACKAGES) {
            self.put_message(field::PACKAGES_AVAILABLE, packages);
        }
        self
    }

    /// Announces the server's custom capabilities.
    #[must_use]
    pub fn custom_capabilities(mut self, capabilities: &CustomCapabilities) -> Self {
        self.put_message(
            field::CUSTOM_CAPABILITIES,
            &proto::CustomCapabilities::from(capabilities),
        );
        self
    }

    /// Carries a custom message; there is at most one in a message.
    #[must_use]
    pub fn custom_message(mut self, message: &CustomMessage) -> Self {
        self.put_message(field::CUSTOM_MESSAGE, &proto::CustomMessage::from(message));
        self
    }

    /// The finished message.
    pub fn encode(mut self) -> Encoded {
        if self.flags != 0 {
            self.put_varint(field::FLAGS, self.flags);
        }
        Encoded {
            head: self.head,
            shared: self.shared,
        }
    }

    fn agent_can(&self, capability: AgentCapabilities) -> bool {
        self.agent.is_none_or(|agent| agent.contains(capability))
    }

    fn empty(uid: WireUid) -> Self {
        Self {
            uid,
            head: Vec::with_capacity(32),
            flags: 0,
            shared: Bytes::new(),
            agent: None,
        }
    }

    fn put_uid(&mut self) {
        let bytes = self.uid.to_bytes();
        let bytes = bytes.as_slice();
        encoding::encode_key(
            field::INSTANCE_UID,
            encoding::WireType::LengthDelimited,
            &mut self.head,
        );
        encoding::encode_varint(bytes.len() as u64, &mut self.head);
        self.head.extend_from_slice(bytes);
    }

    fn put_varint(&mut self, number: u32, value: u64) {
        encoding::encode_key(number, encoding::WireType::Varint, &mut self.head);
        encoding::encode_varint(value, &mut self.head);
    }

    fn put_message(&mut self, number: u32, message: &impl Message) {
        encoding::message::encode(number, message, &mut self.head);
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

    /// Size of the message in bytes; compare it with the limit before sending.
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

impl From<Vec<u8>> for Encoded {
    fn from(message: Vec<u8>) -> Self {
        Self {
            head: message,
            shared: Bytes::new(),
        }
    }
}

impl From<ErrorKind> for proto::ServerErrorResponseType {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Unknown => Self::Unknown,
            ErrorKind::BadRequest => Self::BadRequest,
            ErrorKind::Unavailable => Self::Unavailable,
        }
    }
}

impl From<proto::ServerErrorResponseType> for ErrorKind {
    fn from(kind: proto::ServerErrorResponseType) -> Self {
        match kind {
            proto::ServerErrorResponseType::Unknown => Self::Unknown,
            proto::ServerErrorResponseType::BadRequest => Self::BadRequest,
            proto::ServerErrorResponseType::Unavailable => Self::Unavailable,
        }
    }
}

/// Encodes a remote configuration once for all agents that get it, its field tag included.
pub fn encode_remote_config(config: &ConfigMap, hash: &[u8]) -> Bytes {
    put_remote_config(Vec::new(), config, hash)
}

/// The same for a configuration that [`delta::encode`](crate::delta::encode) made of one. It says beside it which custom
/// capabilities the server has: with that for deltas among them the agent may ask for the whole.
pub fn encode_remote_config_delta(
    config: &ConfigMap,
    hash: &[u8],
    capabilities: &CustomCapabilities,
) -> Bytes {
    let capabilities = proto::CustomCapabilities::from(capabilities);
    let mut out = Vec::new();
    encoding::message::encode(field::CUSTOM_CAPABILITIES, &capabilities, &mut out);
    put_remote_config(out, config, hash)
}

fn put_remote_config(mut out: Vec<u8>, config: &ConfigMap, hash: &[u8]) -> Bytes {
    let offer = proto::AgentRemoteConfig {
        config: Some(config.into()),
        config_hash: hash.to_vec(),
    };
    out.reserve_exact(offer.encoded_len() + 8);
    encoding::message::encode(field::REMOTE_CONFIG, &offer, &mut out);
    out.into()
}
