//! `GET /configs/{config}/revisions`.

use api_types::configs::RevisionSummary;
use api_types::{Page, PageQuery};
use axum::Json;
use axum::extract::State;
use engine::admin::PageOf;
use engine::domain::RevisionNumber;

use super::{ConfigPath, view};
use crate::access::Acting;
use crate::extract::{Path, Query};
use crate::page::{page_of, to_page};
use crate::problem::ApiResult;
use crate::state::ApiState;

/// The revisions of a config, newest first, without their bodies.
#[utoipa::path(get, path = "/configs/{config}/revisions", tag = "configs",
    params(("config" = String, Path, description = "Its name"), PageQuery),
    responses((status = 200, body = Page<RevisionSummary>)))]
pub(crate) async fn list_revisions(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<ConfigPath>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<RevisionSummary>>> {
    let name = path.name()?;
    let page = page_of::<u64>(query.limit, query.cursor.as_deref())?;
    let page = PageOf {
        after: page.after.map(RevisionNumber),
        limit: page.limit,
    };
    let revisions = state
        .engine
        .revisions(&caller, &name, page)
        .await?
        .ok_or_else(|| path.missing())?;
    Ok(Json(to_page(revisions, |head| view::to_head(&name, head))))
}
