//! `GET /configs/{config}/revisions/{revision}/diff`: what differs between two revisions.

use std::time::Duration;

use api_types::diffs::{ConfigChanges, DiffQuery, NumberChange, RevisionDiff, TextChange};
use axum::Json;
use axum::extract::State;
use engine::Engine;
use engine::admin::agents::redacted_for_diff;
use engine::admin::configs::redacted_variables_pair;
use engine::domain;
use engine::domain::Kind;
use engine::domain::model::ConfigFile;

use super::revision::RevisionPath;
use super::template;
use crate::access::Acting;
use crate::diffs::{to_changes, unified};
use crate::extract::{Path, Query};
use crate::problem::{ApiError, ApiResult, shortened};
use crate::state::ApiState;

/// How long the comparison of the texts may take before it settles for a coarser one.
const DIFF_LIMIT: Duration = Duration::from_millis(200);
/// The longest unified diff, in bytes.
const DIFF_MAX_BYTES: usize = 1 << 20;

/// What differs between two revisions of a config: as text, and in the Collector's own terms; of a set of variables as text alone. Secrets are redacted; one
/// that differs shows as different.
#[utoipa::path(get, path = "/configs/{config}/revisions/{revision}/diff", tag = "configs",
    params(
        ("config" = String, Path, description = "The config's name"),
        ("revision" = u64, Path, description = "The revision's number"),
        DiffQuery,
    ),
    responses((status = 200, body = RevisionDiff)))]
pub(crate) async fn diff_revisions(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<RevisionPath>,
    Query(query): Query<DiffQuery>,
) -> ApiResult<Json<RevisionDiff>> {
    let after = path.find(&state, &caller).await?;
    let from = match query.from {
        Some(from) => from,
        // Retention may have dropped the one before it.
        None => state
            .engine
            .revision_before(&caller, &after)
            .await?
            .map_or(0, |before| before.0),
    };
    let before = match from {
        0 => None,
        number => Some(path.numbered(number).find(&state, &caller).await?),
    };
    let engine = state.engine.clone();
    let shown =
        tokio::task::spawn_blocking(move || to_diff(&engine, before.as_ref(), &after)).await;
    Ok(Json(shown.map_err(|error| ApiError::internal(&error))?))
}

/// What makes a revision's body a template, as text; secrets included.
fn template_text(revision: &domain::Revision) -> Option<String> {
    let template = template::revealed(revision.template.as_ref()?);
    serde_json::to_string_pretty(&template)
        .ok()
        .map(|text| text + "\n")
}

fn to_diff(
    engine: &Engine,
    before: Option<&domain::Revision>,
    after: &domain::Revision,
) -> RevisionDiff {
    let body = |revision: &domain::Revision| ConfigFile::new(&*revision.body, "");
    let (old, new) = (before.map(body).unwrap_or_default(), body(after));
    let templates = [before, Some(after)].map(|revision| template_text(revision?));
    let (old_shown, new_shown) = match after.kind {
        Kind::Collector => redacted_for_diff(&old, &new),
        Kind::Variables => redacted_variables_pair(&old, &new),
    };
    let name = |revision: &domain::Revision| format!("{}@{}", revision.config, revision.number);
    let old_name = before.map_or_else(|| "empty".to_owned(), name);
    let mut text = unified(
        (&old_name, &old_shown),
        (&name(after), &new_shown),
        DIFF_LIMIT,
    );
    if templates[0] != templates[1] {
        let [old, new] = templates.map(|text| ConfigFile::new(text.unwrap_or_default(), ""));
        let (old, new) = redacted_for_diff(&old, &new);
        let names = [old_name, name(after)].map(|name| format!("{name} (template)"));
        text.push_str(&unified((&names[0], &old), (&names[1], &new), DIFF_LIMIT));
    }
    let selectors = before.map(|before| (before.selector.to_string(), after.selector.to_string()));
    let priorities = before.map(|before| (before.priority, after.priority));
    RevisionDiff {
        config: after.config.to_string(),
        from: before.map_or(0, |before| before.number.0),
        to: after.number.0,
        identical: old.body == new.body,
        selector: selectors
            .filter(|(from, to)| from != to)
            .map(|(from, to)| TextChange { from, to }),
        priority: priorities
            .filter(|(from, to)| from != to)
            .map(|(from, to)| NumberChange { from, to }),
        unified: shortened(text, DIFF_MAX_BYTES),
        changes: match after.kind {
            Kind::Collector => engine
                .difference(&old.body, &new.body)
                .map(to_changes)
                .unwrap_or_default(),
            Kind::Variables => ConfigChanges::default(),
        },
    }
}
