//! Where a client knocks, and the header before messages on a WebSocket as odd servers write it.

use futures_util::SinkExt as _;
use opamp::client::Event;
use opamp::proto::ServerToAgent;
use opamp::runner::client;
use opamp::transport::ConnectOptions;
use prost::Message as _;
use tokio_tungstenite::tungstenite::Message;

use super::peer::{Way, to};
use super::{Pair, QUICK, quiet};
use crate::peers::{accept_ws, listen, within};
use crate::support::{REPORTING, UID, remote_config};

async fn send_raw(pair: &mut Pair, bytes: Vec<u8>) {
    let frame = Message::Binary(bytes.into());
    pair.peer.socket().socket.send(frame).await.unwrap();
}

#[tokio::test]
async fn ws_04_what_follows_the_bytes_of_the_header_is_the_message() {
    let headers: [&[u8]; 3] = [
        &[0x00],
        &[0x80, 0x00],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
    ];
    for header in headers {
        let mut pair = Pair::start(Way::WebSocket, quiet(REPORTING)).await;
        let first = pair.next().await;
        let mut message = to(UID);
        message.remote_config = Some(remote_config("a: 1", b"h1"));
        send_raw(&mut pair, [header, &message.encode_to_vec()].concat()).await;
        pair.said_nothing_since(&first).await;
        let told = pair.answer(ServerToAgent::default()).await;
        assert!(matches!(&told[..], [Event::RemoteConfig(_)]), "{told:?}");
    }
}

#[tokio::test]
async fn ws_05_a_header_alone_is_a_message_with_nothing_in_it() {
    let mut pair = Pair::start(Way::WebSocket, quiet(REPORTING)).await;
    let first = pair.next().await;
    for header in [&[0x00][..], &[0x80, 0x00]] {
        send_raw(&mut pair, header.to_vec()).await;
    }
    // The connection stands: the same socket brings the next message.
    pair.said_nothing_since(&first).await;
    assert_eq!(pair.answer(ServerToAgent::default()).await, []);
}

#[tokio::test]
async fn tr_02_a_client_asks_for_v1_opamp_unless_told_otherwise() {
    for (path, asked) in [
        ("", "/v1/opamp"),
        ("/v1/opamp", "/v1/opamp"),
        ("/elsewhere?team=a", "/elsewhere?team=a"),
    ] {
        let listener = listen().await;
        let port = listener.local_addr().unwrap().port();
        let url = format!("ws://127.0.0.1:{port}{path}");
        let options = ConnectOptions::new(url.parse().unwrap());
        let (_client, _events, runner) = client(quiet(REPORTING), options, QUICK);
        tokio::spawn(runner.run());
        assert_eq!(within(accept_ws(&listener)).await.path, asked);
    }
}
