//! Tokens.

use api_types::tokens::{CreatedToken, Token, TokenKind};
use api_types::{Page, ProblemKind};
use engine::AuthenticationError;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::World;

const TOKENS: &str = "/api/v1/tokens";

pub async fn an_agent_token_lets_agents_in_until_it_is_revoked(world: &World<'_>) {
    let body = json!({ "description": "edge", "labels": { "team": "sre" } });
    let made: CreatedToken = world.post(TOKENS, body).await.json(StatusCode::CREATED);
    let secret = made.secret.unwrap();
    assert!(secret.starts_with("opamp_agt_"));
    let principal = world
        .engine
        .authenticate(Some(&secret), world.now())
        .unwrap();
    assert_eq!(principal.labels.get("team"), Some("sre"));
    let path = format!("{TOKENS}/{}", made.token.id);
    assert_eq!(
        world
            .crashed()
            .await
            .engine
            .authenticate(Some(&secret), world.now()),
        Ok(principal)
    );

    assert_eq!(world.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(
        world.engine.authenticate(Some(&secret), world.now()),
        Err(AuthenticationError::Revoked)
    );
    let after = world.crashed().await;
    assert!(
        after
            .engine
            .authenticate(Some(&secret), world.now())
            .is_err()
    );
    let shown: Token = world.read(&path).await;
    assert!(shown.revoked_at.is_some());
    assert_eq!(
        world.delete(&path).await.status,
        StatusCode::NO_CONTENT,
        "once more changes nothing"
    );
}

pub async fn a_secret_is_shown_once(world: &World<'_>) {
    let answer = world
        .post(TOKENS, json!({ "kind": "admin", "description": "ci" }))
        .await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let made: CreatedToken = answer.json(StatusCode::CREATED);
    let secret = made.secret.unwrap();
    assert!(secret.starts_with("opamp_adm_"));
    for path in [
        format!("{TOKENS}?kind=admin"),
        format!("{TOKENS}/{}", made.token.id),
        "/api/v1/audit".to_owned(),
    ] {
        let shown = world.get(&path).await;
        assert_eq!(shown.status, StatusCode::OK);
        assert!(
            !shown.text.contains(&secret["opamp_adm_".len()..]),
            "{path}"
        );
    }
}

pub async fn an_idempotency_key_makes_one_token(world: &World<'_>) {
    let send = |body: Value| {
        world
            .call(Method::POST, TOKENS)
            .header("idempotency-key", "k1")
            .json(body)
            .send()
    };
    let first: CreatedToken = send(json!({ "description": "edge" }))
        .await
        .json(StatusCode::CREATED);
    let again: CreatedToken = send(json!({ "description": "edge" }))
        .await
        .json(StatusCode::OK);
    assert_eq!(again.token, first.token);
    assert_eq!((first.secret.is_some(), again.secret), (true, None));
    let refused = send(json!({ "description": "other" }))
        .await
        .problem(ProblemKind::IdempotencyKeyReused);
    assert_eq!(refused.field.as_deref(), Some("idempotency-key"));
    let listed: Page<Token> = world.read(TOKENS).await;
    assert_eq!(listed.items, [first.token]);
}

pub async fn requests_at_once_with_one_key_make_one_token(world: &World<'_>) {
    let send = || {
        let call = world
            .call(Method::POST, TOKENS)
            .header("idempotency-key", "k1");
        call.json(json!({ "description": "edge" })).send()
    };
    let (a, b, c) = tokio::join!(send(), send(), send());
    let mut statuses = [a.status, b.status, c.status];
    statuses.sort_unstable();
    assert_eq!(
        statuses,
        [StatusCode::OK, StatusCode::OK, StatusCode::CREATED]
    );
    let listed: Page<Token> = world.read(TOKENS).await;
    assert_eq!(listed.items.len(), 1);
}

pub async fn impossible_tokens_are_refused(world: &World<'_>) {
    for (body, field) in [
        (
            json!({ "expires_at": "2020-01-01T00:00:00Z" }),
            "expires_at",
        ),
        (json!({ "kind": "admin", "labels": { "a": "b" } }), "labels"),
        (json!({ "labels": { "": "b" } }), "labels."),
        (json!({ "description": "x".repeat(2_000) }), "description"),
    ] {
        let problem = world
            .post(TOKENS, body)
            .await
            .problem(ProblemKind::InvalidField);
        assert_eq!(problem.field.as_deref(), Some(field));
    }
    for body in [
        json!({ "expires_at": "tomorrow" }),
        json!({ "kind": "root" }),
    ] {
        world
            .post(TOKENS, body)
            .await
            .problem(ProblemKind::InvalidBody);
    }
    let missing = format!("{TOKENS}/00000000-0000-0000-0000-000000000001");
    world.get(&missing).await.problem(ProblemKind::NotFound);
    world.delete(&missing).await.problem(ProblemKind::NotFound);
    let listed: Page<Token> = world.read(TOKENS).await;
    assert!(listed.items.is_empty());
}

pub async fn tokens_are_listed_by_kind(world: &World<'_>) {
    for kind in ["agent", "admin", "agent", "agent"] {
        world.post(TOKENS, json!({ "kind": kind })).await;
        world.pass(1);
    }
    let first: Page<Token> = world.read(&format!("{TOKENS}?limit=2")).await;
    let cursor = first.next_cursor.unwrap();
    let rest: Page<Token> = world
        .read(&format!("{TOKENS}?limit=2&cursor={cursor}"))
        .await;
    assert_eq!(
        (first.items.len(), rest.items.len(), rest.next_cursor),
        (2, 1, None)
    );
    assert!(
        first
            .items
            .iter()
            .all(|token| token.kind == TokenKind::Agent)
    );
    let admin: Page<Token> = world.read(&format!("{TOKENS}?kind=admin")).await;
    assert_eq!(admin.items.len(), 1);
}
