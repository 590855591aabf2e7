//! `POST /agents/{agent}/approve`.

use api_types::agents::Accepted;
use axum::Json;
use axum::extract::State;
use http::StatusCode;

use super::AgentPath;
use crate::access::Acting;
use crate::extract::{NoPreconditions, Path};
use crate::problem::ApiResult;
use crate::state::ApiState;

/// Lets a pending agent in. It is offered what it should run.
#[utoipa::path(post, path = "/agents/{agent}/approve", tag = "agents",
    params(("agent" = String, Path, description = "Its id or its uid")),
    responses((status = 202, body = Accepted)))]
pub(crate) async fn approve_agent(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<AgentPath>,
    _: NoPreconditions,
) -> ApiResult<(StatusCode, Json<Accepted>)> {
    let id = path.find(&state, &caller).await?;
    state.engine.approve_agent(&caller, id, state.now()).await?;
    Ok((
        StatusCode::ACCEPTED,
        Json(Accepted {
            message: "the agent is approved".to_owned(),
        }),
    ))
}
