//! `DELETE /agents/{agent}`.

use axum::extract::State;
use http::StatusCode;

use super::AgentPath;
use crate::access::Acting;
use crate::extract::Path;
use crate::problem::ApiResult;
use crate::state::ApiState;

/// Forgets an agent. One that is connected is cut off, and is a new agent when it comes back.
#[utoipa::path(delete, path = "/agents/{agent}", tag = "agents",
    params(("agent" = String, Path, description = "Its id or its uid")),
    responses((status = 204, description = "It is forgotten")))]
pub(crate) async fn delete_agent(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<AgentPath>,
) -> ApiResult<StatusCode> {
    let id = path.find(&state, &caller).await?;
    state.engine.delete_agent(&caller, id, state.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
