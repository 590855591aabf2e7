//! `/configs/{config}/tags/{tag}`: names for revisions, which people may move.

use api_types::ProblemKind;
use api_types::configs::{SetTag, Tag};
use axum::Json;
use axum::extract::State;
use engine::admin::configs::{Tag as Stored, TagError};
use engine::domain::{ConfigName, RevisionNumber};
use http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ConfigPath;
use crate::access::Acting;
use crate::extract::{Json as Body, Path};
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

pub(super) fn route() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(set_tag, remove_tag))
}

/// The tag of a path.
#[derive(Deserialize)]
pub(crate) struct TagPath {
    config: String,
    tag: String,
}

impl TagPath {
    fn config(&self) -> ApiResult<ConfigName> {
        let config = self.config.clone();
        ConfigPath { config }.name()
    }
}

/// Gives a revision a name. Another revision of the config that had it loses it. No agent changes.
#[utoipa::path(put, path = "/configs/{config}/tags/{tag}", tag = "configs",
    params(
        ("config" = String, Path, description = "The config's name"),
        ("tag" = String, Path, description = "Letters, digits, `.`, `-` and `_`; begins with a letter"),
    ),
    request_body = SetTag,
    responses((status = 200, body = Tag)))]
pub(crate) async fn set_tag(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<TagPath>,
    Body(body): Body<SetTag>,
) -> ApiResult<Json<Tag>> {
    let revision = RevisionNumber(body.revision);
    let set = state
        .engine
        .set_tag(&caller, &path.config()?, (&path.tag, revision), state.now())
        .await?;
    Ok(Json(to_tag(set)))
}

/// Takes a name away. The revision stays.
#[utoipa::path(delete, path = "/configs/{config}/tags/{tag}", tag = "configs",
    params(
        ("config" = String, Path, description = "The config's name"),
        ("tag" = String, Path, description = "The tag"),
    ),
    responses((status = 204, description = "It is gone")))]
pub(crate) async fn remove_tag(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<TagPath>,
) -> ApiResult<StatusCode> {
    state
        .engine
        .remove_tag(&caller, &path.config()?, &path.tag, state.now())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn to_tag(tag: Stored) -> Tag {
    Tag {
        name: tag.name,
        revision: tag.revision.0,
        set_by: tag.set_by.to_string(),
        set_at: tag.set_at,
    }
}

impl From<TagError> for ApiError {
    fn from(error: TagError) -> Self {
        let text = error.to_string();
        match error {
            TagError::NoSuch(error) => error.into(),
            TagError::NoTag { .. } => Self::new(ProblemKind::NotFound).detail(text),
            TagError::Invalid => Self::new(ProblemKind::InvalidPath)
                .field("tag")
                .detail(text),
            TagError::TooMany => Self::new(ProblemKind::Conflict).detail(text),
            TagError::Store(error) => error.into(),
        }
    }
}
