//! The messages that an agent sends, and when.

use std::time::{Duration, Instant};

use opamp_model::{AgentCapabilities, ServerCapabilities};
use prost::Message;
use prost::encoding::{self, WireType};

use super::asks::Answer;
use super::session::{ClientSession, Mode};
use super::status::{Part, SkippedPart};
use crate::proto::{self, AgentToServerFlags};

/// Time between polls where heartbeats are switched off: polls go on.
const POLL_INTERVAL: Duration = Duration::from_secs(30);

/// Field numbers of `AgentToServer` that are no part of the status.
mod field {
    pub(super) const INSTANCE_UID: u32 = 1;
    pub(super) const SEQUENCE_NUM: u32 = 2;
    pub(super) const CAPABILITIES: u32 = 4;
    pub(super) const AGENT_DISCONNECT: u32 = 9;
    pub(super) const FLAGS: u32 = 10;
    pub(super) const CONNECTION_SETTINGS_REQUEST: u32 = 11;
    pub(super) const CUSTOM_MESSAGE: u32 = 13;
}

impl ClientSession {
    /// The next message to send, as bare protobuf, if there is something to say at `now`.
    ///
    /// Call it after every change, every received message and at [`next_wake`](Self::next_wake),
    /// until it returns `None`.
    pub fn poll_send(&mut self, now: Instant) -> Option<Vec<u8>> {
        let connection = self.connection.as_ref()?;
        let answer_due = self.asks.due().is_some_and(|due| due <= now);
        let heartbeat_due = self.heartbeat_at().is_some_and(|due| due <= now);
        let due = connection.due || answer_due || heartbeat_due || self.has_news();
        due.then(|| self.message(now))
    }

    /// When [`poll_send`](Self::poll_send) will have a message although nothing changed: the next
    /// heartbeat or poll. `None` while there is no connection or no heartbeat.
    pub fn next_wake(&self) -> Option<Instant> {
        let connection = self.connection.as_ref()?;
        if connection.due || self.has_news() {
            return Some(connection.last_sent);
        }
        [self.heartbeat_at(), self.asks.due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The last message of a session, which says that the agent disconnects; it takes along what
    /// is new. Close the connection after it.
    pub fn goodbye(&mut self) -> Vec<u8> {
        let mut message = self.head();
        self.put_status(&mut message, Answer::default());
        message.put(field::AGENT_DISCONNECT, &proto::AgentDisconnect {});
        self.connection = None;
        message.bytes
    }

    fn message(&mut self, now: Instant) -> Vec<u8> {
        let mut answer = self.asks.take(now);
        let reported = self
            .connection
            .as_mut()
            .is_none_or(|connection| std::mem::replace(&mut connection.reported, true));
        answer.full_state |= !self.server.has_report && !reported;
        let mut message = self.head();
        self.put_status(&mut message, answer);
        if let Some(csr) = self
            .certificate_request
            .take_if(|_| may_request(self.server.capabilities))
        {
            let certificate_request = Some(proto::CertificateRequest { csr });
            let opamp = Some(proto::OpAmpConnectionSettingsRequest {
                certificate_request,
            });
            message.put(
                field::CONNECTION_SETTINGS_REQUEST,
                &proto::ConnectionSettingsRequest { opamp },
            );
        }
        if let Some(custom) = self.custom_messages.pop_front() {
            message.put(field::CUSTOM_MESSAGE, &proto::CustomMessage::from(&custom));
        }
        if let Some(connection) = &mut self.connection {
            connection.due = false;
            connection.last_sent = now;
        }
        message.bytes
    }

    /// What every message has: identity, number and capabilities.
    fn head(&mut self) -> Outgoing {
        let mut message = Outgoing {
            bytes: Vec::with_capacity(64),
        };
        message.put_bytes(field::INSTANCE_UID, self.uid.as_bytes());
        message.put_varint(field::SEQUENCE_NUM, self.next_sequence_num);
        message.put_varint(field::CAPABILITIES, self.capabilities.bits());
        if self.wants_uid {
            message.put_varint(field::FLAGS, AgentToServerFlags::RequestInstanceUid as u64);
        }
        self.next_sequence_num = self.next_sequence_num.wrapping_add(1);
        message
    }

    /// Adds the parts that are due, as far as they fit.
    fn put_status(&mut self, message: &mut Outgoing, answer: Answer) {
        let gate = self.gate();
        let limit_bytes = self.limits.message_bytes;
        let map = self.components.as_deref().filter(|_| answer.components);
        let mut done = [None; Part::ALL.len()];
        for (place, (part, encoded)) in done
            .iter_mut()
            .zip(self.status.due(gate, answer.full_state))
        {
            *place = Some(part);
            let encoded = map
                .filter(|_| part == Part::AvailableComponents)
                .unwrap_or(encoded);
            put_if_fits(message, part, encoded, limit_bytes, &mut self.skipped);
        }
        let mut done = done.into_iter().flatten();
        if let Some(map) =
            map.filter(|_| !done.clone().any(|part| part == Part::AvailableComponents))
        {
            put_if_fits(
                message,
                Part::AvailableComponents,
                map,
                limit_bytes,
                &mut self.skipped,
            );
        }
        done.by_ref().for_each(|part| self.status.mark_sent(part));
    }

    fn has_news(&self) -> bool {
        let may_send_request =
            self.certificate_request.is_some() && may_request(self.server.capabilities);
        may_send_request || !self.custom_messages.is_empty() || self.status.has_news(self.gate())
    }

    /// When the next heartbeat or poll is due, counted from the last message of any kind.
    fn heartbeat_at(&self) -> Option<Instant> {
        let connection = self.connection.as_ref()?;
        let beats = self
            .capabilities
            .contains(AgentCapabilities::REPORTS_HEARTBEAT);
        let interval = Some(self.heartbeat_interval).filter(|interval| !interval.is_zero());
        let interval = match connection.mode {
            Mode::Polling => interval.unwrap_or(POLL_INTERVAL),
            Mode::Stream => interval.filter(|_| beats)?,
        };
        connection.last_sent.checked_add(interval)
    }
}

fn may_request(server: Option<ServerCapabilities>) -> bool {
    server.is_some_and(|server| {
        server.contains(ServerCapabilities::ACCEPTS_CONNECTION_SETTINGS_REQUEST)
    })
}

fn put_if_fits(
    message: &mut Outgoing,
    part: Part,
    encoded: &[u8],
    limit_bytes: usize,
    skipped: &mut Vec<SkippedPart>,
) {
    // One byte for the header that WebSocket adds, eleven for the part's own tag and length.
    if message.bytes.len() + encoded.len() + 12 <= limit_bytes {
        message.put_bytes(part as u32, encoded);
    } else {
        skipped.push(SkippedPart {
            part: part.name(),
            bytes: encoded.len(),
            limit_bytes,
        });
    }
}

/// A message that is being written.
struct Outgoing {
    bytes: Vec<u8>,
}

impl Outgoing {
    fn put_bytes(&mut self, number: u32, bytes: &[u8]) {
        encoding::encode_key(number, WireType::LengthDelimited, &mut self.bytes);
        encoding::encode_varint(bytes.len() as u64, &mut self.bytes);
        self.bytes.extend_from_slice(bytes);
    }

    fn put_varint(&mut self, number: u32, value: u64) {
        encoding::encode_key(number, WireType::Varint, &mut self.bytes);
        encoding::encode_varint(value, &mut self.bytes);
    }

    fn put(&mut self, number: u32, message: &impl Message) {
        encoding::message::encode(number, message, &mut self.bytes);
    }
}
