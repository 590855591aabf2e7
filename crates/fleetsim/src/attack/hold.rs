//! Attacks that open many connections and finish nothing on them.

use std::{io, sync::Arc, time::Duration};

use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::Semaphore, task::JoinSet, time::sleep};

use super::victim::{Peer, Victim};
use crate::stream::Stream;

/// Dials that wait at once; the listen queue is finite.
const DIALS: usize = 128;
/// What a head may be.
const HEAD_BYTES: usize = 8 * 1024;
/// Between the bytes of a request that drips.
const DRIP_INTERVAL: Duration = Duration::from_millis(200);

/// How far a connection comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It says nothing.
    AtOnce,
    /// Half a WebSocket handshake, as large as a head may be.
    InTheUpgrade,
    /// The preface of HTTP/2 and empty settings.
    AfterThePreface,
    /// An HTTP/2 head that is not complete.
    InTheHead,
    /// Half a TLS hello.
    InTheHello,
    /// TLS is there, and nothing in it; or with this in it.
    AfterTls,
    /// TLS is there, with the preface of HTTP/2 in it.
    AfterTlsAndPreface,
    /// A request that goes on, a byte at a time, on the agent plane.
    Never,
    /// The same on the admin plane.
    NeverOnTheAdminPlane,
}

/// A handshake that lacks its end; what may still come is little.
fn half_upgrade() -> Vec<u8> {
    let mut head = super::victim::upgrade("opamp_agt_nobody");
    head.truncate(head.len() - 2);
    let filler = format!("x-filler: {}\r\n", "y".repeat(100));
    while head.len() + filler.len() < HEAD_BYTES - 100 {
        head.extend(filler.as_bytes());
    }
    head
}

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The frame of a head, as large as it may be, without its last byte.
fn half_head() -> Vec<u8> {
    const FRAME_HEAD_BYTES: usize = 9;
    let payload = [0; HEAD_BYTES - PREFACE.len() - FRAME_HEAD_BYTES];
    let mut frame = super::http2::frame(super::http2::HEADERS, 0, 1, &payload);
    frame.pop();
    frame
}

/// The first half of a TLS 1.3 hello of a thousand bytes.
fn half_hello() -> Vec<u8> {
    let mut hello = vec![0x16, 3, 1, 3, 0xe8, 1, 0, 3, 0xe4, 3, 3];
    hello.resize(500, 0);
    hello
}

/// Opens `count` connections and holds them until the attack is over.
pub(super) async fn hold(victim: Arc<Victim>, count: usize, stop: Stop) {
    let dials = Arc::new(Semaphore::new(DIALS));
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let (victim, dials) = (Arc::clone(&victim), Arc::clone(&dials));
        tasks.spawn(async move {
            let opened = {
                let _permit = dials.acquire().await;
                open(&victim, stop).await
            };
            victim.tally.tried(opened.is_err());
            let Ok(stream) = opened else {
                return;
            };
            victim.tally.opened();
            tokio::select! {
                biased;
                () = victim.stop.cancelled() => {}
                () = linger(stream, stop) => victim.tally.ended(),
            }
        });
    }
    loop {
        let counts = victim.tally.read();
        if count as u64 <= counts.tries {
            break;
        }
        tokio::select! {
            biased;
            () = victim.stop.cancelled() => return,
            () = sleep(Duration::from_millis(10)) => {}
        }
    }
    victim.ready.cancel();
    victim.stop.cancelled().await;
}

async fn open(victim: &Victim, stop: Stop) -> io::Result<Stream> {
    let plain = async |bytes: &[u8]| {
        let mut tcp = victim.connect(victim.agents).await?;
        tcp.write_all(bytes).await?;
        Ok::<_, io::Error>(Stream::Plain(tcp))
    };
    match stop {
        Stop::AtOnce => plain(&[]).await,
        Stop::InTheUpgrade => plain(&half_upgrade()).await,
        Stop::AfterThePreface => plain(PREFACE).await,
        Stop::InTheHead => plain(&[PREFACE, &half_head()].concat()).await,
        Stop::InTheHello => plain(&half_hello()).await,
        Stop::Never => plain(b"GET /v1/opamp HTTP/1.1\r\nx: ").await,
        Stop::AfterTls => victim.connect_to_agents().await,
        Stop::AfterTlsAndPreface => {
            let mut peer = Peer(victim.connect_to_agents().await?);
            peer.send(PREFACE).await?;
            Ok(peer.0)
        }
        Stop::NeverOnTheAdminPlane => {
            let mut tcp: TcpStream = victim.connect(victim.admin).await?;
            tcp.write_all(b"GET /api/v1/fleet HTTP/1.1\r\nx: ").await?;
            Ok(Stream::Plain(tcp))
        }
    }
}

/// Stays until the server ends the connection.
async fn linger(stream: Stream, stop: Stop) {
    let mut peer = Peer(stream);
    if !matches!(stop, Stop::Never | Stop::NeverOnTheAdminPlane) {
        return peer.drain().await;
    }
    let mut piece = [0; 256];
    loop {
        if peer.send(b"y").await.is_err() {
            return;
        }
        // A server that has enough says so, or is gone.
        let read = tokio::time::timeout(
            DRIP_INTERVAL,
            tokio::io::AsyncReadExt::read(&mut peer.0, &mut piece),
        );
        if let Ok(Ok(0) | Err(_)) = read.await {
            return;
        }
    }
}
