//! The fleet as a whole.

use api_types::agents::{AgentSummary, ConfigState};
use api_types::fleet::{Fleet, HoldScope, Holds};
use api_types::{Page, ProblemKind};
use engine::domain::model::ApplyState;
use http::StatusCode;
use serde_json::json;

use crate::harness::{BODY, World};

const HOLD: &str = "/api/v1/fleet/hold";

pub async fn the_summary_counts(world: &World<'_>) {
    let mut a = world.connect(1, &[("env", "prod")]).await;
    world.connect(2, &[("env", "dev")]).await;
    let gone = world.connect(3, &[("env", "dev")]).await;
    world.engine.detach(
        &gone.attachment,
        engine::DisconnectReason::ConnectionClosed,
        world.now(),
    );
    world.release("edge", "env=prod", BODY).await;
    a.takes_config(world, ApplyState::Applied, "").await;
    world
        .put(
            "/api/v1/configs/idle",
            json!({ "kind": "collector", "body": BODY }),
        )
        .await;
    world.put(HOLD, json!({ "held": true })).await;
    let fleet: Fleet = world.read("/api/v1/fleet").await;
    assert_eq!(
        (fleet.agents, fleet.connected, fleet.disconnected),
        (3, 2, 1)
    );
    assert_eq!(
        (fleet.in_sync, fleet.pending_approval, fleet.health_unknown),
        (1, 0, 3)
    );
    assert_eq!(
        (fleet.configs, fleet.configs_in_force, fleet.holds),
        (2, 1, 1)
    );
    assert_eq!(fleet.by_config_state[&ConfigState::Unassigned], 2);
    assert_eq!(fleet.by_config_state[&ConfigState::Failed], 0);
}

pub async fn a_hold_keeps_offers_back_until_it_is_lifted(world: &World<'_>) {
    let agent = world.connect(1, &[("env", "prod")]).await;
    let holds: Holds = world
        .put(HOLD, json!({ "held": true, "reason": "incident 7" }))
        .await
        .json(StatusCode::OK);
    assert!(holds.held);
    let hold = &holds.holds[0];
    assert_eq!(
        (hold.scope, hold.reason.as_str(), hold.author.as_str()),
        (HoldScope::Namespace, "incident 7", "admin")
    );
    world.release("edge", "env=prod", BODY).await;
    assert!(
        agent
            .pushed(world)
            .is_none_or(|outgoing| outgoing.config.is_none())
    );
    let after: Holds = world.crashed().await.read(HOLD).await;
    assert_eq!(after, holds, "a hold is kept over restarts");

    let lifted: Holds = world
        .put(HOLD, json!({ "held": false }))
        .await
        .json(StatusCode::OK);
    assert!(!lifted.held);
    assert!(agent.pushed(world).unwrap().config.is_some());
    assert_eq!(
        world.put(HOLD, json!({ "held": false })).await.status,
        StatusCode::OK,
        "once more changes nothing"
    );
}

pub async fn holds_have_scopes(world: &World<'_>) {
    let east = world.connect(1, &[("region", "east")]).await;
    let west = world.connect(2, &[("region", "west")]).await;
    world
        .put(
            HOLD,
            json!({ "held": true, "selector": { "region": "east" } }),
        )
        .await;
    world.release("edge", "", BODY).await;
    assert!(
        east.pushed(world)
            .is_none_or(|outgoing| outgoing.config.is_none())
    );
    assert!(west.pushed(world).unwrap().config.is_some());

    world
        .put(HOLD, json!({ "held": true, "scope": "fleet" }))
        .await;
    let holds: Holds = world.read(HOLD).await;
    assert_eq!(holds.holds.len(), 2);
    world
        .put(HOLD, json!({ "held": false, "selector": "region=east" }))
        .await;
    assert!(
        east.pushed(world)
            .is_none_or(|outgoing| outgoing.config.is_none()),
        "the fleet's hold is still on"
    );
    world
        .put(HOLD, json!({ "held": false, "scope": "fleet" }))
        .await;
    assert!(east.pushed(world).unwrap().config.is_some());
}

pub async fn impossible_holds_are_refused(world: &World<'_>) {
    for body in [
        json!({ "held": true, "scope": "selector" }),
        json!({ "held": true, "scope": "fleet", "selector": "a=b" }),
        json!({ "held": true, "selector": "" }),
        json!({ "held": true, "selector": {} }),
    ] {
        let problem = world
            .put(HOLD, body)
            .await
            .problem(ProblemKind::InvalidField);
        assert_eq!(problem.field.as_deref(), Some("selector"));
    }
    let long = json!({ "held": true, "reason": "x".repeat(2_000) });
    assert_eq!(
        world
            .put(HOLD, long)
            .await
            .problem(ProblemKind::InvalidField)
            .field
            .as_deref(),
        Some("reason")
    );
    let bad = world
        .put(HOLD, json!({ "held": true, "selector": "a in (" }))
        .await
        .problem(ProblemKind::InvalidSelector);
    assert!(bad.position.is_some());
    let holds: Holds = world.read(HOLD).await;
    assert!(!holds.held);
}

pub async fn a_release_is_in_the_counts_at_once(world: &World<'_>) {
    world.release("edge", "env=prod", BODY).await;
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    agent.takes_config(world, ApplyState::Applied, "").await;
    let fleet: Fleet = world.read("/api/v1/fleet").await;
    assert_eq!(fleet.in_sync, 1);
    let listed = async |filter: &str| {
        let page: Page<AgentSummary> = world.read(&format!("/api/v1/agents?{filter}")).await;
        page.items.len()
    };
    assert_eq!(listed("in_sync=true").await, 1);
    let path = "/api/v1/configs/edge";
    let put =
        json!({ "kind": "collector", "selector": "env=prod", "body": "receivers: {otlp: {}}\n" });
    assert_eq!(world.put(path, put).await.status, StatusCode::CREATED);
    let released = world
        .post(&format!("{path}/rollouts"), json!({ "force": true }))
        .await;
    assert_eq!(released.status, StatusCode::CREATED);
    // Nothing was committed since.
    let fleet: Fleet = world.read("/api/v1/fleet").await;
    assert_eq!(fleet.in_sync, 0);
    assert_eq!(fleet.by_config_state[&ConfigState::Applied], 0);
    assert_eq!(listed("in_sync=true").await, 0);
    assert_eq!(listed("config_state=applied").await, 0);
}
