//! Who gets in.

use api::Readiness;
use api_types::audit::AuditEntry;
use api_types::tokens::CreatedToken;
use api_types::{Page, ProblemKind};
use engine::Secret;
use engine::admin::access::Adopted;
use http::{Method, StatusCode};
use serde_json::json;

use crate::harness::{ADMIN, World};
use crate::openapi::{ROUTES, concrete};

const OPEN: [&str; 4] = ["/", "/health", "/ready", "/metrics"];

pub async fn every_route_takes_a_token(world: &World<'_>) {
    for (method, path) in ROUTES {
        let method: Method = method.parse().unwrap();
        let answer = world
            .anonymous(method.clone(), &concrete(path))
            .send()
            .await;
        if OPEN.contains(path) {
            assert_eq!(answer.status, StatusCode::OK, "{method} {path}");
            continue;
        }
        answer.problem(ProblemKind::Unauthorized);
        assert!(
            answer.headers["www-authenticate"]
                .to_str()
                .unwrap()
                .starts_with("Bearer")
        );
        for credential in [
            "Bearer ",
            "Bearer nonsense",
            "Basic YWRtaW46YWRtaW4=",
            ADMIN,
        ] {
            let call = world
                .anonymous(method.clone(), &concrete(path))
                .header("authorization", credential);
            call.send().await.problem(ProblemKind::Unauthorized);
        }
    }
}

pub async fn a_token_of_the_agent_plane_opens_nothing(world: &World<'_>) {
    let made: CreatedToken = world
        .post("/api/v1/tokens", json!({}))
        .await
        .json(StatusCode::CREATED);
    let answer = world
        .call_as(&made.secret.unwrap(), Method::GET, "/api/v1/agents")
        .send()
        .await;
    let problem = answer.problem(ProblemKind::Unauthorized);
    assert!(problem.detail.unwrap().contains("agent token"));
}

pub async fn a_revoked_or_expired_admin_token_opens_nothing(world: &World<'_>) {
    let expires_at = world
        .now()
        .checked_add(jiff::SignedDuration::from_secs(60))
        .unwrap();
    let body = json!({ "kind": "admin", "description": "ci", "expires_at": expires_at });
    let made: CreatedToken = world
        .post("/api/v1/tokens", body)
        .await
        .json(StatusCode::CREATED);
    let secret = made.secret.unwrap();
    let get = || world.call_as(&secret, Method::GET, "/api/v1/agents").send();
    assert_eq!(get().await.status, StatusCode::OK);
    world.pass(60);
    get().await.problem(ProblemKind::Unauthorized);

    let made: CreatedToken = world
        .post("/api/v1/tokens", json!({ "kind": "admin" }))
        .await
        .json(StatusCode::CREATED);
    let secret = made.secret.unwrap();
    let get = || world.call_as(&secret, Method::GET, "/api/v1/agents").send();
    assert_eq!(get().await.status, StatusCode::OK);
    assert_eq!(
        world
            .delete(&format!("/api/v1/tokens/{}", made.token.id))
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    get().await.problem(ProblemKind::Unauthorized);
}

pub async fn a_replaced_bootstrap_token_opens_nothing(world: &World<'_>) {
    let replaced = world
        .engine
        .replace_bootstrap_token(&Secret::new("another"), world.now())
        .await
        .unwrap();
    assert_eq!(replaced, Adopted::Installed);
    world
        .get("/api/v1/agents")
        .await
        .problem(ProblemKind::Unauthorized);
    assert_eq!(
        world
            .call_as("another", Method::GET, "/api/v1/agents")
            .send()
            .await
            .status,
        StatusCode::OK
    );
}

pub async fn a_bootstrap_token_is_adopted_once(world: &World<'_>) {
    let made = world.engine.new_bootstrap_token();
    let adopt = |secret: Secret| async move {
        world
            .engine
            .adopt_bootstrap_token(&secret, world.now())
            .await
            .unwrap()
    };
    assert_eq!(adopt(made).await, Adopted::AnotherStands);
    assert_eq!(adopt(Secret::new(ADMIN)).await, Adopted::Unchanged);
}

pub async fn paths_that_are_not_there_are_told_to_operators_only(world: &World<'_>) {
    for path in [
        "/api/v1/nothing",
        "/api/v1",
        "/api/v2/agents",
        "/nothing",
        "/api/v1/namespaces/other/nothing",
    ] {
        world
            .anonymous(Method::GET, path)
            .send()
            .await
            .problem(ProblemKind::Unauthorized);
        world.get(path).await.problem(ProblemKind::UnknownRoute);
    }
    world
        .anonymous(Method::POST, "/api/v1/agents")
        .send()
        .await
        .problem(ProblemKind::Unauthorized);
    let problem = world
        .post("/api/v1/agents", json!({}))
        .await
        .problem(ProblemKind::MethodNotAllowed);
    assert!(problem.detail.unwrap().contains("POST"));
    world.readiness.send_replace(Readiness::Draining);
    assert_eq!(world.get("/api/v1/agents").await.status, StatusCode::OK);
}

pub async fn strangers_are_noted_and_a_flood_of_them_is_bounded(world: &World<'_>) {
    let path = format!("/api/v1/{}", "x".repeat(2_000));
    for _ in 0..60 {
        world.anonymous(Method::GET, &path).send().await;
    }
    let page: Page<AuditEntry> = world.read("/api/v1/audit?limit=500").await;
    let refused: Vec<&AuditEntry> = page
        .items
        .iter()
        .filter(|entry| entry.event == "request.refused")
        .collect();
    assert_eq!(refused.len(), 20);
    assert_eq!(
        (
            refused[0].actor.as_str(),
            refused[0].action.as_str(),
            refused[0].success
        ),
        ("anonymous", "GET", false)
    );
    assert!(refused[0].resource.len() < 600);
    world.pass(2);
    world.anonymous(Method::GET, "/api/v1/agents").send().await;
    let page: Page<AuditEntry> = world.read("/api/v1/audit?limit=1").await;
    assert!(
        page.items[0].error.as_ref().unwrap().contains("40 more"),
        "{:?}",
        page.items[0]
    );
}
