//! `GET /configs/{config}/revisions/{revision}`.

use api_types::ProblemKind;
use api_types::configs::{GetRevision, Revision};
use axum::Json;
use axum::extract::State;
use engine::admin::Caller;
use engine::domain;
use engine::domain::{ConfigName, InvalidName, RevisionNumber};
use serde::Deserialize;

use super::view;
use crate::access::Acting;
use crate::extract::{Path, Query};
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

/// The revision of a path.
#[derive(Deserialize)]
pub(crate) struct RevisionPath {
    config: String,
    revision: u64,
}

impl RevisionPath {
    /// The path of another revision of the config.
    pub(super) fn numbered(&self, revision: u64) -> Self {
        Self {
            config: self.config.clone(),
            revision,
        }
    }

    pub(super) async fn find(
        &self,
        state: &ApiState,
        caller: &Caller,
    ) -> ApiResult<domain::Revision> {
        let refuse = |error: InvalidName| {
            ApiError::new(ProblemKind::InvalidPath)
                .field("config")
                .detail(error.to_string())
        };
        let name = ConfigName::new(&self.config).map_err(refuse)?;
        let found = state
            .engine
            .revision(caller, &name, RevisionNumber(self.revision))
            .await?;
        found.ok_or_else(|| {
            ApiError::new(ProblemKind::NotFound).detail(format!(
                "there is no revision {} of a config {}",
                self.revision, self.config
            ))
        })
    }
}

/// One revision with its body. Secrets in it are redacted; `reveal=true` shows them, and is noted in the audit log.
#[utoipa::path(get, path = "/configs/{config}/revisions/{revision}", tag = "configs",
    params(
        ("config" = String, Path, description = "The config's name"),
        ("revision" = u64, Path, description = "The revision's number"),
        GetRevision,
    ),
    responses((status = 200, body = Revision)))]
pub(crate) async fn get_revision(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<RevisionPath>,
    Query(query): Query<GetRevision>,
) -> ApiResult<Json<Revision>> {
    let revision = path.find(&state, &caller).await?;
    if query.reveal == Some(true) {
        state
            .engine
            .record_revision_reveal(&caller, &revision, state.now())
            .await?;
        return Ok(Json(view::to_revealed_revision(&revision)));
    }
    // Redacting a megabyte takes a while.
    let shown = tokio::task::spawn_blocking(move || view::to_revision(&revision)).await;
    Ok(Json(shown.map_err(|error| ApiError::internal(&error))?))
}
