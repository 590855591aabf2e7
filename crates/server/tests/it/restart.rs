//! A restart keeps everything: agents, labels, configs, what is in force, tokens, events.

use api_types::agents::ConfigState;
use serde_json::{Value, json};
use testkit::fleet::{sha256_hex, wait_until_all_run, wait_until_connected};
use testkit::{TestServer, wait_until};

use crate::{FIRST, SECOND, labels};

#[tokio::test]
async fn a_restart_keeps_everything() {
    let mut server = TestServer::builder()
        .config("agents: { auth: token }\n")
        .start()
        .await;
    let (secret, _) = server.api().agent_token(&json!({})).await;
    let token = runtime::SecretText::new(secret);
    let fleet = server
        .fleet(3, |options| {
            options.labels = labels(&["env=prod"]);
            options.token = Some(token.clone());
        })
        .await;
    server.api().release("base", "env=prod", FIRST).await;
    wait_until_all_run(&fleet, FIRST).await;
    // Whether it was applied is known from memory; what an agent runs is shown once it is stored.
    let applied = async |server: &TestServer| {
        let agents = server.api().agents("").await;
        let mut known = 0;
        for agent in &agents {
            let effective = server.api().agent(&agent.id).await.config.effective;
            known += usize::from(effective.is_some_and(|config| config.hash == sha256_hex(FIRST)));
        }
        known == 3
            && agents.iter().all(|agent| {
                agent.connected
                    && agent.config_state == ConfigState::Applied
                    && agent.reported_hash.is_some()
            })
    };
    wait_until("the API to say so", async || applied(&server).await).await;
    let first_id = server.api().agents("").await[0].id.clone();
    server
        .api()
        .set_label(&first_id, "rack", "r7")
        .await
        .ok::<Value>();
    let (agents, config, audit) = picture(&server).await;

    server.restart().await;
    wait_until_connected(&fleet).await;
    wait_until("the fleet to be back", async || applied(&server).await).await;
    let (agents_after, config_after, audit_after) = picture(&server).await;
    assert_eq!(agents, agents_after);
    assert_eq!(config, config_after);
    assert!(
        audit_after.starts_with(&audit),
        "{audit_after:?} does not begin with {audit:?}"
    );
    // Nobody was offered anything anew.
    assert!(
        fleet
            .agents()
            .iter()
            .all(|agent| agent.offered_hash == testkit::fleet::sha256_hex(FIRST))
    );

    server.api().release("base", "env=prod", SECOND).await;
    wait_until_all_run(&fleet, SECOND).await;
}

/// Health with the times of its statuses taken out: each report of an agent renews them.
fn drop_status_times(health: &mut Value) {
    let Some(part) = health.as_object_mut() else {
        return;
    };
    part.remove("status_time");
    if let Some(Value::Object(parts)) = part.get_mut("components") {
        parts.values_mut().for_each(drop_status_times);
    }
}

/// What must not change over a restart: agents without their connections' and statuses' times, the config, the audit log.
async fn picture(server: &TestServer) -> (Vec<Value>, Value, Vec<Value>) {
    let api = server.api();
    let mut agents: Vec<Value> = Vec::new();
    for agent in api.agents("").await {
        let whole: Value = api.get(&format!("/api/v1/agents/{}", agent.id)).await.ok();
        let mut kept = whole.clone();
        kept.as_object_mut()
            .expect("an object")
            .remove("connection");
        kept["summary"]
            .as_object_mut()
            .expect("an object")
            .remove("last_seen");
        drop_status_times(&mut kept["health"]);
        agents.push(kept);
    }
    agents.sort_by_key(|agent| agent["summary"]["id"].as_str().map(str::to_owned));
    let config = api.get("/api/v1/configs/base").await.ok();
    let audit: Value = api.get("/api/v1/audit?limit=500").await.ok();
    let mut entries = audit["items"].as_array().cloned().expect("a list");
    entries.sort_by_key(|entry| entry["sequence"].as_i64());
    (agents, config, entries)
}

#[tokio::test]
async fn agents_that_are_away_stay_listed_as_disconnected() {
    let mut server = TestServer::start().await;
    let fleet = server.fleet(2, |_| {}).await;
    wait_until_connected(&fleet).await;
    wait_until("both to be listed", async || {
        server.api().agents("").await.len() == 2
    })
    .await;
    fleet
        .stop(std::time::Duration::from_secs(5))
        .await
        .expect("an end");
    wait_until("both to be away", async || {
        server.api().fleet().await.connected == 0
    })
    .await;
    server.restart().await;
    let fleet = server.api().fleet().await;
    assert_eq!((fleet.agents, fleet.connected), (2, 0));
}
