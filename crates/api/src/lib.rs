//! The admin plane: REST under `/api/v1`, server-sent events, health, metrics and the OpenAPI document.
//!
//! Handlers are thin: they read the request strictly, make one call of `engine::admin`, and turn the answer into types
//! of `api-types`. Every path but `/`, `/health`, `/ready`, `/metrics` and the webhook of the config source takes an admin
//! token; every refusal of one, and every write that fails, goes to the audit log (writes that succeed are put there by
//! the engine, in their transaction).
//!
//! Start with [`router`]. Listeners, TLS and socket deadlines are the server's.

mod access;
mod diffs;
mod dry_runs;
mod extract;
mod findings;
mod gate;
mod openapi;
mod page;
mod problem;
mod routes;
mod selector;
mod state;
mod uncut;

pub use access::ByOperator;
pub use openapi::document;
pub use state::{ApiState, Readiness};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tokio::runtime::Handle;
use utoipa_axum::router::OpenApiRouter;

/// The largest request body, in bytes, where a route does not say otherwise.
const REQUEST_MAX_BYTES: usize = 64 << 10;

/// The admin plane's routes. Writes run on the runtime that this is called on, whichever serves the routes.
///
/// # Panics
/// Outside of a runtime.
pub fn router(state: ApiState) -> Router {
    let writers = Handle::current();
    let (routes, _) = described().split_for_parts();
    routes
        .method_not_allowed_fallback(routes::no_such_method)
        .fallback(routes::no_such_route)
        .layer(DefaultBodyLimit::max(REQUEST_MAX_BYTES))
        .layer(axum::middleware::from_fn_with_state(
            state.clone(),
            access::guard,
        ))
        .layer(axum::middleware::from_fn_with_state(
            writers,
            uncut::finish_writes,
        ))
        .with_state(state)
}

/// All routes with their descriptions.
fn described() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(openapi::frame())
        .merge(routes::open())
        .nest("/api/v1", routes::tree().merge(routes::once()))
        .nest("/api/v1/namespaces/{namespace}", routes::tree())
}
