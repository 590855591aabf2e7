//! `GET /secrets/{secret}`.

use api_types::ProblemKind;
use api_types::secrets::Secret;
use axum::Json;
use axum::extract::State;

use super::{SecretPath, to_secret};
use crate::access::Acting;
use crate::extract::Path;
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

/// One secret, without its value.
#[utoipa::path(get, path = "/secrets/{secret}", tag = "secrets",
    params(("secret" = String, Path, description = "Its name")),
    responses((status = 200, body = Secret)))]
pub(crate) async fn get_secret(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<SecretPath>,
) -> ApiResult<Json<Secret>> {
    let name = path.name()?;
    let found = state.engine.secret(&caller, &name).await?;
    let missing =
        || ApiError::new(ProblemKind::NotFound).detail(format!("there is no secret {name}"));
    Ok(Json(to_secret(found.ok_or_else(missing)?)))
}
