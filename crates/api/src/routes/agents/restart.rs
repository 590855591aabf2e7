//! `POST /agents/{agent}/restart`.

use api_types::agents::Accepted;
use axum::Json;
use axum::extract::State;
use http::StatusCode;

use super::AgentPath;
use crate::access::Acting;
use crate::extract::{NoPreconditions, Path};
use crate::problem::ApiResult;
use crate::state::ApiState;

/// Has the agent restart what it runs. The answer comes before the agent's.
#[utoipa::path(post, path = "/agents/{agent}/restart", tag = "agents",
    params(("agent" = String, Path, description = "Its id or its uid")),
    responses((status = 202, body = Accepted)))]
pub(crate) async fn restart_agent(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<AgentPath>,
    _: NoPreconditions,
) -> ApiResult<(StatusCode, Json<Accepted>)> {
    let id = path.find(&state, &caller).await?;
    state.engine.restart_agent(&caller, id, state.now()).await?;
    Ok((
        StatusCode::ACCEPTED,
        Json(Accepted {
            message: "the agent is told to restart".to_owned(),
        }),
    ))
}
