//! Heartbeats, polls, and the intervals that servers offer.
//!
//! Nothing here asserts that something is quick: only that it does not come before its time, or that it does not come while
//! another agent's comes many times.

use std::time::{Duration, Instant};

use opamp::client::{ClientSession, SessionOptions};
use opamp::model::AgentCapabilities;
use opamp::proto::{self, AgentToServer, ServerToAgent};

use super::peer::Way;
use super::{HOUR, Pair, is_bare, over_each, quiet};
use crate::support::{REPORTING, UID};

const BEATING: AgentCapabilities = REPORTING.union(AgentCapabilities::REPORTS_HEARTBEAT);
const TICK: Duration = Duration::from_millis(10);

fn session(capabilities: AgentCapabilities, interval: Duration) -> ClientSession {
    let mut session = quiet(capabilities);
    session.set_heartbeat_interval(interval);
    session
}

fn offering(seconds: u64) -> ServerToAgent {
    ServerToAgent {
        connection_settings: Some(proto::ConnectionSettingsOffers {
            hash: seconds.to_string().into_bytes(),
            opamp: Some(proto::OpAmpConnectionSettings {
                destination_endpoint: "ws://here/".to_owned(),
                heartbeat_interval_seconds: seconds,
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..ServerToAgent::default()
    }
}

/// Lets another agent beat many times.
async fn a_while(way: Way) {
    let mut other = Pair::settled(way, session(BEATING, TICK)).await;
    for _ in 0..20 {
        assert!(is_bare(&other.next().await));
    }
}

/// The bare messages that come in a row.
async fn beats(pair: &mut Pair, after: &AgentToServer, count: u64) -> AgentToServer {
    let mut last = after.clone();
    for _ in 0..count {
        let beat = pair.next().await;
        assert!(is_bare(&beat), "{beat:?}");
        assert_eq!(beat.sequence_num, last.sequence_num + 1);
        last = beat;
    }
    last
}

#[tokio::test]
async fn hb_01_an_agent_that_can_beats_by_itself_and_one_that_cannot_does_not() {
    assert_eq!(
        ClientSession::new(SessionOptions::new(UID, BEATING)).heartbeat_interval(),
        Duration::from_secs(30)
    );
    for way in Way::STREAMS {
        let mut silent = Pair::start(way, session(REPORTING, TICK)).await;
        let first = silent.next().await;
        silent.answer(ServerToAgent::default()).await;
        let mut beating = Pair::start(way, session(BEATING, TICK)).await;
        let reported = beating.next().await;
        beats(&mut beating, &reported, 20).await;
        silent.said_nothing_since(&first).await;
    }
}

#[tokio::test]
async fn hb_02_ht_08_an_offered_interval_replaces_the_agents_own() {
    over_each(async |way| {
        let capabilities = BEATING | AgentCapabilities::ACCEPTS_OPAMP_CONNECTION_SETTINGS;
        let mut pair = Pair::start(way, session(capabilities, HOUR)).await;
        let first = pair.next().await;
        let began = Instant::now();
        pair.answer(offering(1)).await;
        // A beat an hour would come long after the test has given up.
        beats(&mut pair, &first, 2).await;
        assert!(Duration::from_secs(1) <= began.elapsed());
    })
    .await;
}

#[tokio::test]
async fn hb_02_an_interval_of_zero_ends_heartbeats_and_not_polls() {
    over_each(async |way| {
        let capabilities = BEATING | AgentCapabilities::ACCEPTS_OPAMP_CONNECTION_SETTINGS;
        let mut pair = Pair::start(way, session(capabilities, TICK)).await;
        let first = pair.next().await;
        let mut last = beats(&mut pair, &first, 2).await;
        pair.answer(offering(0)).await;
        if way == Way::Http {
            beats(&mut pair, &last, 3).await;
            return;
        }
        // A beat may have left before the offer came.
        loop {
            let next = pair.nudge().await;
            assert_eq!(next.sequence_num, last.sequence_num + 1);
            last = next;
            if last.health.is_some() {
                break;
            }
        }
        pair.answer(ServerToAgent::default()).await;
        a_while(way).await;
        let next = pair.nudge().await;
        assert!(next.health.is_some());
        assert_eq!(next.sequence_num, last.sequence_num + 1);
    })
    .await;
}

#[tokio::test]
async fn hb_03_a_heartbeat_has_the_head_alone_and_counts_from_the_last_message_of_any_kind() {
    const INTERVAL: Duration = Duration::from_millis(200);
    over_each(async |way| {
        let mut pair = Pair::settled(way, session(BEATING, INTERVAL)).await;
        let began = Instant::now();
        let mut time = 0;
        // Reports for as long as many heartbeats would take: none may come in between sooner than an interval after one.
        while began.elapsed() < 5 * INTERVAL {
            time += 1;
            let before = Instant::now();
            pair.report_health(time);
            let mut message = pair.next().await;
            while message.health.is_none() {
                // One that was on its way already.
                message = pair.next().await;
            }
            let last = message;
            // Every tenth time the agent is left alone until it beats.
            if time % 10 == 0 {
                let beat = beats(&mut pair, &last, 1).await;
                assert!(INTERVAL <= before.elapsed(), "{beat:?}");
            }
        }
    })
    .await;
}
