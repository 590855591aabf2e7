//! Transports, framing and limits, as odd peers see them.

use fleetsim::Transport;
use futures_util::{SinkExt as _, StreamExt as _};
use opamp::proto::{AgentToServer, ServerToAgent};
use prost::Message as _;
use testkit::fleet::wait_until_connected;
use testkit::{TestServer, wait_until};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::raw::report;
use super::{REPORTS_STATUS, only_agent};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn websocket(server: &TestServer) -> Socket {
    let url = format!("ws://{}/v1/opamp", server.agent_addr());
    let (socket, _) = tokio_tungstenite::connect_async(url)
        .await
        .expect("a WebSocket");
    socket
}

/// Sends a WebSocket message as it is and gives the reply.
async fn say(socket: &mut Socket, bytes: Vec<u8>) -> ServerToAgent {
    socket.send(Message::binary(bytes)).await.expect("sent");
    loop {
        let received = socket.next().await.expect("an open connection");
        if let Message::Binary(bytes) = received.expect("a frame") {
            assert_eq!(bytes[0], 0, "the header");
            return ServerToAgent::decode(&bytes[1..]).expect("a reply");
        }
    }
}

#[tokio::test]
async fn tr_01_plain_http_and_websocket_are_served_side_by_side() {
    let server = TestServer::start().await;
    let over_websocket = server.fleet(2, |_| {}).await;
    let over_http = server
        .fleet_over(Transport::Http, 2, |options| options.name = "http".into())
        .await;
    wait_until_connected(&over_websocket).await;
    wait_until_connected(&over_http).await;
    wait_until("all four in one list", async || {
        let agents = server.api().agents("").await;
        agents.len() == 4 && agents.iter().all(|agent| agent.connected)
    })
    .await;
}

#[tokio::test]
async fn ws_04_what_follows_the_bytes_of_the_header_is_the_message() {
    let server = TestServer::start().await;
    let mut socket = websocket(&server).await;
    let headers: [&[u8]; 3] = [
        &[0x00],
        &[0x80, 0x00],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
    ];
    for (number, header) in (1..).zip(headers) {
        let message = AgentToServer {
            sequence_num: number,
            ..report(1, REPORTS_STATUS)
        };
        let reply = say(&mut socket, [header, &message.encode_to_vec()].concat()).await;
        assert_eq!((reply.error_response, reply.flags), (None, 0), "{header:?}");
        assert_eq!(reply.instance_uid, [1; 16]);
    }
    only_agent(&server).await;
}

#[tokio::test]
async fn ws_05_a_header_alone_is_a_message_and_lacks_an_identity() {
    let server = TestServer::start().await;
    let mut socket = websocket(&server).await;
    let reply = say(&mut socket, vec![0]).await;
    let error = reply.error_response.expect("nobody can be answered");
    assert!(error.error_message.contains("instance_uid"), "{error:?}");
    // It is read, answered, and the connection goes on.
    let reply = say(
        &mut socket,
        [&[0], &report(1, REPORTS_STATUS).encode_to_vec()[..]].concat(),
    );
    assert_eq!(reply.await.error_response, None);
}

#[tokio::test]
async fn tr_06_the_limit_on_messages_is_the_one_of_the_file() {
    let server = TestServer::builder()
        .config("limits: { message: 64KiB }\n")
        .start()
        .await;
    for (bytes, fits) in [(65_000, true), (66_000, false)] {
        let mut message = report(1, REPORTS_STATUS);
        message.custom_message = Some(opamp::proto::CustomMessage {
            data: vec![7; bytes],
            ..Default::default()
        });
        let encoded = message.encode_to_vec();
        let answer = reqwest::Client::new()
            .post(format!("http://{}/v1/opamp", server.agent_addr()))
            .header("content-type", "application/x-protobuf")
            .body(encoded.clone())
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status().as_u16(), if fits { 200 } else { 413 });
        let mut socket = websocket(&server).await;
        let framed = [&[0], &encoded[..]].concat();
        socket.send(Message::binary(framed)).await.expect("sent");
        let received = socket.next().await.expect("an answer").expect("a frame");
        match received {
            Message::Binary(_) if fits => {}
            Message::Close(Some(frame)) if !fits => assert_eq!(u16::from(frame.code), 1009),
            other => panic!("{other:?}"),
        }
    }
}
