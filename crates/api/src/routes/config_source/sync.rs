//! `POST /config-source/sync`: a look at the source now.

use api_types::config_source::ConfigSource;
use axum::Json;
use axum::extract::State;
use engine::admin::source::Asked;
use http::StatusCode;

use super::{desk, view};
use crate::access::Acting;
use crate::problem::ApiResult;
use crate::state::ApiState;

/// Asks for a look at the source now. A commit that was refused is looked at again. Answers before the look is over:
/// `last_fetch.at` moves when it is.
#[utoipa::path(post, path = "/config-source/sync", tag = "config-source",
    responses((status = 202, body = ConfigSource, description = "It was asked for")))]
pub(crate) async fn sync_config_source(
    State(state): State<ApiState>,
    Acting(caller): Acting,
) -> ApiResult<(StatusCode, Json<ConfigSource>)> {
    let desk = desk(&state, &caller)?;
    state
        .engine
        .record_source_sync(&caller, state.now())
        .await?;
    desk.ask(Asked::LookAgain);
    let standing = state.engine.source_standing(desk.source()).await?;
    Ok((StatusCode::ACCEPTED, Json(view::to_source(desk, standing))))
}
