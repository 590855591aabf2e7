//! `GET /rollouts/{rollout}`.

use api_types::ProblemKind;
use api_types::rollouts::RolloutDetail;
use axum::Json;
use axum::extract::State;
use engine::domain::{InvalidName, RolloutId};
use serde::Deserialize;

use super::view::to_detail;
use crate::access::Acting;
use crate::extract::Path;
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

/// The rollout of a path.
#[derive(Deserialize)]
pub(crate) struct RolloutPath {
    rollout: String,
}

/// One rollout, and how the agents stand that its revision matches now.
#[utoipa::path(get, path = "/rollouts/{rollout}", tag = "rollouts",
    params(("rollout" = String, Path, description = "Its id")),
    responses((status = 200, body = RolloutDetail)))]
pub(crate) async fn get_rollout(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<RolloutPath>,
) -> ApiResult<Json<RolloutDetail>> {
    let refuse = |error: InvalidName| {
        ApiError::new(ProblemKind::InvalidPath)
            .field("rollout")
            .detail(error.to_string())
    };
    let id: RolloutId = path.rollout.parse().map_err(refuse)?;
    let found = state.engine.rollout(&caller, id).await?;
    let detail = found.ok_or_else(|| {
        ApiError::new(ProblemKind::NotFound).detail(format!("there is no rollout {id}"))
    })?;
    Ok(Json(to_detail(detail)))
}
