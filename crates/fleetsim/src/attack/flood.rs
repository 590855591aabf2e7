//! Attacks that ask for much and often: credentials, heads, bombs, bad messages.

use std::{io, sync::Arc};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::victim::{Peer, Victim, frame, message_frame, post, report, timed, uid, upgrade};
use crate::wire::{answer, content::Contents, encode};

/// Bytes of a bomb before it was compressed.
const BOMB_BYTES: usize = 64 << 20;
/// Bytes of a message that is nothing but parts.
const PARTS_BYTES: usize = 3 << 20;
/// Levels of a message that is nothing but depth.
const LEVELS: usize = 10_000;

/// A handshake with a token that opens nothing.
pub(super) async fn show_token(victim: &Victim, token: &str) -> io::Result<()> {
    let opened = victim.open_websocket(token).await?;
    victim.tally.opened();
    victim
        .tally
        .tried(opened.is_err_and(|status| status == 401));
    Ok(())
}

/// A request of the API with a token that opens nothing; in turns on many connections.
pub(super) async fn show_operator_token(victim: &Victim, number: u64) -> io::Result<()> {
    let mut peer = Peer(victim.connect(victim.admin).await?);
    victim.tally.opened();
    let request = format!(
        "GET /api/v1/fleet HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer opamp_adm_{number:032}\r\nConnection: close\r\n\r\n"
    );
    let status = peer.ask(request.as_bytes()).await?;
    victim.tally.tried(status == 401);
    Ok(())
}

/// Heads of too many headers and of too many bytes, on both planes.
pub(super) async fn large_heads(victim: &Victim) -> io::Result<()> {
    let many = "a: b\r\n".repeat(500);
    let long = format!("a: {}\r\n", "b".repeat(100_000));
    for plane in [victim.agents, victim.admin] {
        for headers in [&many, &long] {
            let mut peer = Peer(victim.connect(plane).await?);
            victim.tally.opened();
            let head = format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
            // It may be gone before it has read all.
            let refused = !matches!(peer.ask(head.as_bytes()).await, Ok(200..300));
            victim.tally.tried(refused);
        }
    }
    Ok(())
}

/// A body that unfolds to many times its size, over plain HTTP.
pub(super) fn gzip_bomb() -> Arc<[u8]> {
    opamp::gzip::compress(&vec![0; BOMB_BYTES]).into()
}

pub(super) async fn post_bomb(victim: &Victim, bomb: &[u8]) -> io::Result<()> {
    let mut peer = Peer(victim.connect(victim.agents).await?);
    victim.tally.opened();
    let status = peer.ask(&post(&victim.token, "gzip", bomb)).await?;
    victim.tally.tried(status == 413);
    Ok(())
}

/// Messages that are small on the wire and would be large in memory: depth, and empty parts without number.
pub(super) fn protobuf_bombs() -> Arc<[Vec<u8>]> {
    let mut health = Vec::new();
    for _ in 0..LEVELS {
        let mut entry = Vec::new();
        encode::text(&mut entry, 1, "c");
        encode::bytes(&mut entry, 2, &health);
        health.clear();
        encode::bytes(&mut health, 6, &entry);
    }
    let deep = message(5, &health);
    // Empty attributes of two bytes each.
    let many = message(3, &[0x0a, 0].repeat(PARTS_BYTES / 2));
    [deep, many].into()
}

fn message(field: u32, inner: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    encode::bytes(&mut message, 1, &uid(b'b', 1));
    encode::uint(&mut message, 2, 1);
    encode::uint(&mut message, 4, 1);
    encode::bytes(&mut message, field, inner);
    message
}

pub(super) async fn send_bombs(victim: &Victim, bombs: &[Vec<u8>]) -> io::Result<()> {
    let mut peer = open(victim).await?;
    for bomb in bombs {
        peer.send(&message_frame(bomb)).await?;
        victim.tally.tried(is_refused(&peer.message().await?));
    }
    Ok(())
}

/// Fragments of a message that grows over the limit, and of one that does not grow.
pub(super) async fn fragments(victim: &Victim) -> io::Result<()> {
    let mut peer = open(victim).await?;
    peer.send(&message_frame(&report(uid(b'f', 1), 1, &[])))
        .await?;
    peer.message().await?;
    peer.send(&frame(0x02, &[0; 1000])).await?;
    let empty = frame(0x00, &[]).repeat(1_000);
    for _ in 0..20 {
        peer.send(&empty).await?;
    }
    let full = frame(0x00, &[0; 60_000]);
    let (mut reader, mut writer) = peer.0.split();
    let growing = async {
        loop {
            writer.write_all(&full).await?;
        }
    };
    // All that the server has to say is why it closes.
    let closed: io::Result<u8> = tokio::select! {
        ended = growing => ended,
        said = timed(reader.read_u8()) => said,
    };
    let refused = !closed.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut);
    victim.tally.tried(refused);
    Ok(())
}

/// What is no message, in a batch, over and over on one connection: text, garbage, uids of other lengths; and what may
/// be one: unknown fields and bits, sequence numbers that jump.
pub(super) async fn bad_messages(victim: &Victim) -> io::Result<()> {
    let mut peer = open(victim).await?;
    let mut strange = report(uid(b's', 1), u64::MAX, &[]);
    encode::uint(&mut strange, 4, u64::MAX);
    encode::uint(&mut strange, 1000, 7);
    let mut no_uid = Vec::new();
    encode::uint(&mut no_uid, 2, 1);
    let mut long_uid = no_uid.clone();
    encode::bytes(&mut long_uid, 1, &[7; 17]);
    let bad = [
        frame(0x81, b"hello"),
        frame(0x82, &[0xff; 40]),
        frame(0x82, &[0, 0xff, 0xff]),
        frame(0x82, &[]),
        message_frame(&no_uid),
        message_frame(&long_uid),
    ];
    let jumps = [5, 0, u64::MAX - 1, 1 << 40].map(|sequence| {
        let mut beat = Vec::new();
        encode::bytes(&mut beat, 1, &uid(b's', 1));
        encode::uint(&mut beat, 2, sequence);
        encode::uint(&mut beat, 4, 1);
        message_frame(&beat)
    });
    let batch = [bad.concat(), message_frame(&strange), jumps.concat()].concat();
    for _ in 0..200 {
        if victim.is_over() {
            break;
        }
        peer.send(&batch).await?;
        for number in 0..bad.len() + 1 + jumps.len() {
            let refused = is_refused(&peer.message().await?);
            if number < bad.len() {
                victim.tally.tried(refused);
            }
        }
    }
    Ok(())
}

/// Polls with one good token, as fast as they are answered.
pub(super) async fn poll(victim: &Victim) -> io::Result<()> {
    let mut peer = Peer(victim.connect(victim.agents).await?);
    victim.tally.opened();
    let mut sequence = 1;
    while !victim.is_over() {
        let body = report(uid(b'p', 1), sequence, &[]);
        let status = peer.ask(&post(&victim.token, "identity", &body)).await?;
        victim.tally.tried(status != 200);
        if status == 503 {
            // A real attacker would not be so kind; the rate is what it is without.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        sequence += 1;
    }
    Ok(())
}

/// A WebSocket of an agent that went over.
pub(super) async fn open(victim: &Victim) -> io::Result<Peer<tokio::net::TcpStream>> {
    let opened = victim.open_websocket(&victim.token).await?;
    victim.tally.opened();
    opened.map_err(|_| io::ErrorKind::ConnectionRefused.into())
}

/// The same, whose socket takes as little as the system allows; `None` if it was refused.
pub(super) async fn open_narrow(victim: &Victim) -> io::Result<Peer<tokio::net::TcpStream>> {
    let mut peer = Peer(victim.connect_narrow(victim.agents).await?);
    let status = peer.ask(&upgrade(&victim.token)).await?;
    victim.tally.opened();
    if status == 101 {
        Ok(peer)
    } else {
        Err(io::ErrorKind::ConnectionRefused.into())
    }
}

/// Whether an answer is an error.
pub(super) fn is_refused(message: &[u8]) -> bool {
    answer::read(message, &Contents::default()).is_ok_and(|answer| answer.error.is_some())
}
