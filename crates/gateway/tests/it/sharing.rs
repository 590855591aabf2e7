//! Several agents on one connection, and several connections for one agent.

use std::{collections::BTreeSet, time::Duration};

use futures_util::StreamExt;
use opamp::{
    model::InstanceUid,
    proto::{AgentToServer, AgentToServerFlags, ServerErrorResponseType},
};
use prost::Message as _;

use crate::{
    peers::{Http, Peer, error_of, full_report, heartbeat, uid},
    plane::{Plane, body_of, wait_until},
};

#[tokio::test]
async fn tr_05_several_agents_share_a_connection_by_their_uids() {
    let plane = Plane::start().await;
    let mut proxy = Peer::connect(&plane, uid(0)).await;
    for byte in 1..=5 {
        let reply = proxy.say(full_report(uid(byte), 1)).await;
        assert_eq!(reply.instance_uid, uid(byte).as_bytes());
    }
    plane.release(&body_of(100)).await;
    let mut reached = BTreeSet::new();
    for _ in 1..=5 {
        let push = proxy.receive().await;
        assert!(push.remote_config.is_some());
        reached.insert(push.instance_uid);
    }
    assert_eq!(reached.len(), 5);

    drop(proxy);
    wait_until("all disconnects", || {
        (1..=5).all(|byte| !plane.is_connected(uid(byte)))
    })
    .await;
}

#[tokio::test]
async fn one_agent_too_many_on_a_connection_is_refused() {
    let plane = Plane::start_with(|setup| setup.gateway.limits.agents_per_connection = 2).await;
    let mut proxy = Peer::connect(&plane, uid(0)).await;
    proxy.say(full_report(uid(1), 1)).await;
    proxy.say(full_report(uid(2), 1)).await;
    let refused = proxy.say(full_report(uid(3), 1)).await;
    assert_eq!(error_of(&refused).0, ServerErrorResponseType::BadRequest);
    assert!(
        proxy
            .say(heartbeat(uid(1), 2))
            .await
            .error_response
            .is_none()
    );
}

#[tokio::test]
async fn sq_02_rt_05_heartbeats_after_a_refused_message_seldom_ask_for_full_state() {
    let refusing = |setup: &mut crate::plane::Setup| {
        setup.gateway.limits.received.description_bytes = 1;
    };
    let plane = Plane::start_with(refusing).await;
    let mut peer = Peer::connect(&plane, uid(1)).await;
    let refused = peer.say(full_report(uid(1), 1)).await;
    assert_eq!(error_of(&refused).0, ServerErrorResponseType::BadRequest);
    let mut asked = Vec::new();
    for number in 2..30 {
        let reply = peer.say(heartbeat(uid(1), number)).await;
        if reply.flags & 1 != 0 {
            asked.push(number);
        }
    }
    assert_eq!(asked, [2, 6, 22]);
}

#[tokio::test]
async fn id_03_id_05_an_agent_gets_the_uid_it_asks_for_and_uses_it_on_the_same_connection() {
    let plane = Plane::start_with(|setup| setup.gateway.limits.agents_per_connection = 1).await;
    let mut peer = Peer::connect(&plane, uid(1)).await;
    let flags = AgentToServerFlags::RequestInstanceUid as u64;
    let reply = peer
        .say(AgentToServer {
            flags,
            ..full_report(uid(1), 1)
        })
        .await;
    assert_eq!(reply.instance_uid, uid(1).as_bytes(), "ST-11");
    let new = reply.agent_identification.unwrap().new_instance_uid;
    let new = InstanceUid::from_slice(&new).unwrap();
    let reply = peer.say(heartbeat(new, 2)).await;
    assert!(reply.error_response.is_none() && reply.agent_identification.is_none());
    assert_eq!(reply.instance_uid, new.as_bytes());
    assert!(plane.is_connected(new));
}

#[tokio::test]
async fn id_01_st_11_an_agent_that_writes_ulids_is_answered_in_ulids() {
    const ULID: &[u8] = b"01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let known: InstanceUid = "01563e3a-b5d3-d676-4c61-efb99302bd5b".parse().unwrap();
    let plane = Plane::start().await;
    let spelled = |ulid: &[u8], message: AgentToServer| AgentToServer {
        instance_uid: ulid.to_vec(),
        ..message
    };
    let mut peer = Peer::connect(&plane, known).await;
    let reply = peer.say(spelled(ULID, full_report(known, 1))).await;
    assert_eq!(reply.instance_uid, ULID);
    assert!(plane.is_connected(known));
    plane.release(&body_of(100)).await;
    let pushed = peer.receive().await;
    assert!(pushed.remote_config.is_some());
    assert_eq!(pushed.instance_uid, ULID, "what is pushed, too");

    let flags = AgentToServerFlags::RequestInstanceUid as u64;
    let asking = AgentToServer {
        flags,
        ..heartbeat(known, 2)
    };
    let reply = peer.say(spelled(ULID, asking)).await;
    let new = reply.agent_identification.unwrap().new_instance_uid;
    assert_eq!(new.len(), ULID.len());
    let reply = peer.say(spelled(&new, heartbeat(known, 3))).await;
    assert!(reply.error_response.is_none() && reply.agent_identification.is_none());
    assert_eq!(reply.instance_uid, new);
    assert!(!plane.is_connected(known));

    // The same agent after an update of its library.
    let mut updated = Peer::connect(&plane, uid(2)).await;
    let reply = updated.say(full_report(uid(2), 1)).await;
    assert_eq!(reply.instance_uid, uid(2).as_bytes());
    let text = b"02081040G2081040G2081040G2".to_vec();
    let reply = updated.say(spelled(&text, heartbeat(uid(2), 2))).await;
    assert_eq!((reply.instance_uid, reply.flags), (text, 0), "and back");
}

#[tokio::test]
async fn id_06_a_second_connection_for_a_live_agent_is_another_agent() {
    let plane = Plane::start().await;
    let (first, _) = Peer::report(&plane, uid(1)).await;
    // The first one must be listening to answer the ping.
    let first = tokio::spawn(async move {
        let mut first = first;
        while first.socket.next().await.is_some_and(|frame| frame.is_ok()) {}
    });
    let mut second = Peer::connect(&plane, uid(1)).await;
    second.send(full_report(uid(1), 1)).await;
    second.send(heartbeat(uid(1), 2)).await;
    let reply = second.receive().await;
    let new =
        InstanceUid::from_slice(&reply.agent_identification.unwrap().new_instance_uid).unwrap();
    assert_eq!(second.receive().await.instance_uid, uid(1).as_bytes());
    assert_eq!(
        second.say(heartbeat(new, 3)).await.instance_uid,
        new.as_bytes()
    );
    assert!(plane.is_connected(uid(1)) && plane.is_connected(new));
    assert_ne!(plane.agent(uid(1)), plane.agent(new));
    first.abort();
}

#[tokio::test]
async fn a_second_connection_replaces_one_that_answers_no_ping() {
    let plane =
        Plane::start_with(|setup| setup.gateway.times.probe = Duration::from_millis(200)).await;
    // Not read from any more, so no ping is answered.
    let (_silent, _) = Peer::report(&plane, uid(1)).await;
    let agent = plane.agent(uid(1));
    let mut second = Peer::connect(&plane, uid(1)).await;
    let reply = second.say(full_report(uid(1), 2)).await;
    assert!(reply.agent_identification.is_none() && reply.error_response.is_none());
    assert_eq!(plane.agent(uid(1)), agent);
    assert!(plane.is_connected(uid(1)));
}

#[tokio::test]
async fn id_07_a_replaced_connection_that_speaks_again_is_closed() {
    let plane =
        Plane::start_with(|setup| setup.gateway.times.probe = Duration::from_millis(100)).await;
    let (mut silent, _) = Peer::report(&plane, uid(1)).await;
    let (_second, _) = Peer::report(&plane, uid(1)).await;
    silent.send(heartbeat(uid(1), 2)).await;
    assert_eq!(silent.closed().await.reason.as_str(), "superseded");
    assert!(plane.is_connected(uid(1)));
}

#[tokio::test]
async fn a_poll_over_http_does_not_take_a_live_agent_over() {
    let plane = Plane::start().await;
    let (first, _) = Peer::report(&plane, uid(1)).await;
    let first = tokio::spawn(async move {
        let mut first = first;
        while first.socket.next().await.is_some_and(|frame| frame.is_ok()) {}
    });
    let mut http = Http::connect(plane.address).await;
    let reply = http.post_message(&full_report(uid(1), 1)).await.message();
    assert!(reply.agent_identification.is_some());
    first.abort();
}

#[tokio::test]
async fn contested_agents_count_as_agents_of_the_connection() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.limits.agents_per_connection = 1;
        setup.gateway.times.probe = Duration::from_millis(200);
    })
    .await;
    // Not read from any more, so no ping is answered.
    let (_one, _) = Peer::report(&plane, uid(1)).await;
    let (_two, _) = Peer::report(&plane, uid(2)).await;
    let mut proxy = Peer::connect(&plane, uid(0)).await;
    proxy.send(full_report(uid(1), 2)).await;
    let refused = proxy.say(full_report(uid(2), 2)).await;
    assert_eq!(refused.instance_uid, uid(2).as_bytes());
    assert_eq!(error_of(&refused).0, ServerErrorResponseType::BadRequest);
    let taken_over = proxy.receive().await;
    assert_eq!(taken_over.instance_uid, uid(1).as_bytes());
    assert!(taken_over.error_response.is_none());
}

#[tokio::test]
async fn an_agent_that_was_taken_over_counts_once() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.limits.agents_per_connection = 2;
        setup.gateway.times.probe = Duration::from_millis(200);
    })
    .await;
    // Not read from any more, so no ping is answered.
    let (_silent, _) = Peer::report(&plane, uid(1)).await;
    let mut proxy = Peer::connect(&plane, uid(0)).await;
    for (byte, sequence) in [(1, 2), (2, 1)] {
        let reply = proxy.say(full_report(uid(byte), sequence)).await;
        assert!(reply.error_response.is_none(), "{byte}: {reply:?}");
    }
    let refused = proxy.say(full_report(uid(3), 1)).await;
    assert_eq!(error_of(&refused).0, ServerErrorResponseType::BadRequest);
}

#[tokio::test]
async fn nothing_is_read_while_contests_hold_as_much_as_one_message() {
    // The header is a byte, too.
    let message_bytes = full_report(uid(1), 2).encoded_len() + 1;
    let plane = Plane::start_with(|setup| {
        setup.gateway.limits.received.message_bytes = message_bytes;
        setup.gateway.times.probe = Duration::from_millis(200);
    })
    .await;
    let (_one, _) = Peer::report(&plane, uid(1)).await;
    let (_two, _) = Peer::report(&plane, uid(2)).await;
    let mut second = Peer::connect(&plane, uid(3)).await;
    for (byte, sequence) in [(1, 2), (2, 2), (3, 1)] {
        second.send(full_report(uid(byte), sequence)).await;
    }
    // One contest is settled first: the third message was not looked at before.
    assert_ne!(second.receive().await.instance_uid, uid(3).as_bytes());
    for _ in 0..2 {
        assert!(second.receive().await.error_response.is_none());
    }
}
