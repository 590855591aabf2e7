//! `GET /agents/{agent}/events`: what happened to an agent.

use api_types::events::Event;
use api_types::{Page, PageQuery};
use axum::Json;
use axum::extract::State;
use engine::admin::PageOf;
use engine::domain::EventId;

use super::AgentPath;
use crate::access::Acting;
use crate::extract::{Path, Query};
use crate::page::{page_of, to_page};
use crate::problem::ApiResult;
use crate::routes::events::to_event;
use crate::state::ApiState;

/// What happened to an agent, newest first; also to one that is forgotten, by its id.
#[utoipa::path(get, path = "/agents/{agent}/events", tag = "agents",
    params(("agent" = String, Path, description = "Its id or its uid"), PageQuery),
    responses((status = 200, body = Page<Event>)))]
pub(crate) async fn list_agent_events(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<AgentPath>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<Event>>> {
    let page = page_of::<i64>(query.limit, query.cursor.as_deref())?;
    let page = PageOf {
        after: page.after.map(EventId),
        limit: page.limit,
    };
    let id = path.find_or_forgotten(&state, &caller).await?;
    let events = state
        .engine
        .agent_events(&caller, id, page)
        .await?
        .ok_or_else(|| path.missing())?;
    Ok(Json(to_page(events, to_event)))
}
