//! `POST /agents/{agent}/plan`: what other labels would do to an agent, before they do.

use api_types::plans::{AgentPlan, PlanAgent};
use axum::Json;
use axum::extract::State;
use engine::Group;

use super::AgentPath;
use crate::access::Acting;
use crate::dry_runs::to_order;
use crate::extract::{Json as Body, Path};
use crate::problem::{ApiError, ApiResult};
use crate::routes::configs::to_group;
use crate::state::ApiState;

/// Says what a change of its operator labels would do to an agent: what it would run, with the diff, and what checks find in
/// it. Nothing changes.
///
/// With `dry_run`, the agent has its own Collector check it, where it is connected to the node that answers. It applies nothing.
#[utoipa::path(post, path = "/agents/{agent}/plan", tag = "agents",
    params(("agent" = String, Path, description = "Its id or its uid")),
    request_body = PlanAgent,
    responses((status = 200, body = AgentPlan)))]
pub(crate) async fn plan_agent(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<AgentPath>,
    Body(body): Body<PlanAgent>,
) -> ApiResult<Json<AgentPlan>> {
    let id = path.find(&state, &caller).await?;
    let dry_run = to_order("dry_run", body.dry_run)?;
    let mut planned = state
        .engine
        .plan_labels(&caller, id, &body.labels, state.now())
        .await?;
    if let (Some(order), Some(group)) = (dry_run, &mut planned) {
        let group = std::slice::from_mut(group);
        state.engine.dry_run(&caller, group, order).await;
    }
    let blocked = planned.as_ref().is_some_and(Group::is_blocked);
    // Diffs take a while.
    let engine = state.engine.clone();
    let shown = move || planned.map(|group| to_group(&engine, group, true));
    let group = tokio::task::spawn_blocking(shown).await;
    Ok(Json(AgentPlan {
        agent: id.to_string(),
        blocked,
        group: group.map_err(|error| ApiError::internal(&error))?,
    }))
}
