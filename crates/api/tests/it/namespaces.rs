//! Namespaces: tenants that do not see each other.

use api_types::agents::AgentSummary;
use api_types::audit::AuditEntry;
use api_types::configs::{Config, Revision};
use api_types::fleet::Holds;
use api_types::tokens::{CreatedToken, Token};
use api_types::{Page, ProblemKind};
use http::{Method, StatusCode};
use serde_json::json;

use crate::harness::{BODY, World, other};

const THERE: &str = "/api/v1/namespaces/other";

async fn admin_of_other(world: &World<'_>) -> String {
    let made = world
        .post(&format!("{THERE}/tokens"), json!({ "kind": "admin" }))
        .await;
    made.json::<CreatedToken>(StatusCode::CREATED)
        .secret
        .unwrap()
}

pub async fn one_namespace_does_not_see_another(world: &World<'_>) {
    let agent = world.connect(1, &[("env", "prod")]).await;
    let put = json!({ "kind": "collector", "selector": "env=prod", "body": BODY });
    let made: Revision = world
        .put(&format!("{THERE}/configs/edge"), put)
        .await
        .json(StatusCode::CREATED);
    assert_eq!(made.summary.number, 1);
    world
        .post(&format!("{THERE}/configs/edge/rollouts"), json!({}))
        .await;
    assert!(agent.pushed(world).is_none(), "another namespace's config");
    world
        .get("/api/v1/configs/edge")
        .await
        .problem(ProblemKind::NotFound);
    let config: Config = world.read(&format!("{THERE}/configs/edge")).await;
    assert_eq!(config.namespace, "other");
    let agents: Page<AgentSummary> = world.read(&format!("{THERE}/agents")).await;
    assert!(agents.items.is_empty());
    world
        .get(&format!("{THERE}/agents/{}", agent.id()))
        .await
        .problem(ProblemKind::NotFound);
    world
        .get(&format!("{THERE}/agents/{}", agent.uid))
        .await
        .problem(ProblemKind::NotFound);
    world
        .delete(&format!("{THERE}/agents/{}", agent.id()))
        .await
        .problem(ProblemKind::NotFound);
    let restart = world
        .call(
            Method::POST,
            &format!("{THERE}/agents/{}/restart", agent.id()),
        )
        .send()
        .await;
    restart.problem(ProblemKind::NotFound);
    let token: CreatedToken = world
        .post(&format!("{THERE}/tokens"), json!({}))
        .await
        .json(StatusCode::CREATED);
    assert_eq!(token.token.namespace, "other");
    let principal = world
        .engine
        .authenticate(token.secret.as_deref(), world.now())
        .unwrap();
    assert_eq!(principal.namespace, other());
    world
        .delete(&format!("/api/v1/tokens/{}", token.token.id))
        .await
        .problem(ProblemKind::NotFound);
    let audit: Page<AuditEntry> = world.read(&format!("{THERE}/audit")).await;
    assert!(!audit.items.is_empty() && audit.items.iter().all(|entry| entry.namespace == "other"));
    let same: Page<AgentSummary> = world.read("/api/v1/namespaces/default/agents").await;
    assert_eq!(same.items.len(), 1);
}

pub async fn a_token_of_a_namespace_acts_there_and_nowhere_else(world: &World<'_>) {
    let secret = admin_of_other(world).await;
    let call = |method: Method, path: &str| world.call_as(&secret, method, path);
    let put = json!({ "kind": "collector", "body": BODY });
    let made: Revision = call(Method::PUT, "/api/v1/configs/edge")
        .json(put)
        .send()
        .await
        .json(StatusCode::CREATED);
    assert!(made.summary.author.starts_with("token:"));
    let config: Config = world.read(&format!("{THERE}/configs/edge")).await;
    assert_eq!(config.namespace, "other");
    assert_eq!(
        call(Method::GET, &format!("{THERE}/configs"))
            .send()
            .await
            .status,
        StatusCode::OK
    );

    for path in [
        "/api/v1/namespaces/default/agents",
        "/api/v1/namespaces/third/agents",
    ] {
        call(Method::GET, path)
            .send()
            .await
            .problem(ProblemKind::NotFound);
    }
    let audit: Page<AuditEntry> = call(Method::GET, "/api/v1/audit?limit=1")
        .send()
        .await
        .json(StatusCode::OK);
    assert_eq!(audit.items[0].resource, "/api/v1/namespaces/third/agents");
    assert_eq!(
        (audit.items[0].event.as_str(), audit.items[0].success),
        ("request.refused", false)
    );
    let tokens: Page<Token> = call(Method::GET, "/api/v1/tokens?kind=admin")
        .send()
        .await
        .json(StatusCode::OK);
    assert_eq!(tokens.items.len(), 1);
}

pub async fn a_hold_of_the_fleet_takes_a_credential_for_all(world: &World<'_>) {
    let secret = admin_of_other(world).await;
    let hold = |body| {
        world
            .call_as(&secret, Method::PUT, "/api/v1/fleet/hold")
            .json(body)
            .send()
    };
    let refused = hold(json!({ "held": true, "scope": "fleet" }))
        .await
        .problem(ProblemKind::Forbidden);
    assert_eq!(refused.field.as_deref(), Some("scope"));
    let holds: Holds = hold(json!({ "held": true })).await.json(StatusCode::OK);
    assert!(holds.held);
    let here: Holds = world.read("/api/v1/fleet/hold").await;
    assert!(!here.held, "another namespace's hold");
    world
        .put(
            "/api/v1/fleet/hold",
            json!({ "held": true, "scope": "fleet" }),
        )
        .await;
    let there: Holds = world.read(&format!("{THERE}/fleet/hold")).await;
    assert_eq!(there.holds.len(), 2);
    hold(json!({ "held": false, "scope": "fleet" }))
        .await
        .problem(ProblemKind::Forbidden);
}
