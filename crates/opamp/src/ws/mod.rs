//! RFC 6455 without any I/O: frames, the opening handshake's key, and OpAMP's header byte.
//!
//! [`Decoder`] turns chunks of received bytes into [`Event`]s, in place in the caller's buffer, and
//! keeps nothing but a frame that is not complete yet. The `put_…` functions append frames to a
//! buffer. [`strip_header`] and [`HEADER`] are OpAMP's own framing inside a binary message.

mod decoder;
mod encoder;
mod frame;
mod handshake;
mod header;

pub use decoder::{Close, Decoder, Event, Violation};
pub use encoder::{put_close, put_masked_message, put_message, put_ping, put_pong};
pub use handshake::{accept_key, client_request, server_accepts};
pub use header::{HEADER, strip_header};

/// Frame opcodes of RFC 6455.
mod opcode {
    pub(super) const CONTINUATION: u8 = 0x0;
    pub(super) const TEXT: u8 = 0x1;
    pub(super) const BINARY: u8 = 0x2;
    pub(super) const CLOSE: u8 = 0x8;
    pub(super) const PING: u8 = 0x9;
    pub(super) const PONG: u8 = 0xa;
}
