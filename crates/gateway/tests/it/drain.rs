//! A server that goes down sends its agents away in good order.

use std::time::Duration;

use futures_util::StreamExt;
use opamp::proto::{ServerErrorResponseType, server_error_response::Details};
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

use crate::{
    peers::{Http, Peer, error_of, full_report, heartbeat, refused_handshake, uid},
    plane::{Plane, wait_until, within},
    websocket::raw_websocket,
};

#[tokio::test]
async fn a_drain_tells_every_agent_when_to_come_back_and_closes_with_1012() {
    let plane = Plane::start().await;
    let (mut peer, _) = Peer::report(&plane, uid(1)).await;
    peer.say(full_report(uid(2), 1)).await;
    plane.begin_drain();
    for agent in [uid(1), uid(2)] {
        let farewell = peer.receive().await;
        assert_eq!(farewell.instance_uid, agent.as_bytes());
        assert_eq!(error_of(&farewell).0, ServerErrorResponseType::Unavailable);
        let Details::RetryInfo(retry) = farewell.error_response.unwrap().details.unwrap();
        assert!((1..10).contains(&Duration::from_nanos(retry.retry_after_nanoseconds).as_secs()));
    }
    assert_eq!(peer.closed().await.code, CloseCode::Restart);
    let engine = plane.engine.clone();
    let drained = plane.drained().await;
    assert_eq!((drained.connections, drained.dropped), (1, 0));
    let namespace = engine::domain::Namespace::default();
    let agent = engine.find_by_uid(&namespace, uid(1)).unwrap();
    assert!(!engine.standing(&namespace, agent).unwrap().connected);
}

#[tokio::test]
async fn while_draining_newcomers_and_requests_are_503() {
    let plane = Plane::start().await;
    // A peer that does not answer the Close frame keeps the drain going.
    let _stubborn = raw_websocket(plane.address).await;
    let mut http = Http::connect(plane.address).await;
    assert_eq!(http.post_message(&full_report(uid(1), 1)).await.status, 200);
    plane.begin_drain();
    wait_until_draining(&plane).await;
    let answer = Http::connect(plane.address)
        .await
        .post_message(&heartbeat(uid(1), 2))
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
    plane.drained().await;
}

/// A handshake is refused as soon as the drain has begun.
async fn wait_until_draining(plane: &Plane) {
    loop {
        match Peer::try_connect(plane.address, uid(9), None).await {
            Err(_) => break,
            Ok(_) => tokio::task::yield_now().await,
        }
    }
    assert_eq!(refused_handshake(plane.address, None).await.status(), 503);
}

#[tokio::test]
async fn what_does_not_end_in_time_is_dropped() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.times.drain = Duration::from_millis(200);
        setup.gateway.times.close = Duration::from_secs(60);
    })
    .await;
    let mut stubborn = raw_websocket(plane.address).await;
    let _silent = Http::connect(plane.address).await;
    let mut preface = Http::connect(plane.address).await;
    preface.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let (peer, _) = Peer::report(&plane, uid(1)).await;
    let engine = plane.engine.clone();
    let drained = plane.drained().await;
    assert!(2 <= drained.dropped, "{drained:?}");
    assert!(drained.took < Duration::from_secs(5));
    let mut rest = Vec::new();
    within(tokio::io::AsyncReadExt::read_to_end(
        &mut stubborn.0,
        &mut rest,
    ))
    .await
    .ok();
    drop(peer);
    let namespace = engine::domain::Namespace::default();
    let agent = engine.find_by_uid(&namespace, uid(1)).unwrap();
    assert!(!engine.standing(&namespace, agent).unwrap().connected);
}

#[tokio::test]
async fn an_idle_http_connection_ends_with_the_drain() {
    let plane = Plane::start().await;
    let mut http = Http::connect(plane.address).await;
    http.post_message(&full_report(uid(1), 1)).await;
    plane.begin_drain();
    assert!(http.is_ended().await);
    assert_eq!(plane.drained().await.dropped, 0);
}

#[tokio::test]
async fn a_plane_without_connections_drains_at_once_and_frees_its_port() {
    let plane = Plane::start().await;
    let address = plane.address;
    assert_eq!(plane.drained().await.connections, 0);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn agents_that_answer_the_close_frame_make_a_drain_quick() {
    let plane = Plane::start().await;
    let mut peers = Vec::new();
    for byte in 1..=20 {
        peers.push(Peer::report(&plane, uid(byte)).await.0);
    }
    let readers: Vec<_> = peers
        .into_iter()
        .map(|mut peer| {
            tokio::spawn(async move {
                let mut farewells = 0;
                while let Some(Ok(frame)) = peer.socket.next().await {
                    farewells += u32::from(matches!(frame, Message::Binary(_)));
                }
                farewells
            })
        })
        .collect();
    wait_until("all are connected", || {
        (1..=20).all(|byte| plane.is_connected(uid(byte)))
    })
    .await;
    let drained = plane.drained().await;
    assert_eq!((drained.connections, drained.dropped), (20, 0));
    for reader in readers {
        assert_eq!(within(reader).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_silent_connection_does_not_hold_a_drain_up() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.times.drain = Duration::from_secs(15);
    })
    .await;
    let mut silent = Http::connect(plane.address).await;
    plane.begin_drain();
    assert!(silent.is_ended().await);
    let drained = plane.drained().await;
    assert!(drained.took < Duration::from_secs(5), "{drained:?}");
}
