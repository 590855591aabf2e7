//! `GET /secrets`.

use api_types::Page;
use api_types::secrets::{ListSecrets, Secret};
use axum::Json;
use axum::extract::State;

use super::to_secret;
use crate::access::Acting;
use crate::extract::Query;
use crate::page::{page_of, to_page};
use crate::problem::ApiResult;
use crate::state::ApiState;

/// The secrets by name, without their values.
#[utoipa::path(get, path = "/secrets", tag = "secrets", params(ListSecrets), responses((status = 200, body = Page<Secret>)))]
pub(crate) async fn list_secrets(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Query(query): Query<ListSecrets>,
) -> ApiResult<Json<Page<Secret>>> {
    let page = page_of(query.limit, query.cursor.as_deref())?;
    let secrets = state.engine.secrets(&caller, page).await?;
    Ok(Json(to_page(secrets, to_secret)))
}
