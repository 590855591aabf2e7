//! The agent plane over real sockets, against an engine on a temporary database.

#![expect(
    clippy::unwrap_used,
    clippy::large_futures,
    reason = "a test that cannot go on has failed"
)]

mod admission;
mod deltas;
mod drain;
mod dry_runs;
mod grpc;
mod hostile;
mod metrics;
mod peers;
mod plain_http;
mod plane;
mod sharing;
mod slow_readers;
mod tls;
mod websocket;
