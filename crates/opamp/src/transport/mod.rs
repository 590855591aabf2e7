//! Client transports behind one [`Connection`]: WebSocket, plain HTTP and gRPC.

mod connection;
mod endpoint;
mod error;
mod options;

pub use connection::Connection;
pub use endpoint::{Endpoint, InvalidEndpoint, Transport};
pub use error::{ConnectError, TransportError};
pub use options::{ConnectOptions, TlsOptions};
