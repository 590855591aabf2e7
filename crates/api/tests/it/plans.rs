//! Plans, and the guard that keeps what a Collector refuses from agents.

use api_types::agents::Agent;
use api_types::audit::AuditEntry;
use api_types::checks::FindingSeverity;
use api_types::configs::{Config, DeletedConfig};
use api_types::diffs::{ChangeKind, RevisionDiff};
use api_types::explain::Explanation;
use api_types::plans::{Plan, PlanGroup, PlanOutcome};
use api_types::rollouts::StartedRollout;
use api_types::{Page, ProblemKind};
use engine::domain::model::ApplyState;
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Agent as FakeAgent, BODY, World};

const EDGE: &str = "/api/v1/configs/edge";
const RELEASE: &str = "/api/v1/configs/edge/rollouts";
const PLAN: &str = "/api/v1/configs/edge/plan";
/// An exporter that is not defined, in the third line.
const BROKEN: &str = "receivers: {otlp: {}}\nexporters: {debug: {}}\n\
    service: {pipelines: {traces: {receivers: [otlp], exporters: [debgu]}}}\n";
/// Makes sense only over [`BODY`].
const EXTRA: &str = "exporters: {debug: {verbosity: detailed}}\n";

pub(crate) async fn put(
    world: &World<'_>,
    config: &str,
    selector: &str,
    priority: i64,
    body: &str,
) {
    let path = format!("/api/v1/configs/{config}");
    let request =
        json!({ "kind": "collector", "selector": selector, "priority": priority, "body": body });
    let answer = world.put(&path, request).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
}

pub(crate) async fn release(world: &World<'_>, config: &str) {
    let path = format!("/api/v1/configs/{config}/rollouts");
    let answer = world.post(&path, json!({})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
}

async fn plan(world: &World<'_>, request: Value) -> Plan {
    world.post(PLAN, request).await.json(StatusCode::OK)
}

pub async fn a_release_that_collectors_would_refuse_takes_force(world: &World<'_>) {
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    put(world, "edge", "env=prod", 0, BROKEN).await;
    let refusal = world
        .post(RELEASE, json!({}))
        .await
        .problem(ProblemKind::CheckFailed);
    let [finding] = &*refusal.findings else {
        panic!("one finding: {:?}", refusal.findings)
    };
    assert_eq!(
        (finding.code.as_str(), finding.severity, finding.agents),
        ("undefined-component", FindingSeverity::Error, Some(1))
    );
    assert_eq!(
        (finding.config.as_str(), finding.revision, finding.line),
        ("edge", 1, 3)
    );
    assert!(finding.advice.contains("debug"), "{finding:?}");
    let detail = refusal.detail.unwrap();
    assert!(
        detail.contains("line 3") && detail.contains("force"),
        "{detail}"
    );
    assert!(agent.pushed(world).is_none());
    let config: Config = world.read(EDGE).await;
    assert_eq!(config.baseline, None, "nothing of it happened");

    let forced: StartedRollout = world
        .post(RELEASE, json!({ "rollout": { "force": true } }))
        .await
        .json(StatusCode::CREATED);
    assert!(forced.rollout.forced);
    let taken = agent.takes_config(world, ApplyState::Failed, "no").await;
    assert_eq!(taken, BROKEN);
    let config: Config = world.read(EDGE).await;
    assert!(config.last_rollout.unwrap().forced);
    let log: Page<AuditEntry> = world.read("/api/v1/audit?limit=1").await;
    let noted = serde_json::to_string(&log.items[0]).unwrap();
    assert!(
        noted.contains("forced") && noted.contains("rollout.started"),
        "{noted}"
    );
    // What was forced is for those that come later, too, also after a restart.
    // So are combinations that nobody has yet; and releasing it again, or another config, takes nothing back.
    for (team, uid) in [("red", 2), ("blue", 3)] {
        put(world, team, &format!("team={team}"), 1, EXTRA).await;
        release(world, team).await;
        gets_two_layers(world, uid, team).await;
        let again: StartedRollout = world
            .post(RELEASE, json!({}))
            .await
            .json(StatusCode::CREATED);
        assert!(again.rollout.forced);
    }
    put(world, "green", "team=green", 1, EXTRA).await;
    release(world, "green").await;
    gets_two_layers(&world.crashed().await, 4, "green").await;
}

async fn gets_two_layers(world: &World<'_>, uid: u8, team: &str) {
    let late = world.connect(uid, &[("env", "prod"), ("team", team)]).await;
    let shown: Agent = world.read(&late.path()).await;
    assert_eq!(shown.config.desired.unwrap().layers.len(), 2);
}

/// An agent that runs `edge`, beside a config that no agent gets and that would break it.
async fn with_a_broken_team(world: &World<'_>) -> FakeAgent {
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    put(world, "edge", "env=prod", 0, BODY).await;
    release(world, "edge").await;
    agent.takes_config(world, ApplyState::Applied, "").await;
    put(world, "team", "team=red", 1, BROKEN).await;
    release(world, "team").await;
    agent
}

pub async fn what_an_agent_was_refused_before_is_not_held_against_a_release(world: &World<'_>) {
    with_a_broken_team(world).await;
    // It labels itself into a combination that is broken.
    world.connect(2, &[("env", "prod"), ("team", "red")]).await;
    put(world, "other", "env=prod,team!=red", 2, EXTRA).await;
    release(world, "other").await;
    let same = plan(world, json!({})).await;
    assert_eq!((same.blocked, same.refused), (false, 0), "{same:?}");
    release(world, "edge").await;
}

pub async fn an_agent_that_comes_later_is_not_given_what_its_collector_refuses(world: &World<'_>) {
    put(world, "edge", "env=prod", 0, BODY).await;
    release(world, "edge").await;
    // Nobody has the label yet, so there is nothing that could be refused.
    put(world, "team", "team=red", 1, BROKEN).await;
    release(world, "team").await;
    let agent = world.connect(1, &[("env", "prod"), ("team", "red")]).await;
    assert!(agent.pushed(world).is_none());
    let shown: Agent = world.read(&agent.path()).await;
    assert_eq!(shown.config.desired, None);

    put(world, "team", "team=red", 1, EXTRA).await;
    release(world, "team").await;
    let shown: Agent = world.read(&agent.path()).await;
    assert_eq!(shown.config.desired.unwrap().layers.len(), 2);
}

pub async fn labels_that_would_break_an_agent_are_refused(world: &World<'_>) {
    let agent = with_a_broken_team(world).await;
    let labels = json!({ "labels": { "team": "red" } });
    let refusal = world
        .patch(&agent.path(), labels.clone())
        .await
        .problem(ProblemKind::CheckFailed);
    assert_eq!(refusal.findings[0].config, "team");
    let shown: Agent = world.read(&agent.path()).await;
    assert_eq!(shown.config.desired.unwrap().layers.len(), 1);

    let forced = json!({ "force": true });
    world.post("/api/v1/configs/team/rollouts", forced).await;
    let patched = world.patch(&agent.path(), labels).await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.text);
}

pub async fn a_deletion_that_would_break_agents_is_refused(world: &World<'_>) {
    world.connect(1, &[("env", "prod")]).await;
    for (config, priority, body) in [("edge", 0, BODY), ("extra", 1, EXTRA)] {
        put(world, config, "env=prod", priority, body).await;
        release(world, config).await;
    }
    let path = format!("{EDGE}?agents=remove");
    let refusal = world.delete(&path).await.problem(ProblemKind::CheckFailed);
    assert_eq!(refusal.findings[0].code, "nothing-to-run");
    let config: Config = world.read(EDGE).await;
    assert_eq!(config.baseline, Some(1));
    let deleted: DeletedConfig = world
        .delete(&format!("{path}&force=true"))
        .await
        .json(StatusCode::OK);
    assert!(deleted.removal.unwrap().rollout.forced);
}

pub async fn a_plan_tells_what_each_agent_would_get(world: &World<'_>) {
    let mut agents = Vec::new();
    for (uid, team) in [(1, "blue"), (2, "blue"), (3, "red")] {
        agents.push(world.connect(uid, &[("env", "prod"), ("team", team)]).await);
    }
    world.connect(4, &[("env", "dev")]).await;
    put(world, "edge", "env=prod", 0, BODY).await;
    release(world, "edge").await;
    put(world, "team", "team=red", 1, EXTRA).await;
    release(world, "team").await;

    let same = plan(world, json!({})).await;
    assert_eq!(
        (same.revision, same.previous_revision, same.blocked),
        (Some(1), Some(1), false)
    );
    assert_eq!((same.agents, same.changed, same.refused), (3, 0, 0));
    assert!(
        same.groups
            .iter()
            .all(|group| group.outcome == PlanOutcome::NoChange && group.diff.is_none())
    );

    // What the one layer gives itself by now is no change for those who have it by another.
    let body = BODY.replace("debug: {}", "debug: {verbosity: detailed}");
    let edit = json!({ "edit": { "kind": "collector", "selector": "env=prod", "body": body } });
    let planned = plan(world, edit).await;
    assert_eq!(
        (planned.revision, planned.agents, planned.changed),
        (Some(2), 3, 2)
    );
    let by = |wanted: PlanOutcome| -> Vec<&PlanGroup> {
        let groups = planned.groups.iter();
        groups.filter(|group| group.outcome == wanted).collect()
    };
    let ([changed], [unchanged]) = (&*by(PlanOutcome::Change), &*by(PlanOutcome::NoChange)) else {
        panic!("{planned:?}")
    };
    assert_eq!(
        (changed.agents, &*changed.layers),
        (2, &["edge@2".to_owned()][..])
    );
    let diff = changed.diff.as_deref().unwrap();
    assert!(
        diff.contains("-exporters: {debug: {}}\n+exporters: {debug: {verbosity: detailed}}"),
        "{diff}"
    );
    assert!(changed.examples.contains(&agents[0].id()));
    assert_eq!(unchanged.layers, ["edge@2", "team@1"]);

    let edit = json!({ "edit": { "kind": "collector", "selector": "env=prod", "body": BROKEN } });
    let planned = plan(world, edit).await;
    assert_eq!((planned.blocked, planned.refused), (true, 3));
    let first = &planned.groups[0];
    assert_eq!(first.outcome, PlanOutcome::CheckErrors);
    assert_eq!(first.findings[0].code, "undefined-component");
    assert!(first.diff.is_some(), "what is wrong is shown");

    let config: Config = world.read(EDGE).await;
    assert_eq!(config.latest.number, 1, "a plan makes nothing");
}

pub async fn a_plan_of_a_deletion_names_those_who_lose_it(world: &World<'_>) {
    let agent = world.connect(1, &[("env", "prod")]).await;
    put(world, "edge", "env=prod", 0, BODY).await;
    release(world, "edge").await;
    let planned = plan(world, json!({ "remove": true })).await;
    assert_eq!((planned.revision, planned.blocked), (None, false));
    let [group] = &*planned.groups else {
        panic!("{planned:?}")
    };
    assert_eq!(group.outcome, PlanOutcome::Unassigned);
    assert_eq!(group.examples, [agent.id()]);
}

pub async fn revisions_are_compared_as_text_and_in_the_collector_s_terms(world: &World<'_>) {
    put(world, "edge", "env=prod", 0, BODY).await;
    let secret = "exporters: {debug: {}, otlp: {headers: {api-key: hunter2}}}";
    let other = BODY.replace("exporters: {debug: {}}", secret);
    put(
        world,
        "edge",
        "env=dev",
        3,
        &other.replace("[debug]", "[otlp]"),
    )
    .await;
    let path = |query: &str| format!("{EDGE}/revisions/2/diff{query}");
    let diff: RevisionDiff = world.read(&path("")).await;
    assert_eq!((diff.from, diff.to, diff.identical), (1, 2, false));
    assert_eq!(diff.selector.unwrap().from, "env=prod");
    assert_eq!(diff.priority.unwrap().to, 3);
    assert!(
        diff.unified.contains("--- edge@1\n+++ edge@2") && !diff.unified.contains("hunter2"),
        "{}",
        diff.unified
    );
    let [added] = &*diff.changes.components else {
        panic!("{:?}", diff.changes)
    };
    assert_eq!(
        (added.kind.as_str(), added.id.as_str(), added.change),
        ("exporter", "otlp", ChangeKind::Added)
    );
    let exporters = diff.changes.pipelines[0].exporters.as_ref().unwrap();
    assert_eq!(
        (&*exporters.added, &*exporters.removed),
        (&["otlp".to_owned()][..], &["debug".to_owned()][..])
    );

    let same: RevisionDiff = world.read(&path("?from=2")).await;
    assert!(same.identical && same.unified.is_empty());
    let whole: RevisionDiff = world.read(&path("?from=0")).await;
    assert_eq!((whole.from, whole.changes.pipelines.len()), (0, 1));
    world
        .get(&path("?from=9"))
        .await
        .problem(ProblemKind::NotFound);
}

pub async fn a_value_is_explained_by_the_line_that_set_it(world: &World<'_>) {
    let agent = world.connect(1, &[("env", "prod")]).await;
    let explain = |query: &str| format!("{}/explain{query}", agent.path());
    world.get(&explain("")).await.problem(ProblemKind::NotFound);
    let body = BODY.replace("debug: {}", "debug: {verbosity: basic}");
    for (config, priority, body) in [("edge", 0, &*body), ("extra", 1, EXTRA)] {
        put(world, config, "env=prod", priority, body).await;
        release(world, config).await;
    }
    let told: Explanation = world.read(&explain("?path=exporters")).await;
    assert!(told.exact);
    let [value] = &*told.values else {
        panic!("{told:?}")
    };
    assert_eq!(
        (value.path.as_str(), value.value.as_str()),
        ("exporters::debug::verbosity", "detailed")
    );
    assert_eq!(
        (value.source.config.as_str(), value.source.line),
        ("extra", 1)
    );
    assert_eq!(
        (value.overrode[0].config.as_str(), value.overrode[0].line),
        ("edge", 2)
    );
    let all: Explanation = world.read(&explain("")).await;
    assert_eq!(all.values.len(), 4, "{all:?}");
}

pub async fn a_plan_without_agents_checks_the_revision_alone(world: &World<'_>) {
    let edit = json!({ "edit": { "kind": "collector", "selector": "env=prod", "body": BROKEN } });
    let planned = plan(world, edit).await;
    assert_eq!(
        (planned.revision, planned.agents, planned.blocked),
        (Some(1), 0, false)
    );
    assert!(
        planned
            .findings
            .iter()
            .any(|finding| finding.code == "undefined-component"),
        "{planned:?}"
    );
}

pub async fn impossible_plans_are_refused(world: &World<'_>) {
    world
        .post(PLAN, json!({}))
        .await
        .problem(ProblemKind::NotFound);
    put(world, "edge", "", 0, BODY).await;
    let refusal = world
        .post(PLAN, json!({ "revision": 7 }))
        .await
        .problem(ProblemKind::NotFound);
    assert_eq!(refusal.field.as_deref(), Some("revision"));
    world
        .post(PLAN, json!({ "revision": 1, "remove": true }))
        .await
        .problem(ProblemKind::InvalidField);
    let edit = json!({ "edit": { "kind": "collector", "body": "receivers: {}\nreceivers: {}\n" } });
    let refusal = world
        .post(PLAN, edit)
        .await
        .problem(ProblemKind::InvalidConfigBody);
    assert_eq!(
        (refusal.field.as_deref(), refusal.line),
        (Some("edit.body"), Some(2))
    );
    let edit = json!({ "edit": { "kind": "ottl", "body": "x" } });
    let refusal = world
        .post(PLAN, edit)
        .await
        .problem(ProblemKind::UnsupportedKind);
    assert_eq!(refusal.field.as_deref(), Some("edit.kind"));
}
