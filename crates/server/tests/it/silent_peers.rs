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

/// Asks for something on a connection that stays, and gives the status.
async fn ask(stream: &mut TcpStream, path: &str, token: Option<&str>) -> Option<u16> {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let authorization = authorization.unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut piece = vec![0; 64 * 1024];
    let read = timeout(CUT_WITHIN, stream.read(&mut piece))
        .await
        .ok()?
        .ok()?;
    let answer = String::from_utf8_lossy(&piece[..read]);
    answer.split(' ').nth(1)?.parse().ok()
}

#[tokio::test]
async fn strangers_keep_no_operator_out_though_they_ask_for_what_is_open() {
    let server = TestServer::start().await;
    let connect = async || {
        TcpStream::connect(server.admin_addr())
            .await
            .expect("a connection")
    };
    let token = Some(testkit::ADMIN_TOKEN);
    let mut operator = connect().await;
    assert_eq!(ask(&mut operator, "/api/v1/fleet", token).await, Some(200));
    let mut strangers = Vec::new();
    for _ in 0..SOCKETS {
        let mut stranger = connect().await;
        assert_eq!(ask(&mut stranger, "/health", None).await, Some(200));
        strangers.push(stranger);
    }
    let mut newcomer = connect().await;
    assert_eq!(ask(&mut newcomer, "/api/v1/fleet", token).await, Some(200));
    assert_eq!(
        ask(&mut operator, "/api/v1/fleet", token).await,
        Some(200),
        "who has proved something is not pushed out"
    );
    assert_eq!(
        ask(&mut strangers[0], "/health", None).await,
        None,
        "the oldest has gone"
    );
}

#[tokio::test]
async fn heads_without_an_end_or_of_too_many_bytes_are_refused() {
    let server = TestServer::start().await;
    let headers = [
        "a: b\r\n".repeat(500),
        format!("a: {}\r\n", "b".repeat(100_000)),
    ];
    for headers in headers {
        let mut stream = TcpStream::connect(server.admin_addr())
            .await
            .expect("a connection");
        let head = format!("GET /health HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        // It may be refused before it is sent to its end.
        stream.write_all(head.as_bytes()).await.ok();
        let mut answer = [0; 12];
        timeout(CUT_WITHIN, stream.read_exact(&mut answer))
            .await
            .expect("in time")
            .expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 431");
    }
}
