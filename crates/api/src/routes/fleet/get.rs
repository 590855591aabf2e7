//! `GET /fleet`.

use api_types::fleet::Fleet;
use axum::Json;
use axum::extract::State;
use engine::domain::ConfigState;

use crate::access::Acting;
use crate::problem::ApiResult;
use crate::routes::agents::to_config_state;
use crate::state::ApiState;

/// Counts over the namespace.
#[utoipa::path(get, path = "/fleet", tag = "fleet", responses((status = 200, body = Fleet)))]
pub(crate) async fn get_fleet(
    State(state): State<ApiState>,
    Acting(caller): Acting,
) -> ApiResult<Json<Fleet>> {
    let fleet = state.engine.fleet(&caller).await?;
    let agents = fleet.agents;
    let in_sync = agents
        .config_states
        .iter()
        .find(|(state, _)| *state == ConfigState::Applied);
    Ok(Json(Fleet {
        namespace: caller.namespace.to_string(),
        agents: agents.total,
        connected: agents.connected,
        disconnected: agents.total.saturating_sub(agents.connected),
        healthy: agents.healthy,
        unhealthy: agents.unhealthy,
        health_unknown: agents
            .total
            .saturating_sub(agents.healthy + agents.unhealthy),
        pending_approval: agents.pending_approval,
        in_sync: in_sync.map_or(0, |(_, count)| *count),
        by_config_state: agents
            .config_states
            .iter()
            .map(|(state, count)| (to_config_state(*state), *count))
            .collect(),
        configs: fleet.configs,
        configs_in_force: fleet.configs_in_force,
        holds: fleet.holds,
    }))
}
