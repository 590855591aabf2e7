//! Cases (c): an agent on the reference Go client, the newest release and an old one, over WebSocket and plain HTTP, through the whole surface of messages in
//! both directions. What the client saw is asserted as it told it, what the server made of it through the API.

use std::path::PathBuf;
use std::process::Command;

use api_types::agents::ConfigState;
use serde_json::{Value, json};
use testkit::{Api, TestServer, wait_until, wait_until_some};

use crate::harness::peer;
use crate::managed::{answered, until_agent};
use crate::told::Told;

const UID: &str = "01a21161-b1a1-7971-9436-2fee2f803fa7";
const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const UID_OF_ULID: &str = "01563e3a-b5d3-d676-4c61-efb99302bd5b";
const BODY: &str = "receivers: {}\nexporters: {}\n";
const BROKEN: &str = "receivers: {}\n# broken\n";

/// A release of the reference client, and the identity with which it starts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Release {
    /// The newest. Its uid is 16 bytes.
    Newest,
    /// v0.14.0. Its uid is the text of a ULID, and it takes nothing else.
    V0_14,
}

impl Release {
    fn program(self) -> Option<PathBuf> {
        match self {
            Self::Newest => Some(peer("go-client")?.join("go-client")),
            Self::V0_14 => Some(peer("go-client-v0.14")?.join("go-client-v014")),
        }
    }

    /// As the client is told it.
    fn own_uid(self) -> &'static str {
        match self {
            Self::Newest => UID,
            Self::V0_14 => ULID,
        }
    }

    /// As the server shows it.
    fn shown_uid(self) -> &'static str {
        match self {
            Self::Newest => UID,
            Self::V0_14 => UID_OF_ULID,
        }
    }

    /// Starts it; none where it is not built.
    fn start(self, endpoint: &str) -> Option<Told> {
        let mut command = Command::new(self.program()?);
        command.args(["-endpoint", endpoint, "-uid", self.own_uid()]);
        Some(Told::start(&mut command))
    }
}

fn endpoint(server: &TestServer, scheme: &str) -> String {
    format!("{scheme}://{}/v1/opamp", server.agent_addr())
}

async fn post(api: &Api, path: &str) {
    let answer = api.post(path, &json!({})).await;
    assert!(answer.status.is_success(), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn c_the_reference_client_over_websocket() {
    whole_surface(Release::Newest, "ws").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_the_reference_client_over_plain_http() {
    whole_surface(Release::Newest, "http").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn id_01_st_11_c_the_old_reference_client_over_websocket() {
    whole_surface(Release::V0_14, "ws").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn id_01_st_11_c_the_old_reference_client_over_plain_http() {
    whole_surface(Release::V0_14, "http").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn id_06_c_two_old_reference_clients_on_one_ulid_are_two_agents() {
    let server = TestServer::start().await;
    let api = server.api();
    let endpoint = endpoint(&server, "ws");
    let Some(_first) = Release::V0_14.start(&endpoint) else {
        return;
    };
    until_agent(&api, "the first", |agent| agent.description.is_some()).await;
    let mut second = Release::V0_14.start(&endpoint).expect("it is built");
    let told = second
        .until("a new uid", |event| event["new_uid"].is_string())
        .await;
    let ulid = told["new_uid"].as_str().expect("text");
    assert_eq!(ulid.len(), ULID.len(), "{ulid}");
    assert_ne!(ulid, ULID);
    second.order(&json!({"do": "health", "healthy": false, "error": "the second"}));
    let sick = wait_until_some("the second, sick under its new uid", async || {
        let agents = api.agents("").await;
        let sick = agents.iter().find(|agent| agent.healthy == Some(false))?;
        (agents.len() == 2 && agents.iter().all(|agent| agent.connected)).then(|| sick.clone())
    })
    .await;
    assert_ne!(sick.instance_uid, UID_OF_ULID);
}

async fn whole_surface(release: Release, scheme: &str) {
    let server = TestServer::start().await;
    let api = server.api();
    let Some(mut client) = release.start(&endpoint(&server, scheme)) else {
        return;
    };
    client
        .until("a connection", |event| event["event"] == "connected")
        .await;
    first_report(&api, release).await;
    configs(&api, &client).await;
    statuses(&api, &mut client).await;
    customs(&server, &mut client).await;
    refused_certificate(&mut client).await;

    let id = api.agents("").await[0].id.clone();
    post(&api, &format!("/api/v1/agents/{id}/restart")).await;
    let command = client
        .until("the command", |event| event["event"] == "command")
        .await;
    assert_eq!(command["type"], "CommandType_Restart");

    // The old release cannot ask.
    if release == Release::Newest {
        reassigned(&api, &mut client).await;
    }
    client.order(&json!({"do": "stop"}));
    client
        .until("its end", |event| event["event"] == "stopped")
        .await;
    if scheme == "ws" {
        until_agent(&api, "the end to be known", |agent| {
            !agent.summary.connected
        })
        .await;
    }
}

async fn first_report(api: &Api, release: Release) {
    let agent = until_agent(api, "the whole first report", |agent| {
        agent.summary.healthy == Some(true) && agent.description.is_some()
    })
    .await;
    let description = agent.description.expect("a description");
    assert_eq!(description.identifying["service.name"], "go-client");
    assert_eq!(agent.summary.instance_uid, release.shown_uid());
    if release == Release::Newest {
        // The client sends the hash alone; the list is asked for.
        let agent = until_agent(api, "the list of components", |agent| {
            let components = agent.components.as_ref();
            components.is_some_and(|known| known.components.is_some())
        })
        .await;
        let components = agent.components.and_then(|known| known.components);
        assert!(components.expect("a list").contains_key("receivers"));
    }
}

async fn configs(api: &Api, client: &Told) {
    api.release("edge", "", BODY).await;
    let offer = client
        .until("the config", |event| event["remote_config"].is_object())
        .await;
    assert_eq!(
        offer["remote_config"]["files"],
        json!({"config.yaml": BODY})
    );
    let hash = trust::hex(&trust::sha256(BODY.as_bytes()));
    assert_eq!(offer["remote_config"]["hash"], hash);
    assert_eq!(answered(api, BODY).await.config.state, ConfigState::Applied);
    until_agent(api, "the effective config", |agent| {
        let effective = agent.config.effective.as_ref();
        let file = effective.and_then(|config| config.files.get("config.yaml"));
        file.is_some_and(|file| file.body.as_deref() == Some(BODY))
    })
    .await;

    api.release("edge", "", BROKEN).await;
    let failed = answered(api, BROKEN).await;
    assert_eq!(failed.config.state, ConfigState::Failed);
    let reason = failed.config.reported.expect("a report").error;
    assert_eq!(reason, "it says that it is broken");
    let offers = |events: &[Value]| {
        let offers = events
            .iter()
            .filter(|event| event["remote_config"].is_object());
        offers.count()
    };
    let before = offers(&client.seen());
    api.release("edge", "", BODY).await;
    assert_eq!(answered(api, BODY).await.config.state, ConfigState::Applied);
    assert_eq!(offers(&client.seen()), before + 1, "each is offered once");
}

async fn statuses(api: &Api, client: &mut Told) {
    client.order(&json!({"do": "health", "healthy": false, "error": "the disk is on fire"}));
    until_agent(api, "bad health", |agent| {
        let health = agent.health.as_ref();
        agent.summary.healthy == Some(false)
            && health.is_some_and(|health| health.last_error == "the disk is on fire")
    })
    .await;
    client.order(&json!({"do": "describe", "attributes": {"service.name": "go-client", "region": "us-west"}}));
    until_agent(api, "the new label", |agent| {
        agent
            .summary
            .labels
            .get("region")
            .is_some_and(|region| region == "us-west")
    })
    .await;
    client.order(
        &json!({"do": "package_status", "name": "rules", "version": "1.2.3", "hash": "abcd"}),
    );
    until_agent(api, "the package", |agent| {
        let packages = agent.packages.as_ref();
        let package = packages.and_then(|known| known.packages.get("rules"));
        package.is_some_and(|package| package.version == "1.2.3" && package.hash == "abcd")
    })
    .await;
}

async fn customs(server: &TestServer, client: &mut Told) {
    const CAPABILITY: &str = "io.opentelemetry.test/1";
    let api = server.api();
    client.order(&json!({"do": "custom_capabilities", "names": [CAPABILITY]}));
    let agent = until_agent(&api, "the custom capability", |agent| {
        agent.custom_capabilities == [CAPABILITY]
    })
    .await;
    client.order(
        &json!({"do": "custom_message", "capability": CAPABILITY, "type": "ask", "data": "up"}),
    );
    let message = domain::model::CustomMessage {
        capability: CAPABILITY.to_owned(),
        kind: "answer".to_owned(),
        data: b"down".to_vec(),
    };
    let id = agent.summary.id.parse().expect("an id");
    let engine = server.server().engine();
    engine
        .send_custom(&domain::Namespace::default(), id, message)
        .expect("queued");
    let told = client
        .until("the custom message", |event| {
            event["custom_message"].is_object()
        })
        .await;
    assert_eq!(
        told["custom_message"],
        json!({"capability": CAPABILITY, "type": "answer", "data": "down"})
    );
    assert!(!client.seen().iter().any(|event| event["event"] == "error"));
}

async fn refused_certificate(client: &mut Told) {
    client.order(
        &json!({"do": "certificate_request", "data": "-----BEGIN CERTIFICATE REQUEST-----"}),
    );
    let error = client
        .until("a refusal", |event| event["event"] == "error")
        .await;
    assert_eq!(error["type"], "ServerErrorResponseType_BadRequest");
    assert!(
        error["error"]
            .as_str()
            .is_some_and(|text| text.contains("certificates")),
        "{error}"
    );
}

async fn reassigned(api: &Api, client: &mut Told) {
    let before = api.agents("").await;
    client.order(&json!({"do": "request_uid"}));
    let told = client
        .until("a new uid", |event| event["new_uid"].is_string())
        .await;
    let new_uid = told["new_uid"].as_str().expect("hex").to_owned();
    assert_ne!(new_uid, UID.replace('-', ""));
    wait_until("the same agent under its new uid", async || {
        let agents = api.agents("").await;
        agents.len() == 1
            && agents[0].id == before[0].id
            && agents[0].instance_uid.replace('-', "") == new_uid
    })
    .await;
    // It goes on under it.
    client.order(&json!({"do": "health", "healthy": true}));
    until_agent(api, "health under the new uid", |agent| {
        agent.summary.healthy == Some(true)
    })
    .await;
}
