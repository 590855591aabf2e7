//! Why connections fail.

use std::io;

use crate::client::RetryAfter;

/// A boxed cause from one of the libraries underneath.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The program was built without this transport or without TLS.
    #[error("built without the feature {feature}")]
    NotBuilt {
        /// The feature that is missing.
        feature: &'static str,
    },
    /// The name has no address.
    #[error("resolving {host}")]
    Resolve {
        /// The name.
        host: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// No TCP connection.
    #[error("connecting to {address}")]
    Tcp {
        /// Host and port.
        address: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The TLS settings are unusable.
    #[error("TLS settings: {problem}")]
    TlsSettings {
        /// What is wrong.
        problem: String,
    },
    /// The TLS handshake failed.
    #[error("TLS handshake")]
    Tls(#[source] io::Error),
    /// The server answered with another status than success.
    #[error("the server answered with status {status}")]
    Refused {
        /// The HTTP status code.
        status: u16,
        /// When to come back.
        retry_after: Option<RetryAfter>,
    },
    /// The handshake of the protocol failed.
    #[error("handshake")]
    Handshake(#[source] Cause),
    /// It took too long.
    #[error("timed out")]
    Timeout,
}

/// Why a connection ended or a message did not get through.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The connection broke.
    #[error("connection lost")]
    Lost(#[source] Cause),
    /// The server closed the connection.
    #[error("closed by the server with code {code}: {reason}")]
    Closed {
        /// The WebSocket status code, 1005 where none was given; 1000 for gRPC.
        code: u16,
        /// The server's words.
        reason: String,
    },
    /// The server answered a request with another status than success.
    #[error("the server answered with status {status}")]
    Refused {
        /// The HTTP status code.
        status: u16,
        /// When to come back.
        retry_after: Option<RetryAfter>,
    },
    /// A message of the server broke the protocol.
    #[error("bad message")]
    BadMessage(#[source] Cause),
    /// A message is larger than allowed and was not sent.
    #[error("message has {bytes} bytes, the limit is {limit_bytes}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// It took too long.
    #[error("timed out")]
    Timeout,
}
