//! A peer that says what it is told, over any transport.

use fleetsim::Transport;
use opamp::model::InstanceUid;
use opamp::proto::{AgentDescription, AgentRemoteConfig, AgentToServer, ServerToAgent};
use opamp::transport::{ConnectOptions, Connection};
use prost::Message as _;
use testkit::{DEADLINE, TestServer};

/// One agent's connection, on which messages are written by hand.
pub struct Raw {
    connection: Connection,
    transport: Transport,
    uid: u8,
    capabilities: u64,
    sequence: u64,
}

/// A report with everything that the server would else ask for.
pub fn report(uid: u8, capabilities: u64) -> AgentToServer {
    AgentToServer {
        instance_uid: vec![uid; 16],
        sequence_num: 1,
        capabilities,
        agent_description: Some(AgentDescription::default()),
        ..AgentToServer::default()
    }
}

/// How our own client dials the server.
pub fn connect_options(server: &TestServer, transport: Transport) -> ConnectOptions {
    let address = server.agent_addr();
    let url = match transport {
        Transport::WebSocket => format!("ws://{address}/v1/opamp"),
        Transport::Http => format!("http://{address}/v1/opamp"),
        Transport::Grpc => format!("grpc://{address}"),
    };
    ConnectOptions::new(url.parse().expect("an endpoint"))
}

impl Raw {
    pub async fn connect(
        server: &TestServer,
        transport: Transport,
        uid: u8,
        capabilities: u64,
    ) -> Self {
        let options = connect_options(server, transport);
        let connection = Connection::connect(&options, InstanceUid::new([uid; 16]))
            .await
            .expect("a connection");
        Self {
            connection,
            transport,
            uid,
            capabilities,
            sequence: 0,
        }
    }

    /// The agent's next message, with nothing but what every message has.
    pub fn bare(&mut self) -> AgentToServer {
        self.sequence += 1;
        AgentToServer {
            sequence_num: self.sequence,
            agent_description: None,
            ..report(self.uid, self.capabilities)
        }
    }

    /// The agent's next message, which describes it.
    pub fn described(&mut self) -> AgentToServer {
        AgentToServer {
            agent_description: Some(AgentDescription::default()),
            ..self.bare()
        }
    }

    /// What the agent claims from its next message on.
    pub fn claim(&mut self, capabilities: u64) {
        self.capabilities = capabilities;
    }

    /// Sends a message and gives what comes next.
    pub async fn say(&mut self, message: AgentToServer) -> ServerToAgent {
        self.say_bytes(message.encode_to_vec()).await
    }

    /// Sends bytes in the place of a message and gives what comes next.
    pub async fn say_bytes(&mut self, bytes: Vec<u8>) -> ServerToAgent {
        self.connection.send(bytes).await.expect("sent");
        self.receive().await
    }

    /// A heartbeat or poll.
    pub async fn beat(&mut self) -> ServerToAgent {
        let message = self.bare();
        self.say(message).await
    }

    pub async fn receive(&mut self) -> ServerToAgent {
        let received = tokio::time::timeout(DEADLINE, self.connection.receive()).await;
        let bytes = received.expect("an answer in time").expect("an answer");
        ServerToAgent::decode(&bytes[..]).expect("a message")
    }

    /// Waits until a configuration is offered: pushed on a stream, in the answer to a poll over plain HTTP. Nothing else may be
    /// under way.
    pub async fn until_offered(&mut self) -> AgentRemoteConfig {
        let offered = async {
            loop {
                let message = match self.transport {
                    Transport::Http => self.beat().await,
                    Transport::WebSocket | Transport::Grpc => self.receive().await,
                };
                if let Some(offer) = message.remote_config {
                    return offer;
                }
            }
        };
        tokio::time::timeout(DEADLINE, offered)
            .await
            .expect("an offer in time")
    }
}

/// One exchange over plain HTTP whatever its status: that and the reply.
pub async fn exchange(server: &TestServer, message: &AgentToServer) -> (u16, ServerToAgent) {
    let answer = reqwest::Client::new()
        .post(format!("http://{}/v1/opamp", server.agent_addr()))
        .header("content-type", "application/x-protobuf")
        .body(message.encode_to_vec())
        .send()
        .await
        .expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.bytes().await.expect("a body");
    (status, ServerToAgent::decode(body).expect("a reply"))
}
