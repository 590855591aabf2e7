//! The plain HTTP transport against a server of hyper.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use opamp::client::{Mode, RetryAfter};
use opamp::gzip::compress;
use opamp::transport::{Connection, TransportError};
use prost::Message as _;

use crate::peers::{Asked, HttpPeer, connect, http_peer, shown_uid, within};
use crate::support::{SECOND, UID, config, described, message};

async fn pair() -> (Connection, HttpPeer) {
    pair_with(|_| {}).await
}

async fn pair_with(
    change: impl FnOnce(&mut opamp::transport::ConnectOptions),
) -> (Connection, HttpPeer) {
    let mut peer = http_peer().await;
    change(&mut peer.options);
    (connect(&peer.options).await, peer)
}

/// Sends a message and lets the server answer it.
async fn exchange(
    connection: &mut Connection,
    peer: &mut HttpPeer,
    message: Vec<u8>,
    answer: impl FnOnce(Asked),
) -> Result<Vec<u8>, TransportError> {
    connection.send(message).await?;
    let server = async { answer(peer.asked().await) };
    within(async { tokio::join!(connection.receive(), server) })
        .await
        .0
}

fn gzipped(body: &[u8]) -> Response<Full<Bytes>> {
    Response::builder()
        .header("content-encoding", "gzip")
        .body(Full::new(compress(body).into()))
        .unwrap()
}

#[tokio::test]
async fn ht_01_ht_02_ht_06_a_message_is_a_post_of_bare_protobuf() {
    let authorization = "Bearer secret".parse().unwrap();
    let (mut connection, mut peer) = pair_with(|options| {
        options.headers.insert("authorization", authorization);
    })
    .await;
    assert_eq!(connection.mode(), Mode::Polling);
    let answer = exchange(
        &mut connection,
        &mut peer,
        message(5).encode_to_vec(),
        |asked| {
            let parts = &asked.parts;
            assert_eq!(
                (parts.method.as_str(), parts.uri.path()),
                ("POST", "/v1/opamp")
            );
            assert_eq!(parts.headers["content-type"], "application/x-protobuf");
            assert_eq!(parts.headers["accept-encoding"], "gzip");
            assert_eq!(parts.headers["authorization"], "Bearer secret");
            assert!(
                !parts.headers.contains_key("content-encoding"),
                "small bodies travel as they are"
            );
            assert_eq!(shown_uid(&parts.headers), UID);
            assert_eq!(&asked.body[..], message(5).encode_to_vec());
            asked.reply(b"answer".to_vec());
        },
    );
    assert_eq!(answer.await.unwrap(), b"answer");
}

#[tokio::test]
async fn ht_03_large_bodies_are_compressed_and_say_so() {
    let effective = opamp::proto::EffectiveConfig {
        config_map: Some((&config(&"a: 1\n".repeat(500))).into()),
    };
    let large = opamp::proto::AgentToServer {
        effective_config: Some(effective),
        ..described(1)
    };
    let (mut connection, mut peer) = pair().await;
    let answer = exchange(&mut connection, &mut peer, large.encode_to_vec(), |asked| {
        assert_eq!(asked.parts.headers["content-encoding"], "gzip");
        assert!(asked.body.len() < 500);
        assert_eq!(asked.message(), large);
        asked.reply(vec![]);
    });
    answer.await.unwrap();
    let (mut connection, mut peer) = pair_with(|options| options.gzip = false).await;
    let answer = exchange(&mut connection, &mut peer, large.encode_to_vec(), |asked| {
        assert_eq!(&asked.body[..], large.encode_to_vec());
        asked.reply(vec![]);
    });
    answer.await.unwrap();
}

#[tokio::test]
async fn ht_05_compressed_answers_are_read() {
    let (mut connection, mut peer) = pair().await;
    let body = vec![7; 5000];
    let answer = exchange(&mut connection, &mut peer, vec![], |asked| {
        asked.answer(gzipped(&body))
    });
    assert_eq!(answer.await.unwrap(), body);
}

#[tokio::test]
async fn ht_13_oversize_answers_are_failures_also_after_decompression() {
    let (mut connection, mut peer) = pair_with(|options| options.limits.message_bytes = 1000).await;
    for response in [
        Response::new(Full::new(vec![7; 1001].into())),
        gzipped(&vec![7; 1001]),
    ] {
        let answer = exchange(&mut connection, &mut peer, vec![], |asked| {
            asked.answer(response)
        });
        assert!(matches!(answer.await, Err(TransportError::BadMessage(_))));
    }
    let fits = exchange(&mut connection, &mut peer, vec![], |asked| {
        asked.answer(gzipped(&[7; 1000]))
    });
    assert_eq!(fits.await.unwrap().len(), 1000, "and the transport goes on");
}

#[tokio::test]
async fn garbage_in_place_of_gzip_is_a_bad_message() {
    let (mut connection, mut peer) = pair().await;
    for encoding in ["gzip", "br"] {
        let response = Response::builder().header("content-encoding", encoding);
        let response = response
            .body(Full::new(Bytes::from_static(b"garbage")))
            .unwrap();
        let answer = exchange(&mut connection, &mut peer, vec![], |asked| {
            asked.answer(response)
        });
        assert!(matches!(answer.await, Err(TransportError::BadMessage(_))));
    }
}

#[tokio::test]
async fn ht_15_an_oversize_request_is_not_made() {
    let (mut connection, mut peer) = pair_with(|options| options.limits.message_bytes = 1000).await;
    let refused = connection.send(vec![0; 1001]).await;
    assert!(matches!(
        refused,
        Err(TransportError::TooLarge {
            bytes: 1001,
            limit_bytes: 1000
        })
    ));
    let answer = exchange(
        &mut connection,
        &mut peer,
        message(1).encode_to_vec(),
        |asked| {
            assert_eq!(asked.message(), message(1));
            asked.reply(vec![]);
        },
    );
    answer.await.unwrap();
}

#[tokio::test]
async fn ht_09_one_request_is_in_flight() {
    let (mut connection, mut peer) = pair().await;
    connection.send(vec![]).await.unwrap();
    assert!(!connection.can_send());
    assert!(matches!(
        connection.send(vec![]).await,
        Err(TransportError::Busy)
    ));
    let server = async { peer.asked().await.reply(vec![]) };
    within(async { tokio::join!(connection.receive(), server) })
        .await
        .0
        .unwrap();
    assert!(connection.can_send());
}

#[tokio::test]
async fn waiting_for_an_answer_can_be_interrupted_and_resumed() {
    let (mut connection, mut peer) = pair().await;
    connection.send(message(1).encode_to_vec()).await.unwrap();
    let asked = tokio::select! {
        _ = connection.receive() => panic!("nothing was answered"),
        asked = peer.asked() => asked,
    };
    asked.reply(b"late".to_vec());
    assert_eq!(within(connection.receive()).await.unwrap(), b"late");
}

#[tokio::test]
async fn rt_08_rt_09_a_refusal_says_until_when() {
    let (mut connection, mut peer) = pair().await;
    let answer = exchange(&mut connection, &mut peer, vec![], |asked| {
        asked.status(503, &[("retry-after", "9")])
    });
    match answer.await {
        Err(TransportError::Refused {
            status: 503,
            retry_after: Some(RetryAfter::Delay(delay)),
        }) => {
            assert_eq!(delay, 9 * SECOND);
        }
        other => panic!("{other:?}"),
    }
    let answer = exchange(&mut connection, &mut peer, vec![], |asked| {
        asked.status(401, &[])
    });
    assert!(matches!(
        answer.await,
        Err(TransportError::Refused {
            status: 401,
            retry_after: None
        })
    ));
}

#[tokio::test]
async fn ht_16_a_connection_is_kept_and_made_anew_without_notice() {
    let (mut connection, mut peer) = pair().await;
    for _ in 0..3 {
        exchange(&mut connection, &mut peer, vec![], |asked| {
            asked.reply(vec![])
        })
        .await
        .unwrap();
    }
    assert_eq!(*peer.connections.lock().unwrap(), 1);
    let closing = |asked: Asked| asked.status(200, &[("connection", "close")]);
    exchange(&mut connection, &mut peer, vec![], closing)
        .await
        .unwrap();
    exchange(&mut connection, &mut peer, vec![], |asked| {
        asked.reply(vec![])
    })
    .await
    .unwrap();
    assert_eq!(*peer.connections.lock().unwrap(), 2);
}

#[tokio::test]
async fn a_request_that_is_never_answered_is_a_timeout() {
    let (mut connection, mut peer) =
        pair_with(|options| options.request_timeout = Duration::from_millis(50)).await;
    connection.send(vec![]).await.unwrap();
    let (result, asked) = within(async { tokio::join!(connection.receive(), peer.asked()) }).await;
    assert!(matches!(result, Err(TransportError::Timeout)));
    drop(asked);
}

#[tokio::test]
async fn dc_04_closing_waits_for_the_last_answer() {
    let (mut connection, mut peer) = pair().await;
    connection.send(message(9).encode_to_vec()).await.unwrap();
    let server = async {
        let asked = peer.asked().await;
        assert_eq!(asked.message(), message(9));
        asked.reply(vec![]);
    };
    within(async { tokio::join!(connection.close(), server) }).await;
}
