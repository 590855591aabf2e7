//! What is reported when: full and changed status, numbers, goodbye.

use std::time::Instant;

use opamp::client::{ClientSession, Mode, SessionOptions};
use opamp::model::AgentCapabilities;
use opamp::proto::AgentToServer;
use opamp::server::Reply;
use prost::Message as _;

use super::{BEATING, EVERYTHING, SERVER, parts, set_everything};
use crate::support::{
    REPORTING, SECOND, UID, config, description, give, health, sent, session, settled,
};

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
fn whatever_is_to_be_said_is_due_at_once() {
    let now = Instant::now();
    let mut session = session(REPORTING, now);
    assert_eq!(session.next_wake(), Some(now), "the first report");
    sent(&mut session, now);
    assert_eq!(session.next_wake(), None, "nothing is new");
    session.set_health(&health(true, 1, 1));
    assert_eq!(session.next_wake(), Some(now), "the health");
}
