//! An OpAMP server that does what a test tells it: WebSocket, one agent, no rules of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use opamp::dry_run;
use opamp::model::{ConfigFile, ConfigMap, DRY_RUN, DryRunAnswer, DryRunId, DryRunOutcome};
use opamp::proto::{self, AgentToServer, ServerToAgent};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::Message;

/// Accepts status and effective configurations, offers configurations.
const CAPABILITIES: u64 = 0x1 | 0x2 | 0x4;
const DEADLINE: Duration = Duration::from_secs(60);

/// The server; it ends when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    seen: watch::Receiver<Seen>,
    orders: broadcast::Sender<ServerToAgent>,
    task: AbortHandle,
}

/// What the agent has said, merged as the protocol says.
#[derive(Clone, Default)]
pub struct Seen {
    pub uid: Vec<u8>,
    pub capabilities: u64,
    pub connections: u32,
    pub goodbyes: u32,
    pub description: proto::AgentDescription,
    pub health: Option<proto::ComponentHealth>,
    pub effective: Option<proto::AgentConfigMap>,
    pub components: Vec<proto::AvailableComponents>,
    pub custom_capabilities: Vec<String>,
    /// Every answer to a dry run in the order it came.
    pub dry_runs: Vec<DryRunAnswer>,
    /// Every status in the order it came.
    pub statuses: Vec<proto::RemoteConfigStatus>,
    /// Every custom message: its type and data.
    pub custom: Vec<(String, Vec<u8>)>,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap()).await
    }

    pub async fn start_on(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address)
            .await
            .expect("the address is free");
        let address = listener.local_addr().unwrap();
        let (changes, seen) = watch::channel(Seen::default());
        let (orders, _) = broadcast::channel(16);
        let task = tokio::spawn(accept(listener, Arc::new(changes), orders.clone())).abort_handle();
        Self {
            address,
            seen,
            orders,
            task,
        }
    }

    pub fn endpoint(&self) -> String {
        format!("ws://{}/v1/opamp", self.address)
    }

    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until the agent has said what `is_so` looks for.
    pub async fn until(&self, what: &str, is_so: impl Fn(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.clone();
        let found = tokio::time::timeout(DEADLINE, seen.wait_for(|seen| is_so(seen))).await;
        match found {
            Ok(Ok(seen)) => seen.clone(),
            _ => panic!(
                "in vain waited for: {what}; statuses: {:?}, health: {:?}",
                self.seen().statuses,
                self.seen().health
            ),
        }
    }

    /// Waits for the verdict on `hash` after `from` statuses.
    pub async fn verdict(&self, hash: &str, from: usize) -> proto::RemoteConfigStatus {
        let is_verdict = |status: &&proto::RemoteConfigStatus| {
            status.last_remote_config_hash == hash.as_bytes() && status.status != APPLYING
        };
        let seen = self
            .until(&format!("a verdict on {hash}"), |seen| {
                seen.statuses[from..]
                    .iter()
                    .any(|status| is_verdict(&status))
            })
            .await;
        seen.statuses[from..]
            .iter()
            .find(is_verdict)
            .unwrap()
            .clone()
    }

    /// Offers `body` under `hash` and waits for the verdict.
    pub async fn offer(&self, hash: &str, body: &str) -> proto::RemoteConfigStatus {
        let from = self.seen().statuses.len();
        self.push(hash, body);
        self.verdict(hash, from).await
    }

    /// Offers `body` under `hash`.
    pub fn push(&self, hash: &str, body: &str) {
        let file = proto::AgentConfigFile {
            body: body.as_bytes().to_vec(),
            content_type: "text/yaml".to_owned(),
        };
        self.push_map(hash, [("config.yaml".to_owned(), file)].into());
    }

    /// Offers a whole map under `hash`.
    pub fn push_map(
        &self,
        hash: &str,
        config_map: std::collections::BTreeMap<String, proto::AgentConfigFile>,
    ) {
        let config = proto::AgentConfigMap {
            config_map: config_map.into_iter().collect(),
        };
        let offer = proto::AgentRemoteConfig {
            config: Some(config),
            config_hash: hash.as_bytes().to_vec(),
        };
        self.order(ServerToAgent {
            remote_config: Some(offer),
            ..ServerToAgent::default()
        });
    }

    pub fn command_restart(&self) {
        let command = proto::ServerToAgentCommand {
            r#type: proto::CommandType::Restart as i32,
        };
        self.order(ServerToAgent {
            command: Some(command),
            ..ServerToAgent::default()
        });
    }

    pub fn assign(&self, uid: [u8; 16]) {
        let identification = proto::AgentIdentification {
            new_instance_uid: uid.to_vec(),
        };
        self.order(ServerToAgent {
            agent_identification: Some(identification),
            ..ServerToAgent::default()
        });
    }

    pub fn ask_for_components(&self) {
        let flags = proto::ServerToAgentFlags::ReportAvailableComponents as u64;
        self.order(ServerToAgent {
            flags,
            ..ServerToAgent::default()
        });
    }

    /// Orders what is encoded already.
    pub fn order_bytes(&self, bytes: &[u8]) {
        self.order(ServerToAgent::decode(bytes).unwrap());
    }

    /// Asks for a dry run of `body`.
    pub fn ask(&self, id: u8, body: &str) {
        let config =
            ConfigMap::from([("config.yaml".to_owned(), ConfigFile::new(body, "text/yaml"))]);
        let question = dry_run::ask(DryRunId::new([id; 16]), &config, &[id; 32]);
        self.order(ServerToAgent {
            custom_capabilities: Some(proto::CustomCapabilities {
                capabilities: vec![DRY_RUN.to_owned()],
            }),
            custom_message: Some(proto::CustomMessage::from(&question)),
            ..ServerToAgent::default()
        });
    }

    /// Asks for a dry run of `body` and waits for the answer.
    pub async fn dry_run(&self, id: u8, body: &str) -> DryRunOutcome {
        self.ask(id, body);
        let is_it = |answer: &&DryRunAnswer| answer.id == DryRunId::new([id; 16]);
        let seen = self
            .until("the answer to a dry run", |seen| {
                seen.dry_runs.iter().any(|answer| is_it(&answer))
            })
            .await;
        let answer = seen.dry_runs.iter().find(is_it).unwrap();
        assert_eq!(answer.hash, [id; 32]);
        answer.outcome.clone()
    }

    fn order(&self, order: ServerToAgent) {
        self.orders.send(order).expect("an agent is connected");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub const APPLIED: i32 = proto::RemoteConfigStatuses::Applied as i32;
pub const APPLYING: i32 = proto::RemoteConfigStatuses::Applying as i32;
pub const FAILED: i32 = proto::RemoteConfigStatuses::Failed as i32;

async fn accept(
    listener: TcpListener,
    seen: Arc<watch::Sender<Seen>>,
    orders: broadcast::Sender<ServerToAgent>,
) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        seen.send_modify(|seen| {
            seen.connections += 1;
            // What an agent of an earlier connection said of its collector does not speak for this one.
            seen.health = None;
        });
        connections.spawn(serve(stream, seen.clone(), orders.subscribe()));
    }
}

async fn serve(
    stream: TcpStream,
    seen: Arc<watch::Sender<Seen>>,
    mut orders: broadcast::Receiver<ServerToAgent>,
) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
        return;
    };
    let mut is_first = true;
    loop {
        let reply = tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Binary(bytes))) => {
                    let report = AgentToServer::decode(&bytes[1..]).expect("a report behind a header of one byte");
                    let flags = if std::mem::take(&mut is_first) { proto::ServerToAgentFlags::ReportFullState as u64 } else { 0 };
                    seen.send_modify(|seen| seen.take(report));
                    ServerToAgent { flags, ..ServerToAgent::default() }
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
            order = orders.recv() => match order {
                Ok(order) => order,
                Err(_) => return,
            },
        };
        let reply = ServerToAgent {
            instance_uid: seen.borrow().uid.clone(),
            capabilities: CAPABILITIES,
            ..reply
        };
        let mut bytes = vec![0];
        reply.encode(&mut bytes).unwrap();
        if socket.send(Message::Binary(bytes.into())).await.is_err() {
            return;
        }
    }
}

impl Seen {
    fn take(&mut self, report: AgentToServer) {
        self.uid = report.instance_uid;
        self.capabilities = report.capabilities;
        self.goodbyes += u32::from(report.agent_disconnect.is_some());
        if let Some(description) = report.agent_description {
            self.description = description;
        }
        self.health = report.health.or(self.health.take());
        if let Some(effective) = report.effective_config {
            self.effective = effective.config_map;
        }
        self.components.extend(report.available_components);
        if let Some(custom) = report.custom_capabilities {
            self.custom_capabilities = custom.capabilities;
        }
        if let Some(message) = report.custom_message {
            self.custom
                .push((message.r#type.clone(), message.data.clone()));
            let answer = dry_run::read_answer(&message.into()).unwrap();
            self.dry_runs.extend(answer);
        }
        if let Some(status) = report.remote_config_status
            && self.statuses.last() != Some(&status)
        {
            self.statuses.push(status);
        }
    }

    pub fn is_healthy(&self) -> bool {
        self.health.as_ref().is_some_and(|health| health.healthy)
    }

    pub fn attribute(&self, key: &str) -> Option<String> {
        let all = self
            .description
            .identifying_attributes
            .iter()
            .chain(&self.description.non_identifying_attributes);
        let found = all.into_iter().find(|attribute| attribute.key == key)?;
        match found.value.as_ref()?.value.as_ref()? {
            proto::any_value::Value::StringValue(text) => Some(text.clone()),
            _ => None,
        }
    }

    pub fn effective_body(&self, name: &str) -> Option<String> {
        let file = self.effective.as_ref()?.config_map.get(name)?;
        Some(String::from_utf8(file.body.clone()).unwrap())
    }

    /// The process number that the health speaks of.
    pub fn pid(&self) -> Option<i64> {
        let attribute = self
            .health
            .as_ref()?
            .attributes
            .iter()
            .find(|attribute| attribute.key == "process.pid")?;
        match attribute.value.as_ref()?.value.as_ref()? {
            proto::any_value::Value::IntValue(pid) => Some(*pid),
            _ => None,
        }
    }
}
