//! The config source: where it stands, and asking for a look at it.

mod get;
mod sync;
mod view;
mod webhook;

use api_types::ProblemKind;
use engine::admin::Caller;
use engine::admin::source::SourceDesk;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

/// The path of the webhook, which proves itself by a secret of its own.
pub(crate) const WEBHOOK_PATH: &str = "/api/v1/config-source/webhook";

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(get::get_config_source))
        .routes(routes!(sync::sync_config_source))
}

/// What is there once: a webhook knows no namespaces.
pub(super) fn webhook() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(webhook::config_source_webhook))
}

/// The source of the caller's namespace.
fn desk<'a>(state: &'a ApiState, caller: &Caller) -> ApiResult<&'a SourceDesk> {
    let desk = state.source.as_ref();
    desk.filter(|desk| desk.source().namespace == caller.namespace)
        .ok_or_else(|| {
            ApiError::new(ProblemKind::NotFound).detail(
                "this namespace has no config source; config_source in the server's configuration makes one",
            )
        })
}
