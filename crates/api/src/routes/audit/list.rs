//! `GET /audit`.

use api_types::Page;
use api_types::audit::{AuditEntry, ListAudit};
use axum::Json;
use axum::extract::State;
use engine::admin::audit::AuditRecord;
use engine::domain::AuditOutcome;

use crate::access::Acting;
use crate::extract::Query;
use crate::page::{page_of, to_page};
use crate::problem::ApiResult;
use crate::state::ApiState;

/// The namespace's audit log, newest first: every write, and every refusal.
#[utoipa::path(get, path = "/audit", tag = "audit", params(ListAudit), responses((status = 200, body = Page<AuditEntry>)))]
pub(crate) async fn list_audit(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Query(query): Query<ListAudit>,
) -> ApiResult<Json<Page<AuditEntry>>> {
    let page = page_of(query.limit, query.cursor.as_deref())?;
    let entries = state.engine.audit_entries(&caller, page).await?;
    Ok(Json(to_page(entries, to_entry)))
}

fn to_entry(record: AuditRecord) -> AuditEntry {
    let entry = record.entry;
    // What is stored is JSON or, for single words, plain text.
    let value = |text: Option<String>| {
        text.map(|text| serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text)))
    };
    let error = match entry.outcome {
        AuditOutcome::Success => None,
        AuditOutcome::Failure { error } => Some(error),
    };
    AuditEntry {
        sequence: record.sequence,
        at: entry.at,
        event: entry.event_type,
        namespace: entry.namespace.to_string(),
        actor: entry.user.to_string(),
        action: entry.action,
        agent: entry.agent.map(|agent| agent.to_string()),
        resource: entry.resource,
        old_value: value(entry.old_value),
        new_value: value(entry.new_value),
        success: error.is_none(),
        error,
        previous_hash: record.previous.to_string(),
        hash: record.hash.to_string(),
    }
}
