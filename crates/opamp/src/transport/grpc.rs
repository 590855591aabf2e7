//! The gRPC transport: one bidirectional stream.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Uri, uri::PathAndQuery};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use opamp_model::InstanceUid;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status, Streaming};

use super::dial::dial;
use super::error::retry_after;
use super::{ConnectError, ConnectOptions, TransportError};
use crate::grpc::{CONNECT_PATH, ClientCodec};

/// Time for the server to end the stream, and to answer a ping.
const PATIENCE: Duration = Duration::from_secs(10);

/// A gRPC stream.
pub(super) struct GrpcStream {
    outgoing: mpsc::Sender<Vec<u8>>,
    incoming: Incomings,
    limit_bytes: usize,
    /// Holds the HTTP/2 connection; ends with it.
    _connection: AbortOnDrop<()>,
}

/// The server's side of the stream. Some servers do not open it before they got a message.
enum Incomings {
    Opening(AbortOnDrop<Result<Streaming<Bytes>, Status>>),
    Open(Box<Streaming<Bytes>>),
}

impl GrpcStream {
    pub(super) async fn connect(
        options: &ConnectOptions,
        uid: InstanceUid,
    ) -> Result<Self, ConnectError> {
        let io = dial(options, b"h2").await?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(options.idle_timeout)
            .keep_alive_timeout(PATIENCE)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| ConnectError::Handshake(error.into()))?;
        let connection = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "a gRPC connection broke");
            }
        });
        let limit_bytes = options.limits.message_bytes;
        let (outgoing, messages) = mpsc::channel(1);
        let mut request = Request::new(ReceiverStream::new(messages));
        *request.metadata_mut() = metadata(options, uid);
        let mut grpc = tonic::client::Grpc::with_origin(Http2(sender), origin(options)?)
            .max_decoding_message_size(limit_bytes);
        let opening = tokio::spawn(async move {
            let path = PathAndQuery::from_static(CONNECT_PATH);
            grpc.streaming(request, path, ClientCodec)
                .await
                .map(tonic::Response::into_inner)
        });
        let incoming = Incomings::Opening(AbortOnDrop(opening));
        Ok(Self {
            outgoing,
            incoming,
            limit_bytes,
            _connection: AbortOnDrop(connection),
        })
    }

    pub(super) async fn send(&mut self, message: Vec<u8>) -> Result<(), TransportError> {
        let (bytes, limit_bytes) = (message.len(), self.limit_bytes);
        if limit_bytes < bytes {
            return Err(TransportError::TooLarge { bytes, limit_bytes });
        }
        let sent = self.outgoing.send(message).await;
        sent.map_err(|_| TransportError::Lost("the stream has ended".into()))
    }

    /// Cancel-safe: both steps are.
    pub(super) async fn receive(&mut self) -> Result<Vec<u8>, TransportError> {
        let stream = match &mut self.incoming {
            Incomings::Open(stream) => stream,
            Incomings::Opening(opening) => {
                let opened = (&mut opening.0)
                    .await
                    .map_err(|error| TransportError::Lost(error.into()))?;
                self.incoming = Incomings::Open(Box::new(opened.map_err(|status| ended(&status))?));
                let Incomings::Open(stream) = &mut self.incoming else {
                    unreachable!("it was just opened")
                };
                stream
            }
        };
        match stream.message().await {
            Ok(Some(message)) => Ok(message.into()),
            Ok(None) => Err(TransportError::Closed {
                code: 1000,
                reason: String::new(),
            }),
            Err(status) => Err(ended(&status)),
        }
    }

    /// Ends the agent's side and waits for the server's.
    pub(super) async fn close(self) {
        let Self {
            outgoing,
            incoming,
            _connection,
            ..
        } = self;
        drop(outgoing);
        let end = async {
            let mut stream = match incoming {
                Incomings::Open(stream) => *stream,
                Incomings::Opening(mut opening) => match (&mut opening.0).await {
                    Ok(Ok(stream)) => stream,
                    _ => return,
                },
            };
            while let Ok(Some(_)) = stream.message().await {}
        };
        if timeout(PATIENCE, end).await.is_err() {
            tracing::debug!("the server did not end its side of the stream");
        }
    }
}

fn origin(options: &ConnectOptions) -> Result<Uri, ConnectError> {
    let scheme = if options.endpoint.is_tls() {
        "https"
    } else {
        "http"
    };
    format!("{scheme}://{}", options.endpoint.authority())
        .parse()
        .map_err(|error: http::uri::InvalidUri| ConnectError::Handshake(error.into()))
}

fn metadata(options: &ConnectOptions, uid: InstanceUid) -> MetadataMap {
    let mut headers = options.headers.clone();
    let uid = HeaderValue::try_from(uid.to_string()).expect("UUID text is a header value");
    headers.insert("opamp-instance-uid", uid);
    MetadataMap::from_headers(headers)
}

/// A status that ends the stream, in the terms of HTTP.
fn ended(status: &Status) -> TransportError {
    let refused = |http_status| {
        let headers = status.metadata().clone().into_headers();
        TransportError::Refused {
            status: http_status,
            retry_after: retry_after(&headers),
        }
    };
    match status.code() {
        Code::Unauthenticated => refused(401),
        Code::PermissionDenied => refused(403),
        Code::Unimplemented | Code::NotFound => refused(404),
        Code::ResourceExhausted => refused(429),
        Code::Unavailable if std::error::Error::source(status).is_none() => refused(503),
        Code::OutOfRange => TransportError::BadMessage(status.clone().into()),
        _ => TransportError::Lost(status.clone().into()),
    }
}

/// An HTTP/2 connection as the service that tonic calls.
struct Http2(SendRequest<Body>);

impl tower_service::Service<http::Request<Body>> for Http2 {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// A background task that ends with whoever holds it.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
