//! One agent's connection: the lean WebSocket of this crate, or a transport of the `opamp` library.
//!
//! Most load is WebSocket, so that one is written for thousands. Plain HTTP and gRPC take the
//! library's own client transports, which are thereby driven at scale as well.

mod dial;
pub(crate) mod tls;
mod ws;

use std::time::Duration;

use opamp::{
    client::RetryAfter,
    transport::{ConnectError, Connection, TransportError},
};

pub(crate) use self::dial::Target;
pub use self::dial::TargetError;
use self::ws::WsLink;
use crate::wire::{
    answer::{self, Answer},
    content::Contents,
};

/// An open connection.
pub(crate) enum Link {
    /// Ours.
    Ws(Box<WsLink>),
    /// The library's: plain HTTP or gRPC.
    Library(Box<Connection>),
}

/// Why there is no connection (any more).
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The server answered with another status than success.
    #[error("refused with status {status}")]
    Refused {
        /// HTTP status; 0 for an answer that is no HTTP.
        status: u16,
        /// When to come back, if the server said so.
        retry_after: Option<Duration>,
    },
    /// The server closed in order.
    #[error("closed by the server: {code} {reason}")]
    Closed { code: u16, reason: String },
    /// The connection could not be made, or broke.
    #[error("{what}")]
    Io {
        /// What was going on.
        what: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server sent what is no `ServerToAgent`.
    #[error("malformed message from the server")]
    Malformed,
    /// It took too long.
    #[error("timed out")]
    TimedOut,
}

impl Link {
    /// Whether a message may be sent now: plain HTTP has one request in flight at most.
    pub(crate) fn can_send(&self) -> bool {
        match self {
            Self::Ws(_) => true,
            Self::Library(connection) => connection.can_send(),
        }
    }

    /// Sends a message; a WebSocket's leaves with the next [`Link::receive`].
    pub(crate) async fn send(&mut self, message: &[u8]) -> Result<(), LinkError> {
        match self {
            Self::Ws(link) => {
                link.queue(message);
                Ok(())
            }
            Self::Library(connection) => Box::pin(connection.send(message.to_vec()))
                .await
                .map_err(LinkError::from),
        }
    }

    /// Writes what was sent, and waits for the next message. It may be dropped and called again
    /// without loss. With `reads` off it only writes, and ends only in an error.
    pub(crate) async fn receive(
        &mut self,
        contents: &Contents,
        reads: bool,
    ) -> Result<Answer, LinkError> {
        match self {
            Self::Ws(link) if reads => link.receive(contents).await,
            Self::Ws(link) => {
                link.flush().await?;
                std::future::pending().await
            }
            Self::Library(_) if !reads => std::future::pending().await,
            Self::Library(connection) => {
                let message = Box::pin(connection.receive()).await?;
                answer::read(&message, contents).map_err(|_| LinkError::Malformed)
            }
        }
    }

    /// Closes in order after a last message.
    pub(crate) async fn close(self) -> Result<(), LinkError> {
        match self {
            Self::Ws(link) => link.close().await,
            Self::Library(connection) => {
                Box::pin(connection.close()).await;
                Ok(())
            }
        }
    }
}

impl LinkError {
    pub(crate) fn io(
        what: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Io {
            what,
            source: source.into(),
        }
    }
}

impl From<TransportError> for LinkError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Refused {
                status,
                retry_after,
            } => Self::Refused {
                status,
                retry_after: delay(retry_after),
            },
            TransportError::Closed { code, reason } => Self::Closed { code, reason },
            TransportError::Timeout => Self::TimedOut,
            other => Self::io("talking to the server", other),
        }
    }
}

impl From<ConnectError> for LinkError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Refused {
                status,
                retry_after,
            } => Self::Refused {
                status,
                retry_after: delay(retry_after),
            },
            ConnectError::Timeout => Self::TimedOut,
            other => Self::io("connecting", other),
        }
    }
}

/// A delay that was given in seconds. A date is not followed: no server under test sends one.
fn delay(retry_after: Option<RetryAfter>) -> Option<Duration> {
    match retry_after? {
        RetryAfter::Delay(delay) => Some(delay),
        RetryAfter::At(_) => None,
    }
}
