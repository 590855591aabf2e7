//! Servers at the network's edge, each on a port of its own, driven by the test.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opamp::model::{InstanceUid, WireState};
use opamp::proto::AgentToServer;
use opamp::server::Received;
use opamp::transport::{ConnectOptions, Connection};
use opamp::ws::strip_header;
use opamp::{Limits, server};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server as handshake;

use crate::support::UID;

/// No test waits longer for what must happen.
pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("it happens in time")
}

pub fn options(scheme: &str, listener: &TcpListener) -> ConnectOptions {
    let port = listener.local_addr().unwrap().port();
    ConnectOptions::new(
        format!("{scheme}://localhost:{port}/v1/opamp")
            .parse()
            .unwrap(),
    )
}

pub async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// The server's end of a WebSocket, and the headers with which it was opened.
pub struct WsPeer {
    pub socket: WebSocketStream<TcpStream>,
    pub headers: http::HeaderMap,
    pub path: String,
}

#[expect(
    clippy::result_large_err,
    reason = "the callback's type is tungstenite's"
)]
pub async fn accept_ws(listener: &TcpListener) -> WsPeer {
    let (stream, _) = listener.accept().await.unwrap();
    let (mut headers, mut path) = (http::HeaderMap::new(), String::new());
    let look = |request: &handshake::Request, response| {
        headers = request.headers().clone();
        path = request.uri().to_string();
        Ok::<_, handshake::ErrorResponse>(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, look)
        .await
        .unwrap();
    WsPeer {
        socket,
        headers,
        path,
    }
}

/// Answers one connection's first request with these bytes.
pub async fn answer_once(listener: &TcpListener, response: &str) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_buf(&mut request).await.unwrap();
    }
    stream.write_all(response.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}

pub async fn connect(options: &ConnectOptions) -> Connection {
    Connection::connect(options, UID).await.unwrap()
}

impl WsPeer {
    /// The next message of the agent, its header byte taken off.
    pub async fn message(&mut self) -> AgentToServer {
        match within(self.socket.next()).await.unwrap().unwrap() {
            Message::Binary(bytes) => {
                assert_eq!(bytes[0], 0, "WS-02: the header byte");
                AgentToServer::decode(strip_header(&bytes).unwrap()).unwrap()
            }
            other => panic!("{other:?} instead of a message"),
        }
    }

    /// The next message as a server understands it.
    pub async fn receive(&mut self, wire: &mut WireState) -> Received {
        let message = self.message().await;
        server::receive(wire, &message.encode_to_vec(), &Limits::SERVER).unwrap()
    }

    pub async fn send(&mut self, message: Vec<u8>) {
        let framed = [&[0], &message[..]].concat();
        self.socket
            .send(Message::Binary(framed.into()))
            .await
            .unwrap();
    }

    pub async fn closed(&mut self) -> Option<(u16, String)> {
        match within(self.socket.next()).await {
            Some(Ok(Message::Close(frame))) => {
                frame.map(|frame| (frame.code.into(), frame.reason.to_string()))
            }
            other => panic!("{other:?} instead of a close frame"),
        }
    }
}

/// A request that arrived over plain HTTP, and where its answer goes.
pub struct Asked {
    pub parts: http::request::Parts,
    pub body: Bytes,
    answer: tokio::sync::oneshot::Sender<Response<Full<Bytes>>>,
}

impl Asked {
    pub fn message(&self) -> AgentToServer {
        let gzip = self
            .parts
            .headers
            .get("content-encoding")
            .is_some_and(|encoding| encoding == "gzip");
        let body = if gzip {
            opamp::gzip::decompress(&self.body, 1 << 20).unwrap()
        } else {
            self.body.to_vec()
        };
        AgentToServer::decode(&body[..]).unwrap()
    }

    pub fn answer(self, response: Response<Full<Bytes>>) {
        self.answer.send(response).expect("the agent still waits");
    }

    pub fn reply(self, message: Vec<u8>) {
        self.answer(Response::new(Full::new(message.into())));
    }

    pub fn status(self, status: u16, headers: &[(&str, &str)]) {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        self.answer(response.body(Full::default()).unwrap());
    }
}

/// A plain HTTP server whose requests the test answers one by one.
pub struct HttpPeer {
    pub options: ConnectOptions,
    asked: mpsc::Receiver<Asked>,
    /// How many TCP connections there were.
    pub connections: Arc<Mutex<usize>>,
}

pub async fn http_peer() -> HttpPeer {
    let listener = listen().await;
    let options = options("http", &listener);
    let (sender, asked) = mpsc::channel(4);
    let connections = Arc::new(Mutex::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            *count.lock().unwrap() += 1;
            let sender = sender.clone();
            let service = service_fn(move |request| ask(sender.clone(), request));
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(async move {
                // A client that goes away is no failure of the test.
                drop(serving.await);
            });
        }
    });
    HttpPeer {
        options,
        asked,
        connections,
    }
}

async fn ask(
    sender: mpsc::Sender<Asked>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let (answer, answered) = tokio::sync::oneshot::channel();
    sender
        .send(Asked {
            parts,
            body,
            answer,
        })
        .await
        .unwrap_or_else(|_| panic!("the test is over"));
    Ok(answered.await.unwrap_or_default())
}

impl HttpPeer {
    pub async fn asked(&mut self) -> Asked {
        within(self.asked.recv()).await.unwrap()
    }
}

/// Serves one tower service over HTTP/2 on every connection.
pub async fn serve_h2<S>(service: S) -> ConnectOptions
where
    S: tower_service::Service<
            Request<Incoming>,
            Response = Response<tonic::body::Body>,
            Error = Infallible,
        > + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let listener = listen().await;
    let options = options("grpc", &listener);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let service = hyper_util::service::TowerToHyperService::new(service);
                let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service);
                // A client that goes away is no failure of the test.
                drop(serving.await);
            });
        }
    });
    options
}

/// The uid that an agent shows in its headers.
pub fn shown_uid(headers: &http::HeaderMap) -> InstanceUid {
    headers["opamp-instance-uid"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}
