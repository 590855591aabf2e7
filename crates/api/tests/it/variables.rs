//! Sets of variables that templates share: released as configs, and seen by agents only through templates.

use api_types::ProblemKind;
use api_types::agents::Agent;
use api_types::configs::{Config, ConfigKind, RenderedConfig, Revision, SharedBy};
use api_types::diffs::{ConfigChanges, RevisionDiff};
use api_types::plans::{Plan, PlanOutcome};
use api_types::rollouts::{RolloutDetail, StartedRollout};
use engine::domain::model::ApplyState;
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Agent as FakeAgent, World};
use crate::plans::{put, release};

const BODY: &str = "\
receivers: {otlp: {}}
exporters:
  otlp: {endpoint: {{ vars.endpoint | quote }}, timeout: {{ vars.timeout }}}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp]}
";

fn path(config: &str) -> String {
    format!("/api/v1/configs/{config}")
}

async fn make(world: &World<'_>, config: &str, selector: &str, body: &str) -> Revision {
    let request = json!({ "kind": "variables", "selector": selector, "body": body });
    let answer = world.put(&path(config), request).await;
    answer.json(StatusCode::CREATED)
}

async fn make_over(world: &World<'_>, config: &str, selector: &str, body: &str) {
    let request = json!({ "kind": "variables", "selector": selector, "priority": 10, "body": body });
    let answer = world.put(&path(config), request).await;
    answer.json::<Revision>(StatusCode::CREATED);
}

async fn make_template(world: &World<'_>, body: &str) {
    let request = json!({
        "kind": "collector", "selector": "env=prod", "template": "jinja", "body": body,
        "variables": { "timeout": "5s" },
        "overrides": [{ "selector": "slow=yes", "variables": { "timeout": "50s" } }],
    });
    let answer = world.put(&path("edge"), request).await;
    answer.json::<Revision>(StatusCode::CREATED);
}

async fn start(world: &World<'_>, config: &str) -> StartedRollout {
    let rollouts = format!("{}/rollouts", path(config));
    let answer = world.post(&rollouts, json!({})).await;
    answer.json(StatusCode::CREATED)
}

async fn plan(world: &World<'_>, config: &str, request: Value) -> Plan {
    let plan = format!("{}/plan", path(config));
    world.post(&plan, request).await.json(StatusCode::OK)
}

async fn render(world: &World<'_>, request: Value) -> RenderedConfig {
    let render = format!("{}/render", path("edge"));
    world.post(&render, request).await.json(StatusCode::OK)
}

async fn agent(world: &World<'_>, uid: u8, region: &str) -> FakeAgent {
    world
        .connect(uid, &[("env", "prod"), ("region", region)])
        .await
}

async fn takes(agent: &mut FakeAgent, world: &World<'_>, expected: &str) {
    let taken = agent.takes_config(world, ApplyState::Applied, "").await;
    assert!(taken.contains(expected), "{expected}: {taken}");
}

pub async fn a_set_reaches_the_agents_whose_templates_look_at_it(world: &World<'_>) {
    let (mut eu, mut us) = (agent(world, 1, "eu").await, agent(world, 2, "us").await);
    let mut plain = world.connect(3, &[("env", "dev")]).await;
    put(world, "plain", "env=dev", 0, crate::harness::BODY).await;
    release(world, "plain").await;
    takes(&mut plain, world, "debug").await;
    make(world, "common", "", "endpoint: us:1\nother: 1\n").await;
    make_over(world, "eu", "region=eu", "endpoint: eu:1\n").await;
    for set in ["common", "eu"] {
        let started = start(world, set).await;
        assert_eq!(started.affected, 0, "no template looks at it yet");
    }
    make_template(world, BODY).await;
    release(world, "edge").await;
    takes(&mut eu, world, "endpoint: \"eu:1\", timeout: 5s").await;
    takes(&mut us, world, "endpoint: \"us:1\", timeout: 5s").await;
    // It is told which set gives what.
    let shown: Agent = world.read(&eu.path()).await;
    let desired = shown.config.desired.unwrap();
    let [layer] = &desired.layers[..] else {
        panic!("a set is no layer: {:?}", desired.layers)
    };
    let eu_gives = SharedBy {
        config: "eu".to_owned(),
        revision: 1,
    };
    let shared: Vec<_> = layer.shared.iter().collect();
    assert_eq!(shared, [(&"endpoint".to_owned(), &eu_gives)]);
    let rendered = render(world, json!({ "labels": { "region": "eu" } })).await;
    assert_eq!(rendered.shared.get("endpoint"), Some(&eu_gives));
    assert_eq!(rendered.shared.len(), 1, "the timeout is the template's own");

    // What no template looks at changes nobody.
    make(world, "common", "", "endpoint: us:1\nother: 2\n").await;
    let planned = plan(world, "common", json!({})).await;
    assert_eq!((planned.agents, planned.changed), (0, 0), "{planned:?}");
    assert!(!planned.blocked && planned.findings.is_empty());
    assert_eq!(start(world, "common").await.affected, 0);
    // What it looks at changes those to whom this set gives it; overrides of the template go before, its defaults after.
    make(world, "common", "", "endpoint: us:2\ntimeout: 7s\n").await;
    let planned = plan(world, "common", json!({})).await;
    let [one, other] = &planned.groups[..] else {
        panic!("{planned:?}")
    };
    assert_eq!((one.outcome, one.agents), (PlanOutcome::Change, 1));
    assert_eq!((other.outcome, other.agents), (PlanOutcome::Change, 1));
    let started = start(world, "common").await;
    assert_eq!((started.affected, started.excluded), (2, 0));
    takes(&mut eu, world, "endpoint: \"eu:1\", timeout: 7s").await;
    takes(&mut us, world, "endpoint: \"us:2\", timeout: 7s").await;
    assert!(plain.pushed(world).is_none());
    let rollout: RolloutDetail = world
        .read(&format!("/api/v1/rollouts/{}", started.rollout.id))
        .await;
    assert_eq!(rollout.agents.total, 2, "those whose templates it gives a value");
    let patched = world.patch(&us.path(), json!({ "labels": { "slow": "yes" } })).await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.text);
    takes(&mut us, world, "endpoint: \"us:2\", timeout: 50s").await;

    // It moves, and another set is for it; and so after a crash.
    world
        .patch(&us.path(), json!({ "labels": { "region": "eu", "slow": null } }))
        .await;
    takes(&mut us, world, "endpoint: \"eu:1\", timeout: 7s").await;
    let world = world.crashed().await;
    let mut late = agent(&world, 4, "us").await;
    takes(&mut late, &world, "endpoint: \"us:2\", timeout: 7s").await;
}

pub async fn a_set_alone_is_nothing_to_an_agent(world: &World<'_>) {
    let lone = agent(world, 1, "eu").await;
    make(world, "common", "", "endpoint: us:1\n").await;
    let planned = plan(world, "common", json!({})).await;
    assert_eq!((planned.agents, planned.groups.len()), (0, 0));
    release(world, "common").await;
    assert!(lone.pushed(world).is_none());
    let shown: Agent = world.read(&lone.path()).await;
    assert_eq!(shown.config.desired, None);
    let config: Config = world.read(&path("common")).await;
    assert_eq!((config.kind, config.baseline), (ConfigKind::Variables, Some(1)));
    let gone = world.delete(&format!("{}?agents=remove", path("common"))).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
}

pub async fn an_agent_that_no_set_gives_a_value_is_told_with_the_sets_that_match(world: &World<'_>) {
    let mut eu = agent(world, 1, "eu").await;
    let us = agent(world, 2, "us").await;
    make(world, "common", "", "rate: 5\n").await;
    make(world, "eu", "region=eu", "endpoint: eu:1\n").await;
    release(world, "common").await;
    release(world, "eu").await;
    make_template(world, BODY).await;
    let planned = plan(world, "edge", json!({})).await;
    assert!(planned.blocked);
    let failing: Vec<_> = planned
        .groups
        .iter()
        .filter(|group| group.outcome == PlanOutcome::TemplateFailed)
        .collect();
    let [failing] = &failing[..] else {
        panic!("{planned:?}")
    };
    assert_eq!(failing.examples, [us.id()]);
    let error = failing.error.as_deref().unwrap();
    for part in [
        us.id().as_str(),
        "line 3, column 23: `vars.endpoint` has no value for this agent",
        "the set of variables that matches it is common (revision 1)",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let rollouts = format!("{}/rollouts", path("edge"));
    let refusal = world.post(&rollouts, json!({ "force": true })).await;
    let refusal = refusal.problem(ProblemKind::TemplateFailed);
    assert_eq!((refusal.line, refusal.column), (Some(3), Some(23)));
    let rendered = world
        .post(&format!("{}/render", path("edge")), json!({ "agent": us.id() }))
        .await
        .problem(ProblemKind::TemplateFailed);
    assert!(rendered.detail.unwrap().contains("common (revision 1)"));

    // Those that have it may be given it, and a set for the others mends it.
    let excluding = json!({ "exclude_incompatible": true });
    let started: StartedRollout = world.post(&rollouts, excluding).await.json(StatusCode::CREATED);
    assert_eq!((started.affected, started.excluded), (2, 1));
    takes(&mut eu, world, "eu:1").await;
    assert!(us.pushed(world).is_none());
    make(world, "us", "region=us", "endpoint: us:1\n").await;
    let planned = plan(world, "us", json!({})).await;
    assert_eq!((planned.agents, planned.changed, planned.blocked), (1, 1, false));
    release(world, "us").await;
    let mut us = us;
    takes(&mut us, world, "us:1").await;
}

pub async fn equal_values_are_one_content_whatever_sets_give_them(world: &World<'_>) {
    let (mut eu, mut us) = (agent(world, 1, "eu").await, agent(world, 2, "us").await);
    make(world, "eu", "region=eu", "endpoint: one:1\nother: 1\n").await;
    make(world, "us", "region=us", "endpoint: one:1\n").await;
    release(world, "eu").await;
    release(world, "us").await;
    make_template(world, BODY).await;
    let planned = plan(world, "edge", json!({})).await;
    let [group] = &planned.groups[..] else {
        panic!("{planned:?}")
    };
    assert_eq!(group.agents, 2);
    release(world, "edge").await;
    takes(&mut eu, world, "one:1").await;
    takes(&mut us, world, "one:1").await;
    let hash = async |agent: &FakeAgent| {
        let shown: Agent = world.read(&agent.path()).await;
        shown.config.desired.unwrap().hash
    };
    assert_eq!(hash(&eu).await, hash(&us).await);
    // One set in place of the two.
    make(world, "all", "", "endpoint: one:1\n").await;
    assert_eq!(start(world, "all").await.affected, 0);
    for set in ["eu", "us"] {
        let gone = world.delete(&format!("{}?agents=remove", path(set))).await;
        assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
    }
    assert!(eu.pushed(world).is_none() && us.pushed(world).is_none());
}

pub async fn a_set_that_templates_need_is_not_taken_away(world: &World<'_>) {
    let mut eu = agent(world, 1, "eu").await;
    make(world, "common", "", "endpoint: us:1\n").await;
    release(world, "common").await;
    make_template(world, BODY).await;
    release(world, "edge").await;
    takes(&mut eu, world, "us:1").await;
    let planned = plan(world, "common", json!({ "remove": true })).await;
    assert_eq!((planned.blocked, planned.refused), (true, 1), "{planned:?}");
    let group = &planned.groups[0];
    assert_eq!(group.outcome, PlanOutcome::TemplateFailed);
    let error = group.error.as_deref().unwrap();
    assert!(error.contains("no set of variables matches it"), "{error}");
    let removal = format!("{}?agents=remove", path("common"));
    world.delete(&removal).await.problem(ProblemKind::TemplateFailed);
    // Nor is the name taken out of it, nor are its agents.
    make(world, "common", "", "other: 1\n").await;
    let rollouts = format!("{}/rollouts", path("common"));
    let refusal = world.post(&rollouts, json!({})).await;
    refusal.problem(ProblemKind::TemplateFailed);
    make(world, "common", "region=us", "endpoint: us:1\n").await;
    let refusal = world.post(&rollouts, json!({})).await;
    refusal.problem(ProblemKind::TemplateFailed);
    assert!(eu.pushed(world).is_none());
    let gone = world.delete(&format!("{}?agents=remove", path("edge"))).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
    let gone = world.delete(&removal).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
}

pub async fn values_that_cost_a_template_too_much_block_the_release_of_their_set(world: &World<'_>) {
    let mut eu = agent(world, 1, "eu").await;
    let list = |parts: usize| format!("endpoint: us:1\nlist: [{}]\n", "1,".repeat(parts));
    make(world, "common", "", &list(10)).await;
    release(world, "common").await;
    let compared = format!("{BODY}{{% if vars.list == vars.list %}}\n# equal\n{{% endif %}}\n");
    make_template(world, &compared).await;
    release(world, "edge").await;
    takes(&mut eu, world, "# equal").await;
    make(world, "common", "", &list(100)).await;
    let planned = plan(world, "common", json!({})).await;
    assert_eq!((planned.blocked, planned.refused), (true, 1), "{planned:?}");
    assert_eq!(planned.groups[0].outcome, PlanOutcome::TemplateFailed);
    let rollouts = format!("{}/rollouts", path("common"));
    let refusal = world.post(&rollouts, json!({ "force": true })).await;
    let refusal = refusal.problem(ProblemKind::TemplateFailed);
    assert_eq!(refusal.line, Some(7));
    assert!(eu.pushed(world).is_none());
}

pub async fn what_a_forced_set_makes_is_not_checked_again(world: &World<'_>) {
    let mut eu = agent(world, 1, "eu").await;
    make(world, "common", "", "exporter: otlp\n").await;
    release(world, "common").await;
    let body = BODY
        .replace("exporters: [otlp]", "exporters: [{{ vars.exporter }}]")
        .replace("vars.endpoint", "'us:1'");
    make_template(world, &body).await;
    release(world, "edge").await;
    takes(&mut eu, world, "exporters: [otlp]").await;
    make(world, "common", "", "exporter: otpl\n").await;
    let rollouts = format!("{}/rollouts", path("common"));
    let refusal = world.post(&rollouts, json!({})).await;
    refusal.problem(ProblemKind::CheckFailed);
    let forced = world.post(&rollouts, json!({ "force": true })).await;
    assert_eq!(forced.status, StatusCode::CREATED, "{}", forced.text);
    takes(&mut eu, world, "exporters: [otpl]").await;
    // One that comes later with another text of it gets it as well.
    let slow = [("env", "prod"), ("slow", "yes")];
    let mut late = world.connect(2, &slow).await;
    takes(&mut late, world, "timeout: 50s").await;
}

pub async fn a_set_is_versioned_and_rolled_back_as_a_config(world: &World<'_>) {
    let mut eu = agent(world, 1, "eu").await;
    let first = make(world, "common", "", "endpoint: us:1\n").await;
    assert_eq!(first.summary.version, "v1.0.0");
    assert_eq!(first.summary.kind, ConfigKind::Variables);
    release(world, "common").await;
    make_template(world, BODY).await;
    release(world, "edge").await;
    takes(&mut eu, world, "us:1").await;
    let second = make(world, "common", "", "endpoint: us:2\n").await;
    assert_eq!(second.summary.version, "v1.0.1");
    let again = json!({ "kind": "variables", "body": "endpoint: us:2\n" });
    let again = world.put(&path("common"), again).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.text);
    release(world, "common").await;
    takes(&mut eu, world, "us:2").await;
    let diff: RevisionDiff = world.read(&format!("{}/revisions/2/diff", path("common"))).await;
    assert!(diff.unified.contains("-endpoint: us:1\n+endpoint: us:2\n"), "{}", diff.unified);
    assert_eq!(diff.changes, ConfigChanges::default());
    let back = format!("{}/rollback", path("common"));
    let back = world.post(&back, json!({ "revision": 1 })).await;
    let back: Revision = back.json(StatusCode::CREATED);
    assert_eq!((back.summary.number, back.body.as_str()), (3, "endpoint: us:1\n"));
    release(world, "common").await;
    takes(&mut eu, world, "us:1").await;
}

pub async fn secrets_of_a_set_are_not_shown(world: &World<'_>) {
    let body = "honeycomb_key: hcaik_1\nport: 1\nsend: {password: hunter2}\n";
    let made = make(world, "secrets", "", body).await;
    assert!(made.redacted);
    let shown = "honeycomb_key: \"[REDACTED]\"\nport: 1\nsend: {password: \"[REDACTED]\"}\n";
    assert_eq!(made.body, shown);
    let revealed = format!("{}/revisions/1?reveal=true", path("secrets"));
    let revealed: Revision = world.read(&revealed).await;
    assert_eq!(revealed.body, body);
    make(world, "secrets", "", &body.replace("hcaik_1", "hcaik_2")).await;
    let diff: RevisionDiff = world.read(&format!("{}/revisions/2/diff", path("secrets"))).await;
    assert!(
        diff.unified.contains("[REDACTED] (new)") && !diff.unified.contains("hcaik"),
        "{}",
        diff.unified
    );
    // What was copied from such a display is no value.
    let copied = json!({ "kind": "variables", "body": shown });
    let refusal = world.put(&path("secrets"), copied).await;
    let refusal = refusal.problem(ProblemKind::InvalidConfigBody);
    assert_eq!(refusal.line, Some(1));
    let rendered = world
        .post(&format!("{}/render", path("secrets")), json!({}))
        .await;
    let rendered: RenderedConfig = rendered.json(StatusCode::OK);
    assert_eq!((rendered.error, rendered.values), (None, None));
    assert!(!rendered.body.contains("hcaik"), "{}", rendered.body);
}

pub async fn bodies_that_are_no_set_are_refused_at_their_place(world: &World<'_>) {
    for (body, place) in [
        ("", None),
        ("# nothing\n", None),
        ("a: 1\n- b\n", Some((2, 3))),
        ("[1, 2]\n", Some((1, 1))),
        ("a: 1\na: 2\n", Some((2, 1))),
        ("a: 1\nb-c: 2\n", Some((2, 1))),
        ("a: 1\n9c: 2\n", Some((2, 1))),
        ("a: 1\nb: .nan\n", Some((2, 1))),
        ("a: 1\n---\nb: 1\n", Some((2, 1))),
    ] {
        let request = json!({ "kind": "variables", "body": body });
        let refusal = world.put(&path("common"), request).await;
        let refusal = refusal.problem(ProblemKind::InvalidConfigBody);
        assert_eq!(refusal.field.as_deref(), Some("body"), "{body}");
        let found = refusal.line.zip(refusal.column);
        assert_eq!(found, place, "{body}: {refusal:?}");
    }
    for (more, field) in [
        (json!({ "template": "jinja" }), "template"),
        (json!({ "variables": { "a": 1 } }), "variables.a"),
    ] {
        let mut request = json!({ "kind": "variables", "body": "a: 1\n" });
        for (name, value) in more.as_object().unwrap() {
            request[name] = value.clone();
        }
        let refusal = world.put(&path("common"), request).await;
        let refusal = refusal.problem(ProblemKind::InvalidField);
        assert_eq!(refusal.field.as_deref(), Some(field));
    }
    world.get(&path("common")).await.problem(ProblemKind::NotFound);
}

pub async fn a_config_keeps_its_kind(world: &World<'_>) {
    make(world, "common", "", "a: 1\n").await;
    let other = json!({ "kind": "collector", "body": crate::harness::BODY });
    let refusal = world.put(&path("common"), other.clone()).await;
    let refusal = refusal.problem(ProblemKind::InvalidField);
    assert_eq!(refusal.field.as_deref(), Some("kind"));
    let planned = json!({ "edit": other });
    let refusal = world.post(&format!("{}/plan", path("common")), planned).await;
    let refusal = refusal.problem(ProblemKind::InvalidField);
    assert_eq!(refusal.field.as_deref(), Some("edit.kind"));
    // Another may have the name once it is deleted, and does not go back to what it was before.
    let gone = world.delete(&path("common")).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
    put(world, "common", "", 0, crate::harness::BODY).await;
    let back = format!("{}/rollback", path("common"));
    let refusal = world.post(&back, json!({ "revision": 1 })).await;
    refusal.problem(ProblemKind::InvalidField);
}
