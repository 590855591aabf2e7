//! Errors of handlers, answered as RFC 9457 problem details.

use api_types::{Problem, ProblemKind};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::dry_runs::to_refusal;
use crate::extract::etag;
use crate::findings::to_found;

/// An error on its way to the caller: a problem, and what of it stands in headers.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    problem: Box<Problem>,
    retry_after_s: Option<u32>,
    etag: Option<u64>,
}

/// Rides on the response of an [`ApiError`], for the audit log.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// The kind's name, and what happened: what the caller was told.
    pub error: String,
}

/// The longest detail, in bytes: what a caller sent is not sent back, nor written to the audit log, at any length.
const DETAIL_MAX_BYTES: usize = 1024;
/// The longest name of a field, in bytes.
const FIELD_MAX_BYTES: usize = 256;

/// Counts the faults of this server, here those that a request ran into.
const ERRORS: &str = "opamp_server_errors_total";

/// The type of handlers' results.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(kind: ProblemKind) -> Self {
        Self {
            problem: Box::new(Problem::new(kind)),
            retry_after_s: None,
            etag: None,
        }
    }

    /// A fault of ours: the caller learns no more than that; the log gets the chain.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        metrics::counter!(ERRORS).increment(1);
        tracing::error!(
            event = "api_internal_error",
            error = %chain(error),
            "a request failed for a fault of the server"
        );
        Self::new(ProblemKind::Internal)
    }

    /// The database does not answer; the same request may work later.
    pub(crate) fn database(error: &(dyn std::error::Error + 'static)) -> Self {
        metrics::counter!(ERRORS).increment(1);
        tracing::warn!(
            event = "api_database_error",
            error = %chain(error),
            "a request failed at the database"
        );
        Self::new(ProblemKind::DatabaseUnavailable)
            .detail("the database does not answer; agents stay connected")
            .retry_after(5)
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.problem.detail = Some(shortened(detail.into(), DETAIL_MAX_BYTES));
        self
    }

    pub(crate) fn field(mut self, field: impl Into<String>) -> Self {
        self.problem.field = Some(shortened(field.into(), FIELD_MAX_BYTES));
        self
    }

    /// What some agent would get cannot be made; at a place in a template, if that is at fault.
    fn cannot_be_made(source: &engine::MaterialiseError, why: String) -> Self {
        match source.place_in_template() {
            None if source.is_of_a_secret() => Self::new(ProblemKind::SecretFailed).detail(why),
            None => Self::new(ProblemKind::MergeFailed).detail(why),
            Some((line, column)) => Self::new(ProblemKind::TemplateFailed)
                .detail(why)
                .line_column(line as usize, column as usize),
        }
    }

    /// What can be done about it, before what happened: that may be long, and cut.
    pub(crate) fn hint(self, hint: &str) -> Self {
        let detail = self.problem.detail.clone().unwrap_or_default();
        self.detail(format!("{hint}: {detail}"))
    }

    /// The field is a part of another one.
    pub(crate) fn within(mut self, outer: &str) -> Self {
        if let Some(field) = &self.problem.field {
            self.problem.field = Some(shortened(format!("{outer}.{field}"), FIELD_MAX_BYTES));
        }
        self
    }

    pub(crate) fn position(mut self, position: usize) -> Self {
        self.problem.position = u64::try_from(position).ok();
        self
    }

    pub(crate) fn line_column(mut self, line: usize, column: usize) -> Self {
        self.problem.line = u64::try_from(line).ok();
        self.problem.column = u64::try_from(column).ok();
        self
    }

    /// What the refused precondition would have to name.
    pub(crate) fn etag(mut self, version: u64) -> Self {
        self.etag = Some(version);
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

/// A text cut at a length, which then shows.
pub(crate) fn shortened(mut text: String, max_bytes: usize) -> String {
    if max_bytes < text.len() {
        text.truncate(text.floor_char_boundary(max_bytes));
        text.push('…');
    }
    text
}

/// An error with all its causes in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.problem).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"opamp-server admin plane\""),
            );
        }
        if let Some(version) = self.etag {
            headers.extend(etag(version));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        let error = match &self.problem.detail {
            Some(detail) => format!("{}: {detail}", self.problem.slug()),
            None => self.problem.slug().to_owned(),
        };
        response.extensions_mut().insert(Refused { error });
        response
    }
}

impl From<engine::admin::StoreError> for ApiError {
    fn from(error: engine::admin::StoreError) -> Self {
        if error.is_lost() || error.is_contended() {
            return Self::database(&error);
        }
        Self::internal(&error)
    }
}

impl From<engine::admin::KeyReused> for ApiError {
    fn from(error: engine::admin::KeyReused) -> Self {
        Self::new(ProblemKind::IdempotencyKeyReused)
            .field("idempotency-key")
            .detail(error.to_string())
    }
}

impl From<engine::CheckErrors> for ApiError {
    fn from(errors: engine::CheckErrors) -> Self {
        let mut refusal = Self::new(ProblemKind::CheckFailed).detail(errors.to_string());
        refusal.problem.findings = errors.errors.into_iter().map(to_found).collect();
        refusal
    }
}

impl From<engine::admin::rollouts::Refusals> for ApiError {
    fn from(refusals: engine::admin::rollouts::Refusals) -> Self {
        let mut refusal = Self::new(ProblemKind::RefusedByAgent).detail(refusals.to_string());
        refusal.problem.dry_runs = refusals.refusals.into_iter().map(to_refusal).collect();
        refusal
    }
}

impl From<engine::MaterialiseError> for ApiError {
    fn from(error: engine::MaterialiseError) -> Self {
        Self::cannot_be_made(&error, chain(&error))
    }
}

impl From<engine::DesireError> for ApiError {
    fn from(error: engine::DesireError) -> Self {
        match error {
            engine::DesireError::Store(error) => error.into(),
            engine::DesireError::Materialise { ref source, .. } => {
                Self::cannot_be_made(source, chain(&error))
            }
            engine::DesireError::Checks { source, .. } => (*source).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn faults_of_the_server_are_counted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            drop(ApiError::internal(&std::fmt::Error));
            drop(ApiError::database(&std::fmt::Error));
            drop(ApiError::new(ProblemKind::NotFound));
        });
        let text = metrics.render();
        assert!(text.contains(&format!("{ERRORS} 2")), "{text}");
    }
}
