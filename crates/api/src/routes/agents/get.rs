//! `GET /agents/{agent}`: one agent whole.

use api_types::agents::{Agent, GetAgent};
use axum::Json;
use axum::extract::State;
use http::{HeaderName, HeaderValue};

use super::{AgentPath, view};
use crate::access::Acting;
use crate::extract::{Path, Query, etag};
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

/// One agent, named by its id or its uid: health, capabilities, components, and what it should run beside what it runs.
#[utoipa::path(get, path = "/agents/{agent}", tag = "agents",
    params(("agent" = String, Path, description = "Its id or its uid"), GetAgent),
    responses((status = 200, body = Agent, headers(("etag" = String, description = "For If-Match of PATCH")))))]
pub(crate) async fn get_agent(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<AgentPath>,
    Query(query): Query<GetAgent>,
) -> ApiResult<([(HeaderName, HeaderValue); 1], Json<Agent>)> {
    let id = path.find(&state, &caller).await?;
    let agent = state
        .engine
        .agent(&caller, id)
        .await?
        .ok_or_else(|| path.missing())?;
    let secrets = if query.reveal == Some(true) {
        state
            .engine
            .record_agent_reveal(&caller, id, state.now())
            .await?;
        view::Secrets::Shown
    } else {
        view::Secrets::Redacted
    };
    let tag = etag(agent.stored.summary.version);
    // Redacting and comparing configs of a megabyte takes a while.
    let shown = tokio::task::spawn_blocking(move || view::to_agent(agent, secrets)).await;
    Ok((
        tag,
        Json(shown.map_err(|error| ApiError::internal(&error))?),
    ))
}
