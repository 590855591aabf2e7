//! Where a server is.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// A server's address: `ws(s)://`, `http(s)://` or `grpc(s)://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
}

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// WebSocket.
    WebSocket,
    /// Plain HTTP polling.
    Http,
    /// A gRPC stream.
    Grpc,
}

/// Text that is no endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// It is no URL.
    #[error("not a URL")]
    Url(#[source] url::ParseError),
    /// The scheme is none of the six.
    #[error("scheme {scheme:?} is none of ws, wss, http, https, grpc, grpcs")]
    Scheme {
        /// The scheme it has.
        scheme: String,
    },
    /// There is no host.
    #[error("no host")]
    Host,
}

impl Endpoint {
    /// How messages travel.
    pub fn transport(&self) -> Transport {
        unimplemented!()
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        unimplemented!()
    }

    /// The host without brackets.
    pub fn host(&self) -> &str {
        unimplemented!()
    }

    /// The port; 4320 unless the URL has one.
    pub fn port(&self) -> u16 {
        unimplemented!()
    }

    /// The path with its query; `/v1/opamp` unless the URL has one.
    pub fn path(&self) -> &str {
        unimplemented!()
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self {
            url: Url::parse(text).map_err(InvalidEndpoint::Url)?,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}
