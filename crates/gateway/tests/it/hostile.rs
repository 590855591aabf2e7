//! Peers that mean harm: each attack ends at a limit, and an agent beside it notices nothing.

use std::time::Duration;

use engine::AgentsAuth;
use opamp::{
    model::InstanceUid,
    proto::{AgentDisconnect, AgentToServer, ServerErrorResponseType},
};
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    peers::{Http, Peer, error_of, full_report, heartbeat, refused_handshake, uid},
    plane::{Plane, within},
    websocket::{frame, message_frame, raw_websocket, read_close, read_message},
};

/// A plane with an agent on it that must not notice anything.
async fn plane_and_bystander() -> (Plane, Peer) {
    let plane = Plane::start().await;
    let (bystander, _) = Peer::report(&plane, uid(200)).await;
    (plane, bystander)
}

async fn assert_unharmed(bystander: &mut Peer) {
    assert!(bystander.beat().await.error_response.is_none());
}

/// An HTTP/2 connection whose frames are written by hand.
struct Http2(TcpStream);

/// A frame that the server sent: its type, stream and payload.
struct Frame {
    kind: u8,
    payload: Vec<u8>,
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// The error code `ENHANCE_YOUR_CALM`.
const CALM: u8 = 11;
/// `:status: 200` as HPACK's static table has it.
const STATUS_200: u8 = 0x88;

fn http2_frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header that is not remembered, in HPACK.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    let mut header = vec![0, length(name)];
    header.extend(name.as_bytes());
    header.push(length(value));
    header.extend(value.as_bytes());
    header
}

/// The head of `GET /health`.
fn health() -> Vec<u8> {
    // `:method: GET` and `:scheme: http` by number.
    let mut head = vec![0x82, 0x86];
    head.extend(literal(":path", "/health"));
    head.extend(literal(":authority", "localhost"));
    head
}

impl Http2 {
    async fn connect(plane: &Plane) -> Self {
        let mut http2 = Self(TcpStream::connect(plane.address).await.unwrap());
        let hello = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &http2_frame(SETTINGS, 0, 0, &[])[..],
        ];
        http2.send(&hello.concat()).await;
        http2
    }

    /// The server may end the connection while this is written.
    async fn send(&mut self, bytes: &[u8]) {
        within(self.0.write_all(bytes)).await.ok();
    }

    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        within(self.0.read_exact(&mut head)).await.ok()?;
        let length = usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap();
        let mut payload = vec![0; length];
        within(self.0.read_exact(&mut payload)).await.ok()?;
        Some(Frame {
            kind: head[3],
            payload,
        })
    }

    /// The error code with which the server ends the connection; no request may have been answered with 200.
    async fn ended_with(&mut self) -> Option<u8> {
        while let Some(frame) = self.next().await {
            let refused = frame.kind != HEADERS || frame.payload.first() != Some(&STATUS_200);
            assert!(refused, "a request was answered");
            if frame.kind == GOAWAY && frame.payload[7] != 0 {
                return Some(frame.payload[7]);
            }
        }
        None
    }

    /// Whether the next head is that of an answer with 200.
    async fn is_answered(&mut self) -> bool {
        while let Some(frame) = self.next().await {
            match frame.kind {
                HEADERS => return frame.payload.first() == Some(&STATUS_200),
                GOAWAY | RST_STREAM => return false,
                _ => {}
            }
        }
        false
    }
}

#[tokio::test]
async fn http_2_streams_that_are_reset_at_once_end_the_connection() {
    let (plane, mut bystander) = plane_and_bystander().await;
    let mut attacker = Http2::connect(&plane).await;
    attacker
        .send(&http2_frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            1,
            &health(),
        ))
        .await;
    assert!(attacker.is_answered().await, "the frames are well-formed");
    let mut flood = Vec::new();
    for stream in (3..4_001).step_by(2) {
        flood.extend(http2_frame(HEADERS, END_HEADERS, stream, &health()));
        flood.extend(http2_frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }
    attacker.send(&flood).await;
    assert_eq!(attacker.ended_with().await, Some(CALM));
    assert_unharmed(&mut bystander).await;
}

#[tokio::test]
async fn an_http_2_head_that_never_ends_ends_the_connection() {
    let (plane, mut bystander) = plane_and_bystander().await;
    // Empty pieces, small ones, and whole frames of further headers.
    let more = literal("x", &"y".repeat(100)).repeat(150);
    for piece in [&[][..], &literal("x", "y"), &more] {
        let mut attacker = Http2::connect(&plane).await;
        attacker
            .send(&http2_frame(HEADERS, END_STREAM, 1, &health()))
            .await;
        let flood = http2_frame(CONTINUATION, 0, 1, piece).repeat(10_000_000 / (piece.len() + 900));
        attacker.send(&flood).await;
        assert_eq!(attacker.ended_with().await, Some(CALM), "{}", piece.len());
    }
    assert_unharmed(&mut bystander).await;
}

#[tokio::test]
async fn a_large_http_2_frame_before_the_first_request_ends_the_connection_at_once() {
    let (plane, mut bystander) = plane_and_bystander().await;
    for kind in [0, HEADERS, SETTINGS] {
        let mut attacker = Http2::connect(&plane).await;
        let frame = http2_frame(kind, 0, u32::from(kind != SETTINGS), &[0; 16 * 1024 - 4]);
        // All but the end, so that nothing can be wrong with it but its size.
        attacker.send(&frame[..frame.len() - 1]).await;
        let began = tokio::time::Instant::now();
        while attacker.next().await.is_some() {}
        assert!(
            began.elapsed() < Duration::from_secs(9),
            "no deadline ends it"
        );
    }
    // Large bodies are welcome.
    let mut friend = Http2::connect(&plane).await;
    let mut head = vec![0x83, 0x86];
    head.extend(literal(":path", "/v1/opamp"));
    head.extend(literal(":authority", "localhost"));
    head.extend(literal("content-type", "application/x-protobuf"));
    let mut message = full_report(uid(1), 1);
    message.agent_disconnect = Some(AgentDisconnect::default());
    let description = message.agent_description.as_mut().unwrap();
    description.identifying_attributes[0].key = "k".repeat(15_000);
    let body = message.encode_to_vec();
    let mut request = http2_frame(HEADERS, END_HEADERS, 1, &head);
    request.extend(http2_frame(0, END_STREAM, 1, &body));
    friend.send(&request).await;
    assert!(friend.is_answered().await);
    assert_unharmed(&mut bystander).await;
}

#[tokio::test]
async fn an_http_2_peer_that_waits_for_the_servers_settings_gets_them() {
    let plane = Plane::start().await;
    let mut peer = Http2::connect(&plane).await;
    let first = peer
        .next()
        .await
        .expect("settings, before anything was asked");
    assert_eq!((first.kind, first.payload.len()), (SETTINGS, 0));
    // Two settings come, its own and those of the library behind it: two acknowledgments go.
    for stream in [1, 3] {
        peer.send(&http2_frame(SETTINGS, 1, 0, &[])[..5]).await;
        peer.send(&http2_frame(SETTINGS, 1, 0, &[])[5..]).await;
        let request = http2_frame(HEADERS, END_HEADERS | END_STREAM, stream, &health());
        peer.send(&request).await;
        assert!(peer.is_answered().await, "{stream}");
    }
}

#[tokio::test]
async fn http_2_headers_that_unfold_are_not_served() {
    let (plane, mut bystander) = plane_and_bystander().await;
    let mut attacker = Http2::connect(&plane).await;
    // One header of 4,000 bytes is put into the table, and then named 12,000 times with a byte each.
    let mut bomb = health();
    bomb.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    bomb.extend([b'y'; 4_000]);
    bomb.extend([0xbe; 12_000]);
    attacker
        .send(&http2_frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb))
        .await;
    assert!(!attacker.is_answered().await);
    assert_unharmed(&mut bystander).await;
}

#[tokio::test]
async fn a_head_with_too_many_headers_is_431() {
    let (plane, mut bystander) = plane_and_bystander().await;
    let mut attacker = Http::connect(plane.address).await;
    let headers = "a: b\r\n".repeat(200);
    let head = format!("GET /health HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    attacker.send(head.as_bytes()).await;
    assert_eq!(attacker.answer().await.status, 431);
    assert_unharmed(&mut bystander).await;
}

#[tokio::test]
async fn one_credential_does_not_use_up_the_session_starts_of_the_others() {
    let plane = Plane::start_with(|setup| {
        setup.engine.auth = AgentsAuth::Token;
        setup.gateway.admission.burst = 16;
        setup.gateway.admission.sessions_per_second = 0;
    })
    .await;
    let [(greedy, _), (other, _)] = [plane.token(), plane.token()];
    let poll = async |token: &str| {
        let authorization = format!("Authorization: Bearer {token}");
        let headers = [&authorization, "Content-Type: application/x-protobuf"];
        let body = full_report(uid(1), 1).encode_to_vec();
        let mut http = Http::connect(plane.address).await;
        http.post(&headers, &body).await.status
    };
    let mut taken = 0;
    while poll(&greedy).await == 200 {
        taken += 1;
        assert!(taken <= 16, "no end");
    }
    assert_eq!(taken, 14);
    assert_eq!(poll(&other).await, 200);
    assert!(
        Peer::try_connect(plane.address, uid(2), Some(&other))
            .await
            .is_ok()
    );
    assert_eq!(poll(&greedy).await, 503);
}

#[tokio::test]
async fn au_02_a_revoked_token_opens_nothing_however_often_it_is_shown() {
    let plane = Plane::start_with(|setup| {
        setup.engine.auth = AgentsAuth::Token;
        setup.gateway.admission.burst = 1;
        setup.gateway.admission.sessions_per_second = 0;
    })
    .await;
    let [(revoked, id), (good, _)] = [plane.token(), plane.token()];
    plane.engine.revoke_token(id);
    for _ in 0..100 {
        let response = refused_handshake(plane.address, Some(&revoked)).await;
        assert_eq!(response.status(), 401);
    }
    assert!(
        Peer::try_connect(plane.address, uid(1), Some(&good))
            .await
            .is_ok(),
        "what is refused for its token takes no session start"
    );
}

#[tokio::test]
async fn fragments_without_an_end_are_cut_or_cost_nothing() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.times.body = Duration::from_millis(300);
        setup.gateway.limits.received.message_bytes = 100_000;
    })
    .await;
    let (mut bystander, _) = Peer::report(&plane, uid(200)).await;
    let open = async || {
        let mut raw = raw_websocket(plane.address).await;
        raw.send(&message_frame(&full_report(uid(1), 1))).await;
        read_message(&mut raw).await;
        raw
    };
    // A message that grows is too large at some time,
    let mut raw = open().await;
    raw.send(&frame(0x02, &[0; 1000])).await;
    let flood = frame(0x00, &[0; 1000]).repeat(200);
    within(raw.0.write_all(&flood)).await.ok();
    assert_eq!(read_close(&mut raw).await, 1009);
    // and one that does not grow is too slow.
    let mut raw = open().await;
    raw.send(&frame(0x02, &[0; 10])).await;
    let empty = frame(0x00, &[]).repeat(100);
    let dripping = async {
        loop {
            within(raw.0.write_all(&empty)).await.ok();
            let close = tokio::time::timeout(Duration::from_millis(20), read_close(&mut raw));
            if let Ok(code) = close.await {
                return code;
            }
        }
    };
    assert_eq!(within(dripping).await, 1008);
    assert_unharmed(&mut bystander).await;
}

#[tokio::test]
async fn what_a_newer_protocol_may_bring_is_passed_over() {
    let (plane, mut bystander) = plane_and_bystander().await;
    let mut peer = Peer::connect(&plane, uid(1)).await;
    let strange = AgentToServer {
        capabilities: u64::MAX,
        flags: u64::MAX,
        ..full_report(uid(1), 1)
    };
    let mut message = [&[0][..], &strange.encode_to_vec()].concat();
    // Fields 1,000 to 1,003 of all four kinds.
    message.extend([0xc0, 0x3e, 0x7f]);
    message.extend([0xc9, 0x3e, 1, 2, 3, 4, 5, 6, 7, 8]);
    message.extend([0xd2, 0x3e, 3, b'a', b'b', b'c']);
    message.extend([0xdd, 0x3e, 1, 2, 3, 4]);
    peer.send_frame(Message::binary(message)).await;
    let reply = peer.receive().await;
    assert!(reply.error_response.is_none(), "{reply:?}");
    peer.sequence = 1;
    assert!(peer.beat().await.error_response.is_none());
    assert!(plane.is_connected(reply_uid(&reply)));
    assert_unharmed(&mut bystander).await;
}

/// The uid that the agent uses after this reply.
fn reply_uid(reply: &opamp::proto::ServerToAgent) -> InstanceUid {
    let new = reply.agent_identification.as_ref();
    let uid = new.map_or(&reply.instance_uid, |new| &new.new_instance_uid);
    InstanceUid::new(uid[..].try_into().unwrap())
}

#[tokio::test]
async fn rt_04_uids_of_0_and_17_bytes_are_refused_and_make_no_agent() {
    let (plane, mut bystander) = plane_and_bystander().await;
    let mut peer = Peer::connect(&plane, uid(1)).await;
    for length in [0, 1, 15, 17, 32, 100_000] {
        let message = AgentToServer {
            instance_uid: vec![7; length],
            ..full_report(uid(1), 1)
        };
        let (kind, _) = error_of(&peer.say(message.clone()).await);
        assert_eq!(kind, ServerErrorResponseType::BadRequest, "{length}");
        let polled = Http::connect(plane.address)
            .await
            .post_message(&message)
            .await;
        let (kind, _) = error_of(&polled.message());
        assert_eq!(kind, ServerErrorResponseType::BadRequest, "{length}");
    }
    assert_eq!(plane.engine.known_agents(), 1, "the bystander alone");
    assert_unharmed(&mut bystander).await;
}

#[tokio::test]
async fn sq_02_sequence_numbers_may_jump_as_they_like() {
    let (plane, mut bystander) = plane_and_bystander().await;
    let (mut peer, _) = Peer::report(&plane, uid(1)).await;
    for sequence in [u64::MAX, 0, u64::MAX - 1, 1 << 63, 7, 6, 5, u64::MAX, 1] {
        let reply = peer.say(heartbeat(uid(1), sequence)).await;
        assert!(reply.error_response.is_none(), "{sequence}: {reply:?}");
    }
    // Whoever tells all of itself again is understood.
    let reply = peer.say(full_report(uid(1), 2)).await;
    assert_eq!(reply.flags, 0, "{reply:?}");
    assert_unharmed(&mut bystander).await;
}

#[tokio::test]
async fn a_session_that_takes_a_new_uid_each_time_makes_a_bounded_number_of_agents() {
    const MOST: usize = 20;
    let plane = Plane::start_with(|setup| setup.engine.limits.agents = MOST).await;
    let (mut bystander, _) = Peer::report(&plane, uid(200)).await;
    let mut peer = Peer::connect(&plane, uid(1)).await;
    for number in 0..100_u8 {
        // With its goodbye the agent makes room on the connection, and stays known.
        let message = AgentToServer {
            agent_disconnect: Some(AgentDisconnect::default()),
            ..full_report(uid(number), 1)
        };
        let reply = peer.say(message).await;
        let refused = MOST <= usize::from(number) + 1;
        assert_eq!(reply.error_response.is_some(), refused, "{number}");
    }
    assert_eq!(plane.engine.known_agents(), MOST);
    assert_unharmed(&mut bystander).await;
}

#[tokio::test]
async fn a_description_of_100_000_labels_is_refused() {
    let (plane, mut bystander) = plane_and_bystander().await;
    let attribute = |number: usize| opamp::proto::KeyValue {
        key: format!("k{number}"),
        value: Some(opamp::proto::AnyValue {
            value: Some(opamp::proto::any_value::Value::StringValue("v".to_owned())),
        }),
    };
    let describe = |attributes: usize, sequence| {
        let mut message = full_report(uid(1), sequence);
        let description = message.agent_description.as_mut().unwrap();
        description.non_identifying_attributes = (0..attributes).map(attribute).collect();
        message
    };
    let mut peer = Peer::connect(&plane, uid(1)).await;
    let (kind, _) = error_of(&peer.say(describe(100_000, 1)).await);
    assert_eq!(kind, ServerErrorResponseType::BadRequest);
    let reply = peer.say(describe(1_000, 2)).await;
    assert!(reply.error_response.is_none(), "{reply:?}");
    assert_unharmed(&mut bystander).await;
}
