//! `PUT /secrets/{secret}`.

use api_types::ProblemKind;
use api_types::secrets::{PutSecret, SecretSet};
use axum::Json;
use axum::extract::State;
use engine::Secret;
use engine::admin::secrets::PutSecretError;
use http::StatusCode;

use super::{SecretPath, to_secret};
use crate::access::Acting;
use crate::extract::{Json as Body, NoPreconditions, Path};
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

/// Gives a secret a value, which is stored sealed. Agents whose configs in force refer to it are offered these anew at once,
/// with the new value; the value that stands already changes nothing.
#[utoipa::path(put, path = "/secrets/{secret}", tag = "secrets",
    params(("secret" = String, Path, description = "Its name")),
    request_body = PutSecret,
    responses(
        (status = 201, body = SecretSet, description = "There was none of that name"),
        (status = 200, body = SecretSet, description = "It has this value from now on, or had it already"),
    ))]
pub(crate) async fn put_secret(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<SecretPath>,
    _: NoPreconditions,
    Body(body): Body<PutSecret>,
) -> ApiResult<(StatusCode, Json<SecretSet>)> {
    let value = Secret::new(body.value);
    let put = state
        .engine
        .put_secret(&caller, &path.name()?, &value, state.now())
        .await?;
    let status = match put.is_new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let set = SecretSet {
        secret: to_secret(put.secret),
        affected: put.affected,
    };
    Ok((status, Json(set)))
}

impl From<PutSecretError> for ApiError {
    fn from(error: PutSecretError) -> Self {
        let text = error.to_string();
        match error {
            PutSecretError::Length { .. } | PutSecretError::Character { .. } => {
                Self::new(ProblemKind::InvalidField)
                    .field("value")
                    .detail(text)
            }
            PutSecretError::NoKey | PutSecretError::TooMany { .. } => {
                Self::new(ProblemKind::Conflict).detail(text)
            }
            PutSecretError::Desire(error) => error.into(),
            PutSecretError::Store(error) => error.into(),
        }
    }
}
