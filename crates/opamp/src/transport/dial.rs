//! TCP connections to a server, encrypted where the endpoint asks for it.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use super::{ConnectError, ConnectOptions};

/// A byte stream, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connected byte stream.
pub(super) type Io = Box<dyn Stream>;

/// Connects to the endpoint; `alpn` names the protocol that will be spoken over TLS.
pub(super) async fn dial(
    options: &ConnectOptions,
    alpn: &'static [u8],
) -> Result<Io, ConnectError> {
    let stream = connect_tcp(options).await?;
    if !options.endpoint.is_tls() {
        return Ok(Box::new(stream));
    }
    #[cfg(feature = "tls")]
    return super::tls::handshake(stream, options, alpn).await;
    #[cfg(not(feature = "tls"))]
    {
        let _unused = alpn;
        Err(ConnectError::NotBuilt { feature: "tls" })
    }
}

/// Tries the host's addresses one after the other.
async fn connect_tcp(options: &ConnectOptions) -> Result<TcpStream, ConnectError> {
    let (host, port) = (options.endpoint.host(), options.endpoint.port());
    let addresses = lookup_host((host, port))
        .await
        .map_err(|source| ConnectError::Resolve {
            host: host.to_owned(),
            source,
        })?;
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "no address fits");
    for address in addresses.filter(|address| fits(options, address)) {
        match connect_address(options, address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(ConnectError::Tcp {
        address: options.endpoint.authority(),
        source: failure,
    })
}

fn fits(options: &ConnectOptions, address: &SocketAddr) -> bool {
    options
        .local_address
        .is_none_or(|local| local.is_ipv4() == address.is_ipv4())
}

async fn connect_address(options: &ConnectOptions, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if let Some(local) = options.local_address {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
