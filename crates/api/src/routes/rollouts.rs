//! Rollouts: what puts revisions in force. They are started at their config.

mod get;
mod list;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::ApiState;

pub(super) use view::{to_rollout, to_started};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list_rollouts))
        .routes(routes!(get::get_rollout))
}
