//! The agent's side: what it sends when, and what it makes of the server's messages.

use std::time::{Duration, Instant};

use opamp::client::{
    ClientSession, CustomMessageRefused, Event, InvalidCustomCapability, Mode, Reconnect,
    RemoteConfigOffer, ServerError, SessionOptions,
};
use opamp::model::{
    AgentCapabilities, ApplyState, AvailableComponents, ComponentDetails, ConnectionSettingsStatus,
    CustomCapabilities, CustomMessage, InstanceUid, PackageStatuses, RemoteConfigStatus,
    ServerCapabilities,
};
use opamp::proto::{self, AgentToServer, ServerToAgent, ServerToAgentFlags};
use opamp::server::{Command, ErrorKind, Reply};
use opamp::{Limits, Malformed};
use proptest::prelude::*;
use prost::Message as _;

use crate::support::{
    REPORTING, SECOND, UID, addressed, config, description, give, give_raw, health, remote_config,
    sent, session, settled,
};

const BEATING: AgentCapabilities = AgentCapabilities::REPORTS_HEARTBEAT;
const SERVER: ServerCapabilities = ServerCapabilities::ALL;

/// What a message carries beside its head.
fn parts(message: &AgentToServer) -> Vec<&'static str> {
    let there = [
        ("agent_description", message.agent_description.is_some()),
        ("health", message.health.is_some()),
        ("effective_config", message.effective_config.is_some()),
        (
            "remote_config_status",
            message.remote_config_status.is_some(),
        ),
        ("package_statuses", message.package_statuses.is_some()),
        ("agent_disconnect", message.agent_disconnect.is_some()),
        (
            "connection_settings_request",
            message.connection_settings_request.is_some(),
        ),
        ("custom_capabilities", message.custom_capabilities.is_some()),
        ("custom_message", message.custom_message.is_some()),
        (
            "available_components",
            message.available_components.is_some(),
        ),
        (
            "connection_settings_status",
            message.connection_settings_status.is_some(),
        ),
    ];
    there
        .into_iter()
        .filter(|(_, is_there)| *is_there)
        .map(|(name, _)| name)
        .collect()
}

fn components() -> AvailableComponents {
    AvailableComponents {
        hash: b"h".to_vec(),
        components: Some([("otlp".to_owned(), ComponentDetails::default())].into()),
    }
}

fn set_everything(session: &mut ClientSession) {
    session.set_health(&health(true, 2, 0));
    session.set_effective_config(&config("a: 1"));
    session.set_remote_config_status(&RemoteConfigStatus {
        last_hash: vec![1],
        ..Default::default()
    });
    session.set_package_statuses(&PackageStatuses::default());
    session
        .set_custom_capabilities(&CustomCapabilities(vec!["io.x.y".into()]))
        .unwrap();
    session.set_available_components(&components());
    session.set_connection_settings_status(&ConnectionSettingsStatus {
        last_hash: vec![2],
        ..Default::default()
    });
}

const EVERYTHING: [&str; 8] = [
    "agent_description",
    "health",
    "effective_config",
    "remote_config_status",
    "package_statuses",
    "custom_capabilities",
    "available_components",
    "connection_settings_status",
];

#[test]
fn st_01_the_first_message_is_a_full_report_at_once() {
    let now = Instant::now();
    let mut session = session(AgentCapabilities::ALL, now);
    set_everything(&mut session);
    assert!(session.next_wake().unwrap() <= now);
    let first = sent(&mut session, now);
    assert_eq!(parts(&first), EVERYTHING);
    assert_eq!(first.instance_uid, UID.as_bytes());
    assert!(session.poll_send(now).is_none());
}

#[test]
fn nothing_is_sent_without_a_connection() {
    let mut session = ClientSession::new(SessionOptions::new(UID, BEATING));
    session.set_description(&description("edge"));
    let now = Instant::now();
    assert_eq!((session.poll_send(now), session.next_wake()), (None, None));
    session.connected(Mode::Stream, now);
    session.disconnected();
    assert_eq!(
        (session.poll_send(now + 999 * SECOND), session.next_wake()),
        (None, None)
    );
}

#[test]
fn sq_01_numbers_grow_by_one_over_heartbeats_and_reconnects() {
    let mut now = Instant::now();
    let mut session = session(BEATING, now);
    for expected in 0..5 {
        assert_eq!(sent(&mut session, now).sequence_num, expected);
        now += 30 * SECOND;
    }
    session.disconnected();
    session.connected(Mode::Stream, now);
    assert_eq!(sent(&mut session, now).sequence_num, 5);
    assert_eq!(session.next_sequence_num(), 6);
}

#[test]
fn sq_01_a_restarted_agent_can_go_on_counting() {
    let options = SessionOptions {
        first_sequence_num: 42,
        ..SessionOptions::new(UID, BEATING)
    };
    let mut session = ClientSession::new(options);
    let now = Instant::now();
    session.connected(Mode::Stream, now);
    assert_eq!(sent(&mut session, now).sequence_num, 42);
}

#[test]
fn st_02_after_a_reconnect_only_what_changed_is_sent() {
    let now = Instant::now();
    let mut session = session(REPORTING, now);
    session.set_health(&health(true, 2, 0));
    sent(&mut session, now);
    give(&mut session, Reply::to(UID, SERVER), now);
    session.disconnected();
    session.set_health(&health(false, 2, 0));
    session.connected(Mode::Stream, now);
    assert_eq!(parts(&sent(&mut session, now)), ["health"]);
    session.disconnected();
    session.connected(Mode::Stream, now);
    assert_eq!(parts(&sent(&mut session, now)), [""; 0]);
}

#[test]
fn a_new_server_is_told_everything() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    session.forget_server();
    assert_eq!(session.server_capabilities(), None);
    session.connected(Mode::Stream, now);
    assert_eq!(parts(&sent(&mut session, now)), ["agent_description"]);
}

#[test]
fn st_03_sq_06_a_change_is_reported_whole_and_nothing_else_is() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    session.set_health(&health(true, 3, 1));
    let message = sent(&mut session, now);
    assert_eq!(parts(&message), ["health"]);
    assert_eq!(message.health.unwrap().component_health_map.len(), 3);
}

#[test]
fn cf_04_sq_05_what_did_not_change_is_not_sent() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    session.set_effective_config(&config("a: 1"));
    sent(&mut session, now);
    session.set_effective_config(&config("a: 1"));
    session.set_description(&description("edge"));
    assert_eq!(session.poll_send(now), None);
    session.set_effective_config(&config("a: 2"));
    session.set_effective_config(&config("a: 1"));
    assert_eq!(session.poll_send(now), None, "there and back again");
}

#[test]
fn st_04_an_answer_that_changes_nothing_is_not_answered() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    give(&mut session, Reply::to(UID, SERVER), now);
    assert_eq!(session.poll_send(now), None);
}

#[test]
fn st_08_changes_while_disconnected_merge_into_one_message() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    session.disconnected();
    for time in 0..100 {
        session.set_health(&health(true, 2, time));
        session.set_effective_config(&config(&time.to_string()));
    }
    session.connected(Mode::Stream, now);
    let message = sent(&mut session, now);
    assert_eq!(parts(&message), ["health", "effective_config"]);
    assert_eq!(message.health.unwrap().status_time_unix_nano, 99);
    assert_eq!(session.poll_send(now), None);
}

#[test]
fn sq_04_a_request_for_full_state_is_answered_with_everything() {
    let now = Instant::now();
    let mut session = session(AgentCapabilities::ALL, now);
    set_everything(&mut session);
    sent(&mut session, now);
    give(
        &mut session,
        Reply::to(UID, SERVER).report_full_state(),
        now,
    );
    let message = sent(&mut session, now);
    assert_eq!(parts(&message), EVERYTHING);
    assert!(
        message.available_components.unwrap().components.is_empty(),
        "the map was not asked for"
    );
}

#[test]
fn a_server_that_asks_for_everything_in_each_answer_is_slowed_down() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    let mut answers = 0;
    for tick in 0..1000 {
        let now = now + tick * (SECOND / 100);
        give(
            &mut session,
            Reply::to(UID, SERVER).report_full_state(),
            now,
        );
        answers += usize::from(session.poll_send(now).is_some());
    }
    assert_eq!(answers, 4 + 9, "some at once, then one a second");
    let wake = session.next_wake().unwrap();
    assert_eq!(parts(&sent(&mut session, wake)), ["agent_description"]);
    let calm = wake + 10 * SECOND;
    give(
        &mut session,
        Reply::to(UID, SERVER).report_full_state(),
        calm,
    );
    assert!(
        session.poll_send(calm).is_some(),
        "at once again after a calm time"
    );
}

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
fn hb_01_hb_03_heartbeats_follow_the_last_message_of_any_kind() {
    let now = Instant::now();
    let mut session = settled(BEATING | REPORTING, SERVER, now);
    assert_eq!(session.next_wake(), Some(now + 30 * SECOND));
    assert_eq!(session.poll_send(now + 29 * SECOND), None);
    session.set_health(&health(true, 0, 1));
    sent(&mut session, now + 20 * SECOND);
    assert_eq!(session.next_wake(), Some(now + 50 * SECOND));
    let beat = sent(&mut session, now + 50 * SECOND);
    assert_eq!(parts(&beat), [""; 0]);
    assert_eq!(beat.instance_uid, UID.as_bytes());
}

#[test]
fn hb_01_without_the_capability_there_are_no_heartbeats() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    assert_eq!(
        (session.next_wake(), session.poll_send(now + 999 * SECOND)),
        (None, None)
    );
}

fn settings(seconds: u64, hash: &[u8]) -> proto::ConnectionSettingsOffers {
    proto::ConnectionSettingsOffers {
        hash: hash.to_vec(),
        opamp: Some(proto::OpAmpConnectionSettings {
            destination_endpoint: "ws://h".into(),
            heartbeat_interval_seconds: seconds,
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[test]
fn hb_02_amb_03_an_offered_interval_counts_and_zero_switches_heartbeats_off() {
    let now = Instant::now();
    let mut session = settled(
        BEATING | AgentCapabilities::ACCEPTS_OPAMP_CONNECTION_SETTINGS,
        SERVER,
        now,
    );
    give(
        &mut session,
        Reply::to(UID, SERVER).connection_settings(&settings(5, b"1")),
        now,
    );
    assert_eq!(session.next_wake(), Some(now + 5 * SECOND));
    give(
        &mut session,
        Reply::to(UID, SERVER).connection_settings(&settings(0, b"2")),
        now,
    );
    assert_eq!(session.next_wake(), None);
    give(
        &mut session,
        Reply::to(UID, SERVER).connection_settings(&settings(u64::MAX, b"3")),
        now,
    );
    assert_eq!(
        session.heartbeat_interval(),
        Duration::from_secs(24 * 3600),
        "within reason"
    );
}

#[test]
fn ht_07_ht_08_polls_have_identity_and_an_interval_that_cannot_be_switched_off() {
    let now = Instant::now();
    let options = SessionOptions::new(UID, AgentCapabilities::ACCEPTS_OPAMP_CONNECTION_SETTINGS);
    let mut session = ClientSession::new(options);
    session.connected(Mode::Polling, now);
    sent(&mut session, now);
    assert_eq!(
        session.next_wake(),
        Some(now + 30 * SECOND),
        "without ReportsHeartbeat as well"
    );
    let poll = sent(&mut session, now + 30 * SECOND);
    assert_eq!(
        (parts(&poll), poll.instance_uid),
        (vec![], UID.as_bytes().to_vec())
    );
    give(
        &mut session,
        Reply::to(UID, SERVER).connection_settings(&settings(0, b"1")),
        now,
    );
    assert_eq!(session.heartbeat_interval(), 30 * SECOND);
    give(
        &mut session,
        Reply::to(UID, SERVER).connection_settings(&settings(7, b"2")),
        now,
    );
    assert_eq!(session.heartbeat_interval(), 7 * SECOND);
    session.set_heartbeat_interval(Duration::ZERO);
    assert!(session.next_wake().is_some());
}

#[test]
fn rt_10_no_heartbeat_is_due_while_disconnected() {
    let now = Instant::now();
    let mut session = settled(BEATING, SERVER, now);
    session.disconnected();
    assert_eq!(
        (session.next_wake(), session.poll_send(now + 99 * SECOND)),
        (None, None)
    );
}

#[test]
fn dc_01_goodbye_says_so_and_takes_along_what_is_new() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    session.set_health(&health(false, 0, 1));
    let goodbye = AgentToServer::decode(&session.goodbye()[..]).unwrap();
    assert_eq!(parts(&goodbye), ["health", "agent_disconnect"]);
    assert_eq!(goodbye.sequence_num, 1);
    assert_eq!(session.poll_send(now + 99 * SECOND), None);
}

#[test]
fn cf_01_cf_03_an_offered_config_is_passed_on_once() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    let offer = ServerToAgent {
        remote_config: Some(remote_config("a: 1", b"h1")),
        ..addressed()
    };
    let expected = Event::RemoteConfig(RemoteConfigOffer {
        config: Some(config("a: 1")),
        hash: b"h1".to_vec(),
    });
    assert_eq!(
        give_raw(&mut session, &offer, now).events,
        std::slice::from_ref(&expected)
    );

    // ST-07: the same offer comes again in answers to progress reports.
    let status = |state| RemoteConfigStatus {
        last_hash: b"h1".to_vec(),
        state,
        error: String::new(),
    };
    for state in [ApplyState::Applying, ApplyState::Applied] {
        session.set_remote_config_status(&status(state));
        assert_eq!(give_raw(&mut session, &offer, now).events, []);
    }
    session.set_remote_config_status(&status(ApplyState::Failed));
    assert_eq!(
        give_raw(&mut session, &offer, now).events,
        [expected],
        "a retry after a failure"
    );
    let other = ServerToAgent {
        remote_config: Some(remote_config("a: 2", b"h2")),
        ..addressed()
    };
    assert_eq!(give_raw(&mut session, &other, now).events.len(), 1);
}

#[test]
fn an_empty_hash_never_counts_as_repeated() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    let offer = ServerToAgent {
        remote_config: Some(remote_config("a: 1", b"")),
        ..addressed()
    };
    for _ in 0..2 {
        assert_eq!(give_raw(&mut session, &offer, now).events.len(), 1);
    }
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
fn cn_03_repeated_settings_are_passed_on_once_unless_they_failed() {
    let now = Instant::now();
    let mut session = settled(AgentCapabilities::ALL, SERVER, now);
    let offer = || Reply::to(UID, SERVER).connection_settings(&settings(5, b"1"));
    assert_eq!(give(&mut session, offer(), now).events.len(), 1);
    assert_eq!(give(&mut session, offer(), now).events.len(), 0);
    session.set_connection_settings_status(&ConnectionSettingsStatus {
        last_hash: b"1".to_vec(),
        state: ApplyState::Failed,
        error: "no route".into(),
    });
    assert_eq!(give(&mut session, offer(), now).events.len(), 1);
}

#[test]
fn cm_02_a_command_stands_alone() {
    let now = Instant::now();
    let capabilities = REPORTING | AgentCapabilities::ACCEPTS_RESTART_COMMAND;
    let mut session = settled(capabilities, SERVER, now);
    let command = Reply::command(UID, SERVER, Command::Restart).to_vec();
    assert_eq!(
        session.receive(&command, now).unwrap().events,
        [Event::Restart]
    );

    let with = |kind| ServerToAgent {
        command: Some(proto::ServerToAgentCommand { r#type: kind }),
        remote_config: Some(remote_config("a: 1", b"h")),
        flags: ServerToAgentFlags::ReportFullState as u64,
        ..addressed()
    };
    assert_eq!(
        give_raw(&mut session, &with(0), now).events,
        [Event::Restart]
    );
    assert_eq!(
        give_raw(&mut session, &with(77), now).events,
        [],
        "a command of the future"
    );
    assert_eq!(session.poll_send(now), None);
    session.set_capabilities(REPORTING);
    sent(&mut session, now);
    assert_eq!(
        give_raw(&mut session, &with(0), now).events,
        [],
        "without AcceptsRestartCommand"
    );
}

#[test]
fn id_05_a_new_identity_is_used_in_all_later_messages() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    let new = InstanceUid::new([8; 16]);
    let events = give(&mut session, Reply::to(UID, SERVER).new_uid(new), now).events;
    assert_eq!(events, [Event::UidChanged { old: UID, new }]);
    let message = sent(&mut session, now);
    assert_eq!(message.instance_uid, new.as_bytes());
    assert_eq!(message.sequence_num, 1, "the numbers go on");
    assert_eq!(
        parts(&message),
        ["agent_description"],
        "the new identity is described"
    );
    assert_eq!(
        give_raw(&mut session, &addressed(), now).events,
        [],
        "the old address is still ours"
    );

    let newer = InstanceUid::new([9; 16]);
    give(&mut session, Reply::to(new, SERVER).new_uid(newer), now);
    assert_eq!(
        (session.uid(), session.poll_send(now)),
        (newer, None),
        "no race with a server that goes on renaming"
    );
}

#[test]
fn id_04_an_identity_of_another_length_changes_nothing() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    let message = ServerToAgent {
        agent_identification: Some(proto::AgentIdentification {
            new_instance_uid: vec![1; 15],
        }),
        ..addressed()
    };
    assert_eq!(give_raw(&mut session, &message, now).events, []);
    assert_eq!(session.uid(), UID);
}

#[test]
fn id_03_an_identity_is_requested_until_one_is_given() {
    let now = Instant::now();
    let mut session = settled(BEATING, SERVER, now);
    session.request_uid();
    assert_eq!(sent(&mut session, now).flags, 1);
    assert_eq!(sent(&mut session, now + 30 * SECOND).flags, 1);
    give(
        &mut session,
        Reply::to(UID, SERVER).new_uid(InstanceUid::new([8; 16])),
        now,
    );
    assert_eq!(sent(&mut session, now + 31 * SECOND).flags, 0);
}

#[test]
fn tr_05_messages_for_other_agents_on_the_connection_are_not_ours() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    let other = ServerToAgent {
        instance_uid: vec![9; 16],
        remote_config: Some(remote_config("a: 1", b"h")),
        ..ServerToAgent::default()
    };
    assert_eq!(give_raw(&mut session, &other, now).events, []);
    let unaddressed = ServerToAgent {
        instance_uid: vec![],
        ..other
    };
    assert_eq!(give_raw(&mut session, &unaddressed, now).events.len(), 1);
}

#[test]
fn st_10_rt_05_a_refusal_excludes_all_else_and_is_not_answered() {
    let now = Instant::now();
    for kind in [ErrorKind::BadRequest, ErrorKind::Unknown] {
        let mut session = settled(REPORTING, SERVER, now);
        let refusal = Reply::error(Some(UID), kind, "no", None).to_vec();
        let mut message = ServerToAgent::decode(&refusal[..]).unwrap();
        message.remote_config = Some(remote_config("a: 1", b"h"));
        message.flags = ServerToAgentFlags::ReportFullState as u64;
        let received = give_raw(&mut session, &message, now);
        assert_eq!(
            received.events,
            [Event::Error(ServerError {
                kind,
                message: "no".into()
            })]
        );
        assert_eq!((received.reconnect, session.poll_send(now)), (None, None));
    }
}

#[test]
fn rt_07_unavailable_means_to_come_back_later() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    let busy = |after| Reply::error(Some(UID), ErrorKind::Unavailable, "busy", after).to_vec();
    let received = session.receive(&busy(Some(7 * SECOND)), now).unwrap();
    assert_eq!(
        received.reconnect,
        Some(Reconnect {
            after: Some(7 * SECOND)
        })
    );
    let received = session.receive(&busy(None), now).unwrap();
    assert_eq!(received.reconnect, Some(Reconnect { after: None }));
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
fn co_01_co_02_co_03_components_travel_by_hash_and_as_a_map_on_request() {
    let now = Instant::now();
    let mut session = session(AgentCapabilities::REPORTS_AVAILABLE_COMPONENTS, now);
    session.set_available_components(&components());
    let first = sent(&mut session, now).available_components.unwrap();
    assert_eq!((first.hash, first.components.len()), (b"h".to_vec(), 0));
    give(
        &mut session,
        Reply::to(UID, SERVER).report_available_components(),
        now,
    );
    let message = sent(&mut session, now);
    assert_eq!(parts(&message), ["available_components"]);
    let asked = message.available_components.unwrap();
    assert_eq!((asked.hash, asked.components.len()), (b"h".to_vec(), 1));
    give(
        &mut session,
        Reply::to(UID, SERVER)
            .report_available_components()
            .report_full_state(),
        now,
    );
    let both = sent(&mut session, now);
    assert_eq!(parts(&both), ["agent_description", "available_components"]);
    assert_eq!(both.available_components.unwrap().components.len(), 1);
}

#[test]
fn cu_01_custom_capabilities_are_sent_when_the_list_changes() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    session
        .set_custom_capabilities(&CustomCapabilities(vec!["io.x.y".into()]))
        .unwrap();
    assert_eq!(parts(&sent(&mut session, now)), ["custom_capabilities"]);
    session
        .set_custom_capabilities(&CustomCapabilities(vec!["io.x.y".into()]))
        .unwrap();
    assert_eq!(session.poll_send(now), None);
    session
        .set_custom_capabilities(&CustomCapabilities::default())
        .unwrap();
    assert_eq!(
        sent(&mut session, now)
            .custom_capabilities
            .unwrap()
            .capabilities,
        [""; 0]
    );
}

#[test]
fn cu_02_what_is_no_name_of_a_capability_is_not_announced() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    let names = ["io.x.y", "lookup"].map(str::to_owned);
    let refused = session.set_custom_capabilities(&CustomCapabilities(names.into()));
    assert_eq!(
        refused,
        Err(InvalidCustomCapability {
            name: "lookup".into()
        })
    );
    assert_eq!(session.poll_send(now), None);
}

#[test]
fn cu_03_custom_messages_need_the_capability_on_both_sides() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    let custom = CustomMessage {
        capability: "io.x.y".into(),
        kind: "k".into(),
        data: vec![1],
    };
    assert_eq!(
        session.send_custom_message(custom.clone()),
        Err(CustomMessageRefused::NotAnnounced)
    );
    let mine = CustomCapabilities(vec!["io.x.y".into()]);
    session.set_custom_capabilities(&mine).unwrap();
    sent(&mut session, now);
    assert_eq!(
        session.send_custom_message(custom.clone()),
        Err(CustomMessageRefused::Unsupported)
    );
    let events = give(
        &mut session,
        Reply::to(UID, SERVER).custom_capabilities(&mine),
        now,
    )
    .events;
    assert_eq!(events, [Event::CustomCapabilities(mine.clone())]);

    for _ in 0..16 {
        assert_eq!(session.send_custom_message(custom.clone()), Ok(()));
    }
    assert_eq!(
        session.send_custom_message(custom.clone()),
        Err(CustomMessageRefused::QueueFull { limit: 16 })
    );
    for _ in 0..16 {
        assert_eq!(sent(&mut session, now).custom_message.unwrap().r#type, "k");
    }
    assert_eq!(session.poll_send(now), None);

    let events = give(
        &mut session,
        Reply::to(UID, SERVER).custom_message(&custom),
        now,
    )
    .events;
    assert_eq!(events, [Event::CustomMessage(custom.clone())]);
    let unknown = CustomMessage {
        capability: "io.other".into(),
        ..custom
    };
    assert_eq!(
        give(
            &mut session,
            Reply::to(UID, SERVER).custom_message(&unknown),
            now
        )
        .events,
        []
    );
}

#[test]
fn ws_10_ht_15_a_part_that_does_not_fit_is_left_out_and_told() {
    let now = Instant::now();
    let limits = Limits {
        message_bytes: 1000,
        ..Limits::CLIENT
    };
    let mut session = ClientSession::new(SessionOptions {
        limits,
        ..SessionOptions::new(UID, REPORTING)
    });
    session.set_description(&description("edge"));
    session.set_effective_config(&config(&"x".repeat(2000)));
    session.connected(Mode::Stream, now);
    let bytes = session.poll_send(now).unwrap();
    assert!(bytes.len() < 1000);
    assert_eq!(
        parts(&AgentToServer::decode(&bytes[..]).unwrap()),
        ["agent_description"]
    );
    let skipped = session.take_skipped();
    assert_eq!(
        (skipped[0].part, skipped[0].limit_bytes),
        ("effective_config", 1000)
    );
    assert_eq!(
        (session.poll_send(now), session.take_skipped()),
        (None, vec![]),
        "it is not tried again"
    );
    session.set_effective_config(&config("small"));
    assert_eq!(parts(&sent(&mut session, now)), ["effective_config"]);
}

#[test]
fn garbage_is_malformed() {
    let now = Instant::now();
    let mut session = settled(REPORTING, SERVER, now);
    assert!(matches!(
        session.receive(&[0x0b], now),
        Err(Malformed::Encoding)
    ));
    assert!(matches!(
        session.receive(&[0x08, 0x01], now),
        Err(Malformed::Decode(_))
    ));
}

proptest! {
    #[test]
    fn any_bytes_are_received_without_panic(messages: Vec<Vec<u8>>) {
        let now = Instant::now();
        let mut session = settled(AgentCapabilities::ALL, SERVER, now);
        for bytes in messages {
            let _result = session.receive(&bytes, now);
            while session.poll_send(now).is_some() {}
        }
    }
}
