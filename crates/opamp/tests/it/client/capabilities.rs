//! What both sides claim decides what travels.

use std::time::Instant;

use opamp::client::{ClientSession, Event, SessionOptions};
use opamp::model::{AgentCapabilities, ServerCapabilities};
use opamp::proto::{self, ServerToAgent, ServerToAgentFlags};
use opamp::server::Reply;

use super::heartbeats::settings;
use super::{BEATING, SERVER, parts, set_everything};
use crate::support::{
    REPORTING, SECOND, UID, addressed, give, give_raw, remote_config, sent, session, settled,
};

#[test]
fn cp_01_cp_03_every_message_has_capabilities_with_reports_status() {
    let now = Instant::now();
    let mut session = session(BEATING, now);
    let expected = (BEATING | AgentCapabilities::REPORTS_STATUS).bits();
    assert_eq!(sent(&mut session, now).capabilities, expected);
    assert_eq!(sent(&mut session, now + 30 * SECOND).capabilities, expected);
}

#[test]
fn cp_04_changed_capabilities_are_sent_at_once() {
    let now = Instant::now();
    let mut session = settled(BEATING, SERVER, now);
    session.set_capabilities(BEATING | AgentCapabilities::ACCEPTS_REMOTE_CONFIG);
    assert_eq!(sent(&mut session, now).capabilities, 0x2003);
    session.set_capabilities(BEATING | AgentCapabilities::ACCEPTS_REMOTE_CONFIG);
    assert_eq!(session.poll_send(now), None);
}

#[test]
fn cp_06_cp_09_what_the_server_does_not_accept_is_not_sent() {
    let now = Instant::now();
    let mut session = settled(
        AgentCapabilities::ALL,
        ServerCapabilities::ACCEPTS_STATUS,
        now,
    );
    set_everything(&mut session);
    session.request_certificate(b"csr".to_vec());
    let message = sent(&mut session, now);
    assert!(message.effective_config.is_none() && message.package_statuses.is_none());
    assert!(message.connection_settings_request.is_none());
    assert_eq!(
        session.poll_send(now),
        None,
        "what is held back is no reason to send"
    );
    give(&mut session, Reply::to(UID, SERVER), now);
    let message = sent(&mut session, now);
    assert_eq!(
        parts(&message),
        [
            "effective_config",
            "package_statuses",
            "connection_settings_request"
        ]
    );
}

#[test]
fn cs_01_a_certificate_is_requested_once_and_only_of_a_server_that_allows_it() {
    let now = Instant::now();
    let mut session = session(AgentCapabilities::ALL, now);
    session.request_certificate(b"csr".to_vec());
    assert!(
        sent(&mut session, now)
            .connection_settings_request
            .is_none(),
        "nothing is known of the server"
    );
    give(&mut session, Reply::to(UID, SERVER), now);
    let request = sent(&mut session, now).connection_settings_request.unwrap();
    assert_eq!(
        request.opamp.unwrap().certificate_request.unwrap().csr,
        b"csr"
    );
    assert_eq!(session.poll_send(now), None);
}

#[test]
fn cp_08_without_its_capability_a_part_is_not_reported() {
    let now = Instant::now();
    let mut session = session(AgentCapabilities::NONE, now);
    set_everything(&mut session);
    assert_eq!(
        parts(&sent(&mut session, now)),
        ["agent_description", "custom_capabilities"]
    );
    assert_eq!(session.poll_send(now), None);
    session.set_capabilities(AgentCapabilities::REPORTS_HEALTH);
    assert_eq!(parts(&sent(&mut session, now)), ["health"]);
}

#[test]
fn cp_07_what_needs_a_capability_that_the_agent_lacks_is_ignored() {
    let now = Instant::now();
    let mut session = settled(AgentCapabilities::NONE, SERVER, now);
    let telemetry = Some(proto::TelemetryConnectionSettings::default());
    let offers = proto::ConnectionSettingsOffers {
        own_metrics: telemetry.clone(),
        own_traces: telemetry.clone(),
        own_logs: telemetry,
        other_connections: [("x".to_owned(), proto::OtherConnectionSettings::default())].into(),
        ..settings(5, b"1")
    };
    let message = ServerToAgent {
        remote_config: Some(remote_config("a: 1", b"h")),
        connection_settings: Some(offers.clone()),
        packages_available: Some(proto::PackagesAvailable::default()),
        flags: ServerToAgentFlags::ReportAvailableComponents as u64,
        ..addressed()
    };
    assert_eq!(give_raw(&mut session, &message, now).events, []);
    assert_eq!(
        (session.poll_send(now), session.heartbeat_interval()),
        (None, 30 * SECOND)
    );

    session.set_capabilities(
        AgentCapabilities::REPORTS_OWN_METRICS | AgentCapabilities::ACCEPTS_PACKAGES,
    );
    let events = give_raw(&mut session, &message, now).events;
    let [Event::ConnectionSettings(given), Event::Packages(_)] = &events[..] else {
        panic!("{events:?}")
    };
    assert!(given.own_metrics.is_some() && given.own_traces.is_none() && given.opamp.is_none());
    assert!(given.own_logs.is_none() && given.other_connections.is_empty());
}

#[test]
fn cp_02_capabilities_of_zero_are_unchanged() {
    let now = Instant::now();
    let mut session = session(REPORTING, now);
    assert_eq!(session.server_capabilities(), None);
    assert_eq!(give_raw(&mut session, &addressed(), now).events, []);
    let events = give(&mut session, Reply::to(UID, SERVER), now).events;
    assert_eq!(events, [Event::ServerCapabilities(SERVER)]);
    assert_eq!(give_raw(&mut session, &addressed(), now).events, []);
    assert_eq!(session.server_capabilities(), Some(SERVER));
}

#[test]
fn cp_01_the_session_tells_what_it_claims() {
    let session = ClientSession::new(SessionOptions::new(UID, AgentCapabilities::REPORTS_HEALTH));
    let claimed = AgentCapabilities::REPORTS_HEALTH | AgentCapabilities::REPORTS_STATUS;
    assert_eq!(session.capabilities(), claimed);
}
