//! Configs as what changed, on every transport.

use std::borrow::Cow;

use engine::domain::ContentHash;
use opamp::{
    delta,
    model::{ConfigFile, ConfigMap, CustomCapabilities, CustomMessage},
    proto::{self, AgentToServer, RemoteConfigStatuses, ServerToAgent},
};

use crate::{
    grpc::Stream,
    peers::{Http, Peer, full_report, heartbeat, uid},
    plane::Plane,
};

/// An agent over one of the transports.
enum Link {
    WebSocket(Box<Peer>),
    Http(Http),
    Grpc(Box<Stream>),
}

struct Agent {
    link: Link,
    sequence: u64,
}

impl Agent {
    async fn over_each(plane: &Plane) -> [Self; 3] {
        let links = [
            Link::WebSocket(Box::new(Peer::connect(plane, uid(1)).await)),
            Link::Http(Http::connect(plane.address).await),
            Link::Grpc(Box::new(Stream::open(plane).await)),
        ];
        links.map(|link| Self { link, sequence: 0 })
    }

    const fn uid(&self) -> u8 {
        match self.link {
            Link::WebSocket(_) => 1,
            Link::Http(_) => 2,
            Link::Grpc(_) => 3,
        }
    }

    async fn say(&mut self, message: AgentToServer) -> ServerToAgent {
        self.sequence = message.sequence_num;
        match &mut self.link {
            Link::WebSocket(peer) => peer.say(message).await,
            Link::Http(http) => http.post_message(&message).await.message(),
            Link::Grpc(stream) => stream.say(message).await,
        }
    }

    /// What is pushed, or comes with the next poll.
    async fn next(&mut self) -> ServerToAgent {
        match &mut self.link {
            Link::WebSocket(peer) => peer.receive().await,
            Link::Grpc(stream) => stream.receive().await,
            Link::Http(_) => self.say(self.heartbeat()).await,
        }
    }

    fn heartbeat(&self) -> AgentToServer {
        heartbeat(uid(self.uid()), self.sequence + 1)
    }

    /// Reports in full, that it takes deltas among the rest.
    async fn report(&mut self) -> ServerToAgent {
        let capabilities = vec![CustomCapabilities::DELTA.to_owned()];
        let message = AgentToServer {
            custom_capabilities: Some(proto::CustomCapabilities { capabilities }),
            ..full_report(uid(self.uid()), 1)
        };
        self.say(message).await
    }

    async fn applied(&mut self, hash: &ContentHash) -> ServerToAgent {
        let status = proto::RemoteConfigStatus {
            last_remote_config_hash: hash.as_bytes().to_vec(),
            status: RemoteConfigStatuses::Applied as i32,
            ..proto::RemoteConfigStatus::default()
        };
        let message = AgentToServer {
            remote_config_status: Some(status),
            ..self.heartbeat()
        };
        self.say(message).await
    }

    async fn asks_for_whole(&mut self, hash: &ContentHash) -> ServerToAgent {
        let message = AgentToServer {
            custom_message: Some(proto::CustomMessage {
                capability: CustomCapabilities::DELTA.to_owned(),
                r#type: CustomMessage::WHOLE.to_owned(),
                data: hash.as_bytes().to_vec(),
            }),
            ..self.heartbeat()
        };
        self.say(message).await
    }
}

async fn plane() -> Plane {
    Plane::start_with(|setup| setup.engine.deltas = Some(gateway::encode_delta)).await
}

fn body(line: &str) -> Vec<u8> {
    let receivers = (0..100).map(|n| format!("  otlp/{n}: {{}}\n"));
    let receivers: String = receivers.collect();
    format!("receivers:\n{receivers}exporters: {{ debug: {{ verbosity: {line} }} }}\n").into_bytes()
}

/// The offered files, as they travel.
fn files(reply: &ServerToAgent) -> ConfigMap {
    let config = reply.remote_config.clone().unwrap().config.unwrap();
    let files = config.config_map.into_iter();
    files
        .map(|(name, file)| (name, ConfigFile::new(file.body, file.content_type)))
        .collect()
}

#[tokio::test]
async fn what_changed_travels_to_those_that_take_it_over_each_transport() {
    let plane = plane().await;
    let (old, new) = (body("basic"), body("normal"));
    for mut agent in Agent::over_each(&plane).await {
        let offered = agent.report().await;
        let first = plane.release(&old).await;
        let whole = match offered.remote_config {
            Some(_) => offered,
            None => agent.next().await,
        };
        assert!(!delta::is_delta(&files(&whole)));
        assert_eq!(whole.custom_capabilities, None, "others see plain OpAMP");
        agent.applied(&first).await;

        let second = plane.release(&new).await;
        let sent = agent.next().await;
        let offer = sent.remote_config.as_ref().unwrap();
        assert_eq!(offer.config_hash, second.as_bytes());
        let announced = sent.custom_capabilities.as_ref().unwrap();
        let announced = &announced.capabilities;
        assert!(announced.contains(&CustomCapabilities::DELTA.to_owned()));
        let travelled = files(&sent);
        assert!(travelled["config.yaml"].body.len() < old.len() / 4);
        let find = |sha256: &[u8; 32]| {
            assert_eq!(sha256, first.as_bytes());
            Some(Cow::Borrowed(&old[..]))
        };
        let got = delta::decode(&travelled, second.as_bytes(), 1 << 20, find).unwrap();
        assert_eq!(
            got["config.yaml"],
            ConfigFile::new(new.clone(), "text/yaml")
        );

        // One that cannot use it is sent the whole in the answer.
        let whole = agent.asks_for_whole(&second).await;
        assert_eq!(files(&whole)["config.yaml"].body, new);
        assert!(agent.applied(&second).await.remote_config.is_none());
        plane.release(&old).await;
        assert!(delta::is_delta(&files(&agent.next().await)));
        agent.applied(&first).await;
    }
}

#[tokio::test]
async fn an_agent_behind_the_same_uid_that_says_nothing_of_deltas_gets_none() {
    let plane = plane().await;
    let (old, new) = (body("basic"), body("normal"));
    let mut http = Http::connect(plane.address).await;
    let mut agent = Agent {
        link: Link::Http(Http::connect(plane.address).await),
        sequence: 0,
    };
    agent.report().await;
    let first = plane.release(&old).await;
    assert_eq!(files(&agent.next().await)["config.yaml"].body, old);
    agent.applied(&first).await;
    // Its successor has other numbers, and is asked for everything.
    http.post_message(&heartbeat(uid(2), 77)).await;
    let status = proto::RemoteConfigStatus {
        last_remote_config_hash: first.as_bytes().to_vec(),
        status: RemoteConfigStatuses::Applied as i32,
        ..proto::RemoteConfigStatus::default()
    };
    let report = AgentToServer {
        remote_config_status: Some(status),
        ..full_report(uid(2), 78)
    };
    http.post_message(&report).await;
    plane.release(&new).await;
    let sent = http.post_message(&heartbeat(uid(2), 79)).await.message();
    assert_eq!(files(&sent)["config.yaml"].body, new);
}
