//! `GET /configs/{config}/rollouts`.

use api_types::rollouts::Rollout;
use api_types::{Page, PageQuery};
use axum::Json;
use axum::extract::State;

use super::ConfigPath;
use crate::access::Acting;
use crate::extract::{Path, Query};
use crate::page::{page_of, to_page};
use crate::problem::ApiResult;
use crate::routes::rollouts::to_rollout;
use crate::state::ApiState;

/// The rollouts of a config, newest first; also of one that is deleted.
#[utoipa::path(get, path = "/configs/{config}/rollouts", tag = "rollouts",
    params(("config" = String, Path, description = "The config's name"), PageQuery),
    responses((status = 200, body = Page<Rollout>)))]
pub(crate) async fn list_rollouts_of_config(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<ConfigPath>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<Rollout>>> {
    let name = path.name()?;
    let page = page_of(query.limit, query.cursor.as_deref())?;
    let rollouts = state.engine.rollouts(&caller, Some(&name), page).await?;
    Ok(Json(to_page(rollouts, to_rollout)))
}
