//! Heartbeats, polls and the intervals that servers offer.

use std::time::{Duration, Instant};

use opamp::client::{ClientSession, Mode, SessionOptions};
use opamp::model::AgentCapabilities;
use opamp::proto;
use opamp::server::Reply;

use super::{BEATING, SERVER, parts};
use crate::support::{REPORTING, SECOND, UID, give, health, sent, settled};

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

pub(super) fn settings(seconds: u64, hash: &[u8]) -> proto::ConnectionSettingsOffers {
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
fn hb_02_an_interval_that_the_agent_sets_counts_at_once() {
    let now = Instant::now();
    let mut session = settled(BEATING, SERVER, now);
    session.set_heartbeat_interval(7 * SECOND);
    assert_eq!(session.heartbeat_interval(), 7 * SECOND);
    assert_eq!(session.next_wake(), Some(now + 7 * SECOND));
}
