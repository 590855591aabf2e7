//! Templates: made, rendered, planned, released, and explained.

use std::collections::BTreeMap;

use api_types::agents::Agent;
use api_types::audit::AuditEntry;
use api_types::configs::{RenderedConfig, Revision};
use api_types::diffs::RevisionDiff;
use api_types::explain::Explanation;
use api_types::plans::{Plan, PlanOutcome};
use api_types::rollouts::StartedRollout;
use api_types::{Page, ProblemKind};
use engine::domain::model::ApplyState;
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Agent as FakeAgent, World};
use crate::plans::{put, release};

const EDGE: &str = "/api/v1/configs/edge";
const PLAN: &str = "/api/v1/configs/edge/plan";
const RENDER: &str = "/api/v1/configs/edge/render";
const BODY: &str = "\
receivers: {otlp: {}}
exporters:
{% if agent.labels.region == 'eu' %}
  otlp: {endpoint: {{ vars.endpoint | quote }}, headers: {api-key: {{ vars.api_key | quote }}}}
{% else %}
  otlp: {endpoint: {{ vars.endpoint | quote }}, tls: {insecure: true}}
{% endif %}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp]}
";

fn template() -> Value {
    json!({
        "kind": "collector", "selector": "env=prod", "template": "jinja", "body": BODY,
        "variables": { "endpoint": "https://us:4317", "api_key": "hunter2" },
        "overrides": [{ "selector": { "region": "eu" }, "variables": { "endpoint": "https://eu:4317" } }],
    })
}

async fn make(world: &World<'_>, body: Value) -> Revision {
    world.put(EDGE, body).await.json(StatusCode::CREATED)
}

async fn render(world: &World<'_>, request: Value) -> RenderedConfig {
    world.post(RENDER, request).await.json(StatusCode::OK)
}

async fn prod(world: &World<'_>, uid: u8, region: &str) -> FakeAgent {
    world
        .connect(uid, &[("env", "prod"), ("region", region)])
        .await
}

pub async fn each_agent_gets_the_text_that_its_labels_make(world: &World<'_>) {
    let (mut eu, mut us) = (prod(world, 1, "eu").await, prod(world, 2, "us").await);
    make(world, template()).await;
    release(world, "edge").await;
    let taken = eu.takes_config(world, ApplyState::Applied, "").await;
    assert!(
        taken.contains("otlp: {endpoint: \"https://eu:4317\", headers: {api-key: \"hunter2\"}}"),
        "{taken}"
    );
    let taken = us.takes_config(world, ApplyState::Applied, "").await;
    assert!(
        taken.contains("otlp: {endpoint: \"https://us:4317\", tls: {insecure: true}}"),
        "{taken}"
    );
    // What it was given is shown, without its secret.
    let shown: Agent = world.read(&eu.path()).await;
    let layer = &shown.config.desired.unwrap().layers[0];
    assert_eq!(
        layer.values,
        Some(json!({
            "labels": { "region": "eu" },
            "vars": { "api_key": "[REDACTED]", "endpoint": "https://eu:4317" },
        }))
    );
    let told: Explanation = world
        .read(&format!(
            "{}/explain?path=exporters::otlp::endpoint",
            eu.path()
        ))
        .await;
    assert!(told.exact);
    let value = &told.values[0];
    assert_eq!(
        (value.value.as_str(), value.source.line),
        ("https://eu:4317", 4)
    );
    // It moves, and gets the other text; a label that the template does not use changes nothing.
    world
        .patch(&eu.path(), json!({ "labels": { "rack": "7" } }))
        .await;
    assert!(eu.pushed(world).is_none());
    world
        .patch(&eu.path(), json!({ "labels": { "region": "us" } }))
        .await;
    let taken = eu.takes_config(world, ApplyState::Applied, "").await;
    assert!(taken.contains("https://us:4317"), "{taken}");
    // One that comes later, after a crash, gets its own.
    let world = world.crashed().await;
    let mut late = prod(&world, 3, "eu").await;
    let taken = late.takes_config(&world, ApplyState::Applied, "").await;
    assert!(taken.contains("https://eu:4317"), "{taken}");
}

pub async fn a_template_is_shown_with_what_makes_it_one(world: &World<'_>) {
    let made = make(world, template()).await;
    assert!(made.redacted && made.summary.is_template);
    let shown = made.template.unwrap();
    assert_eq!(shown.variables["api_key"], json!("[REDACTED]"));
    assert_eq!(shown.variables["endpoint"], json!("https://us:4317"));
    assert_eq!(shown.overrides.len(), 1);
    assert_eq!(
        shown.uses.labels.as_deref(),
        Some(&["region".to_owned()][..])
    );
    assert_eq!(
        shown.uses.variables.as_deref(),
        Some(&["api_key".to_owned(), "endpoint".to_owned()][..])
    );
    let revealed: Revision = world.read(&format!("{EDGE}/revisions/1?reveal=true")).await;
    assert_eq!(
        revealed.template.unwrap().variables["api_key"],
        json!("hunter2")
    );

    // The same again makes nothing; other variables make a revision.
    let again = world.put(EDGE, template()).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.text);
    let mut other = template();
    other["variables"]["api_key"] = json!("hunter3");
    let second = make(world, other).await;
    assert_eq!(second.summary.version, "v1.0.1");
    let diff: RevisionDiff = world.read(&format!("{EDGE}/revisions/2/diff")).await;
    assert!(diff.identical, "the body is");
    assert!(
        diff.unified.contains("(template)")
            && diff.unified.contains("[REDACTED] (new)")
            && !diff.unified.contains("hunter"),
        "{}",
        diff.unified
    );
    // And the first comes back whole.
    let back: Revision = world
        .post(&format!("{EDGE}/rollback"), json!({ "revision": 1 }))
        .await
        .json(StatusCode::CREATED);
    assert_eq!(back.template.unwrap().overrides.len(), 1);
    assert_eq!(back.summary.sha256, revealed.summary.sha256);
}

pub async fn a_plan_groups_agents_by_what_a_template_makes_of_them(world: &World<'_>) {
    for (uid, region) in [(1, "eu"), (2, "eu"), (3, "us")] {
        prod(world, uid, region).await;
    }
    let stray = world.connect(4, &[("env", "prod")]).await;
    make(world, template()).await;
    let planned: Plan = world.post(PLAN, json!({})).await.json(StatusCode::OK);
    assert_eq!(
        (planned.agents, planned.changed, planned.refused),
        (4, 3, 1)
    );
    let [failing, eu, us] = &*planned.groups else {
        panic!("{planned:?}")
    };
    assert_eq!(failing.outcome, PlanOutcome::TemplateFailed);
    assert_eq!(failing.examples, [stray.id()]);
    let error = failing.error.as_deref().unwrap();
    assert!(
        error.contains("line 3, column 4: something in `if agent.labels.region == 'eu'` has no value for this agent"),
        "{error}"
    );
    assert_eq!((eu.agents, us.agents), (2, 1));
    assert!(eu.diff.as_deref().unwrap().contains("https://eu:4317"));
    assert!(!eu.diff.as_deref().unwrap().contains("hunter2"));

    // It blocks the release, which says where.
    let refusal = world
        .post(&format!("{EDGE}/rollouts"), json!({ "force": true }))
        .await
        .problem(ProblemKind::TemplateFailed);
    assert_eq!((refusal.line, refusal.column), (Some(3), Some(4)));
    assert!(refusal.detail.unwrap().contains(&stray.id()));
}

pub async fn a_release_may_leave_out_agents_for_which_it_is_wrong(world: &World<'_>) {
    let mut eu = prod(world, 1, "eu").await;
    let stray = world.connect(2, &[("env", "prod")]).await;
    make(world, template()).await;
    let path = format!("{EDGE}/rollouts");
    let both = json!({ "exclude_incompatible": true, "force": true });
    let refusal = world
        .post(&path, both)
        .await
        .problem(ProblemKind::InvalidField);
    assert_eq!(refusal.field.as_deref(), Some("exclude_incompatible"));
    let started: StartedRollout = world
        .post(&path, json!({ "exclude_incompatible": true }))
        .await
        .json(StatusCode::CREATED);
    assert_eq!((started.affected, started.excluded), (2, 1));
    eu.takes_config(world, ApplyState::Applied, "").await;
    assert!(stray.pushed(world).is_none());
    let shown: Agent = world.read(&stray.path()).await;
    assert_eq!(shown.config.desired, None);
    let log: Page<AuditEntry> = world.read("/api/v1/audit?limit=1").await;
    let noted = serde_json::to_string(&log.items[0]).unwrap();
    assert!(noted.contains("excluded"), "{noted}");

    // What it was left out of is not held against the release of another config for it.
    put(
        world,
        "other",
        "env=prod,region=eu",
        5,
        "exporters: {otlp: {timeout: 5s}}\n",
    )
    .await;
    release(world, "other").await;
    // Errors that checks find are left out as well.
    let broken = "service: {pipelines: {traces: {receivers: [otpl]}}}\n";
    put(world, "other", "env=prod,region=eu", 5, broken).await;
    let started: StartedRollout = world
        .post(
            "/api/v1/configs/other/rollouts",
            json!({ "exclude_incompatible": true }),
        )
        .await
        .json(StatusCode::CREATED);
    assert_eq!((started.affected, started.excluded), (1, 1));
    let taken = eu.takes_config(world, ApplyState::Applied, "").await;
    assert!(taken.contains("timeout: 5s"), "{taken}");
    // When it gets the label, it gets the config.
    world
        .patch(&stray.path(), json!({ "labels": { "region": "us" } }))
        .await;
    let shown: Agent = world.read(&stray.path()).await;
    assert_eq!(shown.config.desired.unwrap().layers.len(), 1);
}

pub async fn an_agent_for_which_a_template_fails_keeps_what_it_has(world: &World<'_>) {
    let mut agent = prod(world, 1, "eu").await;
    make(world, template()).await;
    release(world, "edge").await;
    agent.takes_config(world, ApplyState::Applied, "").await;
    // It loses the label that the template asks for.
    let said = agent.say(world, crate::harness::described(&[("env", "prod")]));
    assert!(said.config.is_none());
    world.commit().await;
    assert!(agent.pushed(world).is_none());
    let shown: Agent = world.read(&agent.path()).await;
    let desired = shown.config.desired.unwrap();
    let text = desired.files["config.yaml"].body.as_deref().unwrap();
    assert!(text.contains("https://eu:4317"), "{text}");
    // What is told of it is what it has, and not what could not be made.
    assert_eq!(
        desired.layers[0].values.as_ref().unwrap()["labels"],
        json!({ "region": "eu" })
    );
    let told: Explanation = world.read(&format!("{}/explain", agent.path())).await;
    assert!(told.exact);
}

pub async fn a_template_is_rendered_for_an_agent_or_made_up_labels(world: &World<'_>) {
    let agent = prod(world, 1, "eu").await;
    make(world, template()).await;
    for name in [agent.id(), agent.uid.to_string()] {
        let rendered = render(world, json!({ "agent": name })).await;
        assert_eq!((rendered.revision, rendered.matches), (Some(1), true));
        assert!(
            rendered.body.contains("https://eu:4317") && rendered.body.contains("[REDACTED]"),
            "{}",
            rendered.body
        );
    }
    let rendered = render(world, json!({ "labels": { "region": "us" } })).await;
    assert!(!rendered.matches, "env=prod");
    assert!(
        rendered.body.contains("insecure: true"),
        "{}",
        rendered.body
    );
    assert_eq!(
        rendered.values.unwrap()["labels"],
        json!({ "region": "us" })
    );

    let edit =
        |body: &str| json!({ "edit": { "kind": "collector", "template": "jinja", "body": body } });
    let rendered = render(world, edit("id: {{ agent.uid }}\n")).await;
    assert_eq!(rendered.body, "id: 00000000-0000-0000-0000-000000000000\n");
    assert_eq!((rendered.revision, rendered.error), (None, None));
    // What is no configuration is shown all the same, with the reason.
    let rendered = render(world, edit("a: [{{ 1 }}\nb: 2\n")).await;
    assert_eq!(rendered.body, "a: [1\nb: 2\n");
    assert!(rendered.error.is_some());
    let plain = json!({ "edit": { "kind": "collector", "body": "a: {{ 1 }}\n" } });
    let refusal = world
        .post(RENDER, plain)
        .await
        .problem(ProblemKind::InvalidConfigBody);
    assert!(refusal.detail.unwrap().contains("jinja"));
}

pub async fn what_cannot_be_rendered_is_refused_at_its_place(world: &World<'_>) {
    let missing = world.post(RENDER, json!({})).await;
    missing.problem(ProblemKind::NotFound);
    make(world, template()).await;
    let refusal = world
        .post(RENDER, json!({ "labels": { "env": "prod" } }))
        .await
        .problem(ProblemKind::TemplateFailed);
    assert_eq!((refusal.line, refusal.column), (Some(3), Some(4)));
    for (request, kind, field) in [
        (json!({ "revision": 9 }), ProblemKind::NotFound, "revision"),
        (
            json!({ "agent": "00000000-0000-0000-0000-000000000009" }),
            ProblemKind::NotFound,
            "agent",
        ),
        (json!({ "agent": "x" }), ProblemKind::InvalidField, "agent"),
        (json!({ "uid": "x" }), ProblemKind::InvalidField, "uid"),
        (
            json!({ "labels": { "": "x" } }),
            ProblemKind::InvalidField,
            "labels.",
        ),
        (
            json!({ "agent": "00000000-0000-0000-0000-000000000009", "labels": { "a": "b" } }),
            ProblemKind::InvalidField,
            "agent",
        ),
        (
            json!({ "revision": 1, "edit": template() }),
            ProblemKind::InvalidField,
            "revision",
        ),
    ] {
        let refusal = world.post(RENDER, request.clone()).await.problem(kind);
        assert_eq!(refusal.field.as_deref(), Some(field), "{request}");
    }
}

pub async fn templates_that_cannot_be_are_refused_at_their_place(world: &World<'_>) {
    let with = |changes: &[(&str, Value)]| {
        let mut body = template();
        for (name, value) in changes {
            body[*name] = value.clone();
        }
        body
    };
    let overrides = |selector: &str, variables: Value| json!([{ "selector": selector, "variables": variables }]);
    let too_many: BTreeMap<String, u32> = (0..300).map(|n| (format!("v{n}"), n)).collect();
    for (body, kind, field) in [
        (
            with(&[("template", json!("go"))]),
            ProblemKind::InvalidField,
            "template",
        ),
        (
            with(&[("template", Value::Null)]),
            ProblemKind::InvalidField,
            "variables.api_key",
        ),
        (
            with(&[("template", Value::Null), ("variables", json!({}))]),
            ProblemKind::InvalidField,
            "overrides",
        ),
        (
            with(&[("variables", json!({ "a-b": 1 }))]),
            ProblemKind::InvalidField,
            "variables.a-b",
        ),
        (
            with(&[("variables", json!(too_many))]),
            ProblemKind::InvalidField,
            "variables",
        ),
        (
            with(&[("variables", json!({ "key": "[REDACTED]" }))]),
            ProblemKind::InvalidField,
            "variables.key",
        ),
        (
            with(&[("overrides", overrides("a in", json!({})))]),
            ProblemKind::InvalidSelector,
            "overrides.0.selector",
        ),
        (
            with(&[("overrides", overrides("a=b", json!({ "1": 2 })))]),
            ProblemKind::InvalidField,
            "overrides.0.variables.1",
        ),
    ] {
        let refusal = world.put(EDGE, body.clone()).await.problem(kind);
        assert_eq!(refusal.field.as_deref(), Some(field), "{refusal:?}");
    }
    for (body, line) in [
        ("a: 1\nb: {{ vars.x\n", 2),
        ("{% for x in vars.y %}\n", 1),
        ("a: 1\n\n{{ x | nofilter }}", 3),
        ("a: 1\n{% set vars = 1 %}\n", 2),
    ] {
        let refusal = world
            .put(EDGE, with(&[("body", json!(body))]))
            .await
            .problem(ProblemKind::InvalidConfigBody);
        assert_eq!(refusal.field.as_deref(), Some("body"));
        assert_eq!(refusal.line, Some(line), "{body}: {refusal:?}");
    }
    let config = world.get(EDGE).await;
    config.problem(ProblemKind::NotFound);
}

pub async fn a_template_merges_with_other_layers(world: &World<'_>) {
    let mut agent = prod(world, 1, "eu").await;
    make(world, template()).await;
    release(world, "edge").await;
    agent.takes_config(world, ApplyState::Applied, "").await;
    put(
        world,
        "extra",
        "env=prod",
        1,
        "exporters: {otlp: {timeout: 5s}}\n",
    )
    .await;
    release(world, "extra").await;
    let taken = agent.takes_config(world, ApplyState::Applied, "").await;
    assert!(
        taken.contains("https://eu:4317") && taken.contains("timeout: 5s"),
        "{taken}"
    );
    let told: Explanation = world
        .read(&format!("{}/explain?path=exporters", agent.path()))
        .await;
    let lines: Vec<_> = told
        .values
        .iter()
        .map(|value| (value.source.config.as_str(), value.source.line))
        .collect();
    assert_eq!(lines, [("edge", 4), ("edge", 4), ("extra", 1)], "{told:?}");
}

pub async fn what_an_agent_was_refused_is_not_held_against_other_changes(world: &World<'_>) {
    make(world, template()).await;
    release(world, "edge").await;
    let mut eu = prod(world, 1, "eu").await;
    eu.takes_config(world, ApplyState::Applied, "").await;
    // It has no region: the template fails, and it is given nothing.
    let stray = world.connect(2, &[("env", "prod")]).await;
    put(
        world,
        "other",
        "env=prod",
        5,
        "exporters: {otlp: {timeout: 5s}}\n",
    )
    .await;
    let plan: Plan = world
        .post("/api/v1/configs/other/plan", json!({}))
        .await
        .json(StatusCode::OK);
    assert_eq!(
        (plan.agents, plan.blocked, plan.refused),
        (2, false, 0),
        "{plan:?}"
    );
    release(world, "other").await;
    assert!(
        eu.takes_config(world, ApplyState::Applied, "")
            .await
            .contains("5s")
    );
    assert!(stray.pushed(world).is_none());
    // Its other labels can be changed, and the config can be deleted.
    let patched = world
        .patch(&stray.path(), json!({ "labels": { "team": "red" } }))
        .await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.text);
    let deleted = world.delete("/api/v1/configs/other?agents=remove").await;
    assert_eq!(deleted.status, StatusCode::OK, "{}", deleted.text);
    // The release of the template itself, which it fails, is another thing: it says what it did before.
    release(world, "edge").await;
    let shown: Agent = world.read(&stray.path()).await;
    assert_eq!(shown.config.desired, None);
}

pub async fn a_broken_combination_is_not_given_by_a_release_of_something_else(world: &World<'_>) {
    put(world, "edge", "env=prod", 0, crate::harness::BODY).await;
    release(world, "edge").await;
    put(
        world,
        "team",
        "team=red",
        1,
        "service: {pipelines: {traces: {exporters: [debgu]}}}\n",
    )
    .await;
    release(world, "team").await;
    let agent = world.connect(1, &[("env", "prod"), ("team", "red")]).await;
    assert!(agent.pushed(world).is_none());
    // Not by releasing again what it has a part of, and not by something new.
    release(world, "edge").await;
    assert!(agent.pushed(world).is_none());
    put(
        world,
        "other",
        "env=prod",
        5,
        "exporters: {debug: {verbosity: basic}}\n",
    )
    .await;
    release(world, "other").await;
    assert!(agent.pushed(world).is_none());
    let shown: Agent = world.read(&agent.path()).await;
    assert_eq!(shown.config.desired, None);
}

pub async fn an_agent_that_keeps_changing_gets_its_content_a_minute_later(world: &World<'_>) {
    make(world, template()).await;
    release(world, "edge").await;
    let mut agent = prod(world, 1, "r0").await;
    for step in 1..=40 {
        agent.say(
            world,
            crate::harness::described(&[("env", "prod"), ("region", &format!("r{step}"))]),
        );
        world.commit().await;
    }
    let stored = async || {
        let shown: Agent = world.read(&agent.path()).await;
        let layers = shown.config.desired.unwrap().layers;
        layers[0].values.as_ref().unwrap()["labels"]["region"].clone()
    };
    assert_ne!(stored().await, json!("r40"));
    world.pass(61);
    world.commit().await;
    assert_eq!(stored().await, json!("r40"));
}
