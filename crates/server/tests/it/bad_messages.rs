//! Garbage, truncated, oversized and wrong-type messages on each transport: each is answered, and nobody else notices.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opamp::proto::{AgentToServer, ServerErrorResponseType, ServerToAgent};
use prost::Message as _;
use testkit::fleet::{runs, wait_until_all_run};
use testkit::{Fleet, TestServer, wait_until};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use crate::FIRST;

/// The limit on messages in these tests, in bytes.
const LIMIT: usize = 64 * 1024;

/// A server with a small limit, and two agents that must not notice anything.
async fn server_with_bystanders() -> (TestServer, Fleet) {
    let server = TestServer::builder()
        .config("limits: { message: 64KiB }\n")
        .start()
        .await;
    server.api().release("base", "", FIRST).await;
    let fleet = server.fleet(2, |_| {}).await;
    wait_until_all_run(&fleet, FIRST).await;
    wait_until("both to be listed", async || {
        server.api().agents("").await.len() == 2
    })
    .await;
    (server, fleet)
}

async fn assert_unharmed(server: &TestServer, bystanders: &Fleet) {
    assert!(
        bystanders
            .agents()
            .iter()
            .all(|agent| agent.connected && runs(agent, FIRST))
    );
    assert_eq!(bystanders.stats().lost, 0);
    assert_eq!(server.api().get("/health").await.status.as_u16(), 200);
    let agents = server.api().agents("").await;
    assert_eq!(agents.len(), 2, "a bad message made an agent: {agents:?}");
}

fn report() -> Vec<u8> {
    let message = AgentToServer {
        instance_uid: vec![7; 16],
        sequence_num: 1,
        capabilities: 1,
        ..AgentToServer::default()
    };
    message.encode_to_vec()
}

/// Messages that no agent sends, each with a name.
fn bad_messages() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    unreadable().into_iter().chain(refused())
}

/// Messages that can be read, and cannot be taken.
fn refused() -> Vec<(&'static str, Vec<u8>)> {
    let with_uid = |uid: &[u8]| {
        let message = AgentToServer {
            instance_uid: uid.to_vec(),
            ..AgentToServer::default()
        };
        message.encode_to_vec()
    };
    vec![
        ("no uid", Vec::new()),
        ("a short uid", with_uid(&[7; 5])),
        ("a long uid", with_uid(&[7; 17])),
        ("26 bytes that are no ULID", with_uid(&[7; 26])),
    ]
}

/// What is no message at all.
fn unreadable() -> Vec<(&'static str, Vec<u8>)> {
    let whole = report();
    vec![
        ("garbage", vec![0xff; 300]),
        // A description of 50 bytes that ends before its first.
        ("truncated", [whole.as_slice(), &[0x1a, 50]].concat()),
        (
            "another type",
            b"{\"instance_uid\": \"json is not protobuf\"}".to_vec(),
        ),
    ]
}

fn assert_bad_request(name: &str, message: &[u8]) {
    let reply = ServerToAgent::decode(message).unwrap_or_else(|error| panic!("{name}: {error}"));
    let error = reply
        .error_response
        .unwrap_or_else(|| panic!("{name}: the reply is no error"));
    assert_eq!(
        error.r#type(),
        ServerErrorResponseType::BadRequest,
        "{name}"
    );
    assert!(
        !error.error_message.is_empty(),
        "{name}: the error says nothing"
    );
}

#[tokio::test]
async fn rt_04_bad_messages_over_plain_http_are_answered_with_an_error_and_garbage_with_400() {
    let (server, bystanders) = server_with_bystanders().await;
    let client = reqwest::Client::new();
    let url = format!("http://{}/v1/opamp", server.agent_addr());
    let post = |body: Vec<u8>| {
        client
            .post(&url)
            .header("content-type", "application/x-protobuf")
            .body(body)
    };
    // The reference client reads the body of no other status than 200.
    for (status, messages) in [(400, unreadable()), (200, refused())] {
        for (name, message) in messages {
            let answer = post(message).send().await.expect("an answer");
            assert_eq!(answer.status().as_u16(), status, "{name}");
            assert_bad_request(name, &answer.bytes().await.expect("a body"));
        }
    }
    let oversized = post(vec![0; LIMIT + 1]).send().await.expect("an answer");
    assert_eq!(oversized.status().as_u16(), 413);
    let corrupt = post(vec![0x1f, 0x8b, 8, 0, 1, 2])
        .header("content-encoding", "gzip")
        .send()
        .await
        .expect("an answer");
    assert_eq!(corrupt.status().as_u16(), 400);
    let unknown = post(report())
        .header("content-encoding", "br")
        .send()
        .await
        .expect("an answer");
    assert_eq!(unknown.status().as_u16(), 415);
    assert_unharmed(&server, &bystanders).await;
}

#[tokio::test]
async fn bad_messages_over_websocket_are_answered_with_an_error() {
    let (server, bystanders) = server_with_bystanders().await;
    for (name, message) in bad_messages() {
        let mut socket = websocket(&server).await;
        let framed: Vec<u8> = std::iter::once(0).chain(message).collect();
        socket.send(Message::binary(framed)).await.expect("sent");
        match next(&mut socket).await {
            Some(Message::Binary(reply)) => assert_bad_request(name, &reply[1..]),
            Some(Message::Close(Some(_))) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
    let mut socket = websocket(&server).await;
    socket.send(Message::text("{}")).await.expect("sent");
    assert!(matches!(
        next(&mut socket).await,
        Some(Message::Binary(_) | Message::Close(Some(_)))
    ));
    let mut socket = websocket(&server).await;
    socket
        .send(Message::binary(vec![0; LIMIT + 2]))
        .await
        .expect("sent");
    match next(&mut socket).await {
        Some(Message::Close(Some(frame))) => {
            assert_eq!(u16::from(frame.code), 1009, "{}", frame.reason)
        }
        other => panic!("an oversized message: {other:?}"),
    }
    assert_unharmed(&server, &bystanders).await;
}

type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

async fn websocket(server: &TestServer) -> Socket {
    let stream = TcpStream::connect(server.agent_addr())
        .await
        .expect("a connection");
    let request = "ws://localhost/v1/opamp"
        .into_client_request()
        .expect("a request");
    tokio_tungstenite::client_async(request, stream)
        .await
        .expect("a WebSocket")
        .0
}

/// The next frame but pings; none where the connection ended without a word.
async fn next(socket: &mut Socket) -> Option<Message> {
    loop {
        let frame = tokio::time::timeout(testkit::DEADLINE, socket.next())
            .await
            .expect("an answer in time");
        match frame {
            Some(Ok(Message::Ping(_))) => {}
            Some(Ok(frame)) => return Some(frame),
            Some(Err(_)) | None => return None,
        }
    }
}

#[tokio::test]
async fn bad_messages_over_grpc_are_answered_with_an_error_or_a_status() {
    let (server, bystanders) = server_with_bystanders().await;
    for (name, message) in bad_messages() {
        let answer = grpc(&server, &message).await;
        match answer.message() {
            Some(reply) => assert_bad_request(name, reply),
            None => assert_ne!(
                answer.status.as_deref(),
                Some("0"),
                "{name}: neither an error nor a status"
            ),
        }
    }
    let oversized = grpc(&server, &vec![0; LIMIT + 1]).await;
    assert!(
        oversized
            .status
            .as_deref()
            .is_some_and(|status| status != "0")
            || oversized.message().is_some()
    );
    assert_unharmed(&server, &bystanders).await;
}

/// What a gRPC call came to.
struct GrpcAnswer {
    body: Vec<u8>,
    status: Option<String>,
}

impl GrpcAnswer {
    /// The first message.
    fn message(&self) -> Option<&[u8]> {
        let length = u32::from_be_bytes(self.body.get(1..5)?.try_into().ok()?);
        self.body.get(5..5 + length as usize)
    }
}

/// One stream with one message, written by hand.
async fn grpc(server: &TestServer, message: &[u8]) -> GrpcAnswer {
    let stream = TcpStream::connect(server.agent_addr())
        .await
        .expect("a connection");
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .expect("HTTP/2");
    let driver = tokio::spawn(connection);
    let length = u32::try_from(message.len())
        .expect("a small message")
        .to_be_bytes();
    let body: Vec<u8> = [&[0], length.as_slice(), message].concat();
    let request = http::Request::post("http://localhost/opamp.grpc.v1.OpAMPService/Connect")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from(body)))
        .expect("a request");
    let answer = tokio::time::timeout(testkit::DEADLINE, sender.send_request(request))
        .await
        .expect("in time")
        .expect("an answer");
    let status = |headers: &http::HeaderMap| {
        headers
            .get("grpc-status")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let early = status(answer.headers());
    let collected = tokio::time::timeout(testkit::DEADLINE, answer.into_body().collect())
        .await
        .expect("in time")
        .expect("a body");
    let late = collected.trailers().and_then(status);
    driver.abort();
    GrpcAnswer {
        body: collected.to_bytes().to_vec(),
        status: early.or(late),
    }
}
