//! `GET /configs/{config}`.

use api_types::configs::Config;
use axum::Json;
use axum::extract::State;
use http::{HeaderName, HeaderValue};

use super::tags::to_tag;
use super::{ConfigPath, view};
use crate::access::Acting;
use crate::extract::{Path, etag};
use crate::problem::ApiResult;
use crate::routes::rollouts::to_rollout;
use crate::state::ApiState;

/// One config: its newest revision, the one in force, its newest rollout.
#[utoipa::path(get, path = "/configs/{config}", tag = "configs",
    params(("config" = String, Path, description = "Its name")),
    responses((status = 200, body = Config, headers(("etag" = String, description = "For If-Match of writes")))))]
pub(crate) async fn get_config(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<ConfigPath>,
) -> ApiResult<([(HeaderName, HeaderValue); 1], Json<Config>)> {
    let config = state
        .engine
        .config(&caller, &path.name()?)
        .await?
        .ok_or_else(|| path.missing())?;
    let tag = etag(config.overview.config.version);
    Ok((
        tag,
        Json(view::to_config(
            config.overview,
            config.last_rollout.map(to_rollout),
            config.tags.into_iter().map(to_tag).collect(),
        )),
    ))
}
