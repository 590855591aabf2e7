//! The audit log.

use std::collections::BTreeSet;

use api_types::audit::{AuditEntry, AuditVerification};
use api_types::tokens::CreatedToken;
use api_types::{Page, ProblemKind};
use http::{Method, StatusCode};
use serde_json::json;

use crate::harness::{BODY, World};

async fn entries(world: &World<'_>) -> Vec<AuditEntry> {
    world
        .read::<Page<AuditEntry>>("/api/v1/audit?limit=500")
        .await
        .items
}

pub async fn writes_and_refusals_are_in_the_log_without_secrets(world: &World<'_>) {
    let agent = world.connect(1, &[("env", "prod")]).await;
    let body = "exporters:\n  otlp:\n    headers: {api-key: hunter2}\n";
    world.release("edge", "env=prod", body).await;
    world
        .patch(&agent.path(), json!({ "labels": { "a": "b" } }))
        .await;
    world
        .call(Method::POST, &format!("{}/restart", agent.path()))
        .send()
        .await;
    world
        .put("/api/v1/fleet/hold", json!({ "held": true }))
        .await;
    world
        .put("/api/v1/fleet/hold", json!({ "held": false }))
        .await;
    world
        .post("/api/v1/tokens", json!({ "description": "edge" }))
        .await;
    world
        .delete("/api/v1/configs/edge")
        .await
        .problem(ProblemKind::ConfigInForce);
    world.delete("/api/v1/configs/edge?agents=remove").await;
    world.delete(&agent.path()).await;
    world
        .call_as("opamp_adm_wrong", Method::GET, "/api/v1/agents")
        .send()
        .await
        .problem(ProblemKind::Unauthorized);

    let entries = entries(world).await;
    let events: BTreeSet<&str> = entries.iter().map(|entry| entry.event.as_str()).collect();
    for event in [
        "config.revision_created",
        "rollout.started",
        "agent.labels_changed",
        "agent.restart_requested",
        "hold.put_on",
        "hold.lifted",
        "token.created",
        "config.deleted",
        "agent.deleted",
        "request.refused",
        "token.bootstrap_installed",
    ] {
        assert!(events.contains(event), "{event} in {events:?}");
    }
    let find = |event: &str| entries.iter().find(|entry| entry.event == event).unwrap();
    let labels = find("agent.labels_changed");
    assert_eq!(
        (
            labels.success,
            labels.actor.as_str(),
            labels.action.as_str()
        ),
        (true, "admin", "patch")
    );
    assert_eq!(labels.agent.as_deref(), Some(agent.id().as_str()));
    assert_eq!(
        (
            labels.old_value.clone().unwrap(),
            labels.new_value.clone().unwrap()
        ),
        (json!({}), json!({ "a": "b" }))
    );
    let refused: Vec<&AuditEntry> = entries
        .iter()
        .filter(|entry| entry.event == "request.refused")
        .collect();
    assert_eq!(refused[1].resource, "/api/v1/configs/edge");
    assert_eq!(
        (
            refused[1].action.as_str(),
            refused[1].actor.as_str(),
            refused[1].success
        ),
        ("DELETE", "admin", false)
    );
    assert!(
        refused[1]
            .error
            .as_ref()
            .unwrap()
            .starts_with("config-in-force"),
        "{:?}",
        refused[1]
    );
    assert_eq!(refused[0].actor, "anonymous");
    let text = serde_json::to_string(&entries).unwrap();
    assert!(
        !text.contains("hunter2") && !text.contains("opamp_adm_wrong"),
        "{text}"
    );
}

pub async fn the_chain_verifies_and_a_changed_entry_breaks_it(world: &World<'_>) {
    world.release("edge", "env=prod", BODY).await;
    world
        .put("/api/v1/fleet/hold", json!({ "held": true }))
        .await;
    let whole: AuditVerification = world.read("/api/v1/audit/verify").await;
    let listed = entries(world).await;
    assert!(whole.intact, "{whole:?}");
    assert_eq!(whole.entries, listed[0].sequence);
    assert_eq!(whole.head_hash, listed[0].hash);
    assert!(
        listed
            .windows(2)
            .all(|pair| pair[0].previous_hash == pair[1].hash)
    );

    world
        .db
        .execute("UPDATE audit SET resource = 'configs/other' WHERE sequence = 2")
        .await;
    let broken: AuditVerification = world.read("/api/v1/audit/verify").await;
    assert_eq!(
        (broken.intact, broken.broken_at, broken.entries),
        (false, Some(2), 1)
    );
    assert!(broken.reason.unwrap().contains("changed"));
}

pub async fn the_log_pages_newest_first(world: &World<'_>) {
    for _ in 0..2 {
        world.release("edge", "env=prod", BODY).await;
        world.delete("/api/v1/configs/edge?agents=remove").await;
    }
    let mut read = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = world.get(&format!("/api/v1/audit?limit=2{cursor}")).await;
        let page: Page<AuditEntry> = answer.json(StatusCode::OK);
        read.extend(page.items.iter().map(|entry| entry.sequence));
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<u64> = (1..=read.len() as u64).rev().collect();
    assert_eq!(read, expected);
}

pub async fn the_chain_is_not_for_one_namespace_s_tokens(world: &World<'_>) {
    let made: CreatedToken = world
        .post(
            "/api/v1/namespaces/other/tokens",
            json!({ "kind": "admin" }),
        )
        .await
        .json(StatusCode::CREATED);
    let secret = made.secret.unwrap();
    let call = world.call_as(&secret, Method::GET, "/api/v1/audit/verify");
    call.send().await.problem(ProblemKind::Forbidden);
}
