//! Frames into a buffer.

use super::header::HEADER;
use super::opcode;
use crate::server::Encoded;

/// The longest payload of a control frame in bytes.
const CONTROL_BYTES: usize = 125;

/// Appends the frame of a server's message up to its shared slice: frame header, header byte, head.
///
/// Write `reply.shared()` after it; nothing of it is copied here.
pub fn put_message(out: &mut Vec<u8>, reply: &Encoded) {
    out.reserve(16 + reply.head().len());
    put_frame_header(out, opcode::BINARY, 1 + reply.len(), None);
    out.push(HEADER);
    out.extend_from_slice(reply.head());
}

/// Appends a client's message as one masked binary frame; `key` is fresh randomness.
pub fn put_masked_message(out: &mut Vec<u8>, message: &[u8], key: [u8; 4]) {
    out.reserve(16 + message.len());
    put_frame_header(out, opcode::BINARY, 1 + message.len(), Some(key));
    let start = out.len();
    out.push(HEADER);
    out.extend_from_slice(message);
    mask(&mut out[start..], key, 0);
}

/// Appends a ping; `mask` is `None` on a server, fresh randomness on a client.
///
/// # Panics
/// If there are more than 125 bytes.
pub fn put_ping(out: &mut Vec<u8>, payload: &[u8], mask: Option<[u8; 4]>) {
    put_control(out, opcode::PING, payload, mask);
}

/// Appends a pong, the answer to a ping with its bytes; `mask` as in [`put_ping`].
///
/// # Panics
/// If there are more than 125 bytes.
pub fn put_pong(out: &mut Vec<u8>, payload: &[u8], mask: Option<[u8; 4]>) {
    put_control(out, opcode::PONG, payload, mask);
}

/// Appends a close frame; a reason longer than 123 bytes is cut. `mask` as in [`put_ping`].
pub fn put_close(out: &mut Vec<u8>, code: u16, reason: &str, mask: Option<[u8; 4]>) {
    let reason = &reason[..reason.floor_char_boundary(CONTROL_BYTES - 2)];
    let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
    put_control(out, opcode::CLOSE, &payload, mask);
}

fn put_control(out: &mut Vec<u8>, opcode: u8, payload: &[u8], key: Option<[u8; 4]>) {
    assert!(
        payload.len() <= CONTROL_BYTES,
        "a control frame has at most {CONTROL_BYTES} bytes"
    );
    put_frame_header(out, opcode, payload.len(), key);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = key {
        mask(&mut out[start..], key, 0);
    }
}

/// Appends the header of an unfragmented frame.
fn put_frame_header(out: &mut Vec<u8>, opcode: u8, length: usize, key: Option<[u8; 4]>) {
    let masked = if key.is_some() { 0x80 } else { 0 };
    out.push(0x80 | opcode);
    if length < 126 {
        out.push(masked | length as u8);
    } else if let Ok(short) = u16::try_from(length) {
        out.push(masked | 126);
        out.extend(short.to_be_bytes());
    } else {
        out.push(masked | 127);
        out.extend((length as u64).to_be_bytes());
    }
    out.extend(key.iter().flatten());
}

/// Masks or unmasks bytes that begin `offset` bytes into their frame.
pub(super) fn mask(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    let mut key = key;
    key.rotate_left(offset % 4);
    let word = u32::from_ne_bytes(key);
    let wide = u64::from(word) | (u64::from(word) << 32);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for eight in words {
        *eight = (u64::from_ne_bytes(*eight) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn masking_in_pieces_is_masking_at_once(bytes: Vec<u8>, key: [u8; 4], at: prop::sample::Index) {
            let expected: Vec<u8> = bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            let mut whole = bytes.clone();
            mask(&mut whole, key, 0);
            prop_assert_eq!(&whole, &expected);
            let mut pieces = bytes;
            let at = if pieces.is_empty() { 0 } else { at.index(pieces.len()) };
            let (first, second) = pieces.split_at_mut(at);
            mask(first, key, 0);
            mask(second, key, at);
            prop_assert_eq!(pieces, expected);
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut out = Vec::new();
        put_close(&mut out, 1008, &"ä".repeat(100), None);
        assert_eq!(out.len(), 2 + 2 + 122);
    }
}
