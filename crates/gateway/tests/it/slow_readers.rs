//! Peers that do not read: what they cost, and how they are cut.

use std::{net::SocketAddr, time::Duration};

use opamp::{model::InstanceUid, proto::AgentToServer};
use prost::Message as _;
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    peers::{Http, Peer, full_report, heartbeat, uid},
    plane::{Plane, body_of, wait_until, within},
};

/// A connection whose receive buffer is as small as the system allows.
pub async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    TcpStream::from_std(socket.into()).unwrap()
}

/// Releases until the agent, which reads nothing, is cut. What one release leaves in the kernel's buffers, the next ones
/// find full.
pub async fn release_until_cut(plane: &Plane, uid: InstanceUid) {
    within(async {
        for number in 0.. {
            if !plane.is_connected(uid) {
                break;
            }
            plane.release(&body_of(900_000 + number)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_makes_no_progress_is_cut() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.times.write_stall = Duration::from_millis(300);
        // Pings would not be answered either; this is not about them.
        setup.gateway.times.idle = Duration::from_secs(3600);
    })
    .await;
    let mut slow = Peer::over(narrow(plane.address).await, uid(1), None)
        .await
        .unwrap();
    slow.say(full_report(uid(1), 1)).await;
    let (other, _) = Peer::report(&plane, uid(2)).await;
    let reading = other.reads_all();
    release_until_cut(&plane, uid(1)).await;
    assert!(plane.is_connected(uid(2)) && !reading.is_finished());
    reading.abort();
}

#[tokio::test]
async fn a_slow_reader_that_makes_progress_is_not_cut() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.times.write_stall = Duration::from_millis(500);
        setup.gateway.times.idle = Duration::from_secs(3600);
    })
    .await;
    let mut slow = Peer::over(narrow(plane.address).await, uid(1), None)
        .await
        .unwrap();
    slow.say(full_report(uid(1), 1)).await;
    let stream = slow.socket.get_mut();
    plane.release(&body_of(1_000_000)).await;
    let mut left = 1_000_000;
    let mut piece = vec![0; 64 * 1024];
    while 0 < left {
        tokio::time::sleep(Duration::from_millis(50)).await;
        left -= within(stream.read(&mut piece)).await.unwrap().min(left);
    }
    assert!(plane.is_connected(uid(1)));
}

#[tokio::test]
async fn a_peer_that_sends_without_reading_is_not_read_without_end() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.times.write_stall = Duration::from_millis(500);
        setup.gateway.times.idle = Duration::from_secs(3600);
    })
    .await;
    let mut raw = Http(narrow(plane.address).await);
    raw.send(crate::websocket::HANDSHAKE).await;
    assert_eq!(raw.answer().await.status, 101);
    let frame = |message: &AgentToServer| {
        let payload = message.encode_to_vec();
        let mut frame = vec![
            0x82,
            0x80 | u8::try_from(payload.len() + 1).unwrap(),
            0,
            0,
            0,
            0,
            0,
        ];
        frame.extend(payload);
        frame
    };
    let mut burst = frame(&full_report(uid(1), 1));
    for sequence in 2..2000 {
        burst.extend(frame(&heartbeat(uid(1), sequence)));
    }
    // The server stops reading when it cannot write, then cuts: at some point writing fails.
    let flood = async { while raw.0.write_all(&burst).await.is_ok() {} };
    within(flood).await;
    wait_until("the cut", || !plane.is_connected(uid(1))).await;
}

#[tokio::test]
async fn an_http_client_that_does_not_read_its_answer_is_cut() {
    let plane =
        Plane::start_with(|setup| setup.gateway.times.idle = Duration::from_millis(300)).await;
    Http::connect(plane.address)
        .await
        .post_message(&full_report(uid(1), 1))
        .await;
    plane.release(&body_of(1_000_000)).await;
    let mut raw = Http(narrow(plane.address).await);
    let body = full_report(uid(1), 1).encode_to_vec();
    let head = format!(
        "POST /v1/opamp HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let request = [head.as_bytes(), &body].concat();
    let flood = async { while raw.0.write_all(&request).await.is_ok() {} };
    within(flood).await;
}
