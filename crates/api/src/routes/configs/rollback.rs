//! `POST /configs/{config}/rollback`: an earlier revision as a new one.

use api_types::configs::{Revision, RollBackConfig};
use axum::extract::State;
use engine::admin::configs::RollbackError;
use engine::domain::RevisionNumber;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ConfigPath;
use super::put::{Answer, answer};
use crate::access::Acting;
use crate::extract::{Json as Body, Path, Preconditions};
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

pub(super) fn route() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(roll_back_config))
}

/// Makes an earlier revision the newest again, as a new revision that says so. No agent changes: a rollout does that. Where
/// the newest is just that already, it is answered, and none is made.
#[utoipa::path(post, path = "/configs/{config}/rollback", tag = "configs",
    params(
        ("config" = String, Path, description = "The config's name"),
        ("if-match" = Option<String>, Header, description = "The config's etag"),
    ),
    request_body = RollBackConfig,
    responses(
        (status = 201, body = Revision, description = "A revision was made"),
        (status = 200, body = Revision, description = "The newest revision is just that"),
    ))]
pub(crate) async fn roll_back_config(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<ConfigPath>,
    preconditions: Preconditions,
    Body(body): Body<RollBackConfig>,
) -> ApiResult<Answer> {
    let name = path.name()?;
    let to = RevisionNumber(body.revision);
    let put = state
        .engine
        .roll_back_config(
            &caller,
            &name,
            to,
            body.message,
            &preconditions.into(),
            state.now(),
        )
        .await?;
    answer(put).await
}

impl From<RollbackError> for ApiError {
    fn from(error: RollbackError) -> Self {
        match error {
            RollbackError::NoSuch(error) => error.into(),
            RollbackError::Put(error) => error.into(),
            RollbackError::Store(error) => error.into(),
        }
    }
}
