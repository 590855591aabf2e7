//! What a server's messages mean, by the rules of the protocol.

use std::time::{Duration, Instant};

use opamp_model::{AgentCapabilities, CustomCapabilities, InstanceUid, ServerCapabilities};
use prost::Message as _;

use super::asks::Answer;
use super::session::{ClientSession, Mode};
use super::status::Part;
use super::{Event, Received, Reconnect, RemoteConfigOffer, ServerError};
use crate::proto::{self, ServerToAgentFlags, server_error_response::Details};
use crate::server::ErrorKind;
use crate::{Malformed, shape};

/// The longest time between heartbeats or polls that a server can offer.
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 3600);

impl ClientSession {
    /// Reads a message of the server, as bare protobuf.
    ///
    /// What needs a capability that the agent lacks is left out, as are offers that repeat the one
    /// before. Messages for other agents on the same connection give nothing.
    ///
    /// # Errors
    /// [`Malformed`] with the reason; drop the connection and connect again.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) -> Result<Received, Malformed> {
        let limit_bytes = self.limits.message_bytes;
        if limit_bytes < bytes.len() {
            return Err(Malformed::TooLarge {
                part: "message",
                bytes: bytes.len(),
                limit_bytes,
            });
        }
        shape::SERVER_TO_AGENT.check(bytes, &self.limits)?;
        let message = proto::ServerToAgent::decode(bytes).map_err(Malformed::Decode)?;
        if !self.is_addressee(&message.instance_uid) {
            return Ok(Received::default());
        }
        let mut events = Vec::new();
        if let Some(error) = message.error_response {
            return Ok(refusal(error));
        }
        self.server.has_report |= self
            .connection
            .as_ref()
            .is_some_and(|connection| connection.reported);
        self.take_capabilities(message.capabilities, &mut events);
        if let Some(command) = message.command {
            events.extend(self.command(command));
            return Ok(Received {
                events,
                reconnect: None,
            });
        }
        self.take_identity(message.agent_identification, &mut events);
        self.take_flags(message.flags, now);
        events.extend(
            message
                .remote_config
                .and_then(|offer| self.remote_config(offer)),
        );
        events.extend(
            message
                .connection_settings
                .and_then(|offers| self.connection_settings(offers)),
        );
        events.extend(
            message
                .packages_available
                .and_then(|packages| self.packages(packages)),
        );
        events.extend(
            message
                .custom_capabilities
                .and_then(|list| self.server_custom_capabilities(list)),
        );
        events.extend(
            message
                .custom_message
                .and_then(|message| self.custom_message(message)),
        );
        Ok(Received {
            events,
            reconnect: None,
        })
    }

    /// Several agents may share a connection; some servers leave the address out.
    fn is_addressee(&self, uid: &[u8]) -> bool {
        let is = |known: &InstanceUid| known.as_bytes() == uid;
        uid.is_empty() || is(&self.uid) || self.previous_uid.as_ref().is_some_and(is)
    }

    /// 0 stands for unchanged.
    fn take_capabilities(&mut self, bits: u64, events: &mut Vec<Event>) {
        let claimed = ServerCapabilities::from_bits_truncate(bits);
        if claimed.is_empty() || self.server.capabilities == Some(claimed) {
            return;
        }
        self.server.capabilities = Some(claimed);
        events.push(Event::ServerCapabilities(claimed));
    }

    fn command(&self, command: proto::ServerToAgentCommand) -> Option<Event> {
        let restarts = command.r#type == i32::from(proto::CommandType::Restart);
        (restarts && self.can(AgentCapabilities::ACCEPTS_RESTART_COMMAND)).then_some(Event::Restart)
    }

    /// An identity of another length than 16 bytes is no identity and changes nothing.
    fn take_identity(
        &mut self,
        identification: Option<proto::AgentIdentification>,
        events: &mut Vec<Event>,
    ) {
        let Some(Ok(new)) =
            identification.map(|given| InstanceUid::from_slice(&given.new_instance_uid))
        else {
            return;
        };
        self.wants_uid = false;
        if new == self.uid {
            return;
        }
        let old = std::mem::replace(&mut self.uid, new);
        self.previous_uid = Some(old);
        self.server.has_report = false;
        if let Some(connection) = &mut self.connection {
            connection.reported = false;
            connection.due |= !std::mem::replace(&mut connection.announced_uid, true);
        }
        events.push(Event::UidChanged { old, new });
    }

    fn take_flags(&mut self, flags: u64, now: Instant) {
        let has = |flag: ServerToAgentFlags| flags & flag as u64 != 0;
        let components = has(ServerToAgentFlags::ReportAvailableComponents)
            && self.can(AgentCapabilities::REPORTS_AVAILABLE_COMPONENTS);
        self.asks.ask(
            Answer {
                full_state: has(ServerToAgentFlags::ReportFullState),
                components,
            },
            now,
        );
    }

    /// The same offer arrives again in answers to progress reports: it is passed on once, unless
    /// the agent reported that it failed.
    fn remote_config(&mut self, offer: proto::AgentRemoteConfig) -> Option<Event> {
        if !self.can(AgentCapabilities::ACCEPTS_REMOTE_CONFIG) {
            return None;
        }
        let hash = offer.config_hash;
        if repeats(self.server.config_hash.as_ref(), &hash)
            && !self.has_failed(Part::RemoteConfigStatus, &hash)
        {
            return None;
        }
        self.server.config_hash = Some(hash.clone());
        Some(Event::RemoteConfig(RemoteConfigOffer {
            config: offer.config.map(Into::into),
            hash,
        }))
    }

    fn connection_settings(
        &mut self,
        mut offers: proto::ConnectionSettingsOffers,
    ) -> Option<Event> {
        offers.retain_supported(self.capabilities);
        let failed = self.has_failed(Part::ConnectionSettingsStatus, &offers.hash);
        if offers.is_empty()
            || (repeats(self.server.settings_hash.as_ref(), &offers.hash) && !failed)
        {
            return None;
        }
        self.server.settings_hash = Some(offers.hash.clone());
        if let Some(opamp) = &offers.opamp {
            self.offered_interval(Duration::from_secs(opamp.heartbeat_interval_seconds));
        }
        Some(Event::ConnectionSettings(Box::new(offers)))
    }

    /// 0 switches heartbeats off on a stream; polls over plain HTTP go on as they were.
    fn offered_interval(&mut self, interval: Duration) {
        let interval = interval.min(MAX_INTERVAL);
        let polling = self
            .connection
            .as_ref()
            .is_some_and(|connection| connection.mode == Mode::Polling);
        let counts = polling || self.can(AgentCapabilities::REPORTS_HEARTBEAT);
        if counts && !(polling && interval.is_zero()) {
            self.heartbeat_interval = interval;
        }
    }

    /// Passed on each time: only the agent knows which packages it has.
    fn packages(&self, packages: proto::PackagesAvailable) -> Option<Event> {
        self.can(AgentCapabilities::ACCEPTS_PACKAGES)
            .then_some(Event::Packages(packages))
    }

    fn server_custom_capabilities(&mut self, list: proto::CustomCapabilities) -> Option<Event> {
        let list = CustomCapabilities::from(list);
        if list == self.server.custom_capabilities {
            return None;
        }
        self.server.custom_capabilities = list.clone();
        self.custom_messages
            .retain(|message| list.contains(&message.capability));
        Some(Event::CustomCapabilities(list))
    }

    fn custom_message(&self, message: proto::CustomMessage) -> Option<Event> {
        self.custom_capabilities
            .contains(&message.capability)
            .then(|| Event::CustomMessage(message.into()))
    }

    fn can(&self, capability: AgentCapabilities) -> bool {
        self.capabilities.contains(capability)
    }

    /// Whether the agent's status says that the offer with this hash failed.
    fn has_failed(&self, part: Part, hash: &[u8]) -> bool {
        let Some(encoded) = self.status.get(part) else {
            return false;
        };
        // Both statuses have the same fields and the same numbers for their states.
        proto::RemoteConfigStatus::decode(encoded).is_ok_and(|status| {
            status.last_remote_config_hash == hash
                && status.status() == proto::RemoteConfigStatuses::Failed
        })
    }
}

/// Hashes are compared only; an empty one says nothing.
fn repeats(last: Option<&Vec<u8>>, hash: &[u8]) -> bool {
    !hash.is_empty() && last.is_some_and(|last| last == hash)
}

/// An error excludes everything else that a message can carry.
fn refusal(error: proto::ServerErrorResponse) -> Received {
    let kind = ErrorKind::from(error.r#type());
    let after = error
        .details
        .map(|Details::RetryInfo(info)| Duration::from_nanos(info.retry_after_nanoseconds));
    let reconnect = (kind == ErrorKind::Unavailable).then_some(Reconnect { after });
    Received {
        events: vec![Event::Error(ServerError {
            kind,
            message: error.error_message,
        })],
        reconnect,
    }
}
