//! The server itself.

use api::Readiness;
use api_types::ProblemKind;
use api_types::system::{ServerHealth, ServerStatus};
use http::{Method, StatusCode};
use serde_json::json;

use crate::harness::{BODY, World};

pub async fn health_ready_and_metrics_take_no_token(world: &World<'_>) {
    let health: ServerHealth = world
        .anonymous(Method::GET, "/health")
        .send()
        .await
        .json(StatusCode::OK);
    assert_eq!((health.status, health.reason), (ServerStatus::Ok, None));
    let metrics = world.anonymous(Method::GET, "/metrics").send().await;
    assert_eq!(metrics.status, StatusCode::OK);
    assert!(
        metrics.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain")
    );
    assert_eq!(
        world.anonymous(Method::HEAD, "/ready").send().await.status,
        StatusCode::OK
    );
}

pub async fn readiness_follows_the_server(world: &World<'_>) {
    for (readiness, code, status) in [
        (
            Readiness::Starting,
            StatusCode::SERVICE_UNAVAILABLE,
            ServerStatus::Starting,
        ),
        (Readiness::Ready, StatusCode::OK, ServerStatus::Ok),
        (
            Readiness::Draining,
            StatusCode::SERVICE_UNAVAILABLE,
            ServerStatus::Draining,
        ),
    ] {
        world.readiness.send_replace(readiness);
        let ready: ServerHealth = world
            .anonymous(Method::GET, "/ready")
            .send()
            .await
            .json(code);
        assert_eq!(ready.status, status);
        assert_eq!(
            world.anonymous(Method::GET, "/health").send().await.status,
            StatusCode::OK
        );
    }
}

pub async fn the_landing_page_lists_the_api(world: &World<'_>) {
    let page = world.anonymous(Method::GET, "/").send().await;
    assert!(
        page.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    for part in [
        "/api/v1/configs/{config}/rollouts",
        "PUT",
        "openapi.json",
        "Releases a revision",
    ] {
        assert!(page.text.contains(part), "{part}");
    }
}

pub async fn a_new_agent_gets_its_file(world: &World<'_>) {
    let file = world
        .get("/api/v1/opamp.yaml?labels=env%3Dprod&instance_id=edge-1")
        .await;
    assert_eq!(file.status, StatusCode::OK);
    for part in [
        "wss://opamp.test:4320/v1/opamp",
        "\"env\": \"prod\"",
        "instance_id: \"edge-1\"",
        "${OPAMP_TOKEN}",
    ] {
        assert!(file.text.contains(part), "{part} in\n{}", file.text);
    }
    let refused = world
        .get("/api/v1/opamp.yaml?labels=env")
        .await
        .problem(ProblemKind::InvalidQuery);
    assert_eq!(refused.field.as_deref(), Some("labels"));
    world
        .get("/api/v1/opamp.yaml?executable=")
        .await
        .problem(ProblemKind::InvalidQuery);
}

pub async fn a_lost_database_is_told_and_the_server_stays_up(world: &World<'_>) {
    world.db.db.close().await;
    for answer in [
        world.get("/api/v1/agents").await,
        world
            .put(
                "/api/v1/configs/edge",
                json!({ "kind": "collector", "body": BODY }),
            )
            .await,
    ] {
        answer.problem(ProblemKind::DatabaseUnavailable);
        assert!(answer.headers.contains_key("retry-after"));
    }
    for path in ["/health", "/ready", "/metrics"] {
        assert_eq!(
            world.anonymous(Method::GET, path).send().await.status,
            StatusCode::OK
        );
    }
}
