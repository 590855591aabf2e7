//! Where a fleet dials: `ws://127.0.0.1:4320/v1/opamp` and its five siblings.

use std::{fmt, str::FromStr};

/// How simulated agents speak to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// WebSocket.
    Ws,
    /// Plain HTTP: the agent polls.
    Http,
    /// gRPC, one bidirectional stream.
    Grpc,
}

/// A server's address, with the transport and whether it is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// WebSocket, plain HTTP or gRPC.
    pub transport: Transport,
    /// `wss`, `https`, `grpcs`.
    pub tls: bool,
    /// Name or address of the server.
    pub host: String,
    /// Its port; 4320 unless the text says otherwise.
    pub port: u16,
    /// Path of the request; gRPC has its own.
    pub path: String,
}

/// The text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no endpoint: {reason}")]
pub struct EndpointError {
    text: String,
    reason: &'static str,
}

/// The port that the protocol proposes.
const DEFAULT_PORT: u16 = 4320;
/// The path that the protocol proposes.
const DEFAULT_PATH: &str = "/v1/opamp";

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let refused = |reason| EndpointError { text: text.to_owned(), reason };
        let (scheme, _) = text.split_once("://").ok_or_else(|| {
            refused("begin with ws://, wss://, http://, https://, grpc:// or grpcs://")
        })?;
        let (transport, tls) = match scheme {
            "ws" => (Transport::Ws, false),
            "wss" => (Transport::Ws, true),
            "http" => (Transport::Http, false),
            "https" => (Transport::Http, true),
            "grpc" => (Transport::Grpc, false),
            "grpcs" => (Transport::Grpc, true),
            _ => return Err(refused("the schemes are ws, wss, http, https, grpc and grpcs")),
        };
        let uri: http::Uri = text.parse().map_err(|_| refused("it is no URL"))?;
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| refused("it names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let path = match uri.path_and_query().map(http::uri::PathAndQuery::as_str) {
            None | Some("" | "/") => DEFAULT_PATH.to_owned(),
            Some(path) => path.to_owned(),
        };
        let port = uri.port_u16().unwrap_or(DEFAULT_PORT);
        Ok(Self { transport, tls, host, port, path })
    }
}

impl Endpoint {
    /// `host:port` as it stands in a `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.transport, self.tls) {
            (Transport::Ws, false) => "ws",
            (Transport::Ws, true) => "wss",
            (Transport::Http, false) => "http",
            (Transport::Http, true) => "https",
            (Transport::Grpc, false) => "grpc",
            (Transport::Grpc, true) => "grpcs",
        };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tr_02_path_and_port_default_to_those_of_the_protocol() {
        let cases = [
            ("ws://127.0.0.1:9/x", "ws://127.0.0.1:9/x"),
            ("wss://server", "wss://server:4320/v1/opamp"),
            ("https://[::1]:8443/", "https://[::1]:8443/v1/opamp"),
            ("grpc://server:1", "grpc://server:1/v1/opamp"),
        ];
        for (text, shown) in cases {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_the_reason() {
        for text in ["", "server:4320", "ftp://server", "ws://", "ws://a b"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
