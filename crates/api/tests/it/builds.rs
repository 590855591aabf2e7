//! What agents are built of, and what they are not given for it.

use std::collections::BTreeMap;

use api_types::ProblemKind;
use api_types::agents::Agent as Shown;
use api_types::checks::FindingSeverity;
use api_types::plans::{AgentPlan, Plan, PlanOutcome};
use api_types::rollouts::StartedRollout;
use engine::domain::model::{
    ApplyState, Attribute, AvailableComponents, Changes, ComponentDetails,
};
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Agent, BODY, World, described};
use crate::plans::{put, release};

const PLAN: &str = "/api/v1/configs/edge/plan";
const RELEASE: &str = "/api/v1/configs/edge/rollouts";
/// Takes in logs from Kafka, in the second line.
const KAFKA: &str = "exporters: {debug: {}}\nreceivers: {otlp: {}, kafka/logs: {}}\n\
    service: {pipelines: {logs: {receivers: [otlp, kafka/logs], exporters: [debug]}}}\n";

/// A report of a build with these receivers, and with the exporter `debug`.
pub(crate) fn built_with(receivers: &[&str]) -> Changes {
    let details = |name: &&str| {
        let module = format!("example.com/receiver/{name}receiver v1.0.0");
        let metadata = vec![Attribute::new("code.namespace", module.as_str())];
        (
            (*name).to_owned(),
            ComponentDetails {
                metadata,
                ..ComponentDetails::default()
            },
        )
    };
    let section = |names: &[&str]| ComponentDetails {
        sub_components: names.iter().map(details).collect(),
        ..ComponentDetails::default()
    };
    let components = BTreeMap::from([
        ("receivers".to_owned(), section(receivers)),
        ("exporters".to_owned(), section(&["debug"])),
    ]);
    Changes {
        available_components: Some(AvailableComponents {
            hash: receivers.concat().into_bytes(),
            components: Some(components),
        }),
        ..Changes::default()
    }
}

async fn connect(world: &World<'_>, uid: u8, receivers: &[&str]) -> Agent {
    let first = Changes {
        available_components: built_with(receivers).available_components,
        ..described(&[("env", "prod")])
    };
    world.connect_with(uid, first).await
}

/// An agent without Kafka, one with it, and one that does not say; all run [`BODY`]. [`KAFKA`] is the newest revision.
async fn three(world: &World<'_>) -> [Agent; 3] {
    put(world, "edge", "env=prod", 0, BODY).await;
    release(world, "edge").await;
    let mut agents = [
        connect(world, 1, &["otlp"]).await,
        connect(world, 2, &["otlp", "kafka"]).await,
        world.connect(3, &[("env", "prod")]).await,
    ];
    for agent in &mut agents {
        assert_eq!(
            agent.takes_config(world, ApplyState::Applied, "").await,
            BODY
        );
    }
    put(world, "edge", "env=prod", 0, KAFKA).await;
    agents
}

async fn start(world: &World<'_>, request: Value) -> StartedRollout {
    let answer = world.post(RELEASE, request).await;
    answer.json(StatusCode::CREATED)
}

async fn missing(world: &World<'_>, agent: &Agent) -> Vec<String> {
    let shown: Shown = world.read(&agent.path()).await;
    shown.config.missing_components
}

pub async fn a_plan_names_what_builds_lack_and_the_release_is_refused(world: &World<'_>) {
    let [without, ..] = three(world).await;
    let plan: Plan = world.post(PLAN, json!({})).await.json(StatusCode::OK);
    assert_eq!((plan.blocked, plan.agents, plan.refused), (true, 3, 1));
    let [lacking, others] = &*plan.groups else {
        panic!("two groups: {plan:?}")
    };
    assert_eq!(lacking.outcome, PlanOutcome::MissingComponents);
    assert_eq!(lacking.missing_components, ["receiver kafka"]);
    assert_eq!(lacking.examples, [without.id()]);
    let [finding] = &*lacking.findings else {
        panic!("one finding: {lacking:?}")
    };
    assert_eq!(
        (finding.code.as_str(), finding.severity, finding.line),
        ("unknown-component", FindingSeverity::Error, 2)
    );
    assert_eq!((others.outcome, others.agents), (PlanOutcome::Change, 2));
    assert!(others.missing_components.is_empty() && others.findings.is_empty());

    let refusal = world.post(RELEASE, json!({})).await;
    let refusal = refusal.problem(ProblemKind::CheckFailed);
    let [finding] = &*refusal.findings else {
        panic!("one finding: {refusal:?}")
    };
    assert_eq!(
        (finding.code.as_str(), finding.agents, finding.line),
        ("unknown-component", Some(1), 2)
    );
}

pub async fn what_a_released_build_lacks_is_told_and_refuses_nothing(world: &World<'_>) {
    let core = [
        ("env", "prod"),
        ("service.name", "otelcol"),
        ("service.version", "0.149.0"),
    ];
    let another = [
        ("env", "prod"),
        ("service.name", "otelcol"),
        ("service.version", "0.149.1"),
    ];
    let mut named = world.connect(1, &core).await;
    // Who reports what it is built of is believed, whatever its name.
    let reporting = Changes {
        available_components: built_with(&["otlp", "filelog"]).available_components,
        ..described(&core)
    };
    let mut reporting = world.connect_with(2, reporting).await;
    let mut unknown = world.connect(3, &another).await;
    let tail = KAFKA.replace("kafka/logs", "filelog");
    put(world, "edge", "env=prod", 0, &tail).await;

    let plan: Plan = world.post(PLAN, json!({})).await.json(StatusCode::OK);
    let counts = (plan.blocked, plan.refused, plan.presumably_incompatible);
    assert_eq!((counts, plan.changed), ((false, 0, 1), 3), "{plan:?}");
    let [others, presumed] = &*plan.groups else {
        panic!("two groups: {plan:?}")
    };
    assert_eq!((others.agents, &others.presumed_build), (2, &None));
    assert_eq!(presumed.outcome, PlanOutcome::Change);
    assert_eq!(presumed.examples, [named.id()]);
    assert_eq!(presumed.presumed_build.as_deref(), Some("otelcol@0.149.0"));
    assert_eq!(presumed.presumably_missing, ["receiver filelog"]);
    assert!(presumed.missing_components.is_empty() && presumed.findings.is_empty());

    let started = start(world, json!({ "exclude_incompatible": true })).await;
    assert_eq!((started.affected, started.excluded), (3, 0));
    for agent in [&mut named, &mut reporting, &mut unknown] {
        let taken = agent.takes_config(world, ApplyState::Applied, "").await;
        assert_eq!(taken, tail);
    }
    assert!(missing(world, &named).await.is_empty());
    let plan: Plan = world.post(PLAN, json!({})).await.json(StatusCode::OK);
    assert_eq!(plan.presumably_incompatible, 0, "{plan:?}");
}

pub async fn agents_whose_build_lacks_something_are_left_as_they_are(world: &World<'_>) {
    let [mut without, mut with, mut silent] = three(world).await;
    let started = start(world, json!({ "exclude_incompatible": true })).await;
    assert_eq!((started.affected, started.excluded), (3, 1));
    for agent in [&mut with, &mut silent] {
        let taken = agent.takes_config(world, ApplyState::Applied, "").await;
        assert_eq!(taken, KAFKA);
    }
    assert!(without.pushed(world).is_none());
    assert_eq!(missing(world, &without).await, ["receiver kafka"]);
    assert!(missing(world, &with).await.is_empty());

    // Nor does it get it later: not by speaking again, not by a restart; and the next release is not refused for it.
    let again = described(&[("env", "prod"), ("team", "red")]);
    assert!(without.say(world, again).config.is_none());
    world.commit().await;
    let crashed = world.crashed().await;
    let shown: Shown = crashed.read(&without.path()).await;
    let desired = shown.config.desired.unwrap();
    assert_eq!(desired.layers[0].revision, 1);
    assert_eq!(shown.config.missing_components, ["receiver kafka"]);
    let next = format!("# the next\n{KAFKA}");
    put(world, "edge", "env=prod", 0, &next).await;
    let plan: Plan = world.post(PLAN, json!({})).await.json(StatusCode::OK);
    assert_eq!((plan.blocked, plan.changed), (false, 2), "{plan:?}");
    assert_eq!(plan.groups[1].outcome, PlanOutcome::MissingComponents);
    release(world, "edge").await;
    assert_eq!(missing(world, &without).await, ["receiver kafka"]);

    // One that comes later is not given it either; one that is built anew is.
    let late = connect(world, 4, &["otlp"]).await;
    assert!(late.pushed(world).is_none());
    assert_eq!(missing(world, &late).await, ["receiver kafka"]);
    without.say(world, built_with(&["kafka", "otlp"]));
    let taken = without.takes_config(world, ApplyState::Applied, "").await;
    assert_eq!(taken, next);
    assert!(missing(world, &without).await.is_empty());
}

pub async fn a_forced_release_reaches_builds_that_lack_something(world: &World<'_>) {
    let [mut without, ..] = three(world).await;
    let started = start(world, json!({ "force": true })).await;
    assert!(started.rollout.forced);
    let taken = without
        .takes_config(world, ApplyState::Failed, "no kafka")
        .await;
    assert_eq!(taken, KAFKA);
    assert!(missing(world, &without).await.is_empty());
    let mut late = connect(world, 4, &["otlp"]).await;
    let taken = late
        .takes_config(world, ApplyState::Failed, "no kafka")
        .await;
    assert_eq!(taken, KAFKA);
}

pub async fn labels_that_would_give_an_agent_what_its_build_lacks_are_refused(world: &World<'_>) {
    let [without, with, _] = three(world).await;
    put(world, "logs", "team=logs", 1, KAFKA).await;
    release(world, "logs").await;
    let labels = json!({ "labels": { "team": "logs" } });
    for (agent, outcome) in [
        (&without, PlanOutcome::MissingComponents),
        (&with, PlanOutcome::Change),
    ] {
        let path = format!("{}/plan", agent.path());
        let plan: AgentPlan = world.post(&path, labels.clone()).await.json(StatusCode::OK);
        let group = plan.group.unwrap();
        assert_eq!((plan.agent, group.outcome), (agent.id(), outcome));
        assert_eq!(plan.blocked, outcome != PlanOutcome::Change);
        assert_eq!(group.layers, ["edge@1", "logs@1"]);
        assert!(group.diff.unwrap().contains("kafka/logs"));
    }
    let none = json!({ "labels": { "nothing": "to-it" } });
    let path = format!("{}/plan", with.path());
    let plan: AgentPlan = world.post(&path, none).await.json(StatusCode::OK);
    assert_eq!(plan.group.unwrap().outcome, PlanOutcome::NoChange);
    let shown: Shown = world.read(&with.path()).await;
    assert!(shown.label_sources.operator.is_empty(), "nothing happened");
    let refusal = world.patch(&without.path(), labels.clone()).await;
    let refusal = refusal.problem(ProblemKind::CheckFailed);
    assert_eq!(refusal.findings[0].code, "unknown-component");
    let answer = world.patch(&with.path(), labels).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
}

pub async fn a_build_that_loses_what_it_runs_keeps_it(world: &World<'_>) {
    let [_, mut with, _] = three(world).await;
    start(world, json!({ "exclude_incompatible": true })).await;
    with.takes_config(world, ApplyState::Applied, "").await;
    assert!(with.say(world, built_with(&["otlp"])).config.is_none());
    world.commit().await;
    assert!(missing(world, &with).await.is_empty());
    for world in [world, &world.crashed().await] {
        let shown: Shown = world.read(&with.path()).await;
        assert_eq!(shown.config.desired.unwrap().layers[0].revision, 2);
    }
}
