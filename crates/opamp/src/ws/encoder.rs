//! Frames into a buffer.

use crate::server::Encoded;

/// Appends the frame of a server's message up to its shared slice: frame header, header byte, head.
///
/// Write `reply.shared()` after it; nothing of it is copied here.
pub fn put_message(out: &mut Vec<u8>, reply: &Encoded) {
    let _ = (out, reply);
    unimplemented!()
}

/// Appends a client's message as one masked binary frame; `key` is fresh randomness.
pub fn put_masked_message(out: &mut Vec<u8>, message: &[u8], key: [u8; 4]) {
    let _ = (out, message, key);
    unimplemented!()
}

/// Appends a ping; `mask` is `None` on a server, fresh randomness on a client.
///
/// # Panics
/// If there are more than 125 bytes.
pub fn put_ping(out: &mut Vec<u8>, payload: &[u8], mask: Option<[u8; 4]>) {
    let _ = (out, payload, mask);
    unimplemented!()
}

/// Appends a pong, the answer to a ping with its bytes; `mask` as in [`put_ping`].
///
/// # Panics
/// If there are more than 125 bytes.
pub fn put_pong(out: &mut Vec<u8>, payload: &[u8], mask: Option<[u8; 4]>) {
    let _ = (out, payload, mask);
    unimplemented!()
}

/// Appends a close frame; a reason longer than 123 bytes is cut. `mask` as in [`put_ping`].
pub fn put_close(out: &mut Vec<u8>, code: u16, reason: &str, mask: Option<[u8; 4]>) {
    let _ = (out, code, reason, mask);
    unimplemented!()
}
