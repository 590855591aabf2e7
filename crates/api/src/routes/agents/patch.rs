//! `PATCH /agents/{agent}`: an agent's operator labels.

use api_types::agents::{Agent, PatchAgent};
use axum::Json;
use axum::extract::State;
use http::{HeaderName, HeaderValue};

use super::{AgentPath, view};
use crate::access::Acting;
use crate::extract::{Json as Body, Path, Preconditions, etag};
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

/// Sets and removes operator labels of one agent. It moves to what it should run then, at once; no other agent is concerned.
#[utoipa::path(patch, path = "/agents/{agent}", tag = "agents",
    params(("agent" = String, Path, description = "Its id or its uid"), ("if-match" = Option<String>, Header, description = "The agent's etag")),
    request_body = PatchAgent,
    responses((status = 200, body = Agent)))]
pub(crate) async fn patch_agent(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<AgentPath>,
    preconditions: Preconditions,
    Body(patch): Body<PatchAgent>,
) -> ApiResult<([(HeaderName, HeaderValue); 1], Json<Agent>)> {
    let id = path.find(&state, &caller).await?;
    let expected = preconditions.of_agent()?;
    state
        .engine
        .edit_labels(&caller, id, &patch.labels, expected, state.now())
        .await?;
    let agent = state
        .engine
        .agent(&caller, id)
        .await?
        .ok_or_else(|| path.missing())?;
    let tag = etag(agent.stored.summary.version);
    let shown =
        tokio::task::spawn_blocking(move || view::to_agent(agent, view::Secrets::Redacted)).await;
    Ok((
        tag,
        Json(shown.map_err(|error| ApiError::internal(&error))?),
    ))
}
