//! `GET /agents/{agent}/explain`: which config, revision and line set a value, and what that overrode.

use api_types::ProblemKind;
use api_types::explain::{ExplainQuery, ExplainedValue, Explanation, ValueSource};
use axum::Json;
use axum::extract::State;
use engine::Engine;
use engine::admin::agents::{DesiredView, Source};

use super::AgentPath;
use crate::access::Acting;
use crate::extract::{Path, Query};
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

/// How many values one answer explains.
const MOST_VALUES: usize = 1_000;

/// Says of each value of what an agent should run which config, revision and line set it, and what that overrode.
#[utoipa::path(get, path = "/agents/{agent}/explain", tag = "agents",
    params(("agent" = String, Path, description = "Its id or its uid"), ExplainQuery),
    responses((status = 200, body = Explanation)))]
pub(crate) async fn explain_agent(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<AgentPath>,
    Query(query): Query<ExplainQuery>,
) -> ApiResult<Json<Explanation>> {
    let id = path.find(&state, &caller).await?;
    let agent = state.engine.agent(&caller, id).await?;
    let agent = agent.ok_or_else(|| path.missing())?;
    let desired = agent.desired.ok_or_else(|| {
        ApiError::new(ProblemKind::NotFound)
            .detail("no config matches the agent: there is nothing that it should run")
    })?;
    let under = query.path.unwrap_or_default();
    // Merging and reading a megabyte takes a while.
    let engine = state.engine.clone();
    let explained = tokio::task::spawn_blocking(move || {
        to_explanation(&engine, id.to_string(), &desired, &under)
    });
    let explained = explained.await;
    explained
        .map_err(|error| ApiError::internal(&error))?
        .map(Json)
}

fn to_explanation(
    engine: &Engine,
    agent: String,
    desired: &DesiredView,
    under: &str,
) -> ApiResult<Explanation> {
    // What is stored was made of these revisions once.
    let made = engine
        .explain(desired, under, MOST_VALUES)
        .map_err(|error| ApiError::internal(&error))?;
    let source = |source: Source| ValueSource {
        config: source.config.to_string(),
        revision: source.revision.0,
        line: source.line.into(),
        column: source.column.into(),
    };
    let values = made.values.into_iter().map(|value| ExplainedValue {
        path: value.path.to_string(),
        value: value.value,
        source: source(value.source),
        overrode: value.overrode.into_iter().map(source).collect(),
    });
    Ok(Explanation {
        agent,
        hash: desired.hash.to_string(),
        exact: made.hash == desired.hash,
        values: values.collect(),
        more: made.more as u64,
    })
}
