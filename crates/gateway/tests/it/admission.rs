//! Who is refused, how, and who is not.

use std::time::Duration;

use engine::AgentsAuth;
use opamp::proto::ServerErrorResponseType;

use crate::{
    peers::{Http, Peer, error_of, full_report, heartbeat, refused_handshake, uid},
    plane::{Plane, body_of},
};

#[tokio::test]
async fn au_02_a_handshake_without_a_valid_token_is_401() {
    let plane = Plane::start_with(|setup| setup.engine.auth = AgentsAuth::Token).await;
    let (token, _) = plane.token();
    for bearer in [None, Some("opamp_agt_wrong"), Some("")] {
        let response = refused_handshake(plane.address, bearer).await;
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
    assert!(
        Peer::try_connect(plane.address, uid(1), Some(&token))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn rt_08_beyond_the_rate_handshakes_and_requests_are_503_with_retry_after() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.admission.burst = 2;
        setup.gateway.admission.sessions_per_second = 0;
    })
    .await;
    let (mut first, _) = Peer::report(&plane, uid(1)).await;
    let (_second, _) = Peer::report(&plane, uid(2)).await;
    let response = refused_handshake(plane.address, None).await;
    assert_eq!(response.status(), 503);
    let after: u64 = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((5..=65).contains(&after));
    let answer = Http::connect(plane.address)
        .await
        .post_message(&full_report(uid(3), 1))
        .await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(
        Http::connect(plane.address)
            .await
            .get("/health")
            .await
            .status,
        200
    );
    // Whoever is in, stays in.
    assert!(first.beat().await.error_response.is_none());
}

#[tokio::test]
async fn strangers_do_not_use_up_the_rate_of_the_fleet() {
    let plane = Plane::start_with(|setup| {
        setup.engine.auth = AgentsAuth::Token;
        setup.gateway.admission.burst = 1;
        setup.gateway.admission.sessions_per_second = 0;
    })
    .await;
    let (token, _) = plane.token();
    for _ in 0..10 {
        assert_eq!(refused_handshake(plane.address, None).await.status(), 401);
    }
    assert!(
        Peer::try_connect(plane.address, uid(1), Some(&token))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn the_oldest_silent_connection_goes_when_too_many_prove_nothing() {
    let plane = Plane::start_with(|setup| setup.gateway.admission.unproven_connections = 2).await;
    let (mut agent, _) = Peer::report(&plane, uid(1)).await;
    let mut oldest = Http::connect(plane.address).await;
    let mut speaker = Http::connect(plane.address).await;
    speaker.send(b"GET /health HTTP/1.1\r\n").await;
    // Who came only now is not taken for silent.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    // Only what the server has seen counts: the health of a third connection comes after both.
    let mut third = Http::connect(plane.address).await;
    assert!(oldest.is_ended().await);
    assert_eq!(third.get("/health").await.status, 200);
    speaker.send(b"Host: x\r\n\r\n").await;
    assert_eq!(speaker.answer().await.status, 200);
    assert!(
        agent.beat().await.error_response.is_none(),
        "agents do not count"
    );
}

#[tokio::test]
async fn when_descriptors_run_out_newcomers_are_503_and_agents_stay() {
    // Every descriptor is above none at all, and in the first half of what is left.
    let plane = Plane::start_with(|setup| setup.gateway.admission.descriptor_percent = 0).await;
    let response = refused_handshake(plane.address, None).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(
        Http::connect(plane.address)
            .await
            .get("/health")
            .await
            .status,
        503
    );
}

#[tokio::test]
async fn the_last_descriptors_are_not_spent_on_refusals() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.admission.descriptor_limit = Some(2);
    })
    .await;
    let mut newcomer = Http::connect(plane.address).await;
    // It need not say anything, and no deadline is waited for.
    assert!(newcomer.is_ended().await);
}

#[tokio::test]
async fn when_descriptors_run_out_a_silent_connection_makes_room_for_an_agent() {
    let plane = Plane::start_with(|setup| setup.gateway.admission.descriptor_percent = 0).await;
    let mut silent = Http::connect(plane.address).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let (_agent, reply) = Peer::report(&plane, uid(1)).await;
    assert!(reply.error_response.is_none());
    assert!(silent.is_ended().await);
}

#[tokio::test]
async fn rt_06_an_overloaded_engine_answers_unavailable_with_a_time() {
    let plane = Plane::start_with(|setup| setup.engine.limits.pending_reports = 0).await;
    let (mut peer, first) = Peer::report(&plane, uid(1)).await;
    let reply = if first.error_response.is_some() {
        first
    } else {
        peer.say(full_report(uid(2), 1)).await
    };
    assert_eq!(error_of(&reply).0, ServerErrorResponseType::Unavailable);
    let details = reply.error_response.unwrap().details.unwrap();
    let opamp::proto::server_error_response::Details::RetryInfo(retry) = details;
    assert!(Duration::from_secs(5) <= Duration::from_nanos(retry.retry_after_nanoseconds));

    let answer = Http::connect(plane.address)
        .await
        .post_message(&full_report(uid(3), 1))
        .await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(
        error_of(&answer.message()).0,
        ServerErrorResponseType::Unavailable
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_agents_that_redial_at_once_refuses_nobody() {
    const AGENTS: u16 = 600;
    let plane = Plane::start().await;
    let mut joining = tokio::task::JoinSet::new();
    for number in 0..AGENTS {
        let address = plane.address;
        joining.spawn(async move {
            let mut uid = [0; 16];
            uid[..2].copy_from_slice(&number.to_be_bytes());
            let uid = opamp::model::InstanceUid::new(uid);
            let mut peer = Peer::try_connect(address, uid, None).await.unwrap();
            assert!(peer.say(full_report(uid, 1)).await.error_response.is_none());
            peer
        });
    }
    let mut peers = joining.join_all().await;
    assert_eq!(peers.len(), usize::from(AGENTS));
    plane.release(&body_of(8000)).await;
    for peer in &mut peers {
        assert!(peer.receive().await.remote_config.is_some());
    }
    let last = peers.last_mut().unwrap();
    let beat = heartbeat(last.uid, 2);
    assert!(last.say(beat).await.error_response.is_none());
}
