//! `GET /health`: whether the process is well. It asks memory only.

use api_types::system::{ServerHealth, ServerStatus};
use axum::Json;
use axum::extract::State;

use crate::state::ApiState;

/// Whether the server is well. 200 also while it is degraded: agents stay connected, and a restart would not help.
#[utoipa::path(get, path = "/health", tag = "system", responses((status = 200, body = ServerHealth)))]
pub(crate) async fn get_health(State(state): State<ApiState>) -> Json<ServerHealth> {
    let reason = state.engine.degraded();
    let status = if reason.is_some() {
        ServerStatus::Degraded
    } else {
        ServerStatus::Ok
    };
    Json(ServerHealth {
        status,
        reason,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}
