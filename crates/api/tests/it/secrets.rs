//! Secrets that configs refer to: agents get their values, and nobody else does.

use std::collections::BTreeMap;
use std::sync::Arc;

use api_types::agents::Agent;
use api_types::plans::{Plan, PlanOutcome};
use api_types::secrets::{Secret, SecretSet};
use api_types::{Page, ProblemKind};
use engine::domain::model::{
    ApplyState, Changes, ConfigFile, Health, HealthReport, RemoteConfigStatus,
};
use engine::{SealingKey, domain::model::HealthTimes};
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Agent as FakeAgent, World};
use crate::plans::{put, release};

const VALUE: &str = "s3cr3t-of-kafka";
const BODY: &str = "\
receivers: {otlp: {}}
exporters:
  otlp: {endpoint: \"h:1\", headers: {x-tenant: \"t-${secret:kafka}\"}}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp]}
";

async fn set(world: &World<'_>, name: &str, value: &str) -> SecretSet {
    let answer = world
        .put(
            &format!("/api/v1/secrets/{name}"),
            json!({ "value": value }),
        )
        .await;
    assert!(!answer.text.contains(value), "{}", answer.text);
    let status = answer.status;
    assert!(
        status == StatusCode::OK || status == StatusCode::CREATED,
        "{}",
        answer.text
    );
    answer.json(status)
}

async fn try_set(world: &World<'_>, name: &str, value: &str) -> crate::harness::Answer {
    let path = format!("/api/v1/secrets/{name}");
    world.put(&path, json!({ "value": value })).await
}

async fn plan(world: &World<'_>, config: &str, request: Value) -> Plan {
    let path = format!("/api/v1/configs/{config}/plan");
    world.post(&path, request).await.json(StatusCode::OK)
}

async fn takes(agent: &mut FakeAgent, world: &World<'_>, expected: &str) -> String {
    let taken = agent.takes_config(world, ApplyState::Applied, "").await;
    assert!(taken.contains(expected), "{expected}: {taken}");
    taken
}

/// Whatever an administrator reads.
async fn everything(world: &World<'_>, agent: &FakeAgent) -> String {
    let mut all = String::new();
    for path in [
        agent.path(),
        format!("{}/explain?path=exporters", agent.path()),
        format!("{}/timeline", agent.path()),
        "/api/v1/agents".to_owned(),
        "/api/v1/configs/edge".to_owned(),
        "/api/v1/configs/edge/revisions/1?reveal=true".to_owned(),
        "/api/v1/secrets".to_owned(),
        "/api/v1/secrets/kafka".to_owned(),
        "/api/v1/audit".to_owned(),
    ] {
        all += &world.get(&path).await.text;
    }
    let reveal = format!("{}?reveal=true", agent.path());
    all += &world.get(&reveal).await.text;
    let edit = json!({ "edit": { "kind": "collector", "body": BODY.replace("h:1", "h:2") } });
    let planned = world.post("/api/v1/configs/edge/plan", edit).await;
    all += &planned.text;
    let rendered = json!({ "agent": agent.id() });
    all += &world
        .post("/api/v1/configs/edge/render", rendered)
        .await
        .text;
    all
}

pub async fn agents_get_the_value_and_nobody_else_sees_it(world: &World<'_>) {
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    let made = set(world, "kafka", VALUE).await;
    assert_eq!((made.secret.version, made.affected), (1, 0));
    put(world, "edge", "env=prod", 0, BODY).await;
    release(world, "edge").await;
    let taken = takes(&mut agent, world, &format!("x-tenant: \"t-{VALUE}\"")).await;
    let revealed = format!("{}?reveal=true", agent.path());
    let shown: Agent = world.read(&revealed).await;
    let desired = shown.config.desired.unwrap();
    let digest = engine::hex(&engine::sha256(taken.as_bytes()));
    assert_eq!(
        desired.hash, digest,
        "sha256sum of the agent's file shows it"
    );
    let body = desired.files["config.yaml"].body.as_deref().unwrap();
    assert!(body.contains("t-${secret:kafka}"), "{body}");

    // What the agent says has the value, and is kept without it.
    let effective = BTreeMap::from([(String::new(), ConfigFile::new(taken, "text/yaml"))]);
    agent.say(
        world,
        Changes {
            effective_config: Some(effective),
            remote_config_status: Some(RemoteConfigStatus {
                last_hash: engine::parse_hex(&digest).unwrap().to_vec(),
                state: ApplyState::Applied,
                error: format!("warning: {VALUE} is weak"),
            }),
            health: Some(HealthReport {
                tree: Some(Health {
                    last_error: format!("login with {VALUE} failed"),
                    components: BTreeMap::from([(
                        "exporter:otlp".to_owned(),
                        Health {
                            status: VALUE.to_owned(),
                            ..Health::default()
                        },
                    )]),
                    ..Health::default()
                }),
                times: HealthTimes::default(),
            }),
            ..Changes::default()
        },
    );
    world.commit().await;
    let shown: Agent = world.read(&agent.path()).await;
    let drift = shown.config.drift.unwrap();
    assert!(!drift.drifted, "{drift:?}");
    let all = everything(world, &agent).await;
    assert!(
        all.contains("${secret:kafka}") && all.contains("login with"),
        "{all}"
    );
    assert!(!all.contains("s3cr3t"), "{all}");
    let used: Secret = world.read("/api/v1/secrets/kafka").await;
    assert_eq!(
        (used.used_by, used.readable),
        (vec!["edge".to_owned()], true)
    );
}

pub async fn another_value_reaches_just_those_who_refer_to_it(world: &World<'_>) {
    let mut prod = world.connect(1, &[("env", "prod")]).await;
    let mut dev = world.connect(2, &[("env", "dev")]).await;
    set(world, "kafka", VALUE).await;
    put(world, "edge", "env=prod", 0, BODY).await;
    put(world, "plain", "env=dev", 0, crate::harness::BODY).await;
    release(world, "edge").await;
    release(world, "plain").await;
    takes(&mut prod, world, VALUE).await;
    takes(&mut dev, world, "debug").await;
    assert_eq!(
        set(world, "kafka", VALUE).await.affected,
        0,
        "it has it already"
    );
    let rotated = set(world, "kafka", "another-value").await;
    assert_eq!((rotated.secret.version, rotated.affected), (2, 1));
    takes(&mut prod, world, "t-another-value").await;
    assert!(dev.pushed(world).is_none());
    // And so after a crash, for those that come later, too.
    let world = world.crashed().await;
    let mut late = world.connect(3, &[("env", "prod")]).await;
    takes(&mut late, &world, "t-another-value").await;
    assert_eq!(set(&world, "kafka", "another-value").await.affected, 0);
    let third = set(&world, "kafka", "third-value").await;
    assert_eq!((third.secret.version, third.affected), (3, 2));
    takes(&mut late, &world, "t-third-value").await;
}

pub async fn a_secret_in_variables_and_templates_is_found(world: &World<'_>) {
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    set(world, "kafka", VALUE).await;
    let set_of = json!({ "kind": "variables", "body": "tenant: \"${secret:kafka}\"\n" });
    world
        .put("/api/v1/configs/common", set_of)
        .await
        .json::<Value>(StatusCode::CREATED);
    release(world, "common").await;
    let template = json!({
        "kind": "collector", "selector": "env=prod", "template": "jinja",
        "body": BODY.replace("\"t-${secret:kafka}\"", "{{ vars.tenant | quote }}"),
    });
    world
        .put("/api/v1/configs/edge", template)
        .await
        .json::<Value>(StatusCode::CREATED);
    release(world, "edge").await;
    takes(&mut agent, world, &format!("x-tenant: \"{VALUE}\"")).await;
    assert_eq!(set(world, "kafka", "another-value").await.affected, 1);
    takes(&mut agent, world, "x-tenant: \"another-value\"").await;
    let used: Secret = world.read("/api/v1/secrets/kafka").await;
    assert_eq!(used.used_by, ["common"]);
    assert!(!everything(world, &agent).await.contains("another-value"));
}

pub async fn a_reference_without_a_value_blocks_the_release(world: &World<'_>) {
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    put(world, "edge", "env=prod", 0, BODY).await;
    let planned = plan(world, "edge", json!({})).await;
    assert!(planned.blocked);
    assert_eq!(planned.groups[0].outcome, PlanOutcome::MergeFailed);
    let told = "line 3, column 50: there is no secret \"kafka\"";
    let error = planned.groups[0].error.as_deref().unwrap();
    assert!(
        error.contains("revision 1 of config edge refers to a secret") && error.contains(told),
        "{error}"
    );
    let rollouts = "/api/v1/configs/edge/rollouts";
    for request in [json!({}), json!({ "force": true })] {
        let refusal = world
            .post(rollouts, request)
            .await
            .problem(ProblemKind::SecretFailed);
        assert!(refusal.detail.unwrap().contains(told));
    }
    assert!(agent.pushed(world).is_none());
    set(world, "kafka", VALUE).await;
    release(world, "edge").await;
    takes(&mut agent, world, VALUE).await;
    // A value that does not fit where it stands is refused before anything changes.
    let block = BODY.replace("x-tenant: \"t-${secret:kafka}\"", "x-tenant: a") + "# end\n";
    let block = block.replace(
        "receivers: {otlp: {}}",
        "receivers: {otlp: {}}\nextensions:\n  x/y:\n    text: |\n      k=${secret:kafka}",
    );
    put(world, "block", "env=prod", 1, &block).await;
    release(world, "block").await;
    takes(&mut agent, world, &format!("k={VALUE}")).await;
    let refusal = try_set(world, "kafka", "several\nlines").await;
    let refusal = refusal.problem(ProblemKind::SecretFailed);
    assert!(refusal.detail.unwrap().contains("cannot be written here"));
    assert!(agent.pushed(world).is_none());
    let kept: Secret = world.read("/api/v1/secrets/kafka").await;
    assert_eq!(kept.version, 1);
}

pub async fn a_secret_in_use_is_not_deleted(world: &World<'_>) {
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    set(world, "kafka", VALUE).await;
    put(world, "edge", "env=prod", 0, BODY).await;
    release(world, "edge").await;
    takes(&mut agent, world, VALUE).await;
    let path = "/api/v1/secrets/kafka";
    let refusal = world.delete(path).await.problem(ProblemKind::Conflict);
    assert!(refusal.detail.unwrap().contains("edge"));
    let gone = world.delete("/api/v1/configs/edge?agents=remove").await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
    assert_eq!(world.delete(path).await.status, StatusCode::NO_CONTENT);
    world.get(path).await.problem(ProblemKind::NotFound);
    world.delete(path).await.problem(ProblemKind::NotFound);
    // Its numbers go on, so that what was made with it before is not taken for what is made with it now.
    let again = set(world, "kafka", VALUE).await;
    assert_eq!(again.secret.version, 2);
}

pub async fn secrets_are_listed_by_name_in_pages(world: &World<'_>) {
    for name in ["c", "a", "b"] {
        set(world, name, VALUE).await;
    }
    let page: Page<Secret> = world.read("/api/v1/secrets?limit=2").await;
    let names = |page: &Page<Secret>| {
        page.items
            .iter()
            .map(|secret| secret.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&page), ["a", "b"]);
    let next = page.next_cursor.unwrap();
    let page: Page<Secret> = world
        .read(&format!("/api/v1/secrets?limit=2&cursor={next}"))
        .await;
    assert_eq!(
        (names(&page), page.next_cursor),
        (vec!["c".to_owned()], None)
    );
    let there: Page<Secret> = world.read("/api/v1/namespaces/other/secrets").await;
    assert!(there.items.is_empty(), "a namespace sees its own alone");
}

pub async fn values_that_cannot_be_are_refused(world: &World<'_>) {
    let long = "x".repeat((32 << 10) + 1);
    for value in ["", "short", "with\u{1b}escape", "with\rreturn", &long] {
        let refusal = try_set(world, "kafka", value)
            .await
            .problem(ProblemKind::InvalidField);
        assert_eq!(refusal.field.as_deref(), Some("value"));
    }
    try_set(world, "Kafka!", VALUE)
        .await
        .problem(ProblemKind::InvalidPath);
    let unknown = json!({ "value": VALUE, "valeu": 1 });
    let refusal = world.put("/api/v1/secrets/kafka", unknown).await;
    let refusal = refusal.problem(ProblemKind::UnknownField);
    assert!(!format!("{refusal:?}").contains(VALUE));
    world
        .get("/api/v1/secrets/kafka")
        .await
        .problem(ProblemKind::NotFound);
}

pub async fn without_their_key_secrets_stay_closed(world: &World<'_>) {
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    set(world, "kafka", VALUE).await;
    put(world, "edge", "env=prod", 0, BODY).await;
    release(world, "edge").await;
    takes(&mut agent, world, VALUE).await;
    let other = SealingKey::from_bytes(&[6; 32]);
    let other = World::start_with(world.db, |options| {
        options.sealing_key = Some(Arc::new(other))
    })
    .await;
    let shown: Secret = other.read("/api/v1/secrets/kafka").await;
    assert!(!shown.readable);
    let mut late = other.connect(2, &[("env", "prod")]).await;
    assert!(late.pushed(&other).is_none(), "nothing can be made for it");
    // Given again it is sealed with the key that is there.
    let again = set(&other, "kafka", VALUE).await;
    assert_eq!((again.secret.version, again.secret.readable), (2, true));
    takes(&mut late, &other, VALUE).await;
    let none = World::start_with(world.db, |options| options.sealing_key = None).await;
    let refusal = try_set(&none, "new", VALUE)
        .await
        .problem(ProblemKind::Conflict);
    assert!(refusal.detail.unwrap().contains("secrets.key_file"));
}

pub async fn a_namespace_has_so_many_secrets(world: &World<'_>) {
    let world = World::start_with(world.db, |options| options.limits.secrets = 2).await;
    set(&world, "a", VALUE).await;
    set(&world, "b", VALUE).await;
    let refusal = try_set(&world, "c", VALUE).await;
    let refusal = refusal.problem(ProblemKind::Conflict);
    assert!(
        refusal
            .detail
            .unwrap()
            .contains("there are 2 secrets already")
    );
    assert_eq!(set(&world, "b", "another-value").await.secret.version, 2);
    let gone = world.delete("/api/v1/secrets/a").await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    set(&world, "c", VALUE).await;
}
