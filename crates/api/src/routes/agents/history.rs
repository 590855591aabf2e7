//! `GET /agents/{agent}/history`: what changed about an agent.

use api_types::agents::HistoryEntry;
use api_types::{Page, PageQuery};
use axum::Json;
use axum::extract::State;

use super::{AgentPath, view};
use crate::access::Acting;
use crate::extract::{Path, Query};
use crate::page::{page_of, to_page};
use crate::problem::ApiResult;
use crate::state::ApiState;

/// What changed about an agent, newest first: description, labels, uid, approval.
#[utoipa::path(get, path = "/agents/{agent}/history", tag = "agents",
    params(("agent" = String, Path, description = "Its id or its uid"), PageQuery),
    responses((status = 200, body = Page<HistoryEntry>)))]
pub(crate) async fn list_agent_history(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<AgentPath>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<HistoryEntry>>> {
    let page = page_of(query.limit, query.cursor.as_deref())?;
    let id = path.find(&state, &caller).await?;
    let changes = state
        .engine
        .agent_history(&caller, id, page)
        .await?
        .ok_or_else(|| path.missing())?;
    Ok(Json(to_page(changes, view::to_history)))
}
