//! `POST /configs/{config}/rollouts`: puts a revision in force.

use api_types::ProblemKind;
use api_types::rollouts::{RolloutSpec, StartRollout, StartedRollout};
use axum::Json;
use axum::extract::State;
use engine::admin::rollouts::{OnErrors, Release, StartRolloutError};
use engine::admin::{Created, Creation};
use engine::domain::RevisionNumber;
use http::StatusCode;

use super::ConfigPath;
use crate::access::Acting;
use crate::dry_runs::to_order;
use crate::extract::{IdempotencyKey, Json as Body, Path, Preconditions};
use crate::problem::{ApiError, ApiResult};
use crate::routes::rollouts::to_started;
use crate::state::ApiState;

/// Releases a revision of a config to the agents that its selector matches. When this is answered, the release is durable and
/// on its way; agents that connect later get it as well.
#[utoipa::path(post, path = "/configs/{config}/rollouts", tag = "rollouts",
    params(
        ("config" = String, Path, description = "The config's name"),
        ("idempotency-key" = Option<String>, Header, description = "The same key again starts nothing"),
        ("if-match" = Option<String>, Header, description = "The config's etag: refused where somebody has changed it since, as by another revision"),
    ),
    request_body = StartRollout,
    responses(
        (status = 201, body = StartedRollout, description = "It has started"),
        (status = 200, body = StartedRollout, description = "An earlier request with this key started it"),
    ))]
pub(crate) async fn start_rollout(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<ConfigPath>,
    IdempotencyKey(key): IdempotencyKey,
    preconditions: Preconditions,
    Body(body): Body<StartRollout>,
) -> ApiResult<(StatusCode, Json<StartedRollout>)> {
    let name = path.name()?;
    let spec = read(body)?;
    let creation = Creation {
        key,
        request: request(&path.config, &spec),
    };
    let on_errors = on_errors(spec.force, spec.exclude_incompatible)?;
    let release = Release {
        revision: spec.revision.map(RevisionNumber),
        strategy: spec.strategy,
        message: spec.message.unwrap_or_default(),
        precondition: preconditions.into(),
        on_errors,
        require_dry_run: to_order("require_dry_run", spec.require_dry_run)?,
    };
    match state
        .engine
        .start_rollout(&caller, &name, &release, &creation, state.now())
        .await?
    {
        Created::New(started) => Ok((StatusCode::CREATED, Json(to_started(started)))),
        Created::Earlier(started) => Ok((StatusCode::OK, Json(to_started(started)))),
    }
}

/// The flat form and the form under `rollout` are one.
fn read(body: StartRollout) -> ApiResult<RolloutSpec> {
    let flat = RolloutSpec {
        revision: body.revision,
        strategy: body.strategy,
        message: body.message,
        force: body.force,
        exclude_incompatible: body.exclude_incompatible,
        require_dry_run: body.require_dry_run,
    };
    match body.rollout {
        None => Ok(flat),
        Some(nested) if flat == RolloutSpec::default() => Ok(nested),
        Some(_) => Err(ApiError::new(ProblemKind::InvalidField)
            .field("rollout")
            .detail("give the fields at the top or under \"rollout\", not both")),
    }
}

/// What becomes of agents that would get errors.
pub(super) fn on_errors(force: Option<bool>, exclude: Option<bool>) -> ApiResult<OnErrors> {
    match (force.unwrap_or_default(), exclude.unwrap_or_default()) {
        (false, false) => Ok(OnErrors::Refuse),
        (true, false) => Ok(OnErrors::Force),
        (false, true) => Ok(OnErrors::Exclude),
        (true, true) => Err(ApiError::new(ProblemKind::InvalidField)
            .field("exclude_incompatible")
            .detail(
                "give \"force\" or \"exclude_incompatible\", not both: what has errors is either sent or kept back",
            )),
    }
}

/// What an idempotency key is bound to.
fn request(config: &str, spec: &RolloutSpec) -> Vec<u8> {
    let mut request = format!(
        "rollout of {config} {:?}",
        (
            spec.revision,
            &spec.strategy,
            &spec.message,
            spec.force,
            spec.exclude_incompatible
        )
    );
    // Keys of versions that did not know it stay good.
    if let Some(dry_run) = spec.require_dry_run {
        request.push_str(&format!(" {dry_run:?}"));
    }
    request.into_bytes()
}

impl From<StartRolloutError> for ApiError {
    fn from(error: StartRolloutError) -> Self {
        let text = error.to_string();
        let refuse = |kind| Self::new(kind).detail(text.clone());
        match error {
            StartRolloutError::NoSuch(error) => error.into(),
            StartRolloutError::UnknownStrategy { .. } => {
                refuse(ProblemKind::UnsupportedStrategy).field("strategy")
            }
            StartRolloutError::MessageTooLong { .. } => {
                refuse(ProblemKind::InvalidField).field("message")
            }
            StartRolloutError::Precondition(error) => error.into(),
            StartRolloutError::UnderWay => refuse(ProblemKind::Conflict),
            StartRolloutError::Checks(errors) => ApiError::from(*errors)
                .hint("correct it, or release it with \"exclude_incompatible\": true, or \"force\": true, which is recorded"),
            StartRolloutError::Refused(refusals) => ApiError::from(*refusals)
                .hint("correct it, or release it with \"exclude_incompatible\": true, or \"force\": true, which is recorded; what was refused earlier is asked again with \"require_dry_run\": true"),
            StartRolloutError::Unasked => refuse(ProblemKind::Conflict).hint("release it again"),
            StartRolloutError::Desire(error) => error.into(),
            StartRolloutError::Key(error) => error.into(),
            StartRolloutError::Raced => Self::new(ProblemKind::Conflict).detail(text),
            StartRolloutError::Store(error) => error.into(),
            StartRolloutError::State(error) => Self::internal(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_mixing_them_is_refused() {
        let spec = RolloutSpec {
            revision: Some(2),
            strategy: Some("all_at_once".into()),
            message: None,
            force: None,
            exclude_incompatible: None,
            require_dry_run: None,
        };
        let flat = StartRollout {
            revision: spec.revision,
            strategy: spec.strategy.clone(),
            ..StartRollout::default()
        };
        let nested = StartRollout {
            rollout: Some(spec.clone()),
            ..StartRollout::default()
        };
        assert_eq!(read(flat.clone()).unwrap(), spec);
        assert_eq!(read(nested).unwrap(), spec);
        assert!(
            read(StartRollout {
                rollout: Some(spec),
                ..flat
            })
            .is_err()
        );
    }
}
