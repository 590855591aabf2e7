//! Agents: reading them, and acting on one.

mod approve;
mod delete;
mod events;
mod explain;
mod get;
mod history;
mod list;
mod patch;
mod plan;
mod restart;
mod retry;
mod view;

use api_types::ProblemKind;
use engine::NotDelivered;
use engine::admin::Caller;
use engine::admin::agents::AgentActionError;
use engine::domain::AgentId;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

pub(super) use view::to_config_state;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list_agents))
        .routes(routes!(
            get::get_agent,
            patch::patch_agent,
            delete::delete_agent
        ))
        .routes(routes!(plan::plan_agent))
        .routes(routes!(explain::explain_agent))
        .routes(routes!(restart::restart_agent))
        .routes(routes!(approve::approve_agent))
        .routes(routes!(retry::retry_agent))
        .routes(routes!(history::list_agent_history))
        .routes(routes!(events::list_agent_events))
}

/// The agent of a path: its id or its uid.
#[derive(Deserialize)]
pub(crate) struct AgentPath {
    agent: String,
}

impl AgentPath {
    /// The agent's id.
    async fn find(&self, state: &ApiState, caller: &Caller) -> ApiResult<AgentId> {
        let named = self.read()?;
        state
            .engine
            .find_agent(caller, *named.as_bytes())
            .await?
            .ok_or_else(|| self.missing())
    }

    /// The agent's id, or what was given, which may be the id of an agent that is forgotten.
    async fn find_or_forgotten(&self, state: &ApiState, caller: &Caller) -> ApiResult<AgentId> {
        let named = self.read()?;
        Ok(state
            .engine
            .find_agent(caller, *named.as_bytes())
            .await?
            .unwrap_or(named))
    }

    fn read(&self) -> ApiResult<AgentId> {
        let refuse = |_| {
            ApiError::new(ProblemKind::InvalidPath)
                .field("agent")
                .detail("an agent is named by UUID text")
        };
        self.agent.parse().map_err(refuse)
    }

    fn missing(&self) -> ApiError {
        ApiError::new(ProblemKind::NotFound).detail(format!("there is no agent {}", self.agent))
    }
}

impl From<AgentActionError> for ApiError {
    fn from(error: AgentActionError) -> Self {
        let text = error.to_string();
        let refuse = |kind| Self::new(kind).detail(text.clone());
        match error {
            AgentActionError::NotFound => refuse(ProblemKind::NotFound),
            AgentActionError::Version { current } => refuse(ProblemKind::PreconditionFailed)
                .field("if-match")
                .etag(current),
            AgentActionError::Label { key, .. } => {
                refuse(ProblemKind::InvalidField).field(format!("labels.{key}"))
            }
            AgentActionError::TooManyLabels { .. } => {
                refuse(ProblemKind::InvalidField).field("labels")
            }
            AgentActionError::NothingToRetry { .. }
            | AgentActionError::AwaitsApproval
            | AgentActionError::Held => refuse(ProblemKind::Conflict),
            AgentActionError::NotDelivered(reason) => refuse(match reason {
                NotDelivered::NotFound => ProblemKind::NotFound,
                NotDelivered::NotConnected => ProblemKind::AgentNotConnected,
                NotDelivered::NotCapable => ProblemKind::CapabilityMissing,
                NotDelivered::QueueFull => ProblemKind::AgentBusy,
            }),
            AgentActionError::Checks(errors) => Self::from(*errors)
                .hint("the agent would get what its Collector refuses; correct the config, or force its release"),
            AgentActionError::Refused(refusals) => Self::from(*refusals)
                .hint("the agent would get what its Collector refused in a dry run; correct the config, or release it with \"require_dry_run\": true or \"force\": true"),
            AgentActionError::Desire(error) => error.into(),
            AgentActionError::Raced => Self::new(ProblemKind::Conflict).detail(text),
            AgentActionError::Store(error) => error.into(),
        }
    }
}
