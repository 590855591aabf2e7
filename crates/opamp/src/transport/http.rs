//! The plain HTTP transport: one POST at a time, each answered by one message.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use opamp_model::InstanceUid;
use tokio::time::timeout;

use super::dial::dial;
use super::error::retry_after;
use super::{ConnectError, ConnectOptions, TransportError};
use crate::{gzip, server};

/// Requests smaller than this are not worth compressing.
const GZIP_BYTES: usize = 512;
/// Time for the answer to the last request.
const PATIENCE: Duration = Duration::from_secs(5);

type Sender = SendRequest<Full<Bytes>>;
type Exchange =
    Pin<Box<dyn Future<Output = (Option<Sender>, Result<Vec<u8>, TransportError>)> + Send>>;

/// Plain HTTP to one server; its TCP connection is kept and made anew without notice.
pub(super) struct Polling {
    options: ConnectOptions,
    sender: Option<Sender>,
    exchange: Option<Exchange>,
}

impl Polling {
    pub(super) async fn connect(options: &ConnectOptions) -> Result<Self, ConnectError> {
        let sender = connect(options).await?;
        Ok(Self {
            options: options.clone(),
            sender: Some(sender),
            exchange: None,
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.exchange.is_none()
    }

    /// Starts a request; [`receive`](Self::receive) drives it and has its answer.
    pub(super) fn send(&mut self, message: Vec<u8>) -> Result<(), TransportError> {
        if self.exchange.is_some() {
            return Err(TransportError::Busy);
        }
        let (bytes, limit_bytes) = (message.len(), self.options.limits.message_bytes);
        if limit_bytes < bytes {
            return Err(TransportError::TooLarge { bytes, limit_bytes });
        }
        let (options, sender) = (self.options.clone(), self.sender.take());
        self.exchange = Some(Box::pin(async move {
            let request_timeout = options.request_timeout;
            match timeout(request_timeout, exchange(&options, sender, message)).await {
                Ok(Ok((sender, answer))) => (sender, Ok(answer)),
                Ok(Err(error)) => (None, Err(error)),
                Err(_) => (None, Err(TransportError::Timeout)),
            }
        }));
        Ok(())
    }

    /// Cancel-safe: the request goes on with the next call.
    pub(super) async fn receive(&mut self) -> Result<Vec<u8>, TransportError> {
        let Some(exchange) = &mut self.exchange else {
            return std::future::pending().await;
        };
        let (sender, answer) = exchange.await;
        self.exchange = None;
        self.sender = sender;
        answer
    }

    pub(super) async fn close(mut self) {
        let Some(exchange) = self.exchange.take() else {
            return;
        };
        if timeout(PATIENCE, exchange).await.is_err() {
            tracing::debug!("the server did not answer the last request");
        }
    }
}

async fn connect(options: &ConnectOptions) -> Result<Sender, ConnectError> {
    let io = dial(options, b"http/1.1").await?;
    let (sender, connection) = http1::handshake(TokioIo::new(io))
        .await
        .map_err(|error| ConnectError::Handshake(error.into()))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = %error, "an HTTP connection broke");
        }
    });
    Ok(sender)
}

/// One request and its answer, on the connection that is there or on a new one.
async fn exchange(
    options: &ConnectOptions,
    sender: Option<Sender>,
    message: Vec<u8>,
) -> Result<(Option<Sender>, Vec<u8>), TransportError> {
    let mut sender = match sender.filter(|sender| !sender.is_closed()) {
        Some(sender) => sender,
        None => connect(options).await?,
    };
    sender.ready().await.map_err(lost)?;
    let response = sender
        .send_request(request(options, message))
        .await
        .map_err(lost)?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(TransportError::Refused {
            status,
            retry_after: retry_after(response.headers()),
        });
    }
    let answer = body(response, options.limits.message_bytes).await?;
    Ok((Some(sender), answer))
}

fn request(options: &ConnectOptions, message: Vec<u8>) -> Request<Full<Bytes>> {
    let uid = server::peek(&message)
        .ok()
        .and_then(|peek| peek.uid.ok())
        .map(|uid| uid.uid());
    let compress = options.gzip && GZIP_BYTES <= message.len();
    let body = if compress {
        gzip::compress(&message)
    } else {
        message
    };
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = options
        .endpoint
        .path()
        .parse()
        .expect("a URL's path is a URI");
    *request.headers_mut() = headers(options, uid, compress);
    request
}

fn headers(options: &ConnectOptions, uid: Option<InstanceUid>, compressed: bool) -> HeaderMap {
    let mut headers = options.headers.clone();
    let host = HeaderValue::try_from(options.endpoint.authority())
        .expect("a URL's host is a header value");
    headers.insert(header::HOST, host);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-protobuf"),
    );
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    if compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(uid) = uid {
        let uid = HeaderValue::try_from(uid.to_string()).expect("UUID text is a header value");
        headers.insert("opamp-instance-uid", uid);
    }
    headers
}

/// The answer's body, within the limit before and after decompression.
async fn body(response: Response<Incoming>, limit_bytes: usize) -> Result<Vec<u8>, TransportError> {
    let compressed = match response
        .headers()
        .get(header::CONTENT_ENCODING)
        .map(HeaderValue::as_bytes)
    {
        None | Some(b"identity") => false,
        Some(b"gzip") => true,
        Some(_) => {
            return Err(TransportError::BadMessage(
                "unknown content encoding".into(),
            ));
        }
    };
    let body = Limited::new(response.into_body(), limit_bytes)
        .collect()
        .await
        .map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => lost(*error),
            Err(too_large) => TransportError::BadMessage(too_large),
        })?;
    let body = body.to_bytes();
    if compressed {
        return gzip::decompress(&body, limit_bytes)
            .map_err(|error| TransportError::BadMessage(error.into()));
    }
    Ok(body.into())
}

fn lost(error: hyper::Error) -> TransportError {
    TransportError::Lost(error.into())
}
