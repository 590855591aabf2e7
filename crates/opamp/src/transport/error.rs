//! Why connections fail.

use std::io;

use http::{HeaderMap, header};

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
    /// A message of the server broke the protocol or is larger than allowed.
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
    /// A request is in flight; plain HTTP has one at a time.
    #[error("a request is in flight")]
    Busy,
    /// It took too long.
    #[error("timed out")]
    Timeout,
}

impl ConnectError {
    /// When the server wants the client to come back, if it said so.
    pub fn retry_after(&self) -> Option<RetryAfter> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the server is there and wants no more for now.
    pub(crate) fn is_throttling(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if throttles(*status))
    }
}

impl TransportError {
    /// When the server wants the client to come back, if it said so.
    pub fn retry_after(&self) -> Option<RetryAfter> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the server is there and wants no more for now.
    pub(crate) fn is_throttling(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if throttles(*status))
    }

    /// Whether the same message may be sent again; it may not where the server judged it.
    pub(crate) fn may_resend(&self) -> bool {
        match self {
            Self::Refused { status, .. } => !matches!(status, 400 | 413 | 415 | 422),
            Self::Lost(_) | Self::Closed { .. } | Self::Timeout => true,
            Self::BadMessage(_) | Self::TooLarge { .. } | Self::Busy => false,
        }
    }
}

const fn throttles(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// A request that cannot connect is lost like one whose connection breaks.
impl From<ConnectError> for TransportError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Refused {
                status,
                retry_after,
            } => Self::Refused {
                status,
                retry_after,
            },
            ConnectError::Timeout => Self::Timeout,
            other => Self::Lost(other.into()),
        }
    }
}

/// `Retry-After` in seconds or as a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<RetryAfter> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(RetryAfter::Delay(std::time::Duration::from_secs(seconds)));
    }
    httpdate::parse_http_date(value).ok().map(RetryAfter::At)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn read(value: &'static str) -> Option<RetryAfter> {
        retry_after(&HeaderMap::from_iter([(
            header::RETRY_AFTER,
            http::HeaderValue::from_static(value),
        )]))
    }

    #[test]
    fn rt_09_retry_after_is_seconds_or_a_date() {
        assert_eq!(
            read("120"),
            Some(RetryAfter::Delay(Duration::from_secs(120)))
        );
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(
            read("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(RetryAfter::At(date))
        );
        assert_eq!(
            read("Sunday, 06-Nov-94 08:49:37 GMT"),
            Some(RetryAfter::At(date))
        );
        assert_eq!(read("soon"), None);
        assert_eq!(read("-5"), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn ht_12_a_judged_request_is_not_sent_again() {
        let refused = |status| TransportError::Refused {
            status,
            retry_after: None,
        };
        assert!(!refused(413).may_resend());
        assert!(!refused(400).may_resend());
        assert!(
            refused(503).may_resend() && refused(429).may_resend() && refused(401).may_resend()
        );
        assert!(TransportError::Timeout.may_resend());
    }
}
