//! `PUT /configs/{config}`: makes a revision.

use api_types::ProblemKind;
use api_types::configs::{PutConfig, Revision};
use axum::Json;
use axum::extract::State;
use engine::admin::configs::{Aim, NewRevision, Origin, Put, PutConfigError, Version};
use http::{HeaderName, HeaderValue, StatusCode};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ConfigPath, delete, get, template, view};
use crate::access::Acting;
use crate::extract::{ConfigJson as Body, Path, Preconditions, etag};
use crate::problem::{ApiError, ApiResult};
use crate::selector;
use crate::state::ApiState;

pub(super) fn route() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(get::get_config, put_config, delete::delete_config))
}

pub(super) type Answer = (StatusCode, [(HeaderName, HeaderValue); 1], Json<Revision>);

/// Makes a revision of a config, and the config with its first. No agent changes: a rollout does that. The content of the
/// newest revision again is answered with that revision, and makes none.
#[utoipa::path(put, path = "/configs/{config}", tag = "configs",
    params(
        ("config" = String, Path, description = "Its name: lowercase letters, digits, `-`, `.` and `_`"),
        ("if-match" = Option<String>, Header, description = "The config's etag, or `*`"),
        ("if-none-match" = Option<String>, Header, description = "`*`: only a new config"),
    ),
    request_body = PutConfig,
    responses(
        (status = 201, body = Revision, description = "A revision was made"),
        (status = 200, body = Revision, description = "The newest revision is just that"),
    ))]
pub(crate) async fn put_config(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<ConfigPath>,
    preconditions: Preconditions,
    Body(put): Body<PutConfig>,
) -> ApiResult<Answer> {
    let name = path.name()?;
    let new = read(put)?;
    let put = state
        .engine
        .put_config(&caller, &name, &new, &preconditions.into(), state.now())
        .await?;
    answer(put).await
}

pub(super) fn read(mut put: PutConfig) -> ApiResult<NewRevision> {
    let template = template::read(&mut put)?;
    let version = put.version.as_deref().map(Version::read).transpose();
    Ok(NewRevision {
        version: version.map_err(PutConfigError::from)?.unwrap_or_default(),
        origin: Origin::Api,
        aim: Aim {
            selector: selector::read(put.selector.as_ref(), "selector")?,
            priority: put.priority.unwrap_or_default(),
        },
        kind: put.kind,
        template,
        body: put.body.into_bytes(),
        message: put.message.unwrap_or_default(),
    })
}

pub(super) async fn answer(put: Put) -> ApiResult<Answer> {
    let (status, revision, version) = match put {
        Put::Made { revision, version } => (StatusCode::CREATED, revision, version),
        Put::Stands { revision, version } => (StatusCode::OK, revision, version),
    };
    // Redacting a megabyte takes a while.
    let shown = tokio::task::spawn_blocking(move || view::to_revision(&revision)).await;
    Ok((
        status,
        etag(version),
        Json(shown.map_err(|error| ApiError::internal(&error))?),
    ))
}

impl From<PutConfigError> for ApiError {
    fn from(error: PutConfigError) -> Self {
        let text = error.to_string();
        let refuse = |kind, field: &str| Self::new(kind).field(field).detail(text.clone());
        match error {
            PutConfigError::Kind(_) => refuse(ProblemKind::UnsupportedKind, "kind"),
            PutConfigError::OtherKind { .. } => refuse(ProblemKind::InvalidField, "kind"),
            PutConfigError::SetIsTemplate => refuse(ProblemKind::InvalidField, "template"),
            PutConfigError::Version(_) => refuse(ProblemKind::InvalidField, "version"),
            PutConfigError::MessageTooLong { .. } => refuse(ProblemKind::InvalidField, "message"),
            PutConfigError::Variables(error) => refuse(ProblemKind::InvalidField, &error.field),
            PutConfigError::Redacted { line, .. } => {
                refuse(ProblemKind::InvalidConfigBody, "body").line_column(line, 1)
            }
            PutConfigError::Body(error) => {
                let refusal = refuse(ProblemKind::InvalidConfigBody, "body");
                match error.line_and_column() {
                    Some((line, column)) => refusal.line_column(line as usize, column as usize),
                    None => refusal,
                }
            }
            PutConfigError::Raced => Self::new(ProblemKind::Conflict).detail(text),
            PutConfigError::Precondition(error) => error.into(),
            PutConfigError::Owned(_) => Self::new(ProblemKind::ReadOnlyConfig).detail(text),
            PutConfigError::Store(error) => error.into(),
        }
    }
}
