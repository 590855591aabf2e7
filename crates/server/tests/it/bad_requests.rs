//! Bad requests to the REST API: each is refused with a problem that says where, and nothing is stored.

use api_types::Problem;
use serde_json::{Value, json};
use testkit::{Answer, Api, TestServer};

use crate::FIRST;

fn kind(problem: &Problem) -> &str {
    problem.type_uri.rsplit(':').next().unwrap_or_default()
}

async fn put(api: &Api, selector: &Value, body: &str) -> Answer {
    api.put(
        "/api/v1/configs/base",
        &json!({"kind": "collector", "selector": selector, "body": body}),
    )
    .await
}

#[tokio::test]
async fn a_bad_selector_is_refused_with_its_position() {
    let server = TestServer::start().await;
    let api = server.api();
    let problem = put(&api, &json!("env=prod,region in us-west"), FIRST)
        .await
        .problem(422);
    assert_eq!(
        (kind(&problem), problem.position),
        ("invalid-selector", Some(19)),
        "{problem:?}"
    );
    let listed = api.get("/api/v1/agents?selector=env%3Dprod%2C%2C").await;
    assert!(listed.status.is_client_error(), "{}", listed.text);
    assert!(
        listed.json::<Problem>().position.is_some(),
        "{}",
        listed.text
    );
    assert_eq!(
        api.get("/api/v1/configs/base").await.status.as_u16(),
        404,
        "a refused write left something"
    );
}

#[tokio::test]
async fn a_body_that_is_no_yaml_is_refused_with_line_and_column() {
    let server = TestServer::start().await;
    let api = server.api();
    let problem = put(&api, &json!(""), "receivers:\n  otlp: {}\nexporters: [\n")
        .await
        .problem(422);
    assert_eq!(kind(&problem), "invalid-config-body");
    assert!(
        problem.line.is_some_and(|line| 3 <= line) && problem.column.is_some(),
        "{problem:?}"
    );
    for body in ["- a list\n", "just text", "receivers: {}\nreceivers: {}\n"] {
        let problem = put(&api, &json!(""), body).await.problem(422);
        assert_eq!(kind(&problem), "invalid-config-body", "{body}");
    }
    assert_eq!(api.get("/api/v1/configs/base").await.status.as_u16(), 404);
}

#[tokio::test]
async fn bodies_and_queries_are_read_strictly() {
    let server = TestServer::start().await;
    let api = server.api();
    let problem = api
        .put(
            "/api/v1/configs/base",
            &json!({"kind": "collector", "body": FIRST, "selectr": ""}),
        )
        .await
        .problem(400);
    assert!(
        problem
            .detail
            .is_some_and(|detail| detail.contains("selectr"))
    );
    let problem = api
        .put(
            "/api/v1/configs/base",
            &json!({"kind": "ottl", "body": FIRST}),
        )
        .await
        .problem(422);
    assert!(
        problem
            .detail
            .or(Some(problem.title))
            .is_some_and(|text| text.contains("ottl") || text.contains("kind"))
    );
    assert_eq!(
        api.get("/api/v1/agents?selectr=x").await.status.as_u16(),
        400
    );
    assert_eq!(api.get("/api/v1/agents?limit=0").await.status.as_u16(), 400);
    assert_eq!(
        api.get("/api/v1/agents?cursor=nonsense")
            .await
            .status
            .as_u16(),
        400
    );
    let raw = api
        .request(reqwest::Method::PUT, "/api/v1/configs/base")
        .header("content-type", "application/json")
        .body("{\"kind\": ");
    let problem = api.try_send(raw).await.expect("an answer").problem(400);
    assert!(problem.line.is_some(), "{problem:?}");
    let strategy = json!({"strategy": "canary"});
    api.put_config("base", "", FIRST).await;
    assert!(
        api.post("/api/v1/configs/base/rollouts", &strategy)
            .await
            .status
            .is_client_error()
    );
    assert_eq!(
        api.post("/api/v1/configs/none/rollouts", &json!({}))
            .await
            .status
            .as_u16(),
        404
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let server = TestServer::builder()
        .config("limits: { revision_body: 4KiB, merged_config: 8KiB }\n")
        .start()
        .await;
    let body = format!("receivers: {{}}\n# {}\n", "x".repeat(5000));
    let answer = put(&server.api(), &json!(""), &body).await;
    assert!(
        matches!(answer.status.as_u16(), 413 | 422),
        "{} {}",
        answer.status,
        answer.text
    );
}
