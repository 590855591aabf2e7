//! One connection over any transport.

use opamp_model::InstanceUid;
use tokio::time::timeout;

use super::{ConnectError, ConnectOptions, Transport, TransportError};
use crate::client::Mode;

/// One connection to a server; messages are bare protobuf on all transports.
pub struct Connection {
    kind: Kind,
}

enum Kind {
    #[cfg(feature = "client-ws")]
    WebSocket(Box<super::ws::WebSocket>),
    #[cfg(feature = "client-http")]
    Http(Box<super::http::Polling>),
    #[cfg(feature = "client-grpc")]
    Grpc(Box<super::grpc::GrpcStream>),
    /// Built without any transport.
    #[allow(
        dead_code,
        reason = "only made when no transport is built in, which cannot connect"
    )]
    None(std::convert::Infallible),
}

impl Connection {
    /// Connects. Over plain HTTP only TCP and TLS are tried; the first request is the first message.
    ///
    /// # Errors
    /// [`ConnectError`], which may carry the server's `Retry-After`.
    pub async fn connect(options: &ConnectOptions, uid: InstanceUid) -> Result<Self, ConnectError> {
        let connecting = Box::pin(connect(options, uid));
        let kind = timeout(options.connect_timeout, connecting)
            .await
            .map_err(|_| ConnectError::Timeout)??;
        Ok(Self { kind })
    }

    /// How the session has to treat the connection.
    pub fn mode(&self) -> Mode {
        match &self.kind {
            #[cfg(feature = "client-ws")]
            Kind::WebSocket(_) => Mode::Stream,
            #[cfg(feature = "client-http")]
            Kind::Http(_) => Mode::Polling,
            #[cfg(feature = "client-grpc")]
            Kind::Grpc(_) => Mode::Stream,
            Kind::None(never) => match *never {},
        }
    }

    /// Whether [`send`](Self::send) may be called: plain HTTP has one request in flight at most.
    pub fn can_send(&self) -> bool {
        match &self.kind {
            #[cfg(feature = "client-ws")]
            Kind::WebSocket(_) => true,
            #[cfg(feature = "client-http")]
            Kind::Http(polling) => polling.is_idle(),
            #[cfg(feature = "client-grpc")]
            Kind::Grpc(_) => true,
            Kind::None(never) => match *never {},
        }
    }

    /// Sends a message. Over plain HTTP this starts the request, and `receive` completes it.
    ///
    /// # Errors
    /// [`TransportError`]; only `TooLarge` and `Busy` leave the connection usable.
    pub async fn send(&mut self, message: Vec<u8>) -> Result<(), TransportError> {
        match &mut self.kind {
            #[cfg(feature = "client-ws")]
            Kind::WebSocket(socket) => socket.send(&message).await,
            #[cfg(feature = "client-http")]
            Kind::Http(polling) => polling.send(message),
            #[cfg(feature = "client-grpc")]
            Kind::Grpc(stream) => stream.send(message).await,
            Kind::None(never) => match *never {},
        }
    }

    /// Waits for the next message. It may be dropped and called again without loss.
    ///
    /// # Errors
    /// [`TransportError`]; the connection is then over, except that plain HTTP can go on with
    /// another request.
    pub async fn receive(&mut self) -> Result<Vec<u8>, TransportError> {
        match &mut self.kind {
            #[cfg(feature = "client-ws")]
            Kind::WebSocket(socket) => socket.receive().await,
            #[cfg(feature = "client-http")]
            Kind::Http(polling) => polling.receive().await,
            #[cfg(feature = "client-grpc")]
            Kind::Grpc(stream) => stream.receive().await,
            Kind::None(never) => match *never {},
        }
    }

    /// Closes in order: close frame and closing handshake, last answer, or end of the stream.
    pub async fn close(self) {
        match self.kind {
            #[cfg(feature = "client-ws")]
            Kind::WebSocket(socket) => socket.close().await,
            #[cfg(feature = "client-http")]
            Kind::Http(polling) => polling.close().await,
            #[cfg(feature = "client-grpc")]
            Kind::Grpc(stream) => stream.close().await,
            Kind::None(never) => match never {},
        }
    }
}

async fn connect(options: &ConnectOptions, uid: InstanceUid) -> Result<Kind, ConnectError> {
    match options.endpoint.transport() {
        Transport::WebSocket => web_socket(options, uid).await,
        Transport::Http => plain_http(options).await,
        Transport::Grpc => grpc_stream(options, uid).await,
    }
}

#[cfg(feature = "client-ws")]
async fn web_socket(options: &ConnectOptions, uid: InstanceUid) -> Result<Kind, ConnectError> {
    Ok(Kind::WebSocket(Box::new(
        super::ws::WebSocket::connect(options, uid).await?,
    )))
}

#[cfg(not(feature = "client-ws"))]
async fn web_socket(_: &ConnectOptions, _: InstanceUid) -> Result<Kind, ConnectError> {
    Err(ConnectError::NotBuilt {
        feature: "client-ws",
    })
}

#[cfg(feature = "client-http")]
async fn plain_http(options: &ConnectOptions) -> Result<Kind, ConnectError> {
    Ok(Kind::Http(Box::new(
        super::http::Polling::connect(options).await?,
    )))
}

#[cfg(not(feature = "client-http"))]
async fn plain_http(_: &ConnectOptions) -> Result<Kind, ConnectError> {
    Err(ConnectError::NotBuilt {
        feature: "client-http",
    })
}

#[cfg(feature = "client-grpc")]
async fn grpc_stream(options: &ConnectOptions, uid: InstanceUid) -> Result<Kind, ConnectError> {
    Ok(Kind::Grpc(Box::new(
        super::grpc::GrpcStream::connect(options, uid).await?,
    )))
}

#[cfg(not(feature = "client-grpc"))]
async fn grpc_stream(_: &ConnectOptions, _: InstanceUid) -> Result<Kind, ConnectError> {
    Err(ConnectError::NotBuilt {
        feature: "client-grpc",
    })
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("mode", &self.mode())
            .finish_non_exhaustive()
    }
}
