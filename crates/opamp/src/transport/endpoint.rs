//! Where a server is.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// Where gRPC is served unless the URL says otherwise.
const GRPC_PORT: u16 = 4320;
/// Where OpAMP is served unless the URL says otherwise.
const DEFAULT_PATH: &str = "/v1/opamp";

/// A server's address: `ws(s)://`, `http(s)://` or `grpc(s)://`.
///
/// The scheme chooses the transport. Without a port it is 80 or 443 for WebSocket and HTTP, as
/// everywhere else, and 4320 for gRPC; without a path it is `/v1/opamp`.
///
/// ```
/// use opamp::transport::{Endpoint, Transport};
///
/// let endpoint: Endpoint = "wss://opamp.example.com:4320".parse()?;
/// assert_eq!(endpoint.transport(), Transport::WebSocket);
/// assert_eq!((endpoint.host(), endpoint.port(), endpoint.path()), ("opamp.example.com", 4320, "/v1/opamp"));
/// assert!(endpoint.is_tls());
/// assert!("ftp://opamp.example.com".parse::<Endpoint>().is_err());
/// # Ok::<(), opamp::transport::InvalidEndpoint>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    transport: Transport,
    tls: bool,
    host: String,
    port: u16,
    path: String,
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
    /// There is a user or a password, which would show up in logs.
    #[error("credentials belong in headers, not in the URL")]
    Credentials,
}

impl Endpoint {
    /// How messages travel.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path with its query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Host and port as they stand in a `Host` header.
    pub(super) fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == usual {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(InvalidEndpoint::Url)?;
        let (transport, tls, usual_port) = match url.scheme() {
            "ws" => (Transport::WebSocket, false, 80),
            "wss" => (Transport::WebSocket, true, 443),
            "http" => (Transport::Http, false, 80),
            "https" => (Transport::Http, true, 443),
            "grpc" => (Transport::Grpc, false, GRPC_PORT),
            "grpcs" => (Transport::Grpc, true, GRPC_PORT),
            other => {
                return Err(InvalidEndpoint::Scheme {
                    scheme: other.to_owned(),
                });
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidEndpoint::Credentials);
        }
        let host = match url.host().ok_or(InvalidEndpoint::Host)? {
            Host::Domain("") => return Err(InvalidEndpoint::Host),
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let path = match url.path() {
            "" | "/" => DEFAULT_PATH,
            path => path,
        };
        let path = url
            .query()
            .map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        let port = url.port().unwrap_or(usual_port);
        Ok(Self {
            transport,
            tls,
            host,
            port,
            path,
            url,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, host: &str, port: u16, path: &str, authority: &str) {
        let endpoint: Endpoint = text.parse().unwrap();
        assert_eq!(
            (endpoint.host(), endpoint.port(), endpoint.path()),
            (host, port, path),
            "{text}"
        );
        assert_eq!(endpoint.authority(), authority, "{text}");
    }

    #[test]
    fn tr_02_the_path_is_v1_opamp_unless_told_otherwise() {
        check("ws://a:4320/", "a", 4320, "/v1/opamp", "a:4320");
        check(
            "ws://a:4320/custom/path?x=1",
            "a",
            4320,
            "/custom/path?x=1",
            "a:4320",
        );
        check("grpc://a", "a", 4320, "/v1/opamp", "a:4320");
    }

    #[test]
    fn ports_follow_their_scheme() {
        check("ws://a", "a", 80, "/v1/opamp", "a");
        check("ws://a:80", "a", 80, "/v1/opamp", "a");
        check("https://a/o", "a", 443, "/o", "a");
        check("http://a:443/o", "a", 443, "/o", "a:443");
        check("grpcs://[::1]", "::1", 4320, "/v1/opamp", "[::1]:4320");
        check("wss://[::1]:99/x", "::1", 99, "/x", "[::1]:99");
        check(
            "http://127.0.0.1:1",
            "127.0.0.1",
            1,
            "/v1/opamp",
            "127.0.0.1:1",
        );
    }

    #[test]
    fn what_is_no_endpoint_says_why() {
        let error = |text: &str| text.parse::<Endpoint>().unwrap_err().to_string();
        assert_eq!(
            error("host:4320"),
            "scheme \"host\" is none of ws, wss, http, https, grpc, grpcs"
        );
        assert_eq!(error("/v1/opamp"), "not a URL");
        assert_eq!(error("grpc:///x"), "no host");
        assert_eq!(
            error("wss://user:secret@host"),
            "credentials belong in headers, not in the URL"
        );
    }
}
