//! A bare server on the stack of the real one, for scale: it upgrades, and answers each message
//! with the same fixed `ServerToAgent`. It knows no agents and stores nothing.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use opamp::{
    Limits,
    model::{InstanceUid, ServerCapabilities},
    server::Reply,
    ws,
};
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    certificate::{Certificate, CertificateError},
    stream::Stream,
};

/// Connections that may wait to be accepted, as on the real server.
const BACKLOG: u32 = 4096;
const READ_BYTES: usize = 16 * 1024;
const KEPT_BYTES: usize = 256;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// A running echo server. Dropping it stops the listener.
#[derive(Debug)]
pub struct EchoServer {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

/// Why the echo server did not start.
#[derive(Debug, thiserror::Error)]
pub enum EchoError {
    /// It cannot listen.
    #[error("listening on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Its certificate does not serve.
    #[error("TLS")]
    Tls(#[source] CertificateError),
}

impl EchoServer {
    /// Listens on `address`, with TLS if there is a certificate.
    ///
    /// # Errors
    /// When the address is taken or the certificate is unusable.
    pub fn start(
        address: SocketAddr,
        certificate: Option<&Certificate>,
    ) -> Result<Self, EchoError> {
        let config = certificate.map(Certificate::server_config).transpose();
        let tls = config.map_err(EchoError::Tls)?.map(TlsAcceptor::from);
        let failed = |source| EchoError::Listen { address, source };
        let listener = listen(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let answer = Arc::new(Answers::new());
        Ok(Self {
            address,
            accepting: tokio::spawn(accept(listener, tls, answer)),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, answers: Arc<Answers>) {
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => drop(tokio::spawn(serve(tcp, tls.clone(), answers.clone()))),
            // Out of descriptors, or a connection that is gone again: the next one may do.
            Err(error) => {
                tracing::warn!(%error, "accepting");
                tokio::task::yield_now().await;
            }
        }
    }
}

/// What goes out, encoded once.
struct Answers {
    frame: Vec<u8>,
}

impl Answers {
    fn new() -> Self {
        let capabilities = ServerCapabilities::from_bits_truncate(0x7);
        let answer = Reply::to(InstanceUid::new([0; 16]), capabilities).encode();
        let mut frame = Vec::new();
        ws::put_message(&mut frame, &answer);
        frame.extend_from_slice(answer.shared());
        Self { frame }
    }
}

async fn serve(tcp: TcpStream, tls: Option<TlsAcceptor>, answers: Arc<Answers>) {
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "setting TCP_NODELAY");
    }
    let stream = match tls {
        None => Stream::Plain(tcp),
        Some(acceptor) => match Box::pin(acceptor.accept(tcp)).await {
            Ok(stream) => Stream::Tls(Box::new(stream.into())),
            Err(error) => return tracing::debug!(%error, "TLS handshake"),
        },
    };
    let service = hyper::service::service_fn(move |request| upgrade(request, answers.clone()));
    let builder = auto::Builder::new(TokioExecutor::new());
    let served = Box::pin(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    if let Err(error) = served.await {
        tracing::debug!(%error, "serving");
    }
}

async fn upgrade(
    mut request: Request<Incoming>,
    answers: Arc<Answers>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut response = Response::new(Empty::new());
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY);
    let accept = key.and_then(|key| key.to_str().ok()).map(ws::accept_key);
    let Some(accept) = accept.and_then(|accept| HeaderValue::from_str(&accept).ok()) else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(response);
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        if let Ok(parts) = auto::upgrade::downcast::<TokioIo<Stream>>(upgraded) {
            let stream = parts.io.into_inner();
            tokio::spawn(Echo::new(stream, answers).run(parts.read_buf));
        }
    });
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// One upgraded connection.
struct Echo {
    stream: Stream,
    decoder: ws::Decoder,
    out: Vec<u8>,
    written: usize,
    closing: bool,
    answers: Arc<Answers>,
}

impl Echo {
    fn new(stream: Stream, answers: Arc<Answers>) -> Self {
        let decoder = ws::Decoder::server(&Limits::SERVER);
        Self {
            stream,
            decoder,
            out: Vec::new(),
            written: 0,
            closing: false,
            answers,
        }
    }

    async fn run(mut self, early: Bytes) {
        self.take(&mut early.to_vec());
        drop(early);
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if ready!(self.poll_flush(cx)).is_err() || self.closing {
                return Poll::Ready(());
            }
            let open = BUFFER.with_borrow_mut(|buffer| {
                let mut read = ReadBuf::new(buffer);
                let polled = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read));
                let length = read.filled().len();
                if polled.is_ok() && length != 0 {
                    self.take(&mut buffer[..length]);
                }
                Poll::Ready(polled.is_ok() && length != 0)
            });
            if !ready!(open) {
                return Poll::Ready(());
            }
        }
    }

    fn take(&mut self, bytes: &mut [u8]) {
        let mut input = bytes;
        loop {
            match self.decoder.next(&mut input) {
                Ok(None) => return,
                Ok(Some(ws::Event::Binary(_))) => self.out.extend_from_slice(&self.answers.frame),
                Ok(Some(ws::Event::Ping(payload))) => ws::put_pong(&mut self.out, payload, None),
                Ok(Some(ws::Event::Pong(_) | ws::Event::Text(_))) => {}
                Ok(Some(ws::Event::Close(_))) => return self.close(1000),
                Err(violation) => return self.close(violation.close_code()),
            }
        }
    }

    fn close(&mut self, code: u16) {
        ws::put_close(&mut self.out, code, "", None);
        self.closing = true;
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.written < self.out.len() {
            let rest = &self.out[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                wrote => self.written += wrote,
            }
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.written = 0;
        self.out.clear();
        self.out.shrink_to(KEPT_BYTES);
        Poll::Ready(Ok(()))
    }
}
