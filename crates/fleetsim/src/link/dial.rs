//! Making connections: one address to dial, many to dial from.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use opamp::{
    model::InstanceUid,
    transport::{ConnectOptions, Connection, Endpoint, TlsOptions, Transport},
};
use rustls_pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use super::{Link, LinkError, tls, ws::WsLink};
use crate::{
    capacity,
    options::{Options, Trust},
    stream::Stream,
};

/// The server that a fleet dials, resolved and prepared once.
pub(crate) struct Target {
    endpoint: Endpoint,
    address: SocketAddr,
    sources: Vec<IpAddr>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    library: ConnectOptions,
    authorization: Option<String>,
}

/// Why a server cannot be dialed at all.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Its name has no address.
    #[error("resolving {host}")]
    Resolve {
        /// The name.
        host: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The TLS settings are unusable.
    #[error("TLS settings: {0}")]
    Tls(String),
    /// The agents' token cannot stand in a header.
    #[error("the token holds characters that cannot stand in a header")]
    Token,
}

impl Target {
    pub(crate) async fn new(options: &Options) -> Result<Self, TargetError> {
        let endpoint = options.endpoint.clone();
        let address = resolve(&endpoint).await?;
        let sources = match options.sources.is_empty() {
            true => capacity::sources_for(options.agents, address.ip()),
            false => options.sources.clone(),
        };
        let authorization = options
            .token
            .as_ref()
            .map(|token| format!("Bearer {}", token.expose()));
        Ok(Self {
            tls: match endpoint.is_tls() {
                true => Some(connector(&endpoint, &options.trust)?),
                false => None,
            },
            library: library_options(options, authorization.as_deref())?,
            endpoint,
            address,
            sources,
            authorization,
        })
    }

    /// How many source addresses it dials from; 0 leaves the choice to the kernel.
    pub(crate) fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Connects agent `index`.
    pub(crate) async fn connect(
        &self,
        index: usize,
        uid: [u8; 16],
        nonce: [u8; 16],
    ) -> Result<Link, LinkError> {
        let source = self.sources.get(index % self.sources.len().max(1)).copied();
        if self.endpoint.transport() != Transport::WebSocket {
            let options = ConnectOptions {
                local_address: source,
                ..self.library.clone()
            };
            let connection = Box::pin(Connection::connect(&options, InstanceUid::new(uid))).await?;
            return Ok(Link::Library(Box::new(connection)));
        }
        let tcp = self
            .tcp(source)
            .await
            .map_err(|error| LinkError::io("connecting", error))?;
        let stream = match &self.tls {
            None => Stream::Plain(tcp),
            Some((connector, name)) => {
                let handshake = Box::pin(connector.connect(name.clone(), tcp));
                let stream = handshake
                    .await
                    .map_err(|error| LinkError::io("TLS handshake", error))?;
                Stream::Tls(Box::new(stream.into()))
            }
        };
        let headers = self
            .authorization
            .as_deref()
            .map(|value| ("Authorization", value));
        let authority = authority(&self.endpoint);
        let headers = headers.as_slice();
        let request = opamp::ws::client_request(&authority, self.endpoint.path(), nonce, headers);
        let link = Box::pin(WsLink::upgrade(stream, &request, nonce)).await?;
        Ok(Link::Ws(Box::new(link)))
    }

    async fn tcp(&self, source: Option<IpAddr>) -> io::Result<TcpStream> {
        let socket = match self.address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(source) = source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        socket.set_nodelay(true)?;
        socket.connect(self.address).await
    }
}

async fn resolve(endpoint: &Endpoint) -> Result<SocketAddr, TargetError> {
    let host = endpoint.host();
    let failed = |source| TargetError::Resolve {
        host: host.to_owned(),
        source,
    };
    let mut found = tokio::net::lookup_host((host, endpoint.port()))
        .await
        .map_err(failed)?;
    let address = found.next();
    address.ok_or_else(|| failed(io::Error::from(io::ErrorKind::NotFound)))
}

fn connector(
    endpoint: &Endpoint,
    trust: &Trust,
) -> Result<(TlsConnector, ServerName<'static>), TargetError> {
    let config = tls::client_config(trust).map_err(|error| TargetError::Tls(error.to_string()))?;
    let name = ServerName::try_from(endpoint.host().to_owned())
        .map_err(|error| TargetError::Tls(error.to_string()))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

fn library_options(
    options: &Options,
    authorization: Option<&str>,
) -> Result<ConnectOptions, TargetError> {
    let mut library = ConnectOptions::new(options.endpoint.clone());
    library.connect_timeout = options.dial_timeout;
    library.tls = match &options.trust {
        Trust::Anything => TlsOptions {
            insecure_skip_verify: true,
            ..TlsOptions::default()
        },
        Trust::Roots(pem) => TlsOptions {
            ca_pem: Some(pem.clone().into_bytes()),
            ..TlsOptions::default()
        },
    };
    if let Some(value) = authorization {
        let mut value = http::HeaderValue::from_str(value).map_err(|_| TargetError::Token)?;
        value.set_sensitive(true);
        library.headers.insert(http::header::AUTHORIZATION, value);
    }
    Ok(library)
}

/// `host:port` as it stands in a `Host` header.
fn authority(endpoint: &Endpoint) -> String {
    let (host, port) = (endpoint.host(), endpoint.port());
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}
