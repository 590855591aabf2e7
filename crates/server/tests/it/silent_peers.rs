//! Peers that connect to the admin plane and say nothing keep nobody out for long.

use std::time::Duration;

use testkit::{TestServer, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// More than the plane takes at once.
const SOCKETS: usize = 1100;
/// What a peer has for its first request, and some more.
const CUT_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_plane_full_of_silent_sockets_answers_again() {
    let server = TestServer::start().await;
    let mut silent = Vec::new();
    for _ in 0..SOCKETS {
        silent.push(
            TcpStream::connect(server.admin_addr())
                .await
                .expect("a connection"),
        );
    }
    let health = async || {
        let request = server.api().request(reqwest::Method::GET, "/health");
        server.api().try_send(request).await
    };
    let answered = wait_until("an answer", async || {
        health()
            .await
            .is_some_and(|answer| answer.status.is_success())
    });
    timeout(CUT_WITHIN, answered).await.expect("in time");
}

#[tokio::test]
async fn an_http2_connection_without_a_request_is_cut() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.admin_addr())
        .await
        .expect("a connection");
    // The preface and empty settings.
    let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(hello).await.expect("sent");
    let mut rest = Vec::new();
    let end = timeout(CUT_WITHIN, stream.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "the connection is still open");
}
