//! Who may: every request but those to the open paths proves an operator, and every refusal is noted.

use api_types::ProblemKind;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine::admin::access::AccessError;
use engine::admin::audit::Refusal;
use engine::admin::{Caller, StoreError};
use engine::domain::Namespace;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};

use crate::problem::{ApiError, ApiResult, Refused, shortened};
use crate::routes::config_source::WEBHOOK_PATH;
use crate::state::ApiState;

/// The paths that need no token.
pub(crate) const OPEN_PATHS: [&str; 4] = ["/", "/health", "/ready", "/metrics"];

/// The longest path that is written to the audit log whole, in bytes.
const RESOURCE_MAX_BYTES: usize = 512;

/// The operator behind a request, acting in the namespace of its path. For handlers behind [`guard`].
#[derive(Clone)]
pub(crate) struct Acting(pub Caller);

/// Set on every response to somebody who proved to be an operator.
#[derive(Clone, Copy, Debug)]
pub struct ByOperator;

/// Set on the response to a caller whose credential does not reach what was asked for.
#[derive(Clone)]
struct OutOfReach;

impl<S: Send + Sync> FromRequestParts<S> for Acting {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| ApiError::new(ProblemKind::Unauthorized))
    }
}

/// Lets requests with a valid admin token pass, and notes those that were refused.
pub(crate) async fn guard(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    if OPEN_PATHS.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    if path == WEBHOOK_PATH {
        // It proves to know a secret of its own.
        let response = next.run(request).await;
        if let Some(error) = refused(&method, &response) {
            note(&state, None, &method, path, error).await;
        }
        return response;
    }
    let (mut parts, body) = request.into_parts();
    let (caller, mut response) = match prove(&state, &mut parts).await {
        Err(error) => (None, error.into_response()),
        Ok(Proved::OutOfReach(caller)) => {
            // Not allowed to see it: it is not there.
            let mut response = ApiError::new(ProblemKind::NotFound)
                .field("namespace")
                .into_response();
            response.extensions_mut().insert(OutOfReach);
            (Some(caller), response)
        }
        Ok(Proved::Within(caller)) => {
            parts.extensions.insert(Acting(caller.clone()));
            (
                Some(caller),
                next.run(Request::from_parts(parts, body)).await,
            )
        }
    };
    if let Some(error) = refused(&method, &response) {
        note(&state, caller.clone(), &method, path, error).await;
    }
    if caller.is_some() {
        response.extensions_mut().insert(ByOperator);
    }
    response
}

enum Proved {
    Within(Caller),
    OutOfReach(Caller),
}

async fn prove(state: &ApiState, parts: &mut Parts) -> ApiResult<Proved> {
    let bearer = bearer(&parts.headers);
    let operator = state
        .engine
        .authenticate_operator(bearer, state.now())
        .await
        .map_err(refuse)?;
    let namespace = namespace(parts).await?;
    let home = operator.clone().acting_in(None);
    match (operator.acting_in(namespace), home) {
        (Some(caller), _) => Ok(Proved::Within(caller)),
        (None, Some(caller)) => Ok(Proved::OutOfReach(caller)),
        // Every operator reaches its own namespace.
        (None, None) => Err(ApiError::new(ProblemKind::Forbidden)),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

fn refuse(error: AccessError) -> ApiError {
    match error {
        AccessError::Store(error) => ApiError::from(error),
        refused => ApiError::new(ProblemKind::Unauthorized).detail(format!(
            "{refused}; send \"Authorization: Bearer <admin token>\""
        )),
    }
}

/// The namespace that the path names.
async fn namespace(parts: &mut Parts) -> ApiResult<Option<Namespace>> {
    let refuse = |detail: String| {
        ApiError::new(ProblemKind::InvalidPath)
            .field("namespace")
            .detail(detail)
    };
    let params = match RawPathParams::from_request_parts(parts, &()).await {
        Ok(params) => params,
        // Never the default where a namespace was named; another parameter at fault is refused by its handler.
        Err(RawPathParamsRejection::InvalidUtf8InPathParam(error)) if in_a_namespace(parts) => {
            return Err(refuse(error.to_string()));
        }
        Err(_) => return Ok(None),
    };
    let Some((_, text)) = params.iter().find(|(name, _)| *name == "namespace") else {
        return Ok(None);
    };
    Namespace::new(text)
        .map(Some)
        .map_err(|error| refuse(error.to_string()))
}

fn in_a_namespace(parts: &Parts) -> bool {
    parts.uri.path().starts_with("/api/v1/namespaces/")
}

/// What belongs into the audit log of a response: who could not prove to be anybody, who reached too far, and writes
/// that failed.
fn refused(method: &Method, response: &Response) -> Option<String> {
    let status = response.status();
    let denied = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        || response.extensions().get::<OutOfReach>().is_some();
    let failed_write = !method.is_safe() && (status.is_client_error() || status.is_server_error());
    let told = response
        .extensions()
        .get::<Refused>()
        .map(|refused| refused.error.clone());
    (denied || failed_write).then(|| told.unwrap_or_else(|| status.to_string()))
}

async fn note(
    state: &ApiState,
    caller: Option<Caller>,
    method: &Method,
    path: String,
    mut error: String,
) {
    let now = state.now();
    if caller.is_none() {
        match state.refusals.pass(now) {
            None => return,
            Some(0) => {}
            Some(held_back) => {
                error.push_str(&format!(" (and {held_back} more that are not listed)"))
            }
        }
    }
    let caller = caller.unwrap_or_else(Caller::anonymous);
    let refusal = Refusal {
        action: method.to_string(),
        resource: shortened(path, RESOURCE_MAX_BYTES),
        error,
    };
    if let Err(error) = state.engine.record_refusal(&caller, refusal, now).await {
        let error: &StoreError = &error;
        tracing::warn!(event = "audit_entry_lost", %error, "a refused request could not be put into the audit log");
    }
}
