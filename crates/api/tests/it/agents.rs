//! Agents: reading them, and acting on one.

use std::collections::BTreeMap;

use api_types::agents::{
    Agent, AgentSummary, ApplyStatus, Approval, ConfigState, HistoryEntry, Transport, WaitsFor,
};
use api_types::audit::AuditEntry;
use api_types::events::Event;
use api_types::{Page, ProblemKind};
use engine::admin::agents::MAX_LABEL_EDITS;
use engine::domain::model::{
    AgentCapabilities, ApplyState, Attribute, AvailableComponents, Changes, ComponentDetails,
    ConfigFile, Health, HealthReport,
};
use engine::{CloseReason, Command};
use http::{Method, StatusCode};
use serde_json::json;

use crate::harness::{BODY, World, described};

async fn names(world: &World<'_>, query: &str) -> Vec<String> {
    let page: Page<AgentSummary> = world.read(&format!("/api/v1/agents?{query}")).await;
    let mut names: Vec<String> = page.items.into_iter().map(|agent| agent.name).collect();
    names.sort();
    names
}

fn health(healthy: bool) -> Changes {
    let receiver = Health {
        healthy,
        status: "StatusOK".into(),
        start_time_unix_nano: 7,
        ..Health::default()
    };
    let mut tree = Health {
        healthy,
        last_error: if healthy { "" } else { "disk full" }.into(),
        start_time_unix_nano: 1_700_000_000_000_000_000,
        components: BTreeMap::from([("receiver:otlp".to_owned(), receiver)]),
        ..Health::default()
    };
    let times = tree.split_times();
    Changes {
        health: Some(HealthReport {
            tree: Some(tree),
            times,
        }),
        ..Changes::default()
    }
}

pub async fn the_list_pages_and_filters(world: &World<'_>) {
    let mut a = world
        .connect(
            1,
            &[("host.name", "a"), ("env", "prod"), ("region", "us-west")],
        )
        .await;
    world
        .connect(
            2,
            &[("host.name", "b"), ("env", "prod"), ("region", "us-east")],
        )
        .await;
    let mut c = world
        .connect(3, &[("host.name", "c"), ("env", "dev"), ("legacy", "yes")])
        .await;
    a.say(world, health(true));
    c.say(world, health(false));
    world.release("edge", "env=dev", BODY).await;
    c.takes_config(world, ApplyState::Failed, "no such receiver")
        .await;

    for (query, expected) in [
        ("", vec!["a", "b", "c"]),
        ("selector=env%3Dprod", vec!["a", "b"]),
        (
            "selector=env%3Dprod%2Cregion+in+%28us-west%2Cus-south%29",
            vec!["a"],
        ),
        ("selector=%21legacy", vec!["a", "b"]),
        ("selector=env%21%3Dprod", vec!["c"]),
        ("q=US-EA", vec!["b"]),
        ("q=03030303", vec!["c"]),
        ("q=%25", vec![]),
        ("connected=true", vec!["a", "b", "c"]),
        ("connected=false", vec![]),
        ("healthy=true", vec!["a"]),
        ("healthy=false", vec!["c"]),
        ("config_state=failed", vec!["c"]),
        ("config_state=unassigned", vec!["a", "b"]),
        ("in_sync=false", vec!["c"]),
        ("approval=approved", vec!["a", "b", "c"]),
        ("approval=pending", vec![]),
        ("selector=env%3Dprod&q=us-east&connected=true", vec!["b"]),
    ] {
        assert_eq!(names(world, query).await, expected, "{query}");
    }

    let first: Page<AgentSummary> = world.read("/api/v1/agents?limit=2").await;
    assert_eq!(first.items.len(), 2);
    let cursor = first.next_cursor.unwrap();
    let second: Page<AgentSummary> = world
        .read(&format!("/api/v1/agents?limit=2&cursor={cursor}"))
        .await;
    assert_eq!((second.items.len(), second.next_cursor), (1, None));
    assert!(
        first
            .items
            .iter()
            .all(|agent| agent.id != second.items[0].id)
    );
}

pub async fn an_agent_is_shown_whole_under_both_of_its_ids(world: &World<'_>) {
    let mut agent = world
        .connect(1, &[("host.name", "edge-1"), ("env", "prod")])
        .await;
    world.release("edge", "env=prod", BODY).await;
    agent.takes_config(world, ApplyState::Applied, "").await;
    agent.say(world, health(false));
    let otlp = ComponentDetails {
        metadata: vec![Attribute::new("module", "otlpreceiver")],
        ..ComponentDetails::default()
    };
    let receivers = ComponentDetails {
        sub_components: BTreeMap::from([("otlp".to_owned(), otlp)]),
        ..ComponentDetails::default()
    };
    agent.say(
        world,
        Changes {
            effective_config: Some(BTreeMap::from([(
                String::new(),
                ConfigFile::new("receivers: {zipkin: {}}\n", "text/yaml"),
            )])),
            available_components: Some(AvailableComponents {
                hash: vec![0xab, 0xcd],
                components: Some(BTreeMap::from([("receivers".to_owned(), receivers)])),
            }),
            ..Changes::default()
        },
    );
    world.commit().await;

    let shown: Agent = world.read(&agent.path()).await;
    let by_uid: Agent = world.read(&format!("/api/v1/agents/{}", agent.uid)).await;
    assert_eq!(shown, by_uid);
    let summary = &shown.summary;
    assert_eq!(
        (summary.id.as_str(), summary.name.as_str()),
        (agent.id().as_str(), "edge-1")
    );
    assert_eq!(
        (summary.connected, summary.healthy, summary.in_sync),
        (true, Some(false), Some(true))
    );
    assert_eq!(summary.config_state, ConfigState::Applied);
    assert!(
        shown
            .capabilities
            .iter()
            .any(|name| name == "accepts_remote_config"),
        "{:?}",
        shown.capabilities
    );
    assert_eq!(shown.label_sources.agent["env"], "prod");
    assert_eq!(
        shown.description.unwrap().non_identifying["host.name"],
        "edge-1"
    );
    let health = shown.health.unwrap();
    assert_eq!(health.last_error, "disk full");
    assert_eq!(
        health.start_time.unwrap().to_string(),
        "2023-11-14T22:13:20Z"
    );
    assert!(!health.components["receiver:otlp"].healthy);
    let components = shown.components.unwrap();
    assert_eq!(components.hash, "abcd");
    let otlp = &components.components.unwrap()["receivers"].components["otlp"];
    assert_eq!(otlp.metadata["module"], "otlpreceiver");
    let connection = shown.connection.unwrap();
    assert_eq!(
        (connection.transport, connection.disconnected_at),
        (Transport::Websocket, None)
    );

    let config = shown.config;
    let desired = config.desired.unwrap();
    assert_eq!(desired.files["config.yaml"].body.as_deref(), Some(BODY));
    assert_eq!(desired.hash, desired.files["config.yaml"].sha256);
    assert_eq!(
        (
            desired.layers[0].config.as_str(),
            desired.layers[0].revision
        ),
        ("edge", 1)
    );
    assert_eq!(config.offered.unwrap().hash, desired.hash);
    let reported = config.reported.unwrap();
    assert_eq!(
        (reported.hash, reported.status),
        (desired.hash, ApplyStatus::Applied)
    );
    let diff = config.diff.unwrap();
    assert!(
        !diff.identical && diff.unified.contains("+receivers: {zipkin: {}}"),
        "{}",
        diff.unified
    );

    world
        .get("/api/v1/agents/00000000-0000-0000-0000-000000000001")
        .await
        .problem(ProblemKind::NotFound);
}

pub async fn secrets_are_shown_on_demand_and_noted(world: &World<'_>) {
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    let body = "exporters:\n  otlp:\n    headers: {api-key: hunter2}\n";
    world.release("edge", "env=prod", body).await;
    agent.takes_config(world, ApplyState::Applied, "").await;
    agent.say(
        world,
        Changes {
            effective_config: Some(BTreeMap::from([(
                String::new(),
                ConfigFile::new(body.replace("hunter2", "hunter3"), ""),
            )])),
            ..Changes::default()
        },
    );
    world.commit().await;

    let shown = world.get(&agent.path()).await;
    assert!(!shown.text.contains("hunter"), "{}", shown.text);
    let parsed: Agent = shown.json(StatusCode::OK);
    let desired = parsed.config.desired.unwrap();
    assert!(desired.files["config.yaml"].redacted);
    let diff = parsed.config.diff.unwrap();
    assert!(
        !diff.identical && !diff.unified.is_empty(),
        "that a secret differs is shown"
    );

    let revealed = world.get(&format!("{}?reveal=true", agent.path())).await;
    assert!(revealed.text.contains("hunter2") && revealed.text.contains("hunter3"));
    let audit: Page<AuditEntry> = world.read("/api/v1/audit?limit=1").await;
    assert_eq!(audit.items[0].event, "agent.config_revealed");
    assert_eq!(audit.items[0].agent.as_deref(), Some(agent.id().as_str()));
}

pub async fn labels_are_patched_and_move_the_agent(world: &World<'_>) {
    let agent = world.connect(1, &[("env", "dev"), ("region", "us")]).await;
    world.release("edge", "env=prod", BODY).await;
    assert!(agent.pushed(world).is_none());

    let patched: Agent = world
        .patch(
            &agent.path(),
            json!({ "labels": { "env": "prod", "team": "sre" } }),
        )
        .await
        .json(StatusCode::OK);
    assert_eq!(
        patched.summary.labels["env"], "prod",
        "an operator's label wins over the agent's own"
    );
    assert_eq!(patched.label_sources.operator.len(), 2);
    assert_eq!(patched.summary.config_state, ConfigState::Pending);
    assert!(agent.pushed(world).unwrap().config.is_some());

    let patched: Agent = world
        .patch(&agent.path(), json!({ "labels": { "env": null } }))
        .await
        .json(StatusCode::OK);
    assert_eq!(patched.summary.labels["env"], "dev");
    assert_eq!(patched.summary.config_state, ConfigState::Unassigned);
    assert_eq!(names(world, "selector=team%3Dsre").await.len(), 1);

    let after = world.crashed().await;
    let kept: Agent = after.read(&agent.path()).await;
    assert_eq!(kept.label_sources, patched.label_sources);
}

pub async fn a_patch_with_an_old_version_is_refused(world: &World<'_>) {
    let agent = world.connect(1, &[]).await;
    let tag = world.get(&agent.path()).await.etag().to_owned();
    let patch = |tag: &str, value: &str| {
        let call = world
            .call(Method::PATCH, &agent.path())
            .header("if-match", tag);
        call.json(json!({ "labels": { "a": value } }))
    };
    let first = patch(&tag, "1").send().await;
    assert_eq!(first.status, StatusCode::OK);
    assert_ne!(first.etag(), tag);
    patch(&tag, "2")
        .send()
        .await
        .problem(ProblemKind::PreconditionFailed);
    assert_eq!(patch(first.etag(), "2").send().await.status, StatusCode::OK);
    assert_eq!(patch("*", "3").send().await.status, StatusCode::OK);
}

pub async fn impossible_labels_are_refused_by_name(world: &World<'_>) {
    let agent = world.connect(1, &[]).await;
    let long = "x".repeat(2_000);
    for labels in [json!({ "": "x" }), json!({ "a": long })] {
        let key = labels.as_object().unwrap().keys().next().unwrap().clone();
        let problem = world
            .patch(&agent.path(), json!({ "labels": labels }))
            .await
            .problem(ProblemKind::InvalidField);
        assert_eq!(problem.field, Some(format!("labels.{key}")));
    }
    let many: BTreeMap<String, String> = (0..129).map(|n| (format!("l{n}"), "x".into())).collect();
    world
        .patch(&agent.path(), json!({ "labels": many }))
        .await
        .problem(ProblemKind::InvalidField);
    let missing = "/api/v1/agents/00000000-0000-0000-0000-000000000001";
    world
        .patch(missing, json!({ "labels": {} }))
        .await
        .problem(ProblemKind::NotFound);
}

pub async fn a_restart_reaches_a_connected_agent(world: &World<'_>) {
    let agent = world.connect(1, &[]).await;
    let answer = world
        .call(Method::POST, &format!("{}/restart", agent.path()))
        .send()
        .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    assert_eq!(agent.pushed(world).unwrap().command, Some(Command::Restart));
    let events: Page<Event> = world.read(&format!("{}/events", agent.path())).await;
    assert!(
        events
            .items
            .iter()
            .any(|event| event.kind == "agent_command_sent"),
        "{events:?}"
    );
}

pub async fn a_restart_without_the_capability_or_connection_is_refused(world: &World<'_>) {
    let mut plain = described(&[]);
    plain.capabilities = Some(AgentCapabilities::REPORTS_STATUS);
    let agent = world.connect_with(1, plain).await;
    let restart = |path: String| async move {
        world
            .call(Method::POST, &format!("{path}/restart"))
            .send()
            .await
    };
    restart(agent.path())
        .await
        .problem(ProblemKind::CapabilityMissing);

    let gone = world.connect(2, &[]).await;
    let path = gone.path();
    world.engine.detach(
        &gone.attachment,
        engine::DisconnectReason::ConnectionClosed,
        world.now(),
    );
    world.commit().await;
    restart(path).await.problem(ProblemKind::AgentNotConnected);

    let full = world.connect(3, &[]).await;
    let mut refused = None;
    for _ in 0..17 {
        let answer = restart(full.path()).await;
        if answer.status != StatusCode::ACCEPTED {
            refused = Some(answer);
        }
    }
    refused
        .expect("the queue has an end")
        .problem(ProblemKind::AgentBusy);
}

pub async fn a_failed_config_is_retried_on_demand(world: &World<'_>) {
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    let retry = || async {
        world
            .call(Method::POST, &format!("{}/retry", agent.path()))
            .send()
            .await
    };
    retry().await.problem(ProblemKind::Conflict);
    world.release("edge", "env=prod", BODY).await;
    agent
        .takes_config(world, ApplyState::Failed, "no such receiver")
        .await;
    let shown: Agent = world.read(&agent.path()).await;
    assert_eq!(
        shown.summary.config_error.as_deref(),
        Some("no such receiver")
    );
    assert!(
        agent.pushed(world).is_none(),
        "a failed config is not offered again by itself"
    );

    let retry = || async {
        world
            .call(Method::POST, &format!("{}/retry", agent.path()))
            .send()
            .await
    };
    assert_eq!(retry().await.status, StatusCode::ACCEPTED);
    agent.takes_config(world, ApplyState::Applied, "").await;
    let shown: Agent = world.read(&agent.path()).await;
    assert_eq!(
        (shown.summary.config_state, shown.summary.config_error),
        (ConfigState::Applied, None)
    );
}

pub async fn a_pending_agent_is_approved(world: &World<'_>) {
    world.release("edge", "env=prod", BODY).await;
    let world = &world.with_approval().await;
    let agent = world.connect(1, &[("env", "prod")]).await;
    assert!(agent.pushed(world).is_none());
    let shown: Agent = world.read(&agent.path()).await;
    assert_eq!(shown.summary.approval, Approval::Pending);
    assert_eq!(shown.summary.waits_for, Some(WaitsFor::Approval));
    assert_eq!(names(world, "approval=pending").await.len(), 1);

    let approve = || async {
        world
            .call(Method::POST, &format!("{}/approve", agent.path()))
            .send()
            .await
    };
    assert_eq!(approve().await.status, StatusCode::ACCEPTED);
    assert_eq!(
        approve().await.status,
        StatusCode::ACCEPTED,
        "once more changes nothing"
    );
    assert!(agent.pushed(world).unwrap().config.is_some());
    let shown: Agent = world.read(&agent.path()).await;
    assert_eq!(shown.summary.approval, Approval::Approved);
}

pub async fn a_deleted_agent_is_gone_and_its_events_stay(world: &World<'_>) {
    let agent = world.connect(1, &[]).await;
    assert_eq!(
        world.delete(&agent.path()).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(agent.mailbox.take().close, Some(CloseReason::AgentDeleted));
    world
        .get(&agent.path())
        .await
        .problem(ProblemKind::NotFound);
    world
        .delete(&agent.path())
        .await
        .problem(ProblemKind::NotFound);
    world.commit().await;
    let events: Page<Event> = world.read(&format!("{}/events", agent.path())).await;
    assert!(
        events
            .items
            .iter()
            .any(|event| event.kind == "agent_deleted"),
        "{events:?}"
    );
    let again = world.connect(1, &[]).await;
    assert_ne!(again.id(), agent.id());
}

pub async fn what_keeps_an_agent_waiting_is_told(world: &World<'_>) {
    let mut incapable = described(&[("env", "prod")]);
    incapable.capabilities = Some(AgentCapabilities::REPORTS_STATUS);
    let incapable = world.connect_with(1, incapable).await;
    let away = world.connect(2, &[("env", "prod")]).await;
    let held = world.connect(3, &[("env", "prod"), ("region", "eu")]).await;
    world.engine.detach(
        &away.attachment,
        engine::DisconnectReason::ConnectionClosed,
        world.now(),
    );
    world.commit().await;
    world
        .put(
            "/api/v1/fleet/hold",
            json!({ "held": true, "selector": "region=eu" }),
        )
        .await;
    world.release("edge", "env=prod", BODY).await;
    for (agent, reason) in [
        (incapable, WaitsFor::Capability),
        (away, WaitsFor::Connection),
        (held, WaitsFor::Hold),
    ] {
        let shown: Agent = world.read(&agent.path()).await;
        assert_eq!(
            (shown.summary.config_state, shown.summary.waits_for),
            (ConfigState::Pending, Some(reason))
        );
        assert_eq!(shown.summary.in_sync, Some(false));
    }
}

pub async fn history_tells_who_changed_what(world: &World<'_>) {
    let mut agent = world.connect(1, &[("env", "dev")]).await;
    agent.say(world, described(&[("env", "test")]));
    world.commit().await;
    world
        .patch(&agent.path(), json!({ "labels": { "team": "sre" } }))
        .await;
    let history: Page<HistoryEntry> = world.read(&format!("{}/history", agent.path())).await;
    let by_operator = &history.items[0];
    assert_eq!(
        (by_operator.what.as_str(), by_operator.actor.as_deref()),
        ("labels", Some("admin"))
    );
    assert!(
        by_operator
            .after
            .as_ref()
            .unwrap()
            .to_string()
            .contains("sre"),
        "{by_operator:?}"
    );
    assert!(
        history.items[1..].iter().any(|entry| entry.actor.is_none()),
        "{history:?}"
    );
    let first: Page<HistoryEntry> = world
        .read(&format!("{}/history?limit=1", agent.path()))
        .await;
    let cursor = first.next_cursor.unwrap();
    let second: Page<HistoryEntry> = world
        .read(&format!("{}/history?limit=1&cursor={cursor}", agent.path()))
        .await;
    assert_eq!(second.items[0], history.items[1]);
    let missing = "/api/v1/agents/00000000-0000-0000-0000-000000000001/history";
    world.get(missing).await.problem(ProblemKind::NotFound);
}

pub async fn an_agent_that_changed_since_is_not_deleted(world: &World<'_>) {
    let agent = world.connect(1, &[]).await;
    let old = world.get(&agent.path()).await.etag().to_owned();
    world
        .patch(&agent.path(), json!({ "labels": { "a": "b" } }))
        .await;
    let delete = |tag: &str| {
        world
            .call(Method::DELETE, &agent.path())
            .header("if-match", tag)
            .send()
    };
    let refused = delete(&old).await;
    refused.problem(ProblemKind::PreconditionFailed);
    let now = world.get(&agent.path()).await.etag().to_owned();
    assert_eq!(refused.etag(), now);
    assert_eq!(delete(&now).await.status, StatusCode::NO_CONTENT);
}

pub async fn more_label_edits_than_allowed_are_refused(world: &World<'_>) {
    let agent = world.connect(1, &[]).await;
    let edits = async |count: usize| {
        let labels: BTreeMap<String, Option<String>> = (0..count)
            .map(|number| (format!("l{number}"), None))
            .collect();
        world
            .patch(&agent.path(), json!({ "labels": labels }))
            .await
    };
    assert_eq!(edits(MAX_LABEL_EDITS).await.status, StatusCode::OK);
    let problem = edits(MAX_LABEL_EDITS + 1)
        .await
        .problem(ProblemKind::InvalidField);
    assert_eq!(problem.field.as_deref(), Some("labels"));
}
