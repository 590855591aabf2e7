//! `DELETE /tokens/{token}`.

use axum::extract::State;
use http::StatusCode;

use super::TokenPath;
use crate::access::Acting;
use crate::extract::{NoPreconditions, Path};
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

/// Revokes a token. It lets nobody in any more, and stays listed.
#[utoipa::path(delete, path = "/tokens/{token}", tag = "tokens",
    params(("token" = String, Path, description = "Its id")),
    responses((status = 204, description = "It is revoked")))]
pub(crate) async fn revoke_token(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<TokenPath>,
    _: NoPreconditions,
) -> ApiResult<StatusCode> {
    let found = state
        .engine
        .revoke_operators_token(&caller, path.id()?, state.now())
        .await
        .map_err(ApiError::from)?;
    if found {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(path.missing())
    }
}
