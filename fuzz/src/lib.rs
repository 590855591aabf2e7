//! What is done with bytes from a peer, one function for each fuzz target.
//!
//! Run one with `cargo +nightly fuzz run ws_decoder`, or all of them over random bytes with
//! `cargo test --no-default-features`.

mod config;

use std::time::{Duration, Instant};

use opamp::Limits;
use opamp::client::{ClientSession, Mode, SessionOptions};
use opamp::model::{AgentCapabilities, AgentDescription, Attribute, InstanceUid, WireState};
use opamp::server;
use opamp::ws::{Decoder, Violation, server_accepts, strip_header};

pub use config::otelcol_yaml;

/// Small enough that the bounds are hit.
const LIMITS: Limits =
    Limits { message_bytes: 4096, description_bytes: 512, effective_config_bytes: 1024, depth: 8, nodes: 64 };

/// Every event, and the violation that ended it.
type Decoded = (Vec<String>, Option<Violation>);

/// Frames of a WebSocket: whatever the chunks, the events are the same, and idle memory is none.
///
/// The first byte chooses the side and the size of chunks.
pub fn ws_decoder(data: &[u8]) {
    let Some((&choice, frames)) = data.split_first() else { return };
    let decoder = || if choice & 0x80 == 0 { Decoder::server(&LIMITS) } else { Decoder::client(&LIMITS) };
    let whole = decode(decoder(), frames, frames.len().max(1));
    let pieces = decode(decoder(), frames, usize::from(choice & 0x7f) + 1);
    assert_eq!(whole, pieces);
    if let Err(status) = server_accepts(frames, [choice; 16]) {
        assert!(status <= 999);
    }
}

fn decode(mut decoder: Decoder, frames: &[u8], size: usize) -> Decoded {
    let mut events = Vec::new();
    for chunk in frames.to_vec().chunks_mut(size) {
        let mut chunk = chunk;
        loop {
            match decoder.next(&mut chunk) {
                Ok(Some(event)) => events.push(format!("{event:?}")),
                Ok(None) => break,
                Err(violation) => return (events, Some(violation)),
            }
        }
        // A partial message and a partial control frame, each grown by doubling.
        assert!(decoder.heap_bytes() <= 2 * LIMITS.message_bytes + 512);
    }
    (events, None)
}

/// An agent's message: refused without a trace, or received; twice is once.
pub fn server_receive(data: &[u8]) {
    let Ok(message) = strip_header(data) else { return };
    let before = WireState { sequence_num: Some(7), ..WireState::default() };
    let mut wire = before;
    match server::receive(&mut wire, message, &LIMITS) {
        Err(_) => assert_eq!(wire, before),
        Ok(received) => {
            let peek = server::peek(message).expect("what is received can be peeked");
            assert_eq!(peek.uid.map(|uid| uid.uid()), Ok(received.uid));
            let stored = WireState::from_bytes(&wire.to_bytes()).expect("what was written");
            assert_eq!(stored, wire);
            let again = server::receive(&mut wire, message, &LIMITS).expect("it was received before");
            assert!(again.repeated && again.changes.description.is_none());
            assert!(again.changes.effective_config.is_none() && again.changes.available_components.is_none());
            assert!(again.changes.health.is_none_or(|health| health.tree.is_none()));
        }
    }
}

/// A server's messages, each behind a byte of its length: the agent stays in order whatever comes.
pub fn client_receive(data: &[u8]) {
    let mut now = Instant::now();
    let limits = Limits { message_bytes: 1 << 16, ..LIMITS };
    let options = SessionOptions { limits, ..SessionOptions::new(InstanceUid::new([7; 16]), AgentCapabilities::ALL) };
    let mut session = ClientSession::new(options);
    session.set_description(&AgentDescription {
        identifying: vec![Attribute::new("service.name", "fuzz")],
        non_identifying: Vec::new(),
    });
    session.connected(Mode::Stream, now);
    let mut rest = data;
    while let Some((&length, tail)) = rest.split_first() {
        let (message, tail) = tail.split_at(tail.len().min(length.into()));
        rest = tail;
        now += Duration::from_millis(length.into());
        drop(session.receive(message, now));
        let mut sent = 0;
        while let Some(message) = session.poll_send(now) {
            assert!(message.len() <= limits.message_bytes);
            sent += 1;
            assert!(sent <= 4, "one message of the server is not answered forever");
        }
    }
}

/// A compressed body: never more than the limit comes out.
pub fn gunzip(data: &[u8]) {
    if let Ok(body) = opamp::gzip::decompress(data, LIMITS.message_bytes) {
        assert!(body.len() <= LIMITS.message_bytes);
        let again = opamp::gzip::decompress(&opamp::gzip::compress(&body), body.len());
        assert_eq!(again.expect("what was compressed"), body);
    }
}
