//! What the tests share: messages, a described agent, and both ends in one place.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use opamp::client::{ClientSession, Mode, Received as FromServer, SessionOptions};
use opamp::model::{
    AgentCapabilities, AgentDescription, Attribute, ConfigFile, ConfigMap, Health, InstanceUid,
    ServerCapabilities, WireState,
};
use opamp::proto::{self, AgentToServer, ServerToAgent};
use opamp::server::{self, Reply};
use opamp::{Limits, Malformed};
use prost::Message as _;

pub const UID: InstanceUid = InstanceUid::new([7; 16]);
pub const SECOND: Duration = Duration::from_secs(1);

/// What an agent claims that reports everything of its status.
pub const REPORTING: AgentCapabilities = AgentCapabilities::REPORTS_STATUS
    .union(AgentCapabilities::REPORTS_HEALTH)
    .union(AgentCapabilities::REPORTS_EFFECTIVE_CONFIG)
    .union(AgentCapabilities::REPORTS_REMOTE_CONFIG)
    .union(AgentCapabilities::ACCEPTS_REMOTE_CONFIG);

/// A bare message with this number.
pub fn message(sequence_num: u64) -> AgentToServer {
    AgentToServer {
        instance_uid: UID.as_bytes().to_vec(),
        sequence_num,
        capabilities: AgentCapabilities::REPORTS_STATUS.bits(),
        ..AgentToServer::default()
    }
}

/// A message with this number that describes its agent.
pub fn described(sequence_num: u64) -> AgentToServer {
    AgentToServer {
        agent_description: Some((&description("edge")).into()),
        ..message(sequence_num)
    }
}

pub fn receive(
    wire: &mut WireState,
    message: &AgentToServer,
) -> Result<server::Received, Malformed> {
    server::receive(wire, &message.encode_to_vec(), &Limits::SERVER)
}

/// A wire state that has seen a described agent's message number 1.
pub fn known() -> WireState {
    let mut wire = WireState::default();
    assert!(!receive(&mut wire, &described(1)).unwrap().full_state_needed);
    wire
}

pub fn description(name: &str) -> AgentDescription {
    AgentDescription {
        identifying: vec![Attribute::new("service.name", name)],
        non_identifying: vec![Attribute::new("os.type", "linux")],
    }
}

pub fn config(body: &str) -> ConfigMap {
    ConfigMap::from([("config.yaml".to_owned(), ConfigFile::new(body, "text/yaml"))])
}

/// Health of an agent with parts, its times counted from `time`.
pub fn health(healthy: bool, parts: usize, time: u64) -> Health {
    let part = |index: usize| Health {
        healthy,
        start_time_unix_nano: 1_700_000_000_000_000_000,
        status: "StatusOK".to_owned(),
        status_time_unix_nano: time + index as u64,
        ..Health::default()
    };
    let components = (0..parts).map(|index| (format!("pipeline:traces/{index}"), part(index)));
    Health {
        components: components.collect::<BTreeMap<_, _>>(),
        ..part(0)
    }
}

/// A described session that is connected and has not sent anything yet.
pub fn session(capabilities: AgentCapabilities, now: Instant) -> ClientSession {
    let mut session = ClientSession::new(SessionOptions::new(UID, capabilities));
    session.set_description(&description("edge"));
    session.connected(Mode::Stream, now);
    session
}

/// The next message of a session, which must have one.
pub fn sent(session: &mut ClientSession, now: Instant) -> AgentToServer {
    let bytes = session
        .poll_send(now)
        .expect("the session has something to say");
    AgentToServer::decode(&bytes[..]).unwrap()
}

/// A session that has sent its first message and got an answer with these capabilities.
pub fn settled(
    agent: AgentCapabilities,
    server: ServerCapabilities,
    now: Instant,
) -> ClientSession {
    let mut session = session(agent, now);
    sent(&mut session, now);
    give(&mut session, Reply::to(UID, server), now);
    session
}

pub fn give(session: &mut ClientSession, reply: Reply, now: Instant) -> FromServer {
    session.receive(&reply.encode().to_vec(), now).unwrap()
}

pub fn give_raw(session: &mut ClientSession, message: &ServerToAgent, now: Instant) -> FromServer {
    session.receive(&message.encode_to_vec(), now).unwrap()
}

/// A server's message with nothing but its addressee.
pub fn addressed() -> ServerToAgent {
    ServerToAgent {
        instance_uid: UID.as_bytes().to_vec(),
        ..ServerToAgent::default()
    }
}

pub fn remote_config(body: &str, hash: &[u8]) -> proto::AgentRemoteConfig {
    proto::AgentRemoteConfig {
        config: Some((&config(body)).into()),
        config_hash: hash.to_vec(),
    }
}
