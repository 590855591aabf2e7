//! The OpenAPI document, generated from handlers and types.

use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::access::OPEN_PATHS;
use crate::routes::config_source::WEBHOOK_PATH;

/// What surrounds the paths.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "OpAMP control plane",
        description = "Agents, their configuration and its rollouts. `/api/v1/…` acts in the token's namespace, \
            `/api/v1/namespaces/{namespace}/…` is the same tree for another. Lists are paged with `limit` and `cursor`. \
            Errors are RFC 9457 problem details with a stable `type`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(api_types::Problem, api_types::ProblemKind, api_types::configs::DeleteAgents)),
    tags(
        (name = "agents", description = "Managed telemetry agents."),
        (name = "configs", description = "Configs and their revisions. Making a revision changes no agent."),
        (name = "config-source", description = "Configs that stand in a Git repository."),
        (name = "rollouts", description = "What puts revisions in force."),
        (name = "secrets", description = "Values that configs refer to by name, and that nobody gets to see."),
        (name = "tokens", description = "Credentials of agents and administrators."),
        (name = "fleet", description = "The fleet as a whole, and its emergency brake."),
        (name = "events", description = "What happens, as it happens."),
        (name = "audit", description = "Every write and every refusal, in a hash chain."),
        (name = "system", description = "The server itself."),
    ),
)]
struct Frame;

/// The document before any path is in it.
pub(crate) fn frame() -> utoipa::openapi::OpenApi {
    Frame::openapi()
}

/// The whole OpenAPI document.
#[must_use]
pub fn document() -> Value {
    let (_, api) = crate::described().split_for_parts();
    let mut document = serde_json::to_value(&api).unwrap_or_default();
    document["components"]["securitySchemes"] = json!({
        "admin_token": { "type": "http", "scheme": "bearer", "description": "An admin token: `opamp_adm_…`" },
    });
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths.iter_mut() {
            for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
                complete(path, operation);
            }
        }
    }
    document
}

/// Adds what every operation has and no handler says: the token, the errors, the namespace of its path.
fn complete(path: &str, operation: &mut Value) {
    if OPEN_PATHS.contains(&path) {
        return;
    }
    if path != WEBHOOK_PATH {
        operation["security"] = json!([{ "admin_token": [] }]);
    }
    operation["responses"]["default"] = json!({
        "description": "A problem",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    if path.starts_with("/api/v1/namespaces/{namespace}/") {
        // Operation ids are unique in the document, and this is the same handler under a second path.
        let id = operation["operationId"].as_str().unwrap_or_default();
        operation["operationId"] = format!("{id}_in_namespace").into();
        let namespace = json!({
            "name": "namespace", "in": "path", "required": true, "schema": { "type": "string" },
            "description": "The namespace to act in",
        });
        match operation["parameters"].as_array_mut() {
            Some(parameters) => parameters.insert(0, namespace),
            None => operation["parameters"] = json!([namespace]),
        }
    }
}
