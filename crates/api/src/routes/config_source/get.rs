//! `GET /config-source`.

use api_types::config_source::ConfigSource;
use axum::Json;
use axum::extract::State;

use super::{desk, view};
use crate::access::Acting;
use crate::problem::ApiResult;
use crate::state::ApiState;

/// Where the config source stands: its last look, the commit that is applied, one that was refused and why, and what
/// waits for its release.
#[utoipa::path(get, path = "/config-source", tag = "config-source", responses((status = 200, body = ConfigSource)))]
pub(crate) async fn get_config_source(
    State(state): State<ApiState>,
    Acting(caller): Acting,
) -> ApiResult<Json<ConfigSource>> {
    let desk = desk(&state, &caller)?;
    let standing = state.engine.source_standing(desk.source()).await?;
    Ok(Json(view::to_source(desk, standing)))
}
