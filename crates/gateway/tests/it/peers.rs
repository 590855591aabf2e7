//! Peers that are not ours: tungstenite over TCP, HTTP written by hand, and the messages that agents send.

use std::{io, net::SocketAddr};

use futures_util::{SinkExt, StreamExt};
use opamp::{
    model::{AgentCapabilities, InstanceUid},
    proto::{self, AgentToServer, ServerErrorResponseType, ServerToAgent, any_value},
};
use prost::Message as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        protocol::{CloseFrame, WebSocketConfig},
    },
};

use crate::plane::{Plane, within};

/// A uid that is told apart by one byte.
pub fn uid(byte: u8) -> InstanceUid {
    InstanceUid::new([byte; 16])
}

/// What agents of the tests can do.
pub fn capabilities() -> u64 {
    AgentCapabilities::REPORTS_STATUS
        .union(AgentCapabilities::ACCEPTS_REMOTE_CONFIG)
        .union(AgentCapabilities::REPORTS_REMOTE_CONFIG)
        .union(AgentCapabilities::ACCEPTS_RESTART_COMMAND)
        .bits()
}

/// A message with nothing but what every message has.
pub fn heartbeat(uid: InstanceUid, sequence_num: u64) -> AgentToServer {
    AgentToServer {
        instance_uid: uid.as_bytes().to_vec(),
        sequence_num,
        capabilities: capabilities(),
        ..AgentToServer::default()
    }
}

/// A message with everything that an agent of the tests reports.
pub fn full_report(uid: InstanceUid, sequence_num: u64) -> AgentToServer {
    let name = proto::KeyValue {
        key: "service.name".to_owned(),
        value: Some(proto::AnyValue {
            value: Some(any_value::Value::StringValue("edge".to_owned())),
        }),
    };
    AgentToServer {
        agent_description: Some(proto::AgentDescription {
            identifying_attributes: vec![name],
            non_identifying_attributes: Vec::new(),
        }),
        remote_config_status: Some(proto::RemoteConfigStatus::default()),
        ..heartbeat(uid, sequence_num)
    }
}

/// The error of a reply: its type and text.
pub fn error_of(reply: &ServerToAgent) -> (ServerErrorResponseType, String) {
    let error = reply
        .error_response
        .as_ref()
        .expect("the reply is an error");
    (error.r#type(), error.error_message.clone())
}

/// One agent over one WebSocket.
pub struct Peer<S = TcpStream> {
    pub socket: WebSocketStream<S>,
    pub uid: InstanceUid,
    pub sequence: u64,
}

impl Peer {
    pub async fn connect(plane: &Plane, uid: InstanceUid) -> Self {
        Self::try_connect(plane.address, uid, None).await.unwrap()
    }

    /// Connects and reports in full; gives the answer, too.
    pub async fn report(plane: &Plane, uid: InstanceUid) -> (Self, ServerToAgent) {
        let mut peer = Self::connect(plane, uid).await;
        let reply = peer.say(full_report(uid, 1)).await;
        (peer, reply)
    }

    pub async fn try_connect(
        address: SocketAddr,
        uid: InstanceUid,
        bearer: Option<&str>,
    ) -> Result<Self, tungstenite::Error> {
        let tcp = TcpStream::connect(address).await.unwrap();
        Self::over(tcp, uid, bearer).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Opens a WebSocket over a stream.
    pub async fn over(
        stream: S,
        uid: InstanceUid,
        bearer: Option<&str>,
    ) -> Result<Self, tungstenite::Error> {
        let mut request = "ws://localhost/v1/opamp".into_client_request()?;
        if let Some(bearer) = bearer {
            request
                .headers_mut()
                .insert("authorization", format!("Bearer {bearer}").parse().unwrap());
        }
        let config = WebSocketConfig::default()
            .max_frame_size(None)
            .max_message_size(None);
        let opened = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
        let (socket, _) = within(opened).await?;
        Ok(Self {
            socket,
            uid,
            sequence: 0,
        })
    }

    /// Sends a message and waits for the next one from the server.
    pub async fn say(&mut self, message: AgentToServer) -> ServerToAgent {
        self.send(message).await;
        self.receive().await
    }

    pub async fn send(&mut self, message: AgentToServer) {
        self.sequence = message.sequence_num;
        let mut bytes = vec![0];
        message.encode(&mut bytes).unwrap();
        self.send_frame(Message::binary(bytes)).await;
    }

    pub async fn send_frame(&mut self, message: Message) {
        within(self.socket.send(message)).await.unwrap();
    }

    /// Sends the next message of the agent, with nothing in it.
    pub async fn beat(&mut self) -> ServerToAgent {
        self.say(heartbeat(self.uid, self.sequence + 1)).await
    }

    /// The next message; pings are answered and passed over.
    pub async fn receive(&mut self) -> ServerToAgent {
        loop {
            match self.frame().await {
                Message::Binary(bytes) => {
                    assert_eq!(bytes[0], 0, "every message begins with the header");
                    return ServerToAgent::decode(&bytes[1..]).unwrap();
                }
                Message::Ping(_) => {}
                other => panic!("instead of a message: {other:?}"),
            }
        }
    }

    /// Reads all the time: a pause of the test is no reason to cut it. Ends only with the connection, or where it is aborted.
    pub fn reads_all(mut self) -> tokio::task::JoinHandle<()>
    where
        S: Send + 'static,
    {
        tokio::spawn(async move { while let Some(Ok(_)) = self.socket.next().await {} })
    }

    /// The next frame, whatever it is.
    pub async fn frame(&mut self) -> Message {
        within(self.socket.next())
            .await
            .expect("the connection stands")
            .expect("the frame is valid")
    }

    /// Waits for the server's Close frame, answers it and sees the end.
    pub async fn closed(&mut self) -> CloseFrame {
        loop {
            if let Message::Close(frame) = self.frame().await {
                while within(self.socket.next())
                    .await
                    .is_some_and(|frame| frame.is_ok())
                {}
                return frame.expect("the server says why");
            }
        }
    }
}

/// A handshake that is refused: its response.
pub async fn refused_handshake(
    address: SocketAddr,
    bearer: Option<&str>,
) -> http::Response<Option<Vec<u8>>> {
    match Peer::try_connect(address, uid(1), bearer).await {
        Err(tungstenite::Error::Http(response)) => *response,
        Err(error) => panic!("instead of a refusal: {error}"),
        Ok(_) => panic!("the handshake was accepted"),
    }
}

/// An HTTP/1.1 answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines
            .into_iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    pub fn message(&self) -> ServerToAgent {
        assert_eq!(self.header("content-type"), Some("application/x-protobuf"));
        ServerToAgent::decode(&self.body[..]).unwrap()
    }
}

/// A connection over which HTTP/1.1 is written by hand.
pub struct Http<S = TcpStream>(pub S);

impl Http {
    pub async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http<S> {
    pub async fn send(&mut self, bytes: &[u8]) {
        within(self.0.write_all(bytes)).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Sends a POST of a message with further headers.
    pub async fn post(&mut self, headers: &[&str], body: &[u8]) -> Answer {
        let headers: String = headers
            .iter()
            .map(|header| format!("{header}\r\n"))
            .collect();
        let length = body.len();
        let head = format!(
            "POST /v1/opamp HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        self.send(head.as_bytes()).await;
        // A server that refuses may close before it has read all; its answer counts.
        within(self.0.write_all(body)).await.ok();
        self.answer().await
    }

    pub async fn post_message(&mut self, message: &AgentToServer) -> Answer {
        self.post(
            &["Content-Type: application/x-protobuf"],
            &message.encode_to_vec(),
        )
        .await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
            .await;
        self.answer().await
    }

    pub async fn answer(&mut self) -> Answer {
        self.try_answer().await.expect("an answer comes")
    }

    pub async fn try_answer(&mut self) -> io::Result<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(self.0.read_u8()).await?);
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
        };
        let length = answer
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        answer.body.resize(length, 0);
        within(self.0.read_exact(&mut answer.body)).await?;
        Ok(answer)
    }

    /// Whether the server ends the connection without a further byte.
    pub async fn is_ended(&mut self) -> bool {
        within(self.0.read_u8()).await.is_err()
    }
}
