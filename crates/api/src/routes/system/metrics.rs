//! `GET /metrics`: the server's metrics for Prometheus.

use axum::extract::State;
use http::{HeaderName, header};

use crate::state::ApiState;

/// The server's metrics in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "system", responses((status = 200, content_type = "text/plain", body = String)))]
pub(crate) async fn get_metrics(
    State(state): State<ApiState>,
) -> ([(HeaderName, &'static str); 1], String) {
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        state.metrics.render(),
    )
}
