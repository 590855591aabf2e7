//! `GET /tokens/{token}`.

use api_types::tokens::Token;
use axum::Json;
use axum::extract::State;

use super::{TokenPath, view};
use crate::access::Acting;
use crate::extract::Path;
use crate::problem::ApiResult;
use crate::state::ApiState;

/// One token, without its secret.
#[utoipa::path(get, path = "/tokens/{token}", tag = "tokens",
    params(("token" = String, Path, description = "Its id")),
    responses((status = 200, body = Token)))]
pub(crate) async fn get_token(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<TokenPath>,
) -> ApiResult<Json<Token>> {
    let token = state
        .engine
        .token(&caller, path.id()?)
        .await?
        .ok_or_else(|| path.missing())?;
    Ok(Json(view::to_token(token)))
}
