//! `GET /agents`: a filtered page of agents.

use api_types::Page;
use api_types::agents::{AgentSummary, ListAgents};
use axum::Json;
use axum::extract::State;
use engine::admin::agents::ListAgents as Filter;

use super::view;
use crate::access::Acting;
use crate::extract::Query;
use crate::page::{page_of, to_page};
use crate::problem::ApiResult;
use crate::selector;
use crate::state::ApiState;

/// Agents that all given filters admit, by id.
#[utoipa::path(get, path = "/agents", tag = "agents", params(ListAgents), responses((status = 200, body = Page<AgentSummary>)))]
pub(crate) async fn list_agents(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Query(query): Query<ListAgents>,
) -> ApiResult<Json<Page<AgentSummary>>> {
    let page = page_of(query.limit, query.cursor.as_deref())?;
    let filter = Filter {
        selector: selector::read_text(query.selector.as_deref())?,
        text: query.q.filter(|text| !text.is_empty()),
        connected: query.connected,
        healthy: query.healthy,
        config_state: query.config_state.map(view::from_config_state),
        in_sync: query.in_sync,
        approval: query.approval.map(view::from_approval),
        after: page.after,
        limit: page.limit,
        ..Filter::all(caller.namespace.clone())
    };
    let agents = state.engine.agents(&caller, filter).await?;
    Ok(Json(to_page(agents, |agent| {
        view::to_summary(&agent.stored, agent.live.as_ref())
    })))
}
