//! The other way round: our client library with a server on the reference Go server library, over WebSocket and plain
//! HTTP, through the whole surface of messages. What the server saw is asserted as its library read it, what our client
//! made of it by its events.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use opamp::client::{BackoffOptions, ClientSession, Event, ServerError, SessionOptions};
use opamp::model::{
    AgentCapabilities, AgentDescription, ApplyState, Attribute, AvailableComponents,
    ComponentDetails, ConfigFile, ConfigMap, ConnectionSettingsStatus, CustomCapabilities,
    CustomMessage, Health, InstanceUid, PackageState, PackageStatus, PackageStatuses,
    RemoteConfigStatus, ServerCapabilities,
};
use opamp::proto::{self, ServerToAgent, server_error_response::Details};
use opamp::runner::{Client, ClientEvent, Events, client};
use opamp::server::ErrorKind;
use opamp::transport::{ConnectError, ConnectOptions, TransportError};
use prost::Message as _;
use serde_json::{Value, json};

use crate::harness::peer;
use crate::told::Told;

const UID: InstanceUid = InstanceUid::new([0x42; 16]);
const NEW_UID: InstanceUid = InstanceUid::new([0x43; 16]);
const CAPABILITY: &str = "io.opentelemetry.test/1";
const BODY: &str = "receivers: {}\n";

/// The server's program, and our client.
struct Pair {
    server: Told,
    client: Client,
    events: Events,
    polls: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn tr_01_our_client_with_the_reference_server_over_websocket() {
    whole_surface("ws").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ht_01_ht_02_ht_06_our_client_with_the_reference_server_over_plain_http() {
    whole_surface("http").await;
}

async fn whole_surface(scheme: &str) {
    let Some(mut pair) = Pair::start(scheme).await else {
        return;
    };
    pair.first_report().await;
    pair.remote_config().await;
    pair.connection_settings().await;
    pair.packages().await;
    pair.command().await;
    pair.custom_messages().await;
    pair.asked_for_everything().await;
    pair.certificate_request().await;
    pair.new_uid().await;
    pair.refused().await;
    pair.sent_away().await;
    // What a connection loses that is cut in the next step has numbers, too.
    pair.numbers_without_gap();
    pair.turned_away().await;
    let told = pair.server.told();
    pair.client.stop();
    pair.server
        .until_after(told, "the goodbye", |event| {
            part(event, "agent_disconnect").is_some()
        })
        .await;
}

/// A part of the message in an event.
fn part<'e>(event: &'e Value, name: &str) -> Option<&'e Value> {
    event["message"].get(name)
}

/// Bytes as JSON has them.
fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

fn description(region: &str) -> AgentDescription {
    AgentDescription {
        identifying: vec![Attribute::new("service.name", "rust-client")],
        non_identifying: vec![Attribute::new("region", region)],
    }
}

fn components() -> AvailableComponents {
    let receivers = ComponentDetails {
        sub_components: BTreeMap::from([("otlp".to_owned(), ComponentDetails::default())]),
        ..ComponentDetails::default()
    };
    AvailableComponents {
        hash: b"components".to_vec(),
        components: Some(BTreeMap::from([("receivers".to_owned(), receivers)])),
    }
}

fn config(body: &str) -> ConfigMap {
    ConfigMap::from([("config.yaml".into(), ConfigFile::new(body, "text/yaml"))])
}

/// Everything that an agent can say about itself, said before it connects.
fn session() -> ClientSession {
    let mut options = SessionOptions::new(UID, AgentCapabilities::ALL);
    options.heartbeat_interval = Duration::from_millis(100);
    let mut session = ClientSession::new(options);
    session.set_description(&description("us-west"));
    session.set_health(&Health {
        healthy: true,
        status: "fine".to_owned(),
        start_time_unix_nano: 7,
        components: BTreeMap::from([("pipeline".to_owned(), Health::default())]),
        ..Health::default()
    });
    session.set_effective_config(&config("first"));
    session.set_available_components(&components());
    session
        .set_custom_capabilities(&CustomCapabilities(vec![CAPABILITY.to_owned()]))
        .expect("a name");
    session
}

impl Pair {
    /// Starts both; none where the server is not built.
    async fn start(scheme: &str) -> Option<Self> {
        let polls = scheme == "http";
        let program = peer("go-server")?.join("go-server");
        let server = Told::start(Command::new(program).arg(format!("-polled={polls}")));
        let listening = server
            .until("its address", |event| event["event"] == "listening")
            .await;
        let address = listening["address"].as_str().expect("an address");
        let endpoint = format!("{scheme}://{address}/v1/opamp");
        let mut connect = ConnectOptions::new(endpoint.parse().expect("an endpoint"));
        let backoff = BackoffOptions {
            first: Duration::from_millis(50),
            max: Duration::from_millis(200),
            ..BackoffOptions::default()
        };
        let bearer = HeaderValue::from_static("Bearer secret");
        connect.headers.insert("authorization", bearer);
        let (client, events, runner) = client(session(), connect, backoff);
        tokio::spawn(runner.run());
        Some(Self {
            server,
            client,
            events,
            polls,
        })
    }

    /// Has the server send this.
    fn send(&mut self, message: ServerToAgent) {
        let message = trust::hex(&message.encode_to_vec());
        self.server
            .order(&json!({"do": "send", "message": message}));
    }

    /// The client's next event of a kind; those before it are passed over.
    async fn event<T>(&mut self, what: &str, is_it: impl Fn(ClientEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.next().await.expect("the client runs");
                if let Some(found) = is_it(event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(testkit::DEADLINE, found)
            .await
            .unwrap_or_else(|_| panic!("no {what} in time"))
    }

    async fn server_event<T>(&mut self, what: &str, is_it: impl Fn(Event) -> Option<T>) -> T {
        self.event(what, |event| match event {
            ClientEvent::Server(event) => is_it(event),
            _ => None,
        })
        .await
    }

    /// Has the client do something, and waits until the server has seen a message with this part.
    async fn after(&mut self, name: &str, act: impl FnOnce(&mut ClientSession)) -> Value {
        let told = self.server.told();
        self.client.session(act);
        let event = self
            .server
            .until_after(told, name, |event| part(event, name).is_some())
            .await;
        event["message"].clone()
    }

    async fn first_report(&mut self) {
        let opened = self
            .server
            .until("the connection", |event| event["event"] == "connecting")
            .await;
        assert_eq!(opened["authorization"], "Bearer secret", "AU-01");
        if self.polls {
            assert_eq!(opened["method"], "POST", "HT-01");
            assert_eq!(opened["content_type"], "application/x-protobuf", "HT-02");
            assert_eq!(opened["uid"], UID.to_string(), "HT-06");
        } else {
            assert_eq!(opened["method"], "GET");
        }
        let first = self
            .server
            .until("the first report", |event| event["event"] == "message")
            .await;
        let first = &first["message"];
        assert_eq!(first["instance_uid"], base64(UID.as_bytes()));
        let all = AgentCapabilities::ALL.bits().to_string();
        assert_eq!(first["capabilities"], all, "CP-01");
        let described = &first["agent_description"];
        assert_eq!(
            described["identifying_attributes"],
            json!([{"key": "service.name", "value": {"string_value": "rust-client"}}])
        );
        assert_eq!(first["health"]["status"], "fine");
        assert_eq!(first["health"]["start_time_unix_nano"], "7");
        assert!(first["health"]["component_health_map"]["pipeline"].is_object());
        let hash_alone = json!({"hash": base64("components")});
        assert_eq!(first["available_components"], hash_alone, "CO-01");
        assert_eq!(
            first["custom_capabilities"]["capabilities"],
            json!([CAPABILITY])
        );
        let known = self
            .server_event("capabilities of the server", |event| match event {
                Event::ServerCapabilities(known) => Some(known),
                _ => None,
            })
            .await;
        assert_eq!(known, ServerCapabilities::ALL);
        let effective = self
            .server
            .until("the effective config", |event| {
                part(event, "effective_config").is_some()
            })
            .await;
        let files = &effective["message"]["effective_config"]["config_map"]["config_map"];
        assert_eq!(
            files["config.yaml"]["body"],
            base64("first"),
            "CP-06, CP-09"
        );
    }

    async fn remote_config(&mut self) {
        let offer = ServerToAgent {
            remote_config: Some(proto::AgentRemoteConfig {
                config: Some((&config(BODY)).into()),
                config_hash: b"hash".to_vec(),
            }),
            ..ServerToAgent::default()
        };
        self.send(offer.clone());
        let offered = self
            .server_event("config", |event| match event {
                Event::RemoteConfig(offer) => Some(offer),
                _ => None,
            })
            .await;
        assert_eq!(offered.config, Some(config(BODY)));
        assert_eq!(offered.hash, b"hash");
        for (state, error, name) in [
            (ApplyState::Applying, "", "RemoteConfigStatuses_APPLYING"),
            (ApplyState::Failed, "no", "RemoteConfigStatuses_FAILED"),
            (ApplyState::Applied, "", "RemoteConfigStatuses_APPLIED"),
        ] {
            let status = RemoteConfigStatus {
                last_hash: b"hash".to_vec(),
                state,
                error: error.to_owned(),
            };
            let message = self
                .after("remote_config_status", |session| {
                    session.set_remote_config_status(&status);
                })
                .await;
            let seen = &message["remote_config_status"];
            assert_eq!(seen["status"], name);
            assert_eq!(seen["last_remote_config_hash"], base64("hash"));
            assert_eq!(seen["error_message"].as_str().unwrap_or_default(), error);
        }
        let message = self
            .after("effective_config", |session| {
                session.set_effective_config(&config(BODY));
            })
            .await;
        let files = &message["effective_config"]["config_map"]["config_map"];
        assert_eq!(files["config.yaml"]["body"], base64(BODY));
        assert_eq!(files["config.yaml"]["content_type"], "text/yaml");
    }

    async fn connection_settings(&mut self) {
        let headers = proto::Headers {
            headers: vec![proto::Header {
                key: "authorization".to_owned(),
                value: "Bearer new".to_owned(),
            }],
        };
        self.send(ServerToAgent {
            connection_settings: Some(proto::ConnectionSettingsOffers {
                hash: b"settings".to_vec(),
                opamp: Some(proto::OpAmpConnectionSettings {
                    destination_endpoint: "wss://elsewhere/v1/opamp".to_owned(),
                    headers: Some(headers.clone()),
                    heartbeat_interval_seconds: 1,
                    ..proto::OpAmpConnectionSettings::default()
                }),
                own_metrics: Some(proto::TelemetryConnectionSettings {
                    destination_endpoint: "https://metrics".to_owned(),
                    ..proto::TelemetryConnectionSettings::default()
                }),
                ..proto::ConnectionSettingsOffers::default()
            }),
            ..ServerToAgent::default()
        });
        let offers = self
            .server_event("settings", |event| match event {
                Event::ConnectionSettings(offers) => Some(offers),
                _ => None,
            })
            .await;
        assert_eq!(offers.hash, b"settings");
        let opamp = offers.opamp.expect("settings for OpAMP");
        assert_eq!(opamp.destination_endpoint, "wss://elsewhere/v1/opamp");
        assert_eq!(opamp.headers, Some(headers));
        let metrics = offers.own_metrics.expect("settings for metrics");
        assert_eq!(metrics.destination_endpoint, "https://metrics");
        let interval = self.client.session(|session| session.heartbeat_interval());
        assert_eq!(interval, Duration::from_secs(1), "HB-02, HT-08");
        // The rest of the case shall not wait for polls.
        self.client
            .session(|session| session.set_heartbeat_interval(Duration::from_millis(100)));
        let status = ConnectionSettingsStatus {
            last_hash: b"settings".to_vec(),
            state: ApplyState::Failed,
            error: "not there".to_owned(),
        };
        let message = self
            .after("connection_settings_status", |session| {
                session.set_connection_settings_status(&status);
            })
            .await;
        let seen = &message["connection_settings_status"];
        assert_eq!(seen["last_connection_settings_hash"], base64("settings"));
        assert_eq!(seen["status"], "ConnectionSettingsStatuses_FAILED");
        assert_eq!(seen["error_message"], "not there");
    }

    async fn packages(&mut self) {
        let rules = proto::PackageAvailable {
            version: "1.2.3".to_owned(),
            hash: b"package".to_vec(),
            file: Some(proto::DownloadableFile {
                download_url: "https://files/rules".to_owned(),
                content_hash: b"content".to_vec(),
                ..proto::DownloadableFile::default()
            }),
            ..proto::PackageAvailable::default()
        };
        let offered = proto::PackagesAvailable {
            packages: [("rules".to_owned(), rules)].into(),
            all_packages_hash: b"all".to_vec(),
        };
        self.send(ServerToAgent {
            packages_available: Some(offered.clone()),
            ..ServerToAgent::default()
        });
        let packages = self
            .server_event("packages", |event| match event {
                Event::Packages(packages) => Some(packages),
                _ => None,
            })
            .await;
        assert_eq!(packages, offered);
        let status = PackageStatus {
            agent_has_version: "1.2.3".to_owned(),
            agent_has_hash: b"package".to_vec(),
            server_offered_version: "1.2.3".to_owned(),
            server_offered_hash: b"package".to_vec(),
            state: PackageState::Installed,
            ..PackageStatus::default()
        };
        let statuses = PackageStatuses {
            packages: BTreeMap::from([("rules".to_owned(), status)]),
            server_provided_all_packages_hash: b"all".to_vec(),
            error: String::new(),
        };
        let message = self
            .after("package_statuses", |session| {
                session.set_package_statuses(&statuses);
            })
            .await;
        let seen = &message["package_statuses"];
        assert_eq!(seen["server_provided_all_packages_hash"], base64("all"));
        let seen = &seen["packages"]["rules"];
        assert_eq!(seen["name"], "rules", "PK-14");
        assert_eq!(seen["agent_has_version"], "1.2.3");
        assert_eq!(seen["server_offered_hash"], base64("package"));
    }

    async fn command(&mut self) {
        self.send(ServerToAgent {
            command: Some(proto::ServerToAgentCommand {
                r#type: proto::CommandType::Restart.into(),
            }),
            ..ServerToAgent::default()
        });
        self.server_event("command", |event| {
            matches!(event, Event::Restart).then_some(())
        })
        .await;
    }

    async fn custom_messages(&mut self) {
        let question = CustomMessage {
            capability: CAPABILITY.to_owned(),
            kind: "ask".to_owned(),
            data: b"up".to_vec(),
        };
        let message = self
            .after("custom_message", |session| {
                session.send_custom_message(question).expect("room");
            })
            .await;
        assert_eq!(
            message["custom_message"],
            json!({"capability": CAPABILITY, "type": "ask", "data": base64("up")})
        );
        self.send(ServerToAgent {
            custom_message: Some(proto::CustomMessage {
                capability: CAPABILITY.to_owned(),
                r#type: "answer".to_owned(),
                data: b"down".to_vec(),
            }),
            ..ServerToAgent::default()
        });
        let answer = self
            .server_event("custom message", |event| match event {
                Event::CustomMessage(message) => Some(message),
                _ => None,
            })
            .await;
        assert_eq!(
            (answer.kind.as_str(), &answer.data[..]),
            ("answer", &b"down"[..])
        );
    }

    async fn asked_for_everything(&mut self) {
        let told = self.server.told();
        self.send(ServerToAgent {
            flags: proto::ServerToAgentFlags::ReportFullState as u64
                | proto::ServerToAgentFlags::ReportAvailableComponents as u64,
            ..ServerToAgent::default()
        });
        let report = self
            .server
            .until_after(told, "everything", |event| {
                part(event, "agent_description").is_some()
            })
            .await;
        for name in [
            "health",
            "effective_config",
            "remote_config_status",
            "package_statuses",
            "custom_capabilities",
            "connection_settings_status",
        ] {
            assert!(part(&report, name).is_some(), "SQ-04: {name}");
        }
        let components = part(&report, "available_components").expect("components");
        let receivers = &components["components"]["receivers"];
        assert!(receivers["sub_component_map"]["otlp"].is_object(), "CO-03");
    }

    async fn certificate_request(&mut self) {
        let message = self
            .after("connection_settings_request", |session| {
                session.request_certificate(b"a request".to_vec());
            })
            .await;
        let request = &message["connection_settings_request"]["opamp"]["certificate_request"];
        assert_eq!(request["csr"], base64("a request"));
    }

    async fn new_uid(&mut self) {
        let told = self.server.told();
        self.send(ServerToAgent {
            agent_identification: Some(proto::AgentIdentification {
                new_instance_uid: NEW_UID.as_bytes().to_vec(),
            }),
            ..ServerToAgent::default()
        });
        let change = self
            .server_event("new uid", |event| match event {
                Event::UidChanged { old, new } => Some((old, new)),
                _ => None,
            })
            .await;
        assert_eq!(change, (UID, NEW_UID));
        let message = self
            .server
            .until_after(told, "a message under the new uid", |event| {
                part(event, "instance_uid") == Some(&json!(base64(NEW_UID.as_bytes())))
            })
            .await;
        assert!(
            part(&message, "agent_description").is_some(),
            "ID-05: in full"
        );
    }

    async fn refused(&mut self) {
        self.send(refusal(proto::ServerErrorResponseType::BadRequest, None));
        let error = self.server_event("refusal", error).await;
        assert_eq!(error.kind, ErrorKind::BadRequest);
        assert_eq!(error.message, "not so");
        // The conversation goes on, and the refused message is not sent again.
        let message = self
            .after("agent_description", |session| {
                session.set_description(&description("us-east"));
            })
            .await;
        assert!(message.get("custom_message").is_none(), "RT-05");
    }

    /// Unavailable: the client leaves, and is back after the time that it was told.
    async fn sent_away(&mut self) {
        let away = Duration::from_millis(300);
        let told = self.server.told();
        let kind = proto::ServerErrorResponseType::Unavailable;
        self.send(refusal(kind, Some(away)));
        let error = self.server_event("refusal", error).await;
        assert_eq!(error.kind, ErrorKind::Unavailable);
        let retry_in = self
            .event("departure", |event| match event {
                ClientEvent::Disconnected { error, retry_in } => {
                    assert!(error.is_none(), "{error:?}");
                    Some(retry_in)
                }
                _ => None,
            })
            .await;
        assert!(away <= retry_in, "RT-07: {retry_in:?}");
        // Between two polls nothing is connected that could be left.
        if !self.polls {
            self.server
                .until_after(told, "a goodbye", |event| {
                    part(event, "agent_disconnect").is_some()
                })
                .await;
        }
        self.event("return", is_connected).await;
    }

    /// 503 before the connection stands: the client waits as long as Retry-After says.
    async fn turned_away(&mut self) {
        let mut told = self.server.told();
        if !self.polls {
            // The library accepts a connection before it tells the program, which would then end the one before.
            let message = |event: &Value| event["event"] == "message";
            self.server
                .until_after(told, "a message of this connection", message)
                .await;
            told = self.server.told();
        }
        self.server
            .order(&json!({"do": "refuse", "status": 503, "headers": {"Retry-After": "1"}}));
        if !self.polls {
            self.server.order(&json!({"do": "disconnect"}));
        }
        let retry_in = self
            .event("refusal of the connection", |event| match event {
                ClientEvent::ConnectFailed {
                    error: ConnectError::Refused { status: 503, .. },
                    retry_in,
                }
                | ClientEvent::Disconnected {
                    error: Some(TransportError::Refused { status: 503, .. }),
                    retry_in,
                } => Some(retry_in),
                _ => None,
            })
            .await;
        assert!(Duration::from_secs(1) <= retry_in, "RT-09: {retry_in:?}");
        self.server
            .until_after(told, "the attempt", |event| event["event"] == "refused")
            .await;
        self.server.order(&json!({"do": "accept"}));
        self.event("return", is_connected).await;
    }

    /// Each message that was sent has the next number (SQ-01), and all that was sent could be read.
    fn numbers_without_gap(&self) {
        let seen = self.server.seen();
        let numbers = seen.iter().filter(|event| event["event"] == "message");
        let numbers: Vec<u64> = numbers
            .map(|event| match part(event, "sequence_num") {
                Some(number) => number.as_str().expect("text").parse().expect("a number"),
                None => 0,
            })
            .collect();
        let expected: Vec<u64> = (0..).take(numbers.len()).collect();
        assert_eq!(numbers, expected);
        assert!(!seen.iter().any(|event| event["event"] == "read_error"));
    }
}

fn is_connected(event: ClientEvent) -> Option<()> {
    matches!(event, ClientEvent::Connected).then_some(())
}

fn error(event: Event) -> Option<ServerError> {
    match event {
        Event::Error(error) => Some(error),
        _ => None,
    }
}

fn refusal(kind: proto::ServerErrorResponseType, after: Option<Duration>) -> ServerToAgent {
    let retry_info = after.map(|after| proto::RetryInfo {
        retry_after_nanoseconds: u64::try_from(after.as_nanos()).expect("a short time"),
    });
    ServerToAgent {
        error_response: Some(proto::ServerErrorResponse {
            r#type: kind.into(),
            error_message: "not so".to_owned(),
            details: retry_info.map(Details::RetryInfo),
        }),
        ..ServerToAgent::default()
    }
}
