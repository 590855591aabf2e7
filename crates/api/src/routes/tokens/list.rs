//! `GET /tokens`.

use api_types::Page;
use api_types::tokens::{ListTokens, Token};
use axum::Json;
use axum::extract::State;

use super::view;
use crate::access::Acting;
use crate::extract::Query;
use crate::page::{page_of, to_page};
use crate::problem::ApiResult;
use crate::state::ApiState;

/// Tokens of one kind (agents' when none is named), oldest first; revoked and expired ones included.
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(ListTokens), responses((status = 200, body = Page<Token>)))]
pub(crate) async fn list_tokens(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Query(query): Query<ListTokens>,
) -> ApiResult<Json<Page<Token>>> {
    let page = page_of(query.limit, query.cursor.as_deref())?;
    let tokens = state
        .engine
        .tokens(&caller, view::from_kind(query.kind), page)
        .await?;
    Ok(Json(to_page(tokens, view::to_token)))
}
