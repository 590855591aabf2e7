//! `GET /rollouts`.

use api_types::rollouts::Rollout;
use api_types::{Page, PageQuery};
use axum::Json;
use axum::extract::State;

use super::to_rollout;
use crate::access::Acting;
use crate::extract::Query;
use crate::page::{page_of, to_page};
use crate::problem::ApiResult;
use crate::state::ApiState;

/// Rollouts of all configs, newest first.
#[utoipa::path(get, path = "/rollouts", tag = "rollouts", params(PageQuery), responses((status = 200, body = Page<Rollout>)))]
pub(crate) async fn list_rollouts(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<Rollout>>> {
    let page = page_of(query.limit, query.cursor.as_deref())?;
    let rollouts = state.engine.rollouts(&caller, None, page).await?;
    Ok(Json(to_page(rollouts, to_rollout)))
}
