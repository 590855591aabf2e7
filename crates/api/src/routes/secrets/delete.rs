//! `DELETE /secrets/{secret}`.

use api_types::ProblemKind;
use axum::extract::State;
use engine::admin::secrets::DeleteSecretError;
use http::StatusCode;

use super::SecretPath;
use crate::access::Acting;
use crate::extract::{NoPreconditions, Path};
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

/// Deletes a secret that no config in force refers to.
#[utoipa::path(delete, path = "/secrets/{secret}", tag = "secrets",
    params(("secret" = String, Path, description = "Its name")),
    responses((status = 204, description = "It is deleted")))]
pub(crate) async fn delete_secret(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<SecretPath>,
    _: NoPreconditions,
) -> ApiResult<StatusCode> {
    let name = path.name()?;
    state
        .engine
        .delete_secret(&caller, &name, state.now())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<DeleteSecretError> for ApiError {
    fn from(error: DeleteSecretError) -> Self {
        let text = error.to_string();
        match error {
            DeleteSecretError::NotFound { .. } => Self::new(ProblemKind::NotFound).detail(text),
            DeleteSecretError::Used { .. } => Self::new(ProblemKind::Conflict).detail(text),
            DeleteSecretError::Store(error) => error.into(),
        }
    }
}
