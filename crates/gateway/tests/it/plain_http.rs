//! Plain HTTP: one message a request, and everything that is no message.

use std::{io::Write as _, time::Duration};

use engine::AgentsAuth;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opamp::proto::{
    AgentDisconnect, AgentToServer, ServerErrorResponseType, ServerToAgent, ServerToAgentFlags,
};
use prost::Message as _;
use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::{
    peers::{Http, error_of, full_report, heartbeat, uid},
    plane::{Plane, body_of, within},
};

const PROTOBUF: &str = "Content-Type: application/x-protobuf";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut GzDecoder::new(bytes), &mut plain).unwrap();
    plain
}

#[tokio::test]
async fn ht_01_ht_10_each_request_gets_one_reply_and_what_waits_comes_with_the_next() {
    let plane = Plane::start().await;
    let mut http = Http::connect(plane.address).await;
    let first = http.post_message(&full_report(uid(1), 1)).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.message().instance_uid, uid(1).as_bytes());
    let hash = plane.release(&body_of(100)).await;
    let second = http.post_message(&heartbeat(uid(1), 2)).await.message();
    assert_eq!(second.flags, 0, "HT-16: a new request is no loss");
    assert_eq!(second.remote_config.unwrap().config_hash, hash.as_bytes());
    assert!(plane.is_connected(uid(1)));
}

#[tokio::test]
async fn ht_16_sq_08_the_next_poll_may_come_over_another_connection() {
    let plane = Plane::start().await;
    Http::connect(plane.address)
        .await
        .post_message(&full_report(uid(1), 1))
        .await;
    let mut another = Http::connect(plane.address).await;
    assert_eq!(
        another
            .post_message(&heartbeat(uid(1), 2))
            .await
            .message()
            .flags,
        0
    );
    let gap = another
        .post_message(&heartbeat(uid(1), 9))
        .await
        .message()
        .flags;
    assert_ne!(gap & ServerToAgentFlags::ReportFullState as u64, 0);
}

#[tokio::test]
async fn dc_04_a_last_request_disconnects() {
    let plane = Plane::start().await;
    let mut http = Http::connect(plane.address).await;
    http.post_message(&full_report(uid(1), 1)).await;
    let goodbye = AgentToServer {
        agent_disconnect: Some(AgentDisconnect {}),
        ..heartbeat(uid(1), 2)
    };
    assert_eq!(http.post_message(&goodbye).await.status, 200);
    assert!(!plane.is_connected(uid(1)));
}

#[tokio::test]
async fn ht_04_gzip_and_plain_bodies_are_read() {
    let plane = Plane::start().await;
    let mut http = Http::connect(plane.address).await;
    let body = gzip(&full_report(uid(1), 1).encode_to_vec());
    for encoding in ["gzip", "GZIP", "x-gzip"] {
        let answer = http
            .post(&[PROTOBUF, &format!("Content-Encoding: {encoding}")], &body)
            .await;
        assert_eq!(answer.status, 200, "{encoding}");
        assert_eq!(answer.message().instance_uid, uid(1).as_bytes());
    }
    let plain = full_report(uid(1), 2).encode_to_vec();
    assert_eq!(
        http.post(&[PROTOBUF, "Content-Encoding: identity"], &plain)
            .await
            .status,
        200
    );
    assert_eq!(
        http.post(&[PROTOBUF, "Content-Encoding: br"], &plain)
            .await
            .status,
        415
    );
}

#[tokio::test]
async fn ht_05_the_reply_is_compressed_where_the_client_can_read_it() {
    let plane = Plane::start().await;
    let mut http = Http::connect(plane.address).await;
    http.post_message(&full_report(uid(1), 1)).await;
    plane.release(&body_of(10_000)).await;
    let answer = http
        .post(
            &[PROTOBUF, "Accept-Encoding: gzip"],
            &heartbeat(uid(1), 2).encode_to_vec(),
        )
        .await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert!(answer.body.len() < 5000);
    let reply = ServerToAgent::decode(&gunzip(&answer.body)[..]).unwrap();
    assert!(reply.remote_config.is_some());
    let answer = http
        .post(
            &[PROTOBUF, "Accept-Encoding: gzip;q=0"],
            &heartbeat(uid(1), 3).encode_to_vec(),
        )
        .await;
    assert_eq!(answer.header("content-encoding"), None);
}

#[tokio::test]
async fn ht_11_a_body_over_the_limit_is_413_before_and_after_decompression() {
    let plane =
        Plane::start_with(|setup| setup.gateway.limits.received.message_bytes = 50_000).await;
    let plain = vec![0; 50_001];
    assert_eq!(
        Http::connect(plane.address)
            .await
            .post(&[PROTOBUF], &plain)
            .await
            .status,
        413
    );

    let bomb = gzip(&vec![0; 5_000_000]);
    assert!(bomb.len() < 50_000);
    let answer = Http::connect(plane.address)
        .await
        .post(&[PROTOBUF, "Content-Encoding: gzip"], &bomb)
        .await;
    assert_eq!(answer.status, 413);

    let mut chunked = Http::connect(plane.address).await;
    chunked
        .send(b"POST /v1/opamp HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    chunked
        .send(format!("EA60\r\n{}\r\n0\r\n\r\n", "x".repeat(60_000)).as_bytes())
        .await;
    assert_eq!(chunked.answer().await.status, 413);

    let mut polite = Http::connect(plane.address).await;
    polite
        .send(b"POST /v1/opamp HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
        .await;
    assert_eq!(polite.answer().await.status, 413);
}

#[tokio::test]
async fn a_megabyte_in_many_pieces_is_read() {
    let plane = Plane::start().await;
    let mut http = Http::connect(plane.address).await;
    let mut message = full_report(uid(1), 1);
    let file = opamp::proto::AgentConfigFile {
        body: body_of(1_000_000),
        ..Default::default()
    };
    message.effective_config = Some(opamp::proto::EffectiveConfig {
        config_map: Some(opamp::proto::AgentConfigMap {
            config_map: [(String::new(), file)].into(),
        }),
    });
    assert_eq!(http.post_message(&message).await.status, 200);
}

#[tokio::test]
async fn tr_04_the_content_type_decides_between_the_transports() {
    let plane = Plane::start().await;
    let body = full_report(uid(1), 1).encode_to_vec();
    let status = async |headers: &[&str]| {
        Http::connect(plane.address)
            .await
            .post(headers, &body)
            .await
            .status
    };
    assert_eq!(
        status(&["Content-Type: application/x-protobuf; charset=utf-8"]).await,
        200
    );
    assert_eq!(status(&["content-type: APPLICATION/X-PROTOBUF"]).await, 200);
    assert_eq!(status(&["Content-Type: application/json"]).await, 415);
    assert_eq!(status(&[]).await, 415);

    let mut get = Http::connect(plane.address).await;
    get.send(b"GET /v1/opamp HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n\r\n")
        .await;
    assert_eq!(get.answer().await.status, 405);
    let answer = Http::connect(plane.address).await.get("/v1/opamp").await;
    assert_eq!(answer.status, 426);
    assert_eq!(answer.header("sec-websocket-version"), Some("13"));
    let mut put = Http::connect(plane.address).await;
    put.send(b"PUT /v1/opamp HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(put.answer().await.status, 405);
}

#[tokio::test]
async fn a_handshake_with_another_version_or_a_bad_key_is_refused() {
    let plane = Plane::start().await;
    let status = async |version: &str, key: &str| {
        let mut http = Http::connect(plane.address).await;
        let head = format!(
            "GET /v1/opamp HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: {version}\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        );
        http.send(head.as_bytes()).await;
        let status = http.answer().await.status;
        assert!(http.is_ended().await);
        status
    };
    assert_eq!(status("8", "dGhlIHNhbXBsZSBub25jZQ==").await, 426);
    assert_eq!(status("13", "short").await, 400);
}

#[tokio::test]
async fn rt_04_a_body_that_is_no_message_is_400_with_bad_request_inside() {
    let plane = Plane::start().await;
    let check = async |headers: &[&str], body: &[u8]| {
        let answer = Http::connect(plane.address).await.post(headers, body).await;
        assert_eq!(answer.status, 400);
        let (kind, text) = error_of(&answer.message());
        assert_eq!(kind, ServerErrorResponseType::BadRequest);
        assert!(!text.is_empty());
    };
    check(&[PROTOBUF], b"\xff\xff\xff garbage").await;
    check(&[PROTOBUF], &full_report(uid(1), 1).encode_to_vec()[..30]).await;
    check(&[PROTOBUF, "Content-Encoding: gzip"], b"this is not gzip").await;
    let truncated = gzip(&full_report(uid(1), 1).encode_to_vec());
    check(
        &[PROTOBUF, "Content-Encoding: gzip"],
        &truncated[..truncated.len() - 10],
    )
    .await;
}

#[tokio::test]
async fn st_09_a_message_that_is_read_and_refused_is_200_with_the_error_inside() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.limits.received.description_bytes = 100;
    })
    .await;
    let refused = async |message: &AgentToServer| {
        let mut http = Http::connect(plane.address).await;
        let answer = http.post_message(message).await;
        assert_eq!(answer.status, 200);
        let message = answer.message();
        let (kind, text) = error_of(&message);
        assert_eq!(kind, ServerErrorResponseType::BadRequest);
        (message.instance_uid, text)
    };
    let mut large = full_report(uid(1), 1);
    let described = large.agent_description.as_mut().expect("a description");
    described.identifying_attributes[0].key = "k".repeat(100);
    let (to, text) = refused(&large).await;
    assert_eq!(to, uid(1).as_bytes());
    assert!(text.contains("the limit is 100"), "{text}");
    for length in [0, 15, 17, 26] {
        let stranger = AgentToServer {
            instance_uid: vec![7; length],
            ..heartbeat(uid(1), 1)
        };
        let (to, text) = refused(&stranger).await;
        assert_eq!(to, b"");
        assert!(text.contains(&format!("{length} bytes")), "{text}");
    }
}

#[tokio::test]
async fn packages_otlp_and_everything_unknown_are_404() {
    let plane = Plane::start().await;
    for path in [
        "/v1/packages/x",
        "/v1/metrics",
        "/v1/logs",
        "/v1/traces",
        "/",
        "/v1/opamp/",
        "/api/v1/agents",
    ] {
        assert_eq!(
            Http::connect(plane.address).await.get(path).await.status,
            404,
            "{path}"
        );
    }
}

#[tokio::test]
async fn health_needs_no_credential() {
    let plane = Plane::start_with(|setup| setup.engine.auth = AgentsAuth::Token).await;
    let answer = Http::connect(plane.address).await.get("/health").await;
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (200, &b"{\"status\":\"ok\"}\n"[..])
    );
    let mut post = Http::connect(plane.address).await;
    post.send(b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(post.answer().await.status, 405);
}

#[tokio::test]
async fn au_02_without_a_valid_token_every_request_is_401_and_the_connection_ends() {
    let plane = Plane::start_with(|setup| setup.engine.auth = AgentsAuth::Token).await;
    let (token, id) = plane.token();
    let body = full_report(uid(1), 1).encode_to_vec();
    let mut none = Http::connect(plane.address).await;
    let answer = none.post(&[PROTOBUF], &body).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    assert!(none.is_ended().await);
    for authorization in [
        "Authorization: Bearer opamp_agt_wrong",
        "Authorization: Basic dXNlcjpwYXNz",
    ] {
        assert_eq!(
            Http::connect(plane.address)
                .await
                .post(&[PROTOBUF, authorization], &body)
                .await
                .status,
            401
        );
    }
    let bearer = format!("Authorization: Bearer {token}");
    let mut http = Http::connect(plane.address).await;
    assert_eq!(http.post(&[PROTOBUF, &bearer], &body).await.status, 200);
    plane.engine.revoke_token(id);
    assert_eq!(
        http.post(&[PROTOBUF, &bearer], &body).await.status,
        401,
        "each request is a session"
    );
}

#[tokio::test]
async fn http_2_with_prior_knowledge_works_on_the_same_port() {
    let plane = Plane::start().await;
    let tcp = TcpStream::connect(plane.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    for sequence in 1..=3 {
        let body = full_report(uid(1), sequence).encode_to_vec();
        let request = http::Request::post("http://localhost/v1/opamp")
            .header("content-type", "application/x-protobuf")
            .body(Full::new(bytes::Bytes::from(body)))
            .unwrap();
        let response = within(sender.send_request(request)).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            ServerToAgent::decode(body).unwrap().instance_uid,
            uid(1).as_bytes()
        );
    }
    connection.abort();
}

#[tokio::test]
async fn a_head_over_the_limit_is_431() {
    let plane = Plane::start_with(|setup| setup.gateway.limits.head_bytes = 2000).await;
    let mut http = Http::connect(plane.address).await;
    http.send(format!("GET /v1/opamp HTTP/1.1\r\nX-Long: {}", "x".repeat(3000)).as_bytes())
        .await;
    assert_eq!(http.answer().await.status, 431);
}

#[tokio::test]
async fn a_head_that_does_not_come_to_its_end_is_cut() {
    let plane =
        Plane::start_with(|setup| setup.gateway.times.head = Duration::from_millis(200)).await;
    let mut silent = Http::connect(plane.address).await;
    assert!(silent.is_ended().await);
    let mut dripping = Http::connect(plane.address).await;
    dripping.send(b"GET /v1/op").await;
    assert!(dripping.is_ended().await);
    let mut preface = Http::connect(plane.address).await;
    preface.send(b"PRI * HTTP/2.0\r\n").await;
    assert!(preface.is_ended().await);
}

#[tokio::test]
async fn http_2_without_a_request_is_cut() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.times.head = Duration::from_millis(100);
        setup.gateway.times.body = Duration::from_millis(100);
    })
    .await;
    let mut raw = Http::connect(plane.address).await;
    raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        .await;
    let mut rest = Vec::new();
    within(raw.0.read_to_end(&mut rest)).await.ok();
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let plane =
        Plane::start_with(|setup| setup.gateway.times.body = Duration::from_millis(200)).await;
    let mut http = Http::connect(plane.address).await;
    http.send(
        b"POST /v1/opamp HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 100\r\n\r\nabc",
    )
    .await;
    assert_eq!(http.answer().await.status, 408);
}

#[tokio::test]
async fn an_idle_connection_is_closed_between_requests() {
    let plane =
        Plane::start_with(|setup| setup.gateway.times.idle = Duration::from_millis(300)).await;
    let mut http = Http::connect(plane.address).await;
    http.post_message(&full_report(uid(1), 1)).await;
    assert!(http.is_ended().await);
}

#[tokio::test]
async fn bytes_that_are_no_http_are_answered_and_cut() {
    let plane = Plane::start().await;
    let mut raw = Http::connect(plane.address).await;
    raw.send(b"\x16\x03\x01\x02\x00 a TLS hello where there is no TLS\r\n\r\n")
        .await;
    let mut rest = Vec::new();
    within(raw.0.read_to_end(&mut rest)).await.ok();
    assert!(
        rest.starts_with(b"HTTP/1.1 400 "),
        "{}",
        String::from_utf8_lossy(&rest)
    );
}

#[tokio::test]
async fn ht_14_a_reply_over_the_limit_goes_out_without_what_makes_it_so() {
    let plane = Plane::start_with(|setup| setup.gateway.limits.reply_bytes = 10_000).await;
    let mut http = Http::connect(plane.address).await;
    http.post_message(&full_report(uid(1), 1)).await;
    // It would fit once compressed; the limit counts before that.
    plane.release(&body_of(20_000)).await;
    let reply = http.post_message(&heartbeat(uid(1), 2)).await;
    assert_eq!(reply.status, 200);
    let message = reply.message();
    assert!(message.remote_config.is_none() && message.error_response.is_none());
    assert_eq!(message.instance_uid, uid(1).as_bytes());
}
