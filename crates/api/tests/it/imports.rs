//! What agents run by now: taken over as a config, and compared with what they should run.

use std::collections::BTreeMap;

use api_types::ProblemKind;
use api_types::agents::{Agent, DriftKind};
use api_types::configs::Revision;
use api_types::plans::{Plan, PlanOutcome};
use engine::domain::model::{ApplyState, Changes, ConfigFile};
use http::StatusCode;
use serde_json::json;

use crate::harness::{Agent as FakeAgent, BODY, World};
use crate::plans::{put, release};

const IMPORT: &str = "/api/v1/configs/own/import";
const PLAN: &str = "/api/v1/configs/own/plan";
/// As a supervisor reports it: other order, its own additions.
const RUNNING: &str = "\
exporters: {debug: {}}
extensions: {opamp: {server: {ws: {endpoint: 'ws://127.0.0.1:4711'}}}}
receivers: {otlp: {}}
service:
  extensions: [opamp]
  pipelines: {traces: {exporters: [debug], receivers: [otlp]}}
";

async fn runs(world: &World<'_>, agent: &mut FakeAgent, body: &str) {
    let effective = BTreeMap::from([(String::new(), ConfigFile::new(body, "text/yaml"))]);
    agent.say(
        world,
        Changes {
            effective_config: Some(effective),
            ..Changes::default()
        },
    );
    world.commit().await;
}

pub async fn a_fleet_that_runs_is_taken_over_without_a_change(world: &World<'_>) {
    let mut agents = Vec::new();
    for uid in 1..=3 {
        let mut agent = world.connect(uid, &[("env", "prod")]).await;
        runs(world, &mut agent, RUNNING).await;
        agents.push(agent);
    }
    runs(
        world,
        &mut agents[2],
        &RUNNING.replace("debug: {}", "debug: {verbosity: detailed}"),
    )
    .await;
    let request = json!({ "agent": agents[0].id(), "selector": "env=prod" });
    let made: Revision = world.post(IMPORT, request).await.json(StatusCode::CREATED);
    assert_eq!(
        made.summary.origin,
        format!("import from agent {}", agents[0].id())
    );
    assert!(!made.body.contains("opamp"), "{}", made.body);
    let planned: Plan = world.post(PLAN, json!({})).await.json(StatusCode::OK);
    assert_eq!(
        (planned.agents, planned.changed, planned.blocked),
        (3, 1, false)
    );
    let [same, other] = &*planned.groups else {
        panic!("{planned:?}")
    };
    assert_eq!((same.outcome, same.agents), (PlanOutcome::NoChange, 2));
    assert_eq!(
        (other.outcome, &*other.examples),
        (PlanOutcome::Change, &[agents[2].id()][..])
    );
    // By its uid, too; and again it is the revision that stands.
    let request = json!({ "agent": agents[0].uid.to_string(), "selector": "env=prod" });
    assert_eq!(world.post(IMPORT, request).await.status, StatusCode::OK);
}

pub async fn what_cannot_be_taken_over_is_refused(world: &World<'_>) {
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    let import = |agent: String| world.post(IMPORT, json!({ "agent": agent }));
    let refusal = import(agent.id()).await.problem(ProblemKind::Conflict);
    assert!(refusal.detail.unwrap().contains("no effective config"));
    let masked = "exporters:\n  otlp: {headers: {api-key: '[REDACTED]'}}\n";
    runs(world, &mut agent, masked).await;
    let refusal = import(agent.id()).await.problem(ProblemKind::Conflict);
    assert!(
        refusal
            .detail
            .unwrap()
            .contains("exporters::otlp::headers::api-key")
    );
    runs(world, &mut agent, "a: [").await;
    let refusal = import(agent.id()).await.problem(ProblemKind::Conflict);
    assert!(refusal.detail.unwrap().contains("line 1"));
    for (agent, kind) in [
        ("x", ProblemKind::InvalidField),
        (
            "00000000-0000-0000-0000-000000000009",
            ProblemKind::NotFound,
        ),
    ] {
        let refusal = import(agent.to_owned()).await.problem(kind);
        assert_eq!(refusal.field.as_deref(), Some("agent"));
    }
}

pub async fn an_agent_that_runs_something_else_has_drifted(world: &World<'_>) {
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    put(world, "edge", "env=prod", 0, BODY).await;
    release(world, "edge").await;
    agent.takes_config(world, ApplyState::Applied, "").await;
    runs(world, &mut agent, RUNNING).await;
    let shown: Agent = world.read(&agent.path()).await;
    let drift = shown.config.drift.unwrap();
    assert!(
        !drift.drifted && !shown.config.diff.unwrap().identical,
        "{drift:?}"
    );
    let other = RUNNING.replace("exporters: [debug]", "exporters: [debug, otlp]");
    runs(world, &mut agent, &other).await;
    let shown: Agent = world.read(&agent.path()).await;
    let drift = shown.config.drift.unwrap();
    let places: Vec<_> = drift
        .places
        .iter()
        .map(|place| (place.path.as_str(), place.how))
        .collect();
    assert!(drift.drifted);
    assert_eq!(
        places,
        [(
            "service::pipelines::traces::exporters",
            DriftKind::Different
        )]
    );
}
