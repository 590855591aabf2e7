//! The WebSocket transport against a server of tungstenite.

use std::time::{Duration, SystemTime};

use futures_util::{SinkExt as _, StreamExt as _};
use opamp::client::{Mode, RetryAfter};
use opamp::transport::{ConnectError, Connection, TransportError};
use prost::Message as _;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::peers::{WsPeer, accept_ws, answer_once, connect, listen, options, shown_uid, within};
use crate::support::{SECOND, UID, message};

async fn pair() -> (Connection, WsPeer) {
    pair_with(|_| {}).await
}

async fn pair_with(
    change: impl FnOnce(&mut opamp::transport::ConnectOptions),
) -> (Connection, WsPeer) {
    let listener = listen().await;
    let mut options = options("ws", &listener);
    change(&mut options);
    within(async { tokio::join!(connect(&options), accept_ws(&listener)) }).await
}

#[tokio::test]
async fn ws_01_ws_02_messages_travel_in_binary_frames_behind_a_header_byte() {
    let (mut connection, mut peer) = pair().await;
    assert_eq!(
        (connection.mode(), connection.can_send()),
        (Mode::Stream, true)
    );
    connection.send(message(5).encode_to_vec()).await.unwrap();
    assert_eq!(peer.message().await, message(5));
    peer.send(b"answer".to_vec()).await;
    assert_eq!(within(connection.receive()).await.unwrap(), b"answer");
    assert_eq!(
        (peer.path.as_str(), shown_uid(&peer.headers)),
        ("/v1/opamp", UID)
    );
}

#[tokio::test]
async fn ws_11_the_server_may_speak_first_and_often() {
    let (mut connection, mut peer) = pair().await;
    for number in 0..100 {
        peer.send(vec![0x0a, number]).await;
    }
    for number in 0..100 {
        assert_eq!(within(connection.receive()).await.unwrap(), [0x0a, number]);
    }
}

#[tokio::test]
async fn messages_of_servers_without_the_header_byte_are_read() {
    let (mut connection, mut peer) = pair().await;
    peer.socket
        .send(Message::binary(vec![0x0a, 0x01, 0x07]))
        .await
        .unwrap();
    assert_eq!(
        within(connection.receive()).await.unwrap(),
        [0x0a, 0x01, 0x07]
    );
}

#[tokio::test]
async fn ws_03_another_header_ends_the_connection() {
    let (mut connection, mut peer) = pair().await;
    peer.socket
        .send(Message::binary(vec![0x07, 0x01]))
        .await
        .unwrap();
    let error = within(connection.receive()).await.unwrap_err();
    assert!(matches!(error, TransportError::BadMessage(_)), "{error:?}");
    assert_eq!(peer.closed().await.unwrap().0, 1007);
}

#[tokio::test]
async fn ws_01_a_text_message_ends_the_connection() {
    let (mut connection, mut peer) = pair().await;
    peer.socket.send(Message::text("hello")).await.unwrap();
    assert!(matches!(
        within(connection.receive()).await,
        Err(TransportError::BadMessage(_))
    ));
    assert_eq!(peer.closed().await.unwrap().0, 1003);
}

#[tokio::test]
async fn ws_07_ws_08_an_oversize_message_is_answered_with_1009() {
    let (mut connection, mut peer) = pair_with(|options| options.limits.message_bytes = 1000).await;
    peer.send(vec![0x0a; 1001]).await;
    assert!(matches!(
        within(connection.receive()).await,
        Err(TransportError::BadMessage(_))
    ));
    assert_eq!(peer.closed().await.unwrap().0, 1009);
}

#[tokio::test]
async fn ws_10_an_oversize_message_is_not_sent_and_the_connection_goes_on() {
    let (mut connection, mut peer) = pair_with(|options| options.limits.message_bytes = 100).await;
    let error = connection.send(vec![0; 100]).await.unwrap_err();
    assert!(matches!(
        error,
        TransportError::TooLarge {
            bytes: 101,
            limit_bytes: 100
        }
    ));
    connection.send(message(1).encode_to_vec()).await.unwrap();
    assert_eq!(peer.message().await, message(1));
}

#[tokio::test]
async fn au_01_headers_come_with_the_handshake() {
    let authorization = "Bearer secret".parse().unwrap();
    let (_connection, peer) = pair_with(|options| {
        options.headers.insert("authorization", authorization);
    })
    .await;
    assert_eq!(peer.headers["authorization"], "Bearer secret");
}

async fn refusal(response: &str) -> (u16, Option<RetryAfter>) {
    let listener = listen().await;
    let options = options("ws", &listener);
    let attempt = async {
        tokio::join!(
            Connection::connect(&options, UID),
            answer_once(&listener, response)
        )
        .0
    };
    match within(attempt).await {
        Err(ConnectError::Refused {
            status,
            retry_after,
        }) => (status, retry_after),
        other => panic!("{other:?} instead of a refusal"),
    }
}

#[tokio::test]
async fn au_02_rt_08_rt_09_a_refused_handshake_says_why_and_until_when() {
    assert_eq!(
        refusal("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await,
        (401, None)
    );
    let delay = RetryAfter::Delay(7 * SECOND);
    assert_eq!(
        refusal("HTTP/1.1 503 Busy\r\nretry-after: 7\r\n\r\n").await,
        (503, Some(delay))
    );
    let date = RetryAfter::At(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
    let response = "HTTP/1.1 429 Busy\r\nretry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
    assert_eq!(refusal(response).await, (429, Some(date)));
}

#[tokio::test]
async fn dc_02_closing_completes_the_handshake() {
    let (connection, mut peer) = pair().await;
    let server = async {
        let closed = peer.closed().await;
        // Tungstenite has queued the answer; reading on sends it and sees the end.
        assert!(peer.socket.next().await.is_none());
        closed
    };
    let ((), closed) = within(async { tokio::join!(connection.close(), server) }).await;
    assert_eq!(closed, Some((1000, String::new())));
}

#[tokio::test]
async fn dc_03_the_servers_close_is_told_with_its_reason() {
    let (mut connection, mut peer) = pair().await;
    let frame = CloseFrame {
        code: 1012.into(),
        reason: "restarting".into(),
    };
    peer.socket.close(Some(frame)).await.unwrap();
    match within(connection.receive()).await {
        Err(TransportError::Closed { code: 1012, reason }) => assert_eq!(reason, "restarting"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_broken_connection_is_lost() {
    let (mut connection, peer) = pair().await;
    drop(peer);
    assert!(matches!(
        within(connection.receive()).await,
        Err(TransportError::Lost(_))
    ));
}

#[tokio::test]
async fn pings_are_answered() {
    let (mut connection, mut peer) = pair().await;
    peer.socket.send(Message::Ping("x".into())).await.unwrap();
    let reading = async { drop(connection.receive().await) };
    let pong = async { peer.socket.next().await.unwrap().unwrap() };
    tokio::select! {
        () = reading => panic!("nothing was sent to the agent"),
        pong = within(pong) => assert_eq!(pong, Message::Pong("x".into())),
    }
}

#[tokio::test]
async fn a_silent_server_is_asked_for_a_sign_of_life_and_then_given_up() {
    let (mut connection, mut peer) = pair().await;
    tokio::time::pause();
    assert!(matches!(
        connection.receive().await,
        Err(TransportError::Timeout)
    ));
    tokio::time::resume();
    let ping = within(peer.socket.next()).await.unwrap().unwrap();
    assert!(matches!(ping, Message::Ping(_)), "{ping:?}");
}

#[tokio::test]
async fn a_server_that_never_answers_the_handshake_is_a_timeout() {
    let listener = listen().await;
    let mut options = options("ws", &listener);
    options.connect_timeout = Duration::from_millis(50);
    assert!(matches!(
        within(Connection::connect(&options, UID)).await,
        Err(ConnectError::Timeout)
    ));
}

#[tokio::test]
async fn what_cannot_be_reached_is_named() {
    let listener = listen().await;
    let options = options("ws", &listener);
    drop(listener);
    let error = within(Connection::connect(&options, UID))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("connecting to localhost:{}", options.endpoint.port())
    );
    let nowhere = opamp::transport::ConnectOptions::new("ws://nowhere.invalid/".parse().unwrap());
    let error = within(Connection::connect(&nowhere, UID))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "resolving nowhere.invalid");
}

#[tokio::test]
async fn the_local_address_can_be_chosen() {
    let listener = listen().await;
    let mut options = options("ws", &listener);
    options.local_address = Some("127.0.0.9".parse().unwrap());
    let peer = async {
        let (_, address) = listener.accept().await.unwrap();
        address.ip()
    };
    let connecting = Connection::connect(&options, UID);
    tokio::select! {
        _ = connecting => panic!("nobody answers the handshake"),
        address = within(peer) => assert_eq!(address, options.local_address.unwrap()),
    }
}
