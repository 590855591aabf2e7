//! `DELETE /agents/{agent}`.

use axum::extract::State;
use http::StatusCode;

use super::AgentPath;
use crate::access::Acting;
use crate::extract::{Path, Preconditions};
use crate::problem::ApiResult;
use crate::state::ApiState;

/// Forgets an agent. One that is connected is cut off, and is a new agent when it comes back.
#[utoipa::path(delete, path = "/agents/{agent}", tag = "agents",
    params(("agent" = String, Path, description = "Its id or its uid"), ("if-match" = Option<String>, Header, description = "The agent's etag")),
    responses((status = 204, description = "It is forgotten")))]
pub(crate) async fn delete_agent(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<AgentPath>,
    preconditions: Preconditions,
) -> ApiResult<StatusCode> {
    let id = path.find(&state, &caller).await?;
    let expected = preconditions.of_agent()?;
    state
        .engine
        .delete_agent(&caller, id, expected, state.now())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
