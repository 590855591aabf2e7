//! Cases (f): an agent over gRPC, on Go code generated from the service definition that we publish.

use std::process::Command;

use api_types::agents::ConfigState;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::{Api, TestServer, wait_until};

use crate::harness::peer;
use crate::managed::{answered, until_agent};
use crate::told::Told;

const UID: &str = "01a21161b1a1797194362fee2f803fa9";
const BODY: &str = "receivers: {}\n";
const BROKEN: &str = "receivers: {}\n# broken\n";

/// Starts an agent; none where it is not built.
fn start(server: &TestServer, token: &str) -> Option<Told> {
    let address = server.agent_addr().to_string();
    let program = peer("go-grpc")?.join("go-grpc");
    Some(Told::start(
        Command::new(program).args(["-address", &address, "-uid", UID, "-token", token]),
    ))
}

/// The message in an event that carries this part.
fn part<'e>(event: &'e Value, name: &str) -> Option<&'e Value> {
    event["message"].get(name)
}

async fn first_report(api: &Api) -> String {
    let agent = until_agent(api, "the agent", |agent| {
        agent.description.is_some() && agent.summary.healthy == Some(true)
    })
    .await;
    assert_eq!(agent.summary.instance_uid.replace('-', ""), UID);
    assert!(agent.summary.connected);
    let description = agent.description.expect("a description");
    assert_eq!(description.identifying["service.name"], "go-grpc");
    agent.summary.id
}

#[tokio::test(flavor = "multi_thread")]
async fn f_a_client_generated_from_our_definition_has_the_whole_conversation() {
    let server = TestServer::start().await;
    let api = server.api();
    let Some(mut client) = start(&server, "") else {
        return;
    };
    let first = client
        .until("an answer", |event| event["event"] == "message")
        .await;
    assert_eq!(part(&first, "capabilities"), Some(&json!("7")), "CP-02");
    assert!(part(&first, "instance_uid").is_some());
    let id = first_report(&api).await;
    configs(&api, &client).await;

    client.order(&json!({"do": "health", "healthy": false, "error": "the disk is on fire"}));
    until_agent(&api, "bad health", |agent| {
        let health = agent.health.as_ref();
        health.is_some_and(|health| health.last_error == "the disk is on fire")
    })
    .await;
    gap(&api, &mut client).await;

    let answer = api
        .post(&format!("/api/v1/agents/{id}/restart"), &json!({}))
        .await;
    assert!(answer.status.is_success(), "{}", answer.text);
    let command = client
        .until("the command", |event| part(event, "command").is_some())
        .await;
    // Restart is the first command, which JSON leaves out as it does every zero.
    assert_eq!(part(&command, "command"), Some(&json!({})));

    refused(&mut client).await;
    reassigned(&api, &mut client, &id).await;
    client.order(&json!({"do": "leave"}));
    let end = client
        .until("the end of the stream", |event| event["event"] == "ended")
        .await;
    assert_eq!(end["error"], "EOF", "an end in order");
}

async fn configs(api: &Api, client: &Told) {
    for (body, state) in [
        (BODY, ConfigState::Applied),
        (BROKEN, ConfigState::Failed),
        (BODY, ConfigState::Applied),
    ] {
        let told = client.told();
        api.release("edge", "", body).await;
        let offer = client
            .until_after(told, "the config", |event| {
                part(event, "remote_config").is_some()
            })
            .await;
        let files = &offer["message"]["remote_config"]["config"]["config_map"];
        let sent = STANDARD.encode(body);
        assert_eq!(files["config.yaml"]["body"], sent, "{offer}");
        let agent = answered(api, body).await;
        assert_eq!(agent.config.state, state);
    }
    let agent = until_agent(api, "the effective config", |agent| {
        agent.config.effective.is_some()
    })
    .await;
    let effective = agent.config.effective.expect("a config");
    let file = &effective.files["config.yaml"];
    assert_eq!(file.body.as_deref(), Some(BODY));
    let offers = client.seen();
    let offers = offers
        .iter()
        .filter(|event| part(event, "remote_config").is_some());
    assert_eq!(offers.count(), 3, "each is offered once");
}

/// A message that is lost is noticed, and everything is asked for.
async fn gap(api: &Api, client: &mut Told) {
    let told = client.told();
    client.order(&json!({"do": "skip"}));
    client.order(&json!({"do": "health", "healthy": true}));
    client
        .until_after(told, "the ask for everything", |event| {
            part(event, "flags") == Some(&json!("1"))
        })
        .await;
    until_agent(api, "good health", |agent| {
        agent.summary.healthy == Some(true)
    })
    .await;
}

async fn refused(client: &mut Told) {
    client.order(
        &json!({"do": "certificate_request", "data": "-----BEGIN CERTIFICATE REQUEST-----"}),
    );
    let refusal = client
        .until("a refusal", |event| part(event, "error_response").is_some())
        .await;
    let error = part(&refusal, "error_response").expect("an error");
    // BadRequest is not the first of its kind.
    assert_eq!(error["type"], "ServerErrorResponseType_BadRequest");
    let text = error["error_message"].as_str().expect("text");
    assert!(text.contains("certificates"), "{text}");
    assert_eq!(refusal["message"].get("capabilities"), None, "ST-10");
}

async fn reassigned(api: &Api, client: &mut Told, id: &str) {
    client.order(&json!({"do": "request_uid"}));
    let told = client
        .until("a new uid", |event| {
            part(event, "agent_identification").is_some()
        })
        .await;
    let new = &told["message"]["agent_identification"]["new_instance_uid"];
    let new = STANDARD.decode(new.as_str().expect("text")).expect("bytes");
    assert_eq!(new.len(), 16);
    client.order(&json!({"do": "health", "healthy": false, "error": "under the new uid"}));
    wait_until("the same agent under its new uid", async || {
        let agents = api.agents("").await;
        agents.len() == 1
            && agents[0].id == id
            && agents[0].instance_uid.replace('-', "") == trust::hex(&new)
            && agents[0].healthy == Some(false)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f_after_a_restart_of_the_server_the_generated_client_goes_on() {
    let mut server = TestServer::start().await;
    let Some(client) = start(&server, "") else {
        return;
    };
    let api = server.api();
    api.release("edge", "", BODY).await;
    assert_eq!(
        answered(&api, BODY).await.config.state,
        ConfigState::Applied
    );
    let id = first_report(&api).await;
    let told = client.told();
    server.restart().await;
    let refusal = client
        .until_after(told, "a farewell", |event| {
            part(event, "error_response").is_some()
        })
        .await;
    let error = part(&refusal, "error_response").expect("an error");
    assert_eq!(error["type"], "ServerErrorResponseType_Unavailable");
    assert!(error["retry_info"].is_object(), "{error}");
    client
        .until_after(told, "the end of the stream", |event| {
            event["event"] == "ended" && event["code"] == "Unavailable"
        })
        .await;
    let api = server.api();
    api.release("edge", "", BROKEN).await;
    assert_eq!(
        answered(&api, BROKEN).await.config.state,
        ConfigState::Failed
    );
    assert_eq!(first_report(&api).await, id, "the same agent");
}

#[tokio::test(flavor = "multi_thread")]
async fn au_02_f_the_generated_client_needs_a_credential() {
    let server = TestServer::builder()
        .config("agents: { auth: token }\n")
        .start()
        .await;
    let api = server.api();
    let Some(stranger) = start(&server, "wrong") else {
        return;
    };
    stranger
        .until("the refusal", |event| event["code"] == "Unauthenticated")
        .await;
    drop(stranger);
    assert!(api.agents("").await.is_empty());
    let (token, _) = api.agent_token(&json!({})).await;
    let _agent = start(&server, &token).expect("it is built");
    first_report(&api).await;
}
