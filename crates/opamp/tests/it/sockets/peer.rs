//! A server that the test scripts: the same few verbs over WebSocket, plain HTTP and gRPC.

use opamp::model::InstanceUid;
use opamp::proto::{AgentToServer, ServerToAgent};
use opamp::transport::ConnectOptions;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::grpc::{self, Stream};
use crate::peers::{Asked, HttpPeer, WsPeer, accept_ws, http_peer, listen, options, within};

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    WebSocket,
    Http,
    Grpc,
}

/// The peer. It answers each message once: with what the test sends, else with a bare acknowledgement before the next one.
pub struct Peer {
    kind: Kind,
    options: ConnectOptions,
    /// Whom the next answer is for, while one is owed.
    owed: Option<Vec<u8>>,
    sent: u64,
}

enum Kind {
    WebSocket {
        listener: TcpListener,
        socket: Option<Box<WsPeer>>,
    },
    Http {
        peer: Box<HttpPeer>,
        asked: Option<Box<Asked>>,
    },
    Grpc {
        streams: mpsc::Receiver<Stream>,
        stream: Option<Box<Stream>>,
    },
}

impl Way {
    pub const ALL: [Self; 3] = [Self::WebSocket, Self::Http, Self::Grpc];
    /// The ways on which either side may speak.
    pub const STREAMS: [Self; 2] = [Self::WebSocket, Self::Grpc];
}

impl Peer {
    pub async fn listen(way: Way) -> Self {
        let (kind, options) = match way {
            Way::WebSocket => {
                let listener = listen().await;
                let options = options("ws", &listener);
                let socket = None;
                (Kind::WebSocket { listener, socket }, options)
            }
            Way::Http => {
                let peer = Box::new(http_peer().await);
                let options = peer.options.clone();
                (Kind::Http { peer, asked: None }, options)
            }
            Way::Grpc => {
                let (options, streams) = grpc::serve(None).await;
                let stream = None;
                (Kind::Grpc { streams, stream }, options)
            }
        };
        Self {
            kind,
            options,
            owed: None,
            sent: 0,
        }
    }

    pub fn options(&self) -> ConnectOptions {
        self.options.clone()
    }

    /// How many messages were sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// The agent's next message; waits for a connection where there is none.
    pub async fn next(&mut self) -> AgentToServer {
        if self.owed.is_some() {
            self.send(&ServerToAgent::default()).await;
        }
        let message = match &mut self.kind {
            Kind::WebSocket { listener, socket } => {
                if socket.is_none() {
                    *socket = Some(Box::new(within(accept_ws(listener)).await));
                }
                socket.as_mut().expect("a connection").message().await
            }
            Kind::Http { peer, asked } => {
                let request = peer.asked().await;
                asked.insert(Box::new(request)).message()
            }
            Kind::Grpc { streams, stream } => {
                if stream.is_none() {
                    let opened = within(streams.recv()).await.expect("a stream");
                    *stream = Some(Box::new(opened));
                }
                let messages = &mut stream.as_mut().expect("a stream").messages;
                let bytes = within(messages.message()).await.unwrap();
                AgentToServer::decode(bytes.expect("the stream goes on")).unwrap()
            }
        };
        self.owed = Some(message.instance_uid.clone());
        message
    }

    /// Sends a message; without an addressee it goes to the agent that spoke last. Over plain HTTP it answers the
    /// request that waits, and there must be one.
    pub async fn send(&mut self, message: &ServerToAgent) {
        let mut message = message.clone();
        if let (true, Some(uid)) = (message.instance_uid.is_empty(), &self.owed) {
            message.instance_uid.clone_from(uid);
        }
        self.send_bytes(message.encode_to_vec()).await;
    }

    /// Sends bytes in the place of a message.
    pub async fn send_bytes(&mut self, bytes: Vec<u8>) {
        self.owed = None;
        self.sent += 1;
        match &mut self.kind {
            Kind::WebSocket { socket, .. } => {
                socket.as_mut().expect("a connection").send(bytes).await;
            }
            Kind::Http { asked, .. } => (*asked.take().expect("a request waits")).reply(bytes),
            Kind::Grpc { stream, .. } => {
                let replies = &stream.as_ref().expect("a stream").replies;
                replies.send(Ok(bytes.into())).await.unwrap();
            }
        }
    }

    /// Answers the request that waits with a status.
    pub fn refuse(&mut self, status: u16, headers: &[(&str, &str)]) {
        self.owed = None;
        match &mut self.kind {
            Kind::Http { asked, .. } => {
                asked
                    .take()
                    .expect("a request waits")
                    .status(status, headers);
            }
            _ => panic!("only plain HTTP has statuses"),
        }
    }

    /// Breaks off: ends the connection, or answers the request that waits with 503.
    pub fn break_off(&mut self) {
        self.owed = None;
        match &mut self.kind {
            Kind::WebSocket { socket, .. } => *socket = None,
            Kind::Http { .. } => self.refuse(503, &[]),
            Kind::Grpc { stream, .. } => *stream = None,
        }
    }

    /// The WebSocket itself, for what only it has.
    pub fn socket(&mut self) -> &mut WsPeer {
        match &mut self.kind {
            Kind::WebSocket { socket, .. } => socket.as_mut().expect("a connection"),
            _ => panic!("no WebSocket"),
        }
    }
}

/// A message to this agent.
pub fn to(uid: InstanceUid) -> ServerToAgent {
    ServerToAgent {
        instance_uid: uid.as_bytes().to_vec(),
        ..ServerToAgent::default()
    }
}
