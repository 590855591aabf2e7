//! The real server, the real agent and our client library with programs that others wrote.
//!
//! Without its peer, which `interop/run` builds, a case says that it is skipped; with `REQUIRE_ALL=1` it fails.

mod extension;
mod grpc;
mod harness;
mod managed;
mod node;
mod reference;
mod reference_server;
mod secured;
mod supervisor;
mod telemetry;
mod told;
