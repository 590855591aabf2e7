//! What a connection is made with.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use http::HeaderMap;

use super::Endpoint;
use crate::Limits;

/// What a connection is made with.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Where the server is.
    pub endpoint: Endpoint,
    /// Further headers, such as `authorization`; mark secret values as sensitive.
    pub headers: HeaderMap,
    /// TLS settings, used where the endpoint asks for TLS.
    pub tls: TlsOptions,
    /// Time for the connection to stand, handshakes included.
    pub connect_timeout: Duration,
    /// Time for one plain HTTP exchange.
    pub request_timeout: Duration,
    /// How long nothing may come on a stream before the server is asked for a sign of life.
    pub idle_timeout: Duration,
    /// Whether plain HTTP requests are compressed.
    pub gzip: bool,
    /// The local address to connect from, if it matters.
    pub local_address: Option<IpAddr>,
    /// Limits on what is received and sent.
    pub limits: Limits,
}

/// TLS settings of a client.
#[derive(Clone, Default)]
pub struct TlsOptions {
    /// Trusted roots in PEM form, instead of or beside those of the system.
    pub ca_pem: Option<Vec<u8>>,
    /// Whether the system's roots are trusted beside `ca_pem`; without `ca_pem` they always are.
    pub include_system_roots: bool,
    /// A client certificate chain in PEM form.
    pub cert_pem: Option<Vec<u8>>,
    /// The client certificate's private key in PEM form.
    pub key_pem: Option<Vec<u8>>,
    /// Whether the server's certificate goes unchecked: for experiments only.
    pub insecure_skip_verify: bool,
    /// The oldest version of TLS that is spoken.
    pub min_version: TlsVersion,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum TlsVersion {
    /// TLS 1.2, the protocol's default for the oldest version.
    #[default]
    V1_2,
    /// TLS 1.3.
    V1_3,
}

impl ConnectOptions {
    /// Options with defaults: 10 s to connect, 30 s a request, the system's roots.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            headers: HeaderMap::new(),
            tls: TlsOptions::default(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            gzip: true,
            local_address: None,
            limits: Limits::CLIENT,
        }
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("ca_pem", &self.ca_pem.is_some())
            .field("include_system_roots", &self.include_system_roots)
            .field("cert_pem", &self.cert_pem.is_some())
            .field("key_pem", &self.key_pem.as_ref().map(|_| "[redacted]"))
            .field("insecure_skip_verify", &self.insecure_skip_verify)
            .field("min_version", &self.min_version)
            .finish()
    }
}
