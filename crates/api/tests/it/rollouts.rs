//! Rollouts.

use api_types::agents::{Agent, ConfigState};
use api_types::configs::Config;
use api_types::rollouts::{Rollout, RolloutDetail, RolloutStatus, StartedRollout};
use api_types::{Page, ProblemKind};
use engine::domain::model::ApplyState;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{BODY, World, soon};

const EDGE: &str = "/api/v1/configs/edge";
const RELEASE: &str = "/api/v1/configs/edge/rollouts";
const OTHER: &str = "receivers: {otlp: {}}\nexporters: {debug: {verbosity: detailed}}\n\
    service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n";

async fn put(world: &World<'_>, body: &str) {
    let request = json!({ "kind": "collector", "selector": "env=prod", "body": body });
    assert_eq!(world.put(EDGE, request).await.status, StatusCode::CREATED);
}

pub async fn a_release_reaches_matching_agents_and_counts_them(world: &World<'_>) {
    let mut a = world.connect(1, &[("env", "prod")]).await;
    let mut b = world.connect(2, &[("env", "prod")]).await;
    let dev = world.connect(3, &[("env", "dev")]).await;
    put(world, BODY).await;
    let started: StartedRollout = world
        .post(
            RELEASE,
            json!({ "strategy": "all_at_once", "message": "go" }),
        )
        .await
        .json(StatusCode::CREATED);
    assert_eq!(started.affected, 2);
    let rollout = &started.rollout;
    assert_eq!(
        (rollout.revision, rollout.previous_revision, rollout.status),
        (Some(1), None, RolloutStatus::Completed)
    );
    assert_eq!(
        (
            rollout.strategy.as_str(),
            rollout.message.as_str(),
            rollout.author.as_str()
        ),
        ("all_at_once", "go", "admin")
    );

    assert_eq!(a.takes_config(world, ApplyState::Applied, "").await, BODY);
    assert_eq!(b.takes_config(world, ApplyState::Failed, "no").await, BODY);
    assert!(dev.pushed(world).is_none());
    let detail: RolloutDetail = world
        .read(&format!("/api/v1/rollouts/{}", rollout.id))
        .await;
    assert_eq!(detail.rollout, *rollout);
    assert_eq!(
        (
            detail.agents.total,
            detail.agents.in_sync,
            detail.agents.disconnected
        ),
        (2, 1, 0)
    );
    assert_eq!(detail.agents.by_state[&ConfigState::Failed], 1);
    assert_eq!(detail.agents.by_state[&ConfigState::Pending], 0);

    let late = world.connect(4, &[("env", "prod")]).await;
    let shown: Agent = world.read(&late.path()).await;
    assert_eq!(
        shown.config.desired.unwrap().layers[0].revision,
        1,
        "late joiners get it too"
    );
    let config: Config = world.read(EDGE).await;
    assert_eq!(
        (config.baseline, config.last_rollout.unwrap().id),
        (Some(1), rollout.id.clone())
    );
}

pub async fn both_forms_of_the_request_are_taken(world: &World<'_>) {
    put(world, BODY).await;
    put(world, OTHER).await;
    let released = |request: Value| async move {
        let started: StartedRollout = world.post(RELEASE, request).await.json(StatusCode::CREATED);
        started.rollout.revision
    };
    assert_eq!(released(json!({})).await, Some(2));
    assert_eq!(released(json!({ "revision": 1 })).await, Some(1));
    assert_eq!(
        released(json!({ "rollout": { "revision": 2, "strategy": "all_at_once" } })).await,
        Some(2)
    );
    let both = json!({ "revision": 1, "rollout": { "revision": 2 } });
    assert_eq!(
        world
            .post(RELEASE, both)
            .await
            .problem(ProblemKind::InvalidField)
            .field
            .as_deref(),
        Some("rollout")
    );
}

pub async fn an_older_revision_can_be_released_again(world: &World<'_>) {
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    put(world, BODY).await;
    world.post(RELEASE, json!({})).await;
    agent.takes_config(world, ApplyState::Applied, "").await;
    put(world, OTHER).await;
    world.post(RELEASE, json!({})).await;
    assert_eq!(
        agent.takes_config(world, ApplyState::Failed, "no").await,
        OTHER
    );
    let back: StartedRollout = world
        .post(RELEASE, json!({ "revision": 1 }))
        .await
        .json(StatusCode::CREATED);
    assert_eq!(back.rollout.previous_revision, Some(2));
    assert_eq!(
        agent.takes_config(world, ApplyState::Applied, "").await,
        BODY
    );
    let again: StartedRollout = world
        .post(RELEASE, json!({ "revision": 1 }))
        .await
        .json(StatusCode::CREATED);
    assert_eq!(again.rollout.revision, Some(1));
    assert!(
        agent.pushed(world).is_none(),
        "equal content never makes an agent apply anew"
    );
}

pub async fn what_cannot_be_released_is_refused(world: &World<'_>) {
    world
        .post(RELEASE, json!({}))
        .await
        .problem(ProblemKind::NotFound);
    put(world, BODY).await;
    let problem = world
        .post(RELEASE, json!({ "revision": 9 }))
        .await
        .problem(ProblemKind::NotFound);
    assert_eq!(problem.field.as_deref(), Some("revision"));
    let problem = world
        .post(RELEASE, json!({ "strategy": "canary" }))
        .await
        .problem(ProblemKind::UnsupportedStrategy);
    assert!(problem.detail.unwrap().contains("all_at_once"));
    let long = json!({ "message": "x".repeat(5_000) });
    world
        .post(RELEASE, long)
        .await
        .problem(ProblemKind::InvalidField);
    world
        .get("/api/v1/rollouts/00000000-0000-0000-0000-000000000001")
        .await
        .problem(ProblemKind::NotFound);
    let config: Config = world.read(EDGE).await;
    assert_eq!(config.baseline, None);
}

pub async fn layers_merge_by_priority(world: &World<'_>) {
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    let base = json!({ "kind": "collector", "priority": 0, "body": BODY });
    let over = json!({ "kind": "collector", "priority": 10, "selector": "env=prod", "body": "exporters: {debug: {verbosity: detailed}}\n" });
    world.put("/api/v1/configs/base", base).await;
    world.put("/api/v1/configs/over", over).await;
    world.post("/api/v1/configs/base/rollouts", json!({})).await;
    agent.takes_config(world, ApplyState::Applied, "").await;
    world.post("/api/v1/configs/over/rollouts", json!({})).await;
    let body = agent.takes_config(world, ApplyState::Applied, "").await;
    assert!(body.contains("otlp") && body.contains("detailed"), "{body}");
    let shown: Agent = world.read(&agent.path()).await;
    let layers = shown.config.desired.unwrap().layers;
    let names: Vec<&str> = layers.iter().map(|layer| layer.config.as_str()).collect();
    assert_eq!(names, ["base", "over"]);
}

pub async fn an_idempotency_key_starts_one_rollout(world: &World<'_>) {
    put(world, BODY).await;
    let send = |request: Value| {
        world
            .call(Method::POST, RELEASE)
            .header("idempotency-key", "k1")
            .json(request)
            .send()
    };
    let first: StartedRollout = send(json!({ "revision": 1 }))
        .await
        .json(StatusCode::CREATED);
    let again: StartedRollout = send(json!({ "rollout": { "revision": 1 } }))
        .await
        .json(StatusCode::OK);
    assert_eq!(first, again);
    send(json!({}))
        .await
        .problem(ProblemKind::IdempotencyKeyReused);
    let rollouts: Page<Rollout> = world.read(RELEASE).await;
    assert_eq!(rollouts.items.len(), 1);
}

pub async fn a_release_survives_a_crash(world: &World<'_>) {
    world.connect(1, &[("env", "prod")]).await;
    put(world, BODY).await;
    let started: StartedRollout = world
        .post(RELEASE, json!({}))
        .await
        .json(StatusCode::CREATED);
    let world = &world.crashed().await;
    let config: Config = world.read(EDGE).await;
    assert_eq!(
        (config.baseline, config.last_rollout.unwrap()),
        (Some(1), started.rollout)
    );
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    assert_eq!(
        agent.takes_config(world, ApplyState::Applied, "").await,
        BODY
    );
}

pub async fn a_release_whose_client_hangs_up_is_finished(world: &World<'_>) {
    let agent = world.connect(1, &[("env", "prod")]).await;
    put(world, BODY).await;
    let release = world.call(Method::POST, RELEASE).json(json!({})).send();
    tokio::select! {
        biased;
        _ = release => panic!("answered before anybody could hang up"),
        () = tokio::task::yield_now() => {}
    }
    let pushed = soon(async {
        loop {
            match agent.pushed(world) {
                Some(outgoing) => break outgoing,
                None => tokio::task::yield_now().await,
            }
        }
    });
    assert!(pushed.await.config.is_some());
    let config: Config = world.read(EDGE).await;
    assert_eq!(config.baseline, Some(1));
}

pub async fn rollouts_are_listed_newest_first(world: &World<'_>) {
    put(world, BODY).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let started: StartedRollout = world
            .post(RELEASE, json!({}))
            .await
            .json(StatusCode::CREATED);
        ids.insert(0, started.rollout.id);
        world.pass(1);
    }
    for path in ["/api/v1/rollouts", RELEASE] {
        let first: Page<Rollout> = world.read(&format!("{path}?limit=2")).await;
        let cursor = first.next_cursor.unwrap();
        let rest: Page<Rollout> = world.read(&format!("{path}?limit=2&cursor={cursor}")).await;
        let read: Vec<String> = first
            .items
            .into_iter()
            .chain(rest.items)
            .map(|rollout| rollout.id)
            .collect();
        assert_eq!(read, ids, "{path}");
        assert_eq!(rest.next_cursor, None);
    }
}
