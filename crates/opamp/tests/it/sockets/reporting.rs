//! What is reported when.

use std::time::Duration;

use opamp::model::{AgentCapabilities, ApplyState, RemoteConfigStatus};
use opamp::proto::{ServerToAgent, ServerToAgentFlags};

use super::peer::Way;
use super::{Pair, is_bare, over_each, quiet};
use crate::support::{REPORTING, UID, config, health, remote_config};

const FULL_STATE: u64 = ServerToAgentFlags::ReportFullState as u64;

#[tokio::test]
async fn sq_01_cp_01_cp_03_id_01_id_02_every_message_has_the_next_number_and_the_agents_name() {
    over_each(async |way| {
        let claimed = REPORTING | AgentCapabilities::REPORTS_HEARTBEAT;
        let mut session = quiet(claimed.without(AgentCapabilities::REPORTS_STATUS));
        session.set_heartbeat_interval(Duration::from_millis(5));
        let mut pair = Pair::start(way, session).await;
        let mut number = 0;
        for round in 0..12 {
            let message = pair.next().await;
            match (round, way) {
                // The request failed: it comes again as it was.
                (7, Way::Http) => number -= 1,
                // What was sent into the broken connection has its number.
                (7, _) => {
                    assert!(number <= message.sequence_num);
                    number = message.sequence_num;
                }
                _ => {}
            }
            assert_eq!(message.sequence_num, number);
            assert_eq!(message.capabilities, claimed.bits());
            assert_eq!(message.instance_uid, UID.as_bytes());
            number += 1;
            match round {
                3 => pair.report_health(1),
                6 => pair.peer.break_off(),
                _ => {}
            }
        }
    })
    .await;
}

#[tokio::test]
async fn st_04_an_answer_that_changes_nothing_is_not_answered() {
    over_each(async |way| {
        let mut pair = Pair::settled(way, quiet(REPORTING)).await;
        let mut last = pair.nudge().await;
        for _ in 0..3 {
            pair.answer(ServerToAgent::default()).await;
            last = pair.said_nothing_since(&last).await;
        }
    })
    .await;
}

#[tokio::test]
async fn cf_04_sq_05_what_did_not_change_is_not_said_again() {
    over_each(async |way| {
        let mut session = quiet(REPORTING);
        session.set_effective_config(&config("a: 1"));
        let mut pair = Pair::start(way, session).await;
        let first = pair.next().await;
        assert!(first.agent_description.is_some() && first.effective_config.is_some());
        pair.answer(ServerToAgent::default()).await;
        pair.client
            .session(|session| session.set_effective_config(&config("a: 1")));
        let next = pair.said_nothing_since(&first).await;
        pair.answer(ServerToAgent::default()).await;
        pair.client
            .session(|session| session.set_effective_config(&config("a: 2")));
        let changed = pair.next().await;
        assert_eq!(changed.sequence_num, next.sequence_num + 1);
        assert!(changed.effective_config.is_some() && changed.agent_description.is_none());
    })
    .await;
}

#[tokio::test]
async fn sq_06_st_03_he_01_a_change_deep_inside_a_part_sends_the_whole_part() {
    over_each(async |way| {
        let mut session = quiet(REPORTING);
        let mut parts = health(true, 3, 1);
        session.set_health(&parts);
        let mut pair = Pair::settled(way, session).await;
        let part = parts.components.get_mut("pipeline:traces/1").unwrap();
        part.healthy = false;
        part.last_error = "no route".to_owned();
        pair.client.session(|session| session.set_health(&parts));
        let message = pair.next().await;
        let reported = message.health.expect("the health");
        assert_eq!(reported.component_health_map.len(), 3);
        let part = &reported.component_health_map["pipeline:traces/1"];
        assert_eq!((part.healthy, &part.last_error[..]), (false, "no route"));
        assert!(message.agent_description.is_none());
    })
    .await;
}

#[tokio::test]
async fn sq_04_who_is_asked_for_full_state_says_everything_again() {
    over_each(async |way| {
        let mut session = quiet(REPORTING);
        session.set_effective_config(&config("a: 1"));
        session.set_health(&health(true, 1, 1));
        session.set_remote_config_status(&RemoteConfigStatus::default());
        let mut pair = Pair::start(way, session).await;
        let first = pair.next().await;
        let ask = ServerToAgent {
            flags: FULL_STATE,
            ..ServerToAgent::default()
        };
        pair.peer.send(&ask).await;
        let mut again = pair.next().await;
        assert_eq!(again.sequence_num, first.sequence_num + 1);
        again.sequence_num = first.sequence_num;
        assert_eq!(again, first);
        assert!(first.health.is_some() && first.effective_config.is_some());
        assert!(first.remote_config_status.is_some() && first.agent_description.is_some());
    })
    .await;
}

#[tokio::test]
async fn st_08_what_changed_while_nobody_listened_comes_in_one_message() {
    for way in [Way::WebSocket, Way::Http] {
        let mut pair = Pair::start(way, quiet(REPORTING)).await;
        let first = pair.next().await;
        // No WebSocket is accepted, and the request is not answered, until all is said.
        if way == Way::WebSocket {
            pair.answer(ServerToAgent::default()).await;
            pair.peer.break_off();
            pair.lost().await;
        }
        for number in 1..=50 {
            pair.client.session(|session| {
                session.set_health(&health(true, 1, number));
                session.set_effective_config(&config(&format!("a: {number}")));
            });
        }
        if way == Way::Http {
            pair.peer.break_off();
            assert_eq!(pair.next().await, first, "the failed request again");
        }
        let message = pair.next().await;
        assert_eq!(message.sequence_num, first.sequence_num + 1);
        let (health, effective) = (message.health.unwrap(), message.effective_config.unwrap());
        assert_eq!(health.status_time_unix_nano, 50);
        let files = effective.config_map.unwrap().config_map;
        assert_eq!(files["config.yaml"].body, b"a: 50");
        pair.answer(ServerToAgent::default()).await;
        pair.nudges = 50;
        let next = pair.nudge().await;
        assert_eq!(next.sequence_num, first.sequence_num + 2);
    }
}

#[tokio::test]
async fn st_07_cf_06_progress_on_an_offer_is_said_with_its_hash_and_the_same_offer_is_no_news() {
    over_each(async |way| {
        let mut pair = Pair::settled(way, quiet(REPORTING)).await;
        let offer = ServerToAgent {
            remote_config: Some(remote_config("a: 1", b"h1")),
            ..ServerToAgent::default()
        };
        pair.nudge().await;
        assert_eq!(pair.answer(offer.clone()).await.len(), 1);
        for state in [ApplyState::Applying, ApplyState::Applied] {
            pair.client.session(|session| {
                session.set_remote_config_status(&RemoteConfigStatus {
                    last_hash: b"h1".to_vec(),
                    state,
                    error: String::new(),
                });
            });
            let message = pair.next().await;
            let status = message.remote_config_status.clone().expect("the progress");
            assert_eq!(status.last_remote_config_hash, b"h1");
            assert_eq!(status.error_message, "");
            assert_eq!(pair.answer(offer.clone()).await, []);
            pair.said_nothing_since(&message).await;
            pair.answer(ServerToAgent::default()).await;
        }
    })
    .await;
}

#[tokio::test]
async fn ht_07_a_poll_with_nothing_new_has_the_head_alone() {
    let mut session = quiet(REPORTING);
    session.set_heartbeat_interval(Duration::from_millis(5));
    let mut pair = Pair::settled(Way::Http, session).await;
    for _ in 0..3 {
        assert!(is_bare(&pair.next().await));
    }
}
