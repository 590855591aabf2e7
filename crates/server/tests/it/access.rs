//! Who gets in: the administrator's token, agents' tokens, approval, and that the two planes share nothing.

use api_types::agents::{Approval, ConfigState};
use serde_json::{Value, json};
use testkit::fleet::{wait_until_all_run, wait_until_connected};
use testkit::{TestServer, wait_until};

use crate::FIRST;

const TOKENS: &str = "agents: { auth: token }\n";

#[tokio::test]
async fn the_api_needs_a_token_and_health_needs_none() {
    let server = TestServer::start().await;
    let nobody = server.api().with_token(None);
    for path in ["/health", "/ready", "/metrics"] {
        assert_eq!(nobody.get(path).await.status.as_u16(), 200, "{path}");
    }
    for path in [
        "/api/v1/agents",
        "/api/v1/configs",
        "/api/v1/fleet",
        "/api/v1/audit",
        "/api/v1/tokens",
        "/api/v1/events",
    ] {
        nobody.get(path).await.problem(401);
        server
            .api()
            .with_token(Some("opamp_adm_wrong"))
            .get(path)
            .await
            .problem(401);
    }
}

#[tokio::test]
async fn an_agent_s_token_opens_the_agent_plane_alone() {
    let server = TestServer::builder().config(TOKENS).start().await;
    let (secret, _) = server.api().agent_token(&json!({"team": "edge"})).await;
    server
        .api()
        .with_token(Some(&secret))
        .get("/api/v1/agents")
        .await
        .problem(401);
    let fleet = server
        .fleet(2, |options| {
            options.token = Some(runtime::SecretText::new(secret))
        })
        .await;
    wait_until_connected(&fleet).await;
    wait_until("the credential's label to be there", async || {
        server.api().agents("team=edge").await.len() == 2
    })
    .await;
}

#[tokio::test]
async fn an_agent_without_a_good_token_is_refused_and_not_listed() {
    let server = TestServer::builder().config(TOKENS).start().await;
    let (secret, id) = server.api().agent_token(&json!({})).await;
    server.api().delete(&format!("/api/v1/tokens/{id}")).await;
    let strangers = server.fleet(1, |_| {}).await;
    let revoked = server
        .fleet(1, |options| {
            options.name = "revoked".to_owned();
            options.token = Some(runtime::SecretText::new(secret));
        })
        .await;
    for fleet in [&strangers, &revoked] {
        wait_until("the refusal to be noticed", async || {
            fleet.agents()[0]
                .last_error
                .as_deref()
                .is_some_and(|error| error.contains("401"))
        })
        .await;
        assert!(!fleet.agents()[0].connected);
    }
    assert_eq!(server.api().agents("").await.len(), 0);
    let client = reqwest::Client::new();
    let url = format!("http://{}/v1/opamp", server.agent_addr());
    let bare = client
        .post(&url)
        .header("content-type", "application/x-protobuf")
        .send()
        .await
        .expect("an answer");
    assert_eq!(bare.status().as_u16(), 401);
    let health = client
        .get(format!("http://{}/health", server.agent_addr()))
        .send()
        .await
        .expect("an answer");
    assert_eq!(health.status().as_u16(), 200);
}

#[tokio::test]
async fn an_unknown_agent_waits_for_approval_where_that_is_asked_for() {
    let server = TestServer::builder()
        .config("agents: { approval: manual }\n")
        .start()
        .await;
    let api = server.api();
    api.release("base", "", FIRST).await;
    let fleet = server.fleet(1, |_| {}).await;
    wait_until("the agent to be pending", async || {
        let agents = api.agents("").await;
        agents.first().is_some_and(|agent| {
            agent.approval == Approval::Pending && agent.config_state == ConfigState::Pending
        })
    })
    .await;
    assert_eq!(fleet.agents()[0].offered_hash, "");
    let id = api.agents("").await[0].id.clone();
    api.post(&format!("/api/v1/agents/{id}/approve"), &Value::Null)
        .await
        .ok::<Value>();
    wait_until_all_run(&fleet, FIRST).await;
}

#[tokio::test]
async fn paths_that_have_no_use_yet_are_not_found() {
    let server = TestServer::start().await;
    let client = reqwest::Client::new();
    for path in [
        "/v1/packages/x",
        "/v1/metrics",
        "/v1/logs",
        "/v1/traces",
        "/api/v1/agents",
    ] {
        let answer = client
            .post(format!("http://{}{path}", server.agent_addr()))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status().as_u16(), 404, "{path}");
    }
}
