//! What a client certificate proves. For now a verified one proves the namespace `default` and no uid; here its time
//! is checked again at every session start, because a connection outlives its handshake.

use jiff::Timestamp;
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A client certificate that the handshake verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Seconds since 1970.
    not_before: i64,
    /// Seconds since 1970.
    not_after: i64,
}

impl Certificate {
    /// The peer's certificate, if it showed one.
    pub fn of<IO>(stream: &TlsStream<IO>) -> Option<Self> {
        let leaf = stream.get_ref().1.peer_certificates()?.first()?;
        // What rustls verified, it parsed; a certificate that this parser does not understand proves nothing.
        let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
        let validity = certificate.validity();
        Some(Self {
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        })
    }

    /// Whether it is valid at this time.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now.as_second())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_proves_nothing_before_and_after_its_time() {
        let certificate = Certificate {
            not_before: 100,
            not_after: 200,
        };
        let valid_at = |second| certificate.is_valid(Timestamp::from_second(second).unwrap());
        assert!(!valid_at(99));
        assert!(valid_at(100));
        assert!(valid_at(200));
        assert!(!valid_at(201));
    }
}
