//! `POST /agents/{agent}/retry`.

use api_types::agents::Accepted;
use axum::Json;
use axum::extract::State;
use http::StatusCode;

use super::AgentPath;
use crate::access::Acting;
use crate::extract::{NoPreconditions, Path};
use crate::problem::ApiResult;
use crate::state::ApiState;

/// Offers the config once more that the agent failed to apply, or is not done with.
#[utoipa::path(post, path = "/agents/{agent}/retry", tag = "agents",
    params(("agent" = String, Path, description = "Its id or its uid")),
    responses((status = 202, body = Accepted)))]
pub(crate) async fn retry_agent(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<AgentPath>,
    _: NoPreconditions,
) -> ApiResult<(StatusCode, Json<Accepted>)> {
    let id = path.find(&state, &caller).await?;
    state.engine.retry_agent(&caller, id, state.now()).await?;
    Ok((
        StatusCode::ACCEPTED,
        Json(Accepted {
            message: "the config is offered again".to_owned(),
        }),
    ))
}
