//! The OpenAPI document.

use std::collections::BTreeSet;

use api_types::ProblemKind;
use http::{Method, StatusCode};
use serde_json::Value;

use crate::harness::World;

/// Every route there is; those of the tree (all below `/api/v1` but the document and the webhook) are there under `/api/v1/namespaces/{namespace}` too.
pub const ROUTES: &[(&str, &str)] = &[
    ("GET", "/"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/api/v1/agents"),
    ("GET", "/api/v1/agents/{agent}"),
    ("PATCH", "/api/v1/agents/{agent}"),
    ("DELETE", "/api/v1/agents/{agent}"),
    ("POST", "/api/v1/agents/{agent}/plan"),
    ("POST", "/api/v1/agents/{agent}/restart"),
    ("POST", "/api/v1/agents/{agent}/approve"),
    ("POST", "/api/v1/agents/{agent}/retry"),
    ("GET", "/api/v1/agents/{agent}/history"),
    ("GET", "/api/v1/agents/{agent}/events"),
    ("GET", "/api/v1/config-source"),
    ("POST", "/api/v1/config-source/sync"),
    ("POST", "/api/v1/config-source/webhook"),
    ("GET", "/api/v1/configs"),
    ("GET", "/api/v1/configs/{config}"),
    ("PUT", "/api/v1/configs/{config}"),
    ("DELETE", "/api/v1/configs/{config}"),
    ("GET", "/api/v1/configs/{config}/revisions"),
    ("GET", "/api/v1/configs/{config}/revisions/{revision}"),
    ("GET", "/api/v1/configs/{config}/revisions/{revision}/diff"),
    ("GET", "/api/v1/agents/{agent}/explain"),
    ("GET", "/api/v1/configs/{config}/rollouts"),
    ("POST", "/api/v1/configs/{config}/import"),
    ("PUT", "/api/v1/configs/{config}/tags/{tag}"),
    ("DELETE", "/api/v1/configs/{config}/tags/{tag}"),
    ("POST", "/api/v1/configs/{config}/plan"),
    ("POST", "/api/v1/configs/{config}/render"),
    ("POST", "/api/v1/configs/{config}/rollback"),
    ("POST", "/api/v1/configs/{config}/rollouts"),
    ("GET", "/api/v1/rollouts"),
    ("GET", "/api/v1/rollouts/{rollout}"),
    ("GET", "/api/v1/secrets"),
    ("GET", "/api/v1/secrets/{secret}"),
    ("PUT", "/api/v1/secrets/{secret}"),
    ("DELETE", "/api/v1/secrets/{secret}"),
    ("GET", "/api/v1/tokens"),
    ("POST", "/api/v1/tokens"),
    ("GET", "/api/v1/tokens/{token}"),
    ("DELETE", "/api/v1/tokens/{token}"),
    ("GET", "/api/v1/opamp.yaml"),
    ("GET", "/api/v1/fleet"),
    ("GET", "/api/v1/fleet/hold"),
    ("PUT", "/api/v1/fleet/hold"),
    ("GET", "/api/v1/events"),
    ("GET", "/api/v1/audit"),
    ("GET", "/api/v1/audit/verify"),
];

/// The path with something in the place of its parameters.
pub fn concrete(path: &str) -> String {
    path.replace("{agent}", "00000000-0000-0000-0000-000000000001")
        .replace("{rollout}", "00000000-0000-0000-0000-000000000001")
        .replace("{token}", "00000000-0000-0000-0000-000000000001")
        .replace("{secret}", "db")
        .replace("{config}", "edge")
        .replace("{revision}", "1")
        .replace("{namespace}", "other")
}

fn listed(document: &Value) -> BTreeSet<(String, String)> {
    let mut routes = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            routes.insert((method.to_uppercase(), path.clone()));
        }
    }
    routes
}

pub async fn the_document_lists_every_route(world: &World<'_>) {
    let mut wanted = BTreeSet::new();
    for (method, path) in ROUTES {
        wanted.insert(((*method).to_owned(), (*path).to_owned()));
        if let Some(rest) = path
            .strip_prefix("/api/v1/")
            .filter(|rest| !["openapi.json", "config-source/webhook"].contains(rest))
        {
            wanted.insert((
                (*method).to_owned(),
                format!("/api/v1/namespaces/{{namespace}}/{rest}"),
            ));
        }
    }
    assert_eq!(listed(&api::document()), wanted);
    // And each of them is really there.
    for (method, path) in wanted {
        if path.ends_with("/events") && !path.contains("/agents/") {
            let answer = world.call(Method::GET, &concrete(&path)).open().await;
            assert_eq!(
                answer.status(),
                StatusCode::OK,
                "an endless answer, which is not read to its end"
            );
            continue;
        }
        let answer = world
            .call(method.parse().unwrap(), &concrete(&path))
            .send()
            .await;
        assert_ne!(
            answer.status,
            StatusCode::METHOD_NOT_ALLOWED,
            "{method} {path}"
        );
        let unknown = answer.status == StatusCode::NOT_FOUND
            && answer.text.contains(ProblemKind::UnknownRoute.slug());
        assert!(!unknown, "{method} {path}");
    }
}

pub async fn every_reference_resolves_and_operation_ids_are_unique(_: &World<'_>) {
    let document = api::document();
    let mut references = BTreeSet::new();
    let mut operations = Vec::new();
    walk(&document, &mut |key, value| match (key, value) {
        ("$ref", Value::String(reference)) => {
            references.insert(reference.clone());
        }
        ("operationId", Value::String(id)) => operations.push(id.clone()),
        _ => {}
    });
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("local references only");
        assert!(
            document.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
    let distinct: BTreeSet<&String> = operations.iter().collect();
    assert_eq!(distinct.len(), operations.len());
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let declared: BTreeSet<String> = parameters(operation);
            let in_path: BTreeSet<String> = placeholders(path);
            assert_eq!(declared, in_path, "{path}");
        }
    }
}

fn parameters(operation: &Value) -> BTreeSet<String> {
    let all = operation["parameters"].as_array().into_iter().flatten();
    let in_path = all.filter(|parameter| parameter["in"] == "path");
    in_path
        .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
        .collect()
}

fn placeholders(path: &str) -> BTreeSet<String> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(str::to_owned)
        .collect()
}

fn walk(value: &Value, visit: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                visit(key, value);
                walk(value, visit);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        _ => {}
    }
}

pub async fn the_document_is_served(world: &World<'_>) {
    let served: Value = world.read("/api/v1/openapi.json").await;
    assert_eq!(served, api::document());
    assert!(served["openapi"].as_str().unwrap().starts_with("3.1"));
}
