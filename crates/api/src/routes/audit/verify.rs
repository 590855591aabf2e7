//! `GET /audit/verify`.

use api_types::ProblemKind;
use api_types::audit::AuditVerification;
use axum::Json;
use axum::extract::State;
use engine::admin::Reach;
use engine::domain::Namespace;

use crate::access::Acting;
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

/// Verifies the whole chain of audit entries, over all namespaces. It reads every entry: do not call it often. It takes an
/// administrator of the fleet or of the namespace `default`.
#[utoipa::path(get, path = "/audit/verify", tag = "audit", responses((status = 200, body = AuditVerification)))]
pub(crate) async fn verify_audit(
    State(state): State<ApiState>,
    Acting(caller): Acting,
) -> ApiResult<Json<AuditVerification>> {
    if caller.reach != Reach::Fleet && caller.namespace != Namespace::default() {
        return Err(ApiError::new(ProblemKind::Forbidden)
            .detail("the chain is one over all namespaces: take a token of the default one"));
    }
    let found = state.engine.verify_audit().await?;
    Ok(Json(AuditVerification {
        intact: found.broken.is_none(),
        entries: found.entries,
        broken_at: found.broken.as_ref().map(|broken| broken.sequence),
        reason: found.broken.map(|broken| broken.reason),
        head_hash: found.head.to_string(),
    }))
}
