//! What is done with bytes from a peer, one function for each fuzz target.
//!
//! `scripts/fuzz` runs all of them, docs/fuzzing.md says what came of it; `cargo test --no-default-features` runs them over
//! random bytes.

mod config;
pub mod seeds;

use std::time::{Duration, Instant};

use opamp::Limits;
use opamp::client::{ClientSession, Mode, SessionOptions};
use opamp::model::{AgentCapabilities, AgentDescription, Attribute, InstanceUid, WireState};
use opamp::server;
use opamp::ws::{Decoder, Violation, server_accepts, strip_header};

pub use config::{otelcol_merge, otelcol_yaml};

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

/// An agent's messages one after the other, each behind two bytes of its length: what is stored is read again as it
/// was and decides the same, and a message that is refused changes nothing.
pub fn server_session(data: &[u8]) {
    let mut wire = WireState::default();
    for message in messages(data) {
        let before = wire;
        let Ok(received) = server::receive(&mut wire, message, &LIMITS) else {
            assert_eq!(wire, before);
            continue;
        };
        assert_eq!(WireState::from_bytes(&wire.to_bytes()).expect("what was written"), wire);
        // A number that comes again is said to be one, but what comes with it may be other news.
        assert_eq!(received.repeated, before.sequence_num.is_some() && before.sequence_num == wire.sequence_num);
        // Another process would have answered the same.
        let mut stored = WireState::from_bytes(&before.to_bytes()).expect("what was written");
        let again = server::receive(&mut stored, message, &LIMITS).expect("it was received before");
        assert_eq!(stored, wire);
        assert_eq!(format!("{again:?}"), format!("{received:?}"));
    }
}

/// Messages, each behind two bytes of its length; the last may be cut off.
fn messages(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, tail) = data.split_first_chunk()?;
        let (message, rest) = tail.split_at(tail.len().min(u16::from_be_bytes(*length).into()));
        data = rest;
        Some(message)
    })
}

/// A server's messages, each behind two bytes of its length: the agent stays in order whatever comes.
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
    for message in messages(data) {
        now += Duration::from_millis(message.len() as u64);
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
