//! Client transports behind one [`Connection`]: WebSocket, plain HTTP and gRPC.
//!
//! A connection moves whole messages and knows nothing of sessions; [`runner`](crate::runner)
//! drives both. The libraries underneath need some background tasks, which are spawned on the
//! current tokio runtime and end with their connection.

mod connection;
mod dial;
mod endpoint;
mod error;
#[cfg(feature = "client-grpc")]
mod grpc;
#[cfg(feature = "client-http")]
mod http;
mod options;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "client-ws")]
mod ws;

pub use connection::Connection;
pub use endpoint::{Endpoint, InvalidEndpoint, Transport};
pub use error::{Cause, ConnectError, TransportError};
pub use options::{ConnectOptions, TlsOptions, TlsVersion};
