//! The routes: one endpoint a file.

mod agents;
mod audit;
pub(crate) mod config_source;
mod configs;
mod events;
mod fleet;
mod rollouts;
mod secrets;
mod system;
mod tokens;

use api_types::ProblemKind;
use http::{Method, Uri};
use utoipa_axum::router::OpenApiRouter;

use crate::problem::ApiError;
use crate::state::ApiState;

/// What needs no token.
pub(crate) fn open() -> OpenApiRouter<ApiState> {
    system::open()
}

/// What is there once, and not in every namespace.
pub(crate) fn once() -> OpenApiRouter<ApiState> {
    system::document().merge(config_source::webhook())
}

/// What is there in every namespace.
pub(crate) fn tree() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .merge(agents::routes())
        .merge(config_source::routes())
        .merge(configs::routes())
        .merge(rollouts::routes())
        .merge(secrets::routes())
        .merge(tokens::routes())
        .merge(fleet::routes())
        .merge(events::routes())
        .merge(audit::routes())
}

/// The answer for paths that are not there.
pub(crate) async fn no_such_route(uri: Uri) -> ApiError {
    ApiError::new(ProblemKind::UnknownRoute)
        .detail(format!("{} is not there; / lists what is", uri.path()))
}

/// The answer for paths that are there, with other methods.
pub(crate) async fn no_such_method(method: Method) -> ApiError {
    ApiError::new(ProblemKind::MethodNotAllowed)
        .detail(format!("{method} is not one of its methods"))
}
