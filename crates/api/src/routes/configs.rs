//! Configs and their revisions.

mod delete;
mod diff;
mod get;
mod import;
mod list;
mod plan;
mod put;
mod release;
mod render;
mod revision;
mod revisions;
mod rollback;
mod rollouts;
mod tags;
mod template;
mod view;

use api_types::ProblemKind;
use engine::admin::configs::{NoSuch, Precondition, PreconditionFailed};
use engine::domain::{ConfigName, InvalidName};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) use plan::to_group;
pub(super) use render::{redacted_values, to_shared};

use crate::extract::Preconditions;
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list_configs))
        .merge(put::route())
        .merge(rollback::route())
        .merge(import::route())
        .merge(tags::route())
        .routes(routes!(revisions::list_revisions))
        .routes(routes!(revision::get_revision))
        .routes(routes!(diff::diff_revisions))
        .routes(routes!(plan::plan_config))
        .routes(routes!(render::render_config))
        .routes(routes!(
            release::start_rollout,
            rollouts::list_rollouts_of_config
        ))
}

/// The config of a path.
#[derive(Deserialize)]
pub(crate) struct ConfigPath {
    config: String,
}

impl ConfigPath {
    fn name(&self) -> ApiResult<ConfigName> {
        let refuse = |error: InvalidName| {
            ApiError::new(ProblemKind::InvalidPath)
                .field("config")
                .detail(error.to_string())
        };
        ConfigName::new(&self.config).map_err(refuse)
    }

    fn missing(&self) -> ApiError {
        ApiError::new(ProblemKind::NotFound).detail(format!("there is no config {}", self.config))
    }
}

impl From<NoSuch> for ApiError {
    fn from(error: NoSuch) -> Self {
        let refusal = Self::new(ProblemKind::NotFound).detail(error.to_string());
        match error {
            NoSuch::Config { .. } => refusal,
            NoSuch::Revision { .. } => refusal.field("revision"),
        }
    }
}

impl From<Preconditions> for Precondition {
    fn from(headers: Preconditions) -> Self {
        match headers {
            Preconditions::Always => Self::None,
            Preconditions::IfExists => Self::Exists,
            Preconditions::IfVersion(versions) => Self::Version(versions),
            Preconditions::IfAbsent => Self::Absent,
        }
    }
}

impl From<PreconditionFailed> for ApiError {
    fn from(error: PreconditionFailed) -> Self {
        let header = match error {
            PreconditionFailed::Exists { .. } => "if-none-match",
            PreconditionFailed::Absent | PreconditionFailed::Version { .. } => "if-match",
        };
        let refusal = Self::new(ProblemKind::PreconditionFailed)
            .field(header)
            .detail(error.to_string());
        match error {
            PreconditionFailed::Exists { current } | PreconditionFailed::Version { current } => {
                refusal.etag(current)
            }
            PreconditionFailed::Absent => refusal,
        }
    }
}
