//! Case (d): an agent on the OpAMP client for Node.js, which polls over plain HTTP and can describe itself and take configs.

use std::process::Command;

use api_types::agents::ConfigState;
use serde_json::{Value, json};
use testkit::{TestServer, wait_until_some};

use crate::harness::node_peer;
use crate::managed::{answered, until_agent};
use crate::told::Told;

const UID: &str = "01a21161-b1a1-7971-9436-2fee2f803fa8";
const BODY: &str = "receivers: {}\n";
const BROKEN: &str = "receivers: {}\n# broken\n";

/// Starts an agent with a credential; none where the client is not installed.
fn start(server: &TestServer, token: &str) -> Option<Told> {
    let endpoint = format!("http://{}/v1/opamp", server.agent_addr());
    let program = node_peer("node-client")?.join("main.js");
    Some(Told::start(
        Command::new("node")
            .arg(program)
            .args([&endpoint, UID, token]),
    ))
}

fn is_answered(event: &Value) -> bool {
    event["event"] == "answered"
}

async fn guarded() -> (TestServer, String) {
    let server = TestServer::builder()
        .config("agents: { auth: token }\n")
        .start()
        .await;
    let (token, _) = server.api().agent_token(&json!({"fleet": "node"})).await;
    (server, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn d_the_client_for_node_is_described_beats_and_takes_configs() {
    let (server, token) = guarded().await;
    let api = server.api();
    let Some(mut client) = start(&server, &token) else {
        return;
    };
    let first = client.until("the first answer", is_answered).await;
    assert_eq!(first["described"], true);
    assert_eq!(first["uid"], UID.replace('-', ""), "ST-11");
    assert_eq!(first["capabilities"], 0b111, "CP-02");
    assert_eq!(first["flags"], 0, "nothing was missing");
    let agent = until_agent(&api, "its description", |agent| agent.description.is_some()).await;
    assert_eq!(agent.summary.instance_uid, UID);
    assert!(agent.summary.connected);
    assert_eq!(agent.summary.labels["fleet"], "node", "of its credential");
    let description = agent.description.expect("a description");
    assert_eq!(description.identifying["service.name"], "node-client");
    assert_eq!(description.non_identifying["region"], "us-west");
    assert_eq!(description.non_identifying["cores"], 2.0);
    assert_eq!(description.non_identifying["spot"], true);

    let told = client.told();
    let beat = client
        .until_after(told, "a heartbeat", |event| {
            is_answered(event) && event["described"] == false
        })
        .await;
    assert_eq!(beat["flags"], 0, "an unchanged agent is asked for nothing");

    configs(&server, &client).await;
    client.order(&json!({"do": "describe", "region": "us-east"}));
    until_agent(&api, "the new label", |agent| {
        agent.summary.labels.get("region").map(String::as_str) == Some("us-east")
    })
    .await;
    let failed = client
        .seen()
        .into_iter()
        .find(|event| event["event"] == "failed");
    assert_eq!(failed, None);
    client.order(&json!({"do": "stop"}));
    client
        .until("its end", |event| event["event"] == "stopped")
        .await;
}

async fn configs(server: &TestServer, client: &Told) {
    let api = server.api();
    for (body, state) in [
        (BODY, ConfigState::Applied),
        (BROKEN, ConfigState::Failed),
        (BODY, ConfigState::Applied),
    ] {
        let told = client.told();
        api.release("edge", "", body).await;
        let offer = client
            .until_after(told, "the config", |event| event["event"] == "config")
            .await;
        assert_eq!(offer["files"], json!({"config.yaml": body}));
        let hash = trust::hex(&trust::sha256(body.as_bytes()));
        assert_eq!(offer["hash"], hash);
        let agent = answered(&api, body).await;
        assert_eq!(agent.config.state, state);
        let error = agent.config.reported.expect("a report").error;
        let is_broken = state == ConfigState::Failed;
        assert_eq!(
            error,
            if is_broken {
                "it says that it is broken"
            } else {
                ""
            }
        );
    }
    let offers = client.seen();
    let offers = offers.iter().filter(|event| event["event"] == "config");
    assert_eq!(offers.count(), 3, "each is offered once");
}

#[tokio::test(flavor = "multi_thread")]
async fn d_after_a_restart_of_the_server_the_client_for_node_is_known() {
    let (mut server, token) = guarded().await;
    let Some(client) = start(&server, &token) else {
        return;
    };
    let api = server.api();
    api.release("edge", "", BODY).await;
    assert_eq!(
        answered(&api, BODY).await.config.state,
        ConfigState::Applied
    );
    server.restart().await;
    let api = server.api();
    // The client leaves half a minute after a poll that failed, so that it may be known from the database alone.
    let agent = until_agent(&api, "the agent", |agent| agent.description.is_some()).await;
    assert_eq!(agent.summary.instance_uid, UID);
    assert_eq!(agent.config.state, ConfigState::Applied);
    drop(client);
}

#[tokio::test(flavor = "multi_thread")]
async fn au_02_d_the_client_for_node_is_told_that_its_token_is_wrong() {
    let (server, _) = guarded().await;
    let Some(client) = start(&server, "wrong") else {
        return;
    };
    let failed = wait_until_some("the refusal", async || {
        client
            .seen()
            .into_iter()
            .find(|event| event["event"] == "failed")
    })
    .await;
    let error = failed["error"].as_str().expect("text");
    assert!(error.contains("statusCode=401"), "{error}");
    assert!(server.api().agents("").await.is_empty());
}
