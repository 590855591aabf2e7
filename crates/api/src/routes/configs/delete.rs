//! `DELETE /configs/{config}`.

use api_types::ProblemKind;
use api_types::configs::{DeleteAgents, DeleteConfig, DeletedConfig};
use axum::Json;
use axum::extract::State;
use engine::admin::configs::{DeleteConfigError, InForce};

use super::ConfigPath;
use super::release::on_errors;
use crate::access::Acting;
use crate::extract::{Path, Preconditions, Query};
use crate::problem::{ApiError, ApiResult};
use crate::routes::rollouts::to_started;
use crate::state::ApiState;

/// Deletes a config. One that is in force is refused with 409, unless `agents=remove` takes it away from its agents too:
/// those lose this layer at once; an agent that no other config matches runs on as it is.
#[utoipa::path(delete, path = "/configs/{config}", tag = "configs",
    params(
        ("config" = String, Path, description = "Its name"),
        DeleteConfig,
        ("if-match" = Option<String>, Header, description = "The config's etag, or `*`"),
    ),
    responses((status = 200, body = DeletedConfig)))]
pub(crate) async fn delete_config(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<ConfigPath>,
    Query(query): Query<DeleteConfig>,
    preconditions: Preconditions,
) -> ApiResult<Json<DeletedConfig>> {
    let name = path.name()?;
    let in_force = match query.agents {
        None => InForce::Refuse,
        Some(DeleteAgents::Remove) => InForce::RollOut {
            on_errors: on_errors(query.force, query.exclude_incompatible)?,
        },
    };
    let deleted = state
        .engine
        .delete_config(&caller, &name, in_force, &preconditions.into(), state.now())
        .await?;
    Ok(Json(DeletedConfig {
        name: name.to_string(),
        removal: deleted.removal.map(to_started),
    }))
}

impl From<DeleteConfigError> for ApiError {
    fn from(error: DeleteConfigError) -> Self {
        let text = error.to_string();
        match error {
            DeleteConfigError::NotFound { .. } => Self::new(ProblemKind::NotFound).detail(text),
            DeleteConfigError::InForce { .. } => Self::new(ProblemKind::ConfigInForce).detail(
                format!("{text}; add ?agents=remove to take it away from its agents as well"),
            ),
            DeleteConfigError::Owned(_) => Self::new(ProblemKind::ReadOnlyConfig).detail(text),
            DeleteConfigError::UnderWay => Self::new(ProblemKind::Conflict).detail(text),
            DeleteConfigError::Precondition(error) => error.into(),
            DeleteConfigError::Checks(errors) => Self::from(*errors).hint(
                "what is left is broken; &exclude_incompatible=true leaves these agents as they are, &force=true gives them what is left, which is recorded",
            ),
            DeleteConfigError::Refused(refusals) => Self::from(*refusals).hint(
                "what is left was refused in a dry run; &exclude_incompatible=true leaves these agents as they are, &force=true gives them what is left, which is recorded",
            ),
            DeleteConfigError::Desire(error) => error.into(),
            DeleteConfigError::Store(error) => error.into(),
            DeleteConfigError::State(error) => Self::internal(&error),
        }
    }
}
