//! One agent over one WebSocket: framing, replies, pushes, pings, deadlines and the closing handshake.

use std::{
    future::poll_fn,
    io::{ErrorKind, Read},
    net::SocketAddr,
    task::Poll,
    time::Duration,
};

use engine::{
    Command,
    domain::{Namespace, model::CustomMessage},
};
use futures_util::{SinkExt, StreamExt};
use opamp::proto::{
    AgentConfigFile, AgentConfigMap, AgentDisconnect, AgentToServer, CommandType, EffectiveConfig,
    RemoteConfigStatus, RemoteConfigStatuses, ServerErrorResponseType, ServerToAgent,
    ServerToAgentFlags,
};
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

use crate::{
    peers::{Http, Peer, error_of, full_report, heartbeat, uid},
    plane::{PATIENCE, Plane, body_of, wait_until, within},
};

/// A handshake as a client writes it.
pub const HANDSHAKE: &[u8] =
    b"GET /v1/opamp HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A connection after its handshake on which frames are written by hand.
pub async fn raw_websocket(address: SocketAddr) -> Http {
    let mut raw = Http::connect(address).await;
    raw.send(HANDSHAKE).await;
    assert_eq!(raw.answer().await.status, 101);
    raw
}

/// A frame as a client sends it, masked with zeros.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut frame = vec![first];
    match u16::try_from(length) {
        Ok(short) if short < 126 => frame.push(0x80 | u8::try_from(short).unwrap()),
        Ok(medium) => {
            frame.push(0x80 | 126);
            frame.extend(medium.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend(u64::try_from(length).unwrap().to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

pub fn message_frame(message: &AgentToServer) -> Vec<u8> {
    frame(0x82, &[&[0][..], &message.encode_to_vec()].concat())
}

/// The next whole message of the server on a raw connection.
pub async fn read_message<S: AsyncRead + AsyncWrite + Unpin>(raw: &mut Http<S>) -> ServerToAgent {
    let mut head = [0; 2];
    within(raw.0.read_exact(&mut head)).await.unwrap();
    assert_eq!(head[0], 0x82);
    let length = match head[1] {
        126 => usize::from(within(raw.0.read_u16()).await.unwrap()),
        length => usize::from(length),
    };
    let mut payload = vec![0; length];
    within(raw.0.read_exact(&mut payload)).await.unwrap();
    ServerToAgent::decode(&payload[1..]).unwrap()
}

/// The code of a Close frame on a raw connection, and whether the server then ends it.
pub async fn read_close(raw: &mut Http) -> u16 {
    let mut head = [0; 2];
    within(raw.0.read_exact(&mut head)).await.unwrap();
    assert_eq!(head[0], 0x88);
    within(raw.0.read_u16()).await.unwrap()
}

#[tokio::test]
async fn st_05_st_11_cp_02_every_message_is_answered_with_its_uid_and_our_capabilities() {
    let plane = Plane::start().await;
    let (mut peer, first) = Peer::report(&plane, uid(1)).await;
    for reply in [first, peer.beat().await, peer.beat().await] {
        assert_eq!(reply.instance_uid, uid(1).as_bytes());
        assert_ne!(reply.capabilities & 1, 0, "AcceptsStatus is always set");
        assert!(reply.error_response.is_none());
    }
    assert!(plane.is_connected(uid(1)));
}

#[tokio::test]
async fn sq_02_a_gap_asks_for_full_state() {
    let plane = Plane::start().await;
    let (mut peer, _) = Peer::report(&plane, uid(1)).await;
    assert_eq!(peer.beat().await.flags, 0);
    let reply = peer.say(heartbeat(uid(1), 7)).await;
    let wanted = ServerToAgentFlags::ReportFullState as u64;
    assert_eq!(reply.flags & wanted, wanted);
}

#[tokio::test]
async fn sq_08_st_02_a_lean_reconnect_is_no_loss() {
    let plane = Plane::start().await;
    let (mut peer, _) = Peer::report(&plane, uid(1)).await;
    peer.socket.close(None).await.unwrap();
    wait_until("the disconnect", || !plane.is_connected(uid(1))).await;
    let mut again = Peer::connect(&plane, uid(1)).await;
    assert_eq!(again.say(heartbeat(uid(1), 2)).await.flags, 0);
}

#[tokio::test]
async fn ws_02_a_message_without_the_header_of_an_old_peer_is_understood() {
    let plane = Plane::start().await;
    let mut peer = Peer::connect(&plane, uid(1)).await;
    peer.send_frame(Message::binary(full_report(uid(1), 1).encode_to_vec()))
        .await;
    assert!(peer.receive().await.error_response.is_none());
}

#[tokio::test]
async fn ws_03_rt_04_a_header_other_than_0_is_malformed() {
    let plane = Plane::start().await;
    let mut peer = Peer::connect(&plane, uid(1)).await;
    peer.send_frame(Message::binary(vec![7, 1, 2, 3])).await;
    let (kind, text) = error_of(&peer.receive().await);
    assert_eq!(kind, ServerErrorResponseType::BadRequest);
    assert!(!text.is_empty());
}

#[tokio::test]
async fn rt_04_garbage_text_and_a_wrong_uid_get_bad_request_and_the_connection_goes_on() {
    let plane = Plane::start().await;
    let mut peer = Peer::connect(&plane, uid(1)).await;
    let short_uid = AgentToServer {
        instance_uid: vec![1; 5],
        ..heartbeat(uid(1), 1)
    };
    let short_uid = [&[0][..], &short_uid.encode_to_vec()].concat();
    let truncated = &[&[0][..], &full_report(uid(1), 1).encode_to_vec()].concat()[..40];
    let bad = [
        Message::binary(vec![0, 0xff, 0xff, 0xff]),
        Message::binary(vec![0]),
        Message::binary(Vec::new()),
        Message::binary(truncated.to_vec()),
        Message::binary(short_uid),
        Message::text("hello"),
    ];
    for message in bad {
        peer.send_frame(message.clone()).await;
        let reply = peer.receive().await;
        let (kind, text) = error_of(&reply);
        assert_eq!(kind, ServerErrorResponseType::BadRequest, "{message:?}");
        assert!(!text.is_empty(), "{message:?}");
        let rest = ServerToAgent {
            error_response: None,
            instance_uid: Vec::new(),
            ..reply
        };
        assert_eq!(
            rest,
            ServerToAgent::default(),
            "ST-10: an error travels alone"
        );
    }
    assert!(
        peer.say(full_report(uid(1), 1))
            .await
            .error_response
            .is_none()
    );
}

#[tokio::test]
async fn ws_06_ws_08_an_oversize_message_is_closed_with_1009() {
    let plane = Plane::start_with(|setup| setup.gateway.limits.received.message_bytes = 1000).await;
    let mut peer = Peer::connect(&plane, uid(1)).await;
    peer.send_frame(Message::binary(vec![0; 1001])).await;
    assert_eq!(peer.closed().await.code, CloseCode::Size);

    let mut fragments = raw_websocket(plane.address).await;
    fragments.send(&frame(0x02, &[0; 600])).await;
    fragments.send(&frame(0x80, &[0; 600])).await;
    assert_eq!(read_close(&mut fragments).await, 1009);
}

#[tokio::test]
async fn a_message_within_the_limit_is_answered_whatever_its_pieces() {
    let plane = Plane::start().await;
    let message = full_report(uid(1), 1).encode_to_vec();
    let (head, tail) = message.split_at(10);
    let mut raw = raw_websocket(plane.address).await;
    let mut bytes = frame(0x02, &[&[0], head].concat());
    bytes.extend(frame(0x89, b"ping"));
    bytes.extend(frame(0x80, tail));
    for byte in bytes {
        raw.send(&[byte]).await;
    }
    let mut pong = [0; 6];
    within(raw.0.read_exact(&mut pong)).await.unwrap();
    assert_eq!(&pong, b"\x8a\x04ping");
    assert!(read_message(&mut raw).await.error_response.is_none());
}

#[tokio::test]
async fn messages_that_come_together_with_the_handshake_are_answered_in_order() {
    let plane = Plane::start().await;
    let mut raw = Http::connect(plane.address).await;
    let mut bytes = HANDSHAKE.to_vec();
    for byte in 1..=50 {
        bytes.extend(message_frame(&full_report(uid(byte), 1)));
    }
    raw.send(&bytes).await;
    assert_eq!(raw.answer().await.status, 101);
    for byte in 1..=50 {
        assert_eq!(
            read_message(&mut raw).await.instance_uid,
            uid(byte).as_bytes()
        );
    }
}

#[tokio::test]
async fn frames_against_the_rfc_are_closed_with_1002_and_bad_text_with_1007() {
    let plane = Plane::start().await;
    let check = async |bytes: &[u8], code: u16| {
        let mut raw = raw_websocket(plane.address).await;
        raw.send(bytes).await;
        assert_eq!(read_close(&mut raw).await, code);
    };
    check(b"\x82\x02\x00\x00", 1002).await;
    check(&frame(0xf2, b"\0"), 1002).await;
    check(&frame(0x83, b"\0"), 1002).await;
    check(&frame(0x81, b"\xff\xfe"), 1007).await;
}

#[tokio::test]
async fn dc_03_a_close_frame_is_answered_and_the_agent_is_gone() {
    let plane = Plane::start().await;
    let (_, _) = Peer::report(&plane, uid(2)).await;
    let mut raw = raw_websocket(plane.address).await;
    raw.send(&message_frame(&full_report(uid(1), 1))).await;
    read_message(&mut raw).await;
    raw.send(&frame(0x88, &1000_u16.to_be_bytes())).await;
    assert_eq!(read_close(&mut raw).await, 1000);
    assert!(raw.is_ended().await);
    wait_until("the disconnect", || !plane.is_connected(uid(1))).await;
}

#[tokio::test]
async fn dc_06_an_agent_that_says_goodbye_is_gone_at_once() {
    let plane = Plane::start().await;
    let (mut peer, _) = Peer::report(&plane, uid(1)).await;
    let goodbye = AgentToServer {
        agent_disconnect: Some(AgentDisconnect {}),
        ..heartbeat(uid(1), 2)
    };
    assert!(peer.say(goodbye).await.error_response.is_none());
    assert!(!plane.is_connected(uid(1)));
}

#[tokio::test]
async fn dc_06_a_connection_that_breaks_takes_its_agent_along() {
    let plane = Plane::start().await;
    let (peer, _) = Peer::report(&plane, uid(1)).await;
    drop(peer);
    wait_until("the disconnect", || !plane.is_connected(uid(1))).await;
}

#[tokio::test]
async fn cf_03_cf_07_a_config_is_pushed_and_offered_again_until_it_is_answered() {
    let plane = Plane::start().await;
    let (mut peer, first) = Peer::report(&plane, uid(1)).await;
    assert!(first.remote_config.is_none());
    let hash = plane.release(&body_of(8000)).await;
    let offer = peer
        .receive()
        .await
        .remote_config
        .expect("the config is pushed");
    assert_eq!(offer.config_hash, hash.as_bytes());
    let files = offer.config.unwrap().config_map;
    assert_eq!(files["config.yaml"].body, body_of(8000));

    let applied = AgentToServer {
        remote_config_status: Some(RemoteConfigStatus {
            last_remote_config_hash: hash.as_bytes().to_vec(),
            status: RemoteConfigStatuses::Applied.into(),
            ..RemoteConfigStatus::default()
        }),
        ..heartbeat(uid(1), 2)
    };
    assert!(peer.say(applied).await.remote_config.is_none());
}

#[tokio::test]
async fn a_config_of_megabytes_arrives_whole() {
    let plane = Plane::start().await;
    let (mut peer, _) = Peer::report(&plane, uid(1)).await;
    let body = body_of(900_000);
    plane.release(&body).await;
    let offer = peer.receive().await.remote_config.unwrap();
    assert_eq!(offer.config.unwrap().config_map["config.yaml"].body, body);
    assert!(peer.beat().await.error_response.is_none());
}

#[tokio::test]
async fn ws_09_a_message_over_the_limit_is_not_sent() {
    let plane = Plane::start_with(|setup| setup.gateway.limits.reply_bytes = 10_000).await;
    let (mut peer, _) = Peer::report(&plane, uid(1)).await;
    plane.release(&body_of(20_000)).await;
    let reply = peer.receive().await;
    assert!(reply.remote_config.is_none() && reply.error_response.is_none());
    assert!(peer.beat().await.error_response.is_none());
}

#[tokio::test]
async fn a_description_and_an_effective_config_over_their_limits_are_bad_requests() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.limits.received.description_bytes = 20;
        setup.gateway.limits.received.effective_config_bytes = 1000;
    })
    .await;
    let mut peer = Peer::connect(&plane, uid(1)).await;
    let described = peer.say(full_report(uid(1), 1)).await;
    assert_eq!(error_of(&described).0, ServerErrorResponseType::BadRequest);
    let file = AgentConfigFile {
        body: body_of(2000),
        ..AgentConfigFile::default()
    };
    let configured = AgentToServer {
        effective_config: Some(EffectiveConfig {
            config_map: Some(AgentConfigMap {
                config_map: [(String::new(), file)].into(),
            }),
        }),
        ..heartbeat(uid(1), 1)
    };
    let reply = peer.say(configured).await;
    assert_eq!(error_of(&reply).0, ServerErrorResponseType::BadRequest);
    assert!(
        peer.say(heartbeat(uid(1), 1))
            .await
            .error_response
            .is_none()
    );
}

/// Has a command and a greeting wait for the first agent.
fn restart_and_greet(plane: &Plane) {
    let (namespace, agent) = (Namespace::default(), plane.agent(uid(1)));
    plane
        .engine
        .send_command(&namespace, agent, Command::Restart)
        .unwrap();
    let message = CustomMessage {
        capability: "com.example.x".into(),
        kind: "greeting".into(),
        data: b"hi".to_vec(),
    };
    plane
        .engine
        .send_custom(&namespace, agent, message)
        .unwrap();
}

#[tokio::test]
async fn cm_01_a_command_travels_alone_and_what_waits_follows() {
    let plane = Plane::start().await;
    let (mut peer, _) = Peer::report(&plane, uid(1)).await;
    restart_and_greet(&plane);

    let command = peer.receive().await;
    assert_eq!(
        command.command.as_ref().unwrap().r#type(),
        CommandType::Restart
    );
    let rest = ServerToAgent {
        command: None,
        capabilities: 0,
        instance_uid: Vec::new(),
        ..command
    };
    assert_eq!(rest, ServerToAgent::default());
    assert_eq!(peer.receive().await.custom_message.unwrap().data, b"hi");
}

#[tokio::test]
async fn what_waited_for_a_poll_follows_on_a_connection_without_a_further_word() {
    let plane = Plane::start().await;
    let mut http = Http::connect(plane.address).await;
    assert_eq!(http.post_message(&full_report(uid(1), 1)).await.status, 200);
    restart_and_greet(&plane);
    // Nothing woke this connection: the answer to its first message says that there is more.
    let mut peer = Peer::connect(&plane, uid(1)).await;
    let command = peer.say(heartbeat(uid(1), 2)).await;
    assert!(command.command.is_some());
    assert_eq!(peer.receive().await.custom_message.unwrap().data, b"hi");
}

#[tokio::test]
async fn an_agent_that_is_deleted_is_closed() {
    let plane = Plane::start().await;
    let (mut peer, _) = Peer::report(&plane, uid(1)).await;
    let mut change = plane
        .engine
        .begin_change(crate::plane::epoch())
        .await
        .unwrap();
    change.forget_agent(plane.agent(uid(1)));
    change.publish(crate::plane::epoch());
    assert_eq!(peer.closed().await.reason.as_str(), "agent_deleted");
}

#[tokio::test]
async fn the_server_pings_and_a_pong_keeps_a_silent_agent_alive() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.times.ping_interval = Duration::from_millis(100);
        setup.gateway.times.idle = Duration::from_millis(600);
    })
    .await;
    let (mut peer, _) = Peer::report(&plane, uid(1)).await;
    for _ in 0..12 {
        assert!(matches!(peer.frame().await, Message::Ping(_)));
    }
    assert!(peer.beat().await.error_response.is_none());
}

#[tokio::test]
async fn dc_05_an_agent_that_answers_no_ping_is_cut() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.times.ping_interval = Duration::from_millis(50);
        setup.gateway.times.idle = Duration::from_millis(300);
        setup.gateway.times.close = Duration::from_millis(100);
    })
    .await;
    let mut raw = raw_websocket(plane.address).await;
    raw.send(&message_frame(&full_report(uid(1), 1))).await;
    read_message(&mut raw).await;
    let mut rest = Vec::new();
    within(raw.0.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.starts_with(b"\x89\x00"), "pings come first");
    assert!(
        rest.ends_with(b"\x88\x06\x03\xf0idle"),
        "then the close frame: {rest:?}"
    );
    assert!(!plane.is_connected(uid(1)));
}

#[tokio::test]
async fn a_connection_on_which_nobody_makes_himself_known_is_cut() {
    let plane =
        Plane::start_with(|setup| setup.gateway.times.first_message = Duration::from_millis(200))
            .await;
    let mut peer = Peer::connect(&plane, uid(1)).await;
    peer.send_frame(Message::binary(vec![0, 0xff])).await;
    peer.receive().await;
    assert_eq!(peer.closed().await.reason.as_str(), "no_first_message");
}

#[tokio::test]
async fn an_agent_that_made_itself_known_is_not_cut_when_its_first_message_would_be_late() {
    let plane =
        Plane::start_with(|setup| setup.gateway.times.first_message = Duration::from_secs(2)).await;
    let (mut agent, _) = Peer::report(&plane, uid(1)).await;
    let mut silent = Peer::connect(&plane, uid(2)).await;
    assert_eq!(silent.closed().await.reason.as_str(), "no_first_message");
    agent.beat().await;
    assert!(plane.is_connected(uid(1)));
}

#[tokio::test]
async fn a_peer_that_does_not_answer_a_close_frame_is_dropped() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.times.first_message = Duration::from_millis(100);
        setup.gateway.times.close = Duration::from_millis(100);
    })
    .await;
    let mut raw = raw_websocket(plane.address).await;
    assert_eq!(read_close(&mut raw).await, 1008);
    let mut rest = Vec::new();
    within(raw.0.read_to_end(&mut rest)).await.unwrap();
}

#[tokio::test]
async fn an_upgrade_may_follow_a_request_on_the_same_connection() {
    let plane = Plane::start().await;
    let mut raw = Http::connect(plane.address).await;
    assert_eq!(raw.post_message(&full_report(uid(1), 1)).await.status, 200);
    let mut bytes = HANDSHAKE.to_vec();
    bytes.extend(message_frame(&full_report(uid(2), 1)));
    raw.send(&bytes).await;
    assert_eq!(raw.answer().await.status, 101);
    assert_eq!(read_message(&mut raw).await.instance_uid, uid(2).as_bytes());
    assert!(plane.is_connected(uid(2)));
}

#[tokio::test]
async fn a_thousand_messages_without_reading_are_all_answered() {
    let plane = Plane::start().await;
    let (mut peer, _) = Peer::report(&plane, uid(1)).await;
    for sequence in 2..=1001 {
        let bytes = [&[0][..], &heartbeat(uid(1), sequence).encode_to_vec()].concat();
        within(peer.socket.feed(Message::binary(bytes)))
            .await
            .unwrap();
    }
    peer.socket.flush().await.unwrap();
    let answers = async {
        for _ in 0..1000 {
            peer.socket.next().await.unwrap().unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, answers).await.unwrap();
    assert_eq!(peer.say(heartbeat(uid(1), 1002)).await.flags, 0);
}

#[tokio::test]
async fn a_half_closed_connection_ends() {
    let plane = Plane::start().await;
    let mut raw = raw_websocket(plane.address).await;
    raw.send(&message_frame(&full_report(uid(1), 1))).await;
    read_message(&mut raw).await;
    raw.0.shutdown().await.unwrap();
    assert!(raw.is_ended().await);
    wait_until("the disconnect", || !plane.is_connected(uid(1))).await;
}

#[tokio::test]
async fn a_flood_of_messages_leaves_others_their_turn() {
    let plane = Plane::start().await;
    let mut raw = raw_websocket(plane.address).await;
    raw.send(&message_frame(&full_report(uid(1), 1))).await;
    read_message(&mut raw).await;
    let flood: Vec<u8> = (2..=1001)
        .flat_map(|sequence| message_frame(&heartbeat(uid(1), sequence)))
        .collect();
    raw.send(&flood).await;

    // On this one thread the session and this task take turns, so what can be read at once was written in one turn.
    let mut socket = raw.0.into_std().unwrap();
    let (mut turns, mut answers) = (0, 0);
    let mut buffer = vec![0; 1 << 20];
    let reading = tokio::spawn(poll_fn(move |cx| {
        match socket.read(&mut buffer) {
            Ok(bytes) => {
                turns += 1;
                answers += buffer[..bytes].iter().filter(|byte| **byte == 0x82).count();
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        if 1000 <= answers {
            return Poll::Ready(turns);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }));
    let turns = within(reading).await.unwrap();
    assert!(10 <= turns, "all was answered in {turns} turns");
}

#[tokio::test]
async fn a_message_that_does_not_come_to_its_end_is_not_waited_for() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.times.body = Duration::from_millis(300);
    })
    .await;
    let mut raw = raw_websocket(plane.address).await;
    raw.send(&message_frame(&full_report(uid(1), 1))).await;
    read_message(&mut raw).await;
    raw.send(&frame(0x82, &[0; 3000])[..1000]).await;
    assert_eq!(read_close(&mut raw).await, 1008);

    // Fragments may have pongs between them, which end nothing; a whole message does.
    let mut raw = raw_websocket(plane.address).await;
    raw.send(&message_frame(&full_report(uid(2), 1))).await;
    read_message(&mut raw).await;
    let pongs = async {
        raw.send(&frame(0x02, &[0; 1000])).await;
        loop {
            raw.send(&frame(0x8a, b"here")).await;
            let close = tokio::time::timeout(Duration::from_millis(50), read_close(&mut raw));
            if let Ok(code) = close.await {
                return code;
            }
        }
    };
    assert_eq!(within(pongs).await, 1008);
}
