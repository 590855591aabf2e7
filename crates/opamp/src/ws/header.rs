//! OpAMP's header before each message on a WebSocket.

use crate::Malformed;

/// The only header that is defined: the varint 0.
pub const HEADER: u8 = 0;

/// Takes the header off a WebSocket message.
///
/// Peers older than OpAMP 0.7.0 send no header; a protobuf message never begins with 0, so such
/// messages are recognised and returned whole.
///
/// # Errors
/// [`Malformed::Empty`] without any bytes, [`Malformed::Header`] for a header other than 0.
pub fn strip_header(message: &[u8]) -> Result<&[u8], Malformed> {
    let _ = message;
    unimplemented!()
}
