//! `GET /ready`: whether to send work here.

use api_types::system::{ServerHealth, ServerStatus};
use axum::Json;
use axum::extract::State;
use http::StatusCode;

use crate::state::{ApiState, Readiness};

/// Whether the server takes work: 503 before it has started and while it drains, 200 otherwise, a lost database included.
#[utoipa::path(get, path = "/ready", tag = "system", responses(
    (status = 200, body = ServerHealth),
    (status = 503, body = ServerHealth, description = "It starts or drains"),
))]
pub(crate) async fn get_ready(State(state): State<ApiState>) -> (StatusCode, Json<ServerHealth>) {
    let readiness = *state.readiness.borrow();
    let reason = state.engine.degraded();
    let (code, status) = match readiness {
        Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, ServerStatus::Starting),
        Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, ServerStatus::Draining),
        Readiness::Ready if reason.is_some() => (StatusCode::OK, ServerStatus::Degraded),
        Readiness::Ready => (StatusCode::OK, ServerStatus::Ok),
    };
    (
        code,
        Json(ServerHealth {
            status,
            reason,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }),
    )
}
