//! The WebSocket transport.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Uri};
use opamp_model::InstanceUid;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::dial::{Io, dial};
use super::error::retry_after;
use super::{ConnectError, ConnectOptions, TransportError};
use crate::ws::{HEADER, strip_header};

/// An agent's messages are small and rare; the library's default is 128 KiB.
const BUFFER_BYTES: usize = 4 << 10;
/// Time for the closing handshake, and for a pong.
const PATIENCE: Duration = Duration::from_secs(10);

/// A WebSocket.
pub(super) struct WebSocket {
    socket: WebSocketStream<Io>,
    limit_bytes: usize,
    idle_timeout: Duration,
    /// When the server is asked for a sign of life, or given up if it was.
    deadline: Instant,
    pinged: bool,
}

impl WebSocket {
    pub(super) async fn connect(
        options: &ConnectOptions,
        uid: InstanceUid,
    ) -> Result<Self, ConnectError> {
        let io = dial(options, b"http/1.1").await?;
        let limit_bytes = options.limits.message_bytes;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(limit_bytes))
            .max_frame_size(Some(limit_bytes));
        let request = request(options, uid)?;
        let (socket, _) = client_async_with_config(request, io, Some(config))
            .await
            .map_err(handshake_error)?;
        let idle_timeout = options.idle_timeout;
        Ok(Self {
            socket,
            limit_bytes,
            idle_timeout,
            deadline: Instant::now() + idle_timeout,
            pinged: false,
        })
    }

    pub(super) async fn send(&mut self, message: &[u8]) -> Result<(), TransportError> {
        let bytes = 1 + message.len();
        if self.limit_bytes < bytes {
            return Err(TransportError::TooLarge {
                bytes,
                limit_bytes: self.limit_bytes,
            });
        }
        let framed: Bytes = [&[HEADER], message].concat().into();
        self.socket
            .send(Message::Binary(framed))
            .await
            .map_err(lost)
    }

    /// Cancel-safe: whatever is lost by dropping it is a ping, which is sent again.
    pub(super) async fn receive(&mut self) -> Result<Vec<u8>, TransportError> {
        loop {
            let Ok(received) = timeout_at(self.deadline, self.socket.next()).await else {
                self.ask_for_a_sign().await?;
                continue;
            };
            self.deadline = Instant::now() + self.idle_timeout;
            self.pinged = false;
            match received {
                Some(Ok(Message::Binary(message))) => return self.unframe(&message).await,
                Some(Ok(Message::Text(_))) => {
                    return Err(self.refuse(CloseCode::Unsupported, "text message").await);
                }
                Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(Error::Capacity(error))) => {
                    self.refuse(CloseCode::Size, "message too large").await;
                    return Err(TransportError::BadMessage(error.into()));
                }
                Some(Err(error)) => return Err(lost(error)),
                None => return Err(closed(None)),
            }
        }
    }

    pub(super) async fn close(mut self) {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        let handshake = async {
            self.socket.close(Some(frame)).await?;
            // The server closes the socket after its close frame; there is no need to see it.
            while let Some(received) = self.socket.next().await {
                if received?.is_close() {
                    break;
                }
            }
            Ok::<(), Error>(())
        };
        if !matches!(
            timeout(PATIENCE, handshake).await,
            Ok(Ok(()) | Err(Error::ConnectionClosed))
        ) {
            tracing::debug!("the server did not complete the closing handshake");
        }
    }

    async fn ask_for_a_sign(&mut self) -> Result<(), TransportError> {
        if self.pinged {
            return Err(TransportError::Timeout);
        }
        self.pinged = true;
        self.deadline = Instant::now() + PATIENCE;
        let ping = self.socket.send(Message::Ping(Bytes::new()));
        timeout(PATIENCE, ping)
            .await
            .map_err(|_| TransportError::Timeout)?
            .map_err(lost)
    }

    async fn unframe(&mut self, message: &[u8]) -> Result<Vec<u8>, TransportError> {
        match strip_header(message) {
            Ok(message) => Ok(message.to_vec()),
            Err(error) => {
                self.refuse(CloseCode::Invalid, "bad message header").await;
                Err(TransportError::BadMessage(error.into()))
            }
        }
    }

    /// Tells the server why the connection ends, as far as it still listens.
    async fn refuse(&mut self, code: CloseCode, reason: &'static str) -> TransportError {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        if !matches!(
            timeout(PATIENCE, self.socket.close(Some(frame))).await,
            Ok(Ok(()))
        ) {
            tracing::debug!(
                reason,
                "the server could not be told why the connection ends"
            );
        }
        TransportError::BadMessage(reason.into())
    }
}

fn request(options: &ConnectOptions, uid: InstanceUid) -> Result<http::Request<()>, ConnectError> {
    let endpoint = &options.endpoint;
    let uri: Uri = format!("ws://{}{}", endpoint.authority(), endpoint.path())
        .parse()
        .map_err(|error: http::uri::InvalidUri| ConnectError::Handshake(error.into()))?;
    let mut request = uri
        .into_client_request()
        .map_err(|error| ConnectError::Handshake(error.into()))?;
    let uid = HeaderValue::try_from(uid.to_string()).expect("UUID text is a header value");
    request.headers_mut().insert("opamp-instance-uid", uid);
    request.headers_mut().extend(options.headers.clone());
    Ok(request)
}

fn handshake_error(error: Error) -> ConnectError {
    match error {
        Error::Http(response) => ConnectError::Refused {
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers()),
        },
        other => ConnectError::Handshake(other.into()),
    }
}

fn lost(error: Error) -> TransportError {
    TransportError::Lost(error.into())
}

fn closed(frame: Option<CloseFrame>) -> TransportError {
    let (code, reason) = frame.map_or((1005, String::new()), |frame| {
        (frame.code.into(), frame.reason.to_string())
    });
    TransportError::Closed { code, reason }
}
