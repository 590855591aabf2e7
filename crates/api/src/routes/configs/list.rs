//! `GET /configs`.

use api_types::configs::Config;
use api_types::{Page, PageQuery};
use axum::Json;
use axum::extract::State;

use super::view;
use crate::access::Acting;
use crate::extract::Query;
use crate::page::{page_of, to_page};
use crate::problem::ApiResult;
use crate::state::ApiState;

/// Configs, by name.
#[utoipa::path(get, path = "/configs", tag = "configs", params(PageQuery), responses((status = 200, body = Page<Config>)))]
pub(crate) async fn list_configs(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<Config>>> {
    let page = page_of(query.limit, query.cursor.as_deref())?;
    let configs = state.engine.configs(&caller, page).await?;
    Ok(Json(to_page(configs, |config| {
        view::to_config(config, None, Vec::new())
    })))
}
