//! The server's side of a session, without any I/O.
//!
//! [`peek`] tells whose message it is, [`receive`] what it changes against a
//! [`WireState`](opamp_model::WireState) ([`skip`] is for what it refused), and [`Reply`] makes the bytes of the answer.

mod parts;
mod receive;
mod reply;
mod sequence;

pub use receive::{Peek, Received, peek, receive, skip};
pub use reply::{
    Command, Encoded, ErrorKind, Reply, encode_remote_config, encode_remote_config_delta,
};

pub use crate::error::Malformed;
