//! Requests that cannot be read: each is refused with its place, and changes nothing.

use api_types::ProblemKind;
use http::{Method, StatusCode};
use serde_json::json;

use crate::harness::{BODY, World};

const EDGE: &str = "/api/v1/configs/edge";

pub async fn bodies_that_cannot_be_read_are_refused(world: &World<'_>) {
    let send = |content_type: &str, body: &str| {
        world
            .call(Method::PUT, EDGE)
            .text(content_type, body)
            .send()
    };
    let problem = send("application/json", "{\n  \"kind\": oops\n}")
        .await
        .problem(ProblemKind::InvalidBody);
    assert_eq!((problem.line, problem.column), (Some(2), Some(11)));
    let problem = send("application/json", "")
        .await
        .problem(ProblemKind::InvalidBody);
    assert!(problem.detail.is_some());
    send("application/json", "[]")
        .await
        .problem(ProblemKind::InvalidBody);
    send("application/json", "{} trailing")
        .await
        .problem(ProblemKind::InvalidBody);
    let problem = send("application/json", "{\"kind\":\"collector\"}")
        .await
        .problem(ProblemKind::InvalidBody);
    assert_eq!(problem.field.as_deref(), Some("body"));
    let problem = send(
        "application/json",
        "{\"kind\":\"collector\",\"body\":\"\",\"priority\":\"high\"}",
    )
    .await;
    assert_eq!(
        problem.problem(ProblemKind::InvalidBody).field.as_deref(),
        Some("priority")
    );
    let yaml = send("application/yaml", "kind: collector")
        .await
        .problem(ProblemKind::UnsupportedMediaType);
    assert_eq!(yaml.field.as_deref(), Some("content-type"));
    world
        .call(Method::PUT, EDGE)
        .send()
        .await
        .problem(ProblemKind::UnsupportedMediaType);
    let body = json!({ "kind": "collector", "body": BODY }).to_string();
    assert_eq!(
        send("Application/JSON; charset=utf-8", &body).await.status,
        StatusCode::CREATED
    );
}

pub async fn unknown_fields_are_named(world: &World<'_>) {
    let agent = world.connect(1, &[]).await;
    for (method, path, body, field) in [
        (
            "PUT",
            EDGE,
            json!({ "kind": "collector", "body": BODY, "prio": 1 }),
            "prio",
        ),
        (
            "POST",
            "/api/v1/configs/edge/rollouts",
            json!({ "stages": [] }),
            "stages",
        ),
        (
            "POST",
            "/api/v1/configs/edge/rollouts",
            json!({ "rollout": { "pace": 1 } }),
            "rollout.pace",
        ),
        ("POST", "/api/v1/tokens", json!({ "name": "x" }), "name"),
        (
            "PUT",
            "/api/v1/fleet/hold",
            json!({ "held": true, "why": "x" }),
            "why",
        ),
        (
            "PATCH",
            agent.path().as_str(),
            json!({ "labels": {}, "name": "x" }),
            "name",
        ),
    ] {
        let call = world.call(method.parse().unwrap(), path).json(body);
        let problem = call.send().await.problem(ProblemKind::UnknownField);
        assert_eq!(problem.field.as_deref(), Some(field), "{method} {path}");
    }
    world.get(EDGE).await.problem(ProblemKind::NotFound);
}

pub async fn unknown_query_parameters_are_named(world: &World<'_>) {
    let agent = world.connect(1, &[]).await;
    world
        .put(EDGE, json!({ "kind": "collector", "body": BODY }))
        .await;
    let one = agent.path();
    for (method, path) in [
        ("GET", "/api/v1/agents"),
        ("GET", one.as_str()),
        ("GET", &format!("{one}/history")),
        ("GET", &format!("{one}/events")),
        ("GET", "/api/v1/configs"),
        ("DELETE", EDGE),
        ("GET", "/api/v1/configs/edge/revisions"),
        ("GET", "/api/v1/configs/edge/revisions/1"),
        ("GET", "/api/v1/configs/edge/rollouts"),
        ("GET", "/api/v1/rollouts"),
        ("GET", "/api/v1/tokens"),
        ("GET", "/api/v1/opamp.yaml"),
        ("GET", "/api/v1/events"),
        ("GET", "/api/v1/audit"),
    ] {
        let answer = world
            .call(method.parse().unwrap(), &format!("{path}?surprise=1"))
            .send()
            .await;
        let problem = answer.problem(ProblemKind::InvalidQuery);
        assert_eq!(
            problem.field.as_deref(),
            Some("surprise"),
            "{method} {path}"
        );
    }
    let problem = world
        .delete(&format!("{EDGE}?agents=keep"))
        .await
        .problem(ProblemKind::InvalidQuery);
    assert_eq!(problem.field.as_deref(), Some("agents"));
    for query in [
        "connected=yes",
        "healthy=1",
        "config_state=fine",
        "in_sync=x",
        "approval=maybe",
        "q=a&q=b",
    ] {
        let problem = world
            .get(&format!("/api/v1/agents?{query}"))
            .await
            .problem(ProblemKind::InvalidQuery);
        assert_eq!(problem.field.as_deref(), query.split('=').next());
    }
    assert_eq!(world.get(EDGE).await.status, StatusCode::OK);
}

pub async fn bad_pages_are_refused(world: &World<'_>) {
    for path in ["agents", "configs", "rollouts", "tokens", "audit"] {
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=-1", "limit"),
            ("cursor=%00", "cursor"),
        ] {
            let problem = world
                .get(&format!("/api/v1/{path}?{query}"))
                .await
                .problem(ProblemKind::InvalidQuery);
            assert_eq!(problem.field.as_deref(), Some(field), "{path}?{query}");
        }
    }
}

pub async fn bad_paths_are_refused(world: &World<'_>) {
    for (path, field) in [
        ("/api/v1/agents/not-a-uuid", "agent"),
        ("/api/v1/agents/%FF", "agent"),
        ("/api/v1/configs/UPPER", "config"),
        ("/api/v1/configs/a%2Fb", "config"),
        ("/api/v1/configs/edge/revisions/one", "revision"),
        ("/api/v1/configs/edge/revisions/-1", "revision"),
        ("/api/v1/rollouts/7", "rollout"),
        ("/api/v1/tokens/7", "token"),
        ("/api/v1/namespaces/UPPER/agents", "namespace"),
        ("/api/v1/namespaces/%FF/agents", "namespace"),
    ] {
        let problem = world.get(path).await.problem(ProblemKind::InvalidPath);
        assert_eq!(problem.field.as_deref(), Some(field), "{path}");
    }
    let problem = world
        .put(
            "/api/v1/configs/Edge",
            json!({ "kind": "collector", "body": BODY }),
        )
        .await;
    assert!(
        problem
            .problem(ProblemKind::InvalidPath)
            .detail
            .unwrap()
            .contains("lowercase")
    );
}

pub async fn bad_headers_are_refused(world: &World<'_>) {
    let put = |name: &str, value: &str| {
        world
            .call(Method::PUT, EDGE)
            .header(name, value)
            .json(json!({ "kind": "collector", "body": BODY }))
            .send()
    };
    for (name, value) in [
        ("if-match", "7"),
        ("if-match", "W/\"7\""),
        ("if-none-match", "\"7\""),
    ] {
        let problem = put(name, value).await.problem(ProblemKind::InvalidHeader);
        assert_eq!(problem.field.as_deref(), Some(name));
    }
    for key in ["", &"x".repeat(300), "schlüssel"] {
        let call = world
            .call(Method::POST, "/api/v1/tokens")
            .header("idempotency-key", key)
            .json(json!({}));
        let problem = call.send().await.problem(ProblemKind::InvalidHeader);
        assert_eq!(problem.field.as_deref(), Some("idempotency-key"));
    }
}

pub async fn bad_selectors_are_refused_at_their_position(world: &World<'_>) {
    for (selector, position) in [
        ("env=prod,", 9),
        ("env=prod,region in (a", 21),
        ("=x", 0),
        ("a=b c", 4),
    ] {
        let body = json!({ "kind": "collector", "selector": selector, "body": BODY });
        let problem = world
            .put(EDGE, body)
            .await
            .problem(ProblemKind::InvalidSelector);
        assert_eq!(
            (problem.field.as_deref(), problem.position),
            (Some("selector"), Some(position)),
            "{selector}: {problem:?}"
        );
        let query: String = url::form_urlencoded::byte_serialize(selector.as_bytes()).collect();
        let problem = world
            .get(&format!("/api/v1/agents?selector={query}"))
            .await
            .problem(ProblemKind::InvalidSelector);
        assert_eq!(problem.position, Some(position), "{selector}");
    }
    let body = json!({ "kind": "collector", "selector": { "": "x" }, "body": BODY });
    let problem = world
        .put(EDGE, body)
        .await
        .problem(ProblemKind::InvalidSelector);
    assert_eq!(problem.field.as_deref(), Some("selector."));
    world
        .put(
            EDGE,
            json!({ "kind": "collector", "selector": 7, "body": BODY }),
        )
        .await
        .problem(ProblemKind::InvalidBody);
}

pub async fn bad_config_bodies_are_refused_at_line_and_column(world: &World<'_>) {
    for (body, place) in [
        ("receivers: {}\nreceivers: {}\n", Some((2, 1))),
        ("receivers:\n  otlp: [\n", Some((2, 9))),
        ("- a\n- b\n", Some((1, 1))),
        ("", None),
        ("# nothing\n", None),
    ] {
        let problem = world
            .put(EDGE, json!({ "kind": "collector", "body": body }))
            .await
            .problem(ProblemKind::InvalidConfigBody);
        assert_eq!(problem.field.as_deref(), Some("body"));
        assert_eq!(
            problem.line.zip(problem.column),
            place,
            "{body:?}: {problem:?}"
        );
    }
    let large = "a: b\n".repeat(250_000);
    let problem = world
        .put(EDGE, json!({ "kind": "collector", "body": large }))
        .await
        .problem(ProblemKind::InvalidConfigBody);
    assert!(problem.detail.unwrap().contains("1048576"));
    world.get(EDGE).await.problem(ProblemKind::NotFound);
}

pub async fn large_bodies_are_refused(world: &World<'_>) {
    let body = json!({ "kind": "collector", "body": "x".repeat(5 << 20) });
    let problem = world
        .put(EDGE, body.clone())
        .await
        .problem(ProblemKind::BodyTooLarge);
    assert!(problem.detail.unwrap().contains("limits.revision_body"));
    // Where the text may be larger, the request may be, too.
    let roomy = World::start_with(world.db, |options| {
        options.limits.desired.body_bytes = 6 << 20;
        options.seed = [8; 32];
    })
    .await;
    let large = format!("receivers: {{}}\n# {}\n", "x".repeat(5 << 20));
    let body = json!({ "kind": "collector", "body": large });
    let made = roomy.put(EDGE, body).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let body = json!({ "description": "x".repeat(200 << 10) });
    world
        .post("/api/v1/tokens", body)
        .await
        .problem(ProblemKind::BodyTooLarge);
}

pub async fn preconditions_that_nobody_checks_are_refused(world: &World<'_>) {
    let agent = world.connect(1, &[]).await.path();
    let tokens = "/api/v1/tokens".to_owned();
    for (method, path) in [
        (Method::PUT, "/api/v1/fleet/hold".to_owned()),
        (Method::POST, tokens.clone()),
        (Method::DELETE, format!("{tokens}/tok_1")),
        (Method::POST, format!("{agent}/restart")),
        (Method::POST, format!("{agent}/retry")),
        (Method::POST, format!("{agent}/approve")),
    ] {
        for name in ["if-match", "if-none-match"] {
            let call = world.call(method.clone(), &path).header(name, "*");
            let problem = call
                .json(json!({}))
                .send()
                .await
                .problem(ProblemKind::InvalidHeader);
            assert_eq!(problem.field.as_deref(), Some(name), "{path}");
        }
    }
}

pub async fn a_second_document_is_refused_at_its_line(world: &World<'_>) {
    let body = "receivers: {}\n---\nexporters: {}\n";
    let problem = world
        .put(EDGE, json!({ "kind": "collector", "body": body }))
        .await
        .problem(ProblemKind::InvalidConfigBody);
    assert_eq!(problem.line, Some(2));
}
