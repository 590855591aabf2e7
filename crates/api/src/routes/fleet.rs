//! The fleet as a whole.

mod get;
mod hold;
mod put_hold;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(get::get_fleet))
        .routes(routes!(hold::get_hold, put_hold::put_hold))
}
