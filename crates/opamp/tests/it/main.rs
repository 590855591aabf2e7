//! Integration tests of the protocol library, in one binary because linking is slow.
//!
//! Names carry the ids of the conformance checklist that they prove (`sq_02_…`).

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

mod bounds;
mod certificates;
mod client;
mod grpc;

mod link;
mod peers;
mod plain_http;
mod reply;
mod restarts;
mod runner;
mod schema;
mod server;
mod sockets;
mod support;
mod tls;
mod websocket;
mod ws;
