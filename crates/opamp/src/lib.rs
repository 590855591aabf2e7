//! The Open Agent Management Protocol: messages, framing, and the rules of both sides.
//!
//! Sessions are functions from a state and a message to a new state and an answer; they do no I/O
//! and read no clock. [`server`] has the server's side, [`client`] the agent's, [`ws`] frames for
//! WebSockets; the features `client-ws`, `client-http` and `client-grpc` (with `tls`) add client
//! transports and a runner that stays connected, and `grpc-server` a gRPC service.
//! [`dry_run`] has the messages of a custom capability of ours.
//! What a server does with its agents, and an agent with its offers, is left out.

mod canonical;
pub mod client;
mod convert;
pub mod delta;
pub mod dry_run;
mod error;
mod fields;
pub mod gzip;
mod limits;
pub mod proto;
pub mod server;
mod settings;
mod shape;
pub mod ws;

#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(feature = "client")]
pub mod runner;
#[cfg(feature = "client")]
pub mod transport;

pub use error::Malformed;
pub use limits::Limits;
pub use opamp_model as model;
