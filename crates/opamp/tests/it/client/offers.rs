//! Offered configurations and settings, and commands.

use std::time::Instant;

use opamp::client::{Event, RemoteConfigOffer};
use opamp::model::{AgentCapabilities, ApplyState, ConnectionSettingsStatus, RemoteConfigStatus};
use opamp::proto::{self, ServerToAgent, ServerToAgentFlags};
use opamp::server::{Command, Reply};

use super::SERVER;
use super::heartbeats::settings;
use crate::support::{
    REPORTING, UID, addressed, config, give, give_raw, remote_config, sent, settled,
};

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
