//! The server itself: its health, its metrics, its description.

mod health;
mod landing;
mod metrics;
mod openapi;
mod ready;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::ApiState;

pub(super) fn open() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(landing::landing_page))
        .routes(routes!(health::get_health))
        .routes(routes!(ready::get_ready))
        .routes(routes!(metrics::get_metrics))
}

pub(super) fn document() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(openapi::get_openapi))
}
