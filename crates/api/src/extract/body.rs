//! JSON bodies.

use api_types::ProblemKind;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::query::quoted_name;
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

/// A JSON body of the expected shape and nothing more.
pub(crate) struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        check_media_type(request.headers())?;
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(unreadable)?;
        parse(&bytes).map(Self)
    }
}

/// A JSON body that holds a config's text, which has a limit of its own.
pub(crate) struct ConfigJson<T>(pub T);

/// How often the text's limit fits into the request: in JSON, many of its characters are escaped.
const ESCAPING: usize = 4;
/// What a request may have beside the text, in bytes.
const BESIDE_TEXT_MAX_BYTES: usize = 64 << 10;

impl<T: DeserializeOwned> FromRequest<ApiState> for ConfigJson<T> {
    type Rejection = ApiError;

    async fn from_request(mut request: Request, state: &ApiState) -> ApiResult<Self> {
        let text_max_bytes = state.engine.options().limits.desired.body_bytes;
        let limit = text_max_bytes
            .saturating_mul(ESCAPING)
            .saturating_add(BESIDE_TEXT_MAX_BYTES);
        check_media_type(request.headers())?;
        DefaultBodyLimit::max(limit).apply(&mut request);
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| {
                let is_large = rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE;
                let refusal = unreadable(rejection);
                if !is_large {
                    return refusal;
                }
                refusal.detail(format!(
                    "the request has more than {limit} bytes, which limits.revision_body ({text_max_bytes}) sets"
                ))
            })?;
        parse(&bytes).map(Self)
    }
}

fn check_media_type(headers: &HeaderMap) -> ApiResult<()> {
    let declared = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = declared
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::new(ProblemKind::UnsupportedMediaType)
        .field("content-type")
        .detail(match declared {
            None => "the request has no Content-Type; send application/json".to_owned(),
            Some(other) => format!("got {other:?}; send application/json"),
        }))
}

/// Above the limit of the route, or a connection that broke.
fn unreadable(rejection: BytesRejection) -> ApiError {
    if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::new(ProblemKind::BodyTooLarge);
    }
    ApiError::new(ProblemKind::InvalidBody).detail("the body did not arrive whole")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> ApiResult<T> {
    if holds_nul(bytes) {
        return Err(
            ApiError::new(ProblemKind::InvalidBody).detail("text cannot hold the character U+0000")
        );
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        refuse(&path, error.inner())
    })?;
    json.end().map_err(|error| refuse(".", &error))?;
    Ok(value)
}

/// Whether a text in it has the one character that databases do not store. JSON has it as an escape only.
fn holds_nul(bytes: &[u8]) -> bool {
    let mut escaped = false;
    bytes.iter().enumerate().any(|(index, byte)| {
        let begins = escaped && bytes[index..].starts_with(b"u0000");
        escaped = *byte == b'\\' && !escaped;
        begins
    })
}

fn refuse(path: &str, error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    let (kind, field) = match quoted_name(&text, "unknown field ") {
        Some(name) => (ProblemKind::UnknownField, join(path, name)),
        None => {
            match quoted_name(&text, "missing field ").or(quoted_name(&text, "duplicate field ")) {
                Some(name) => (ProblemKind::InvalidBody, join(path, name)),
                None => (ProblemKind::InvalidBody, path.to_owned()),
            }
        }
    };
    let refusal = ApiError::new(kind)
        .detail(text)
        .line_column(error.line(), error.column());
    match field.as_str() {
        "." | "" => refusal,
        _ => refusal.field(field),
    }
}

/// The path of a named field; some errors carry the name in the path already.
fn join(path: &str, name: &str) -> String {
    match path {
        "." | "" => name.to_owned(),
        path if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        path => format!("{}.{name}", path.trim_end_matches(".?")),
    }
}

#[cfg(test)]
mod tests {
    use api_types::Problem;
    use api_types::configs::PutConfig;
    use api_types::rollouts::StartRollout;
    use axum::response::IntoResponse;
    use http_body_util::BodyExt;

    use super::*;

    async fn refusal<T: DeserializeOwned>(json: &str) -> Problem {
        let Err(error) = parse::<T>(json.as_bytes()) else {
            panic!("{json} was taken");
        };
        let body = error.into_response().into_body().collect().await.unwrap();
        serde_json::from_slice(&body.to_bytes()).unwrap()
    }

    #[tokio::test]
    async fn an_unknown_field_is_named_with_its_path() {
        let problem = refusal::<PutConfig>(r#"{"kind":"collector","body":"","prio":1}"#).await;
        assert!(problem.is(ProblemKind::UnknownField));
        assert_eq!(problem.field.as_deref(), Some("prio"));
        let problem = refusal::<StartRollout>(r#"{"rollout":{"strat":"x"}}"#).await;
        assert!(problem.is(ProblemKind::UnknownField));
        assert_eq!(problem.field.as_deref(), Some("rollout.strat"));
    }

    #[tokio::test]
    async fn text_that_cannot_be_stored_is_refused() {
        let problem = refusal::<PutConfig>(r#"{"kind":"collector","body":"a\u0000b"}"#).await;
        assert!(problem.detail.unwrap().contains("U+0000"));
        let escaped = parse::<PutConfig>(br#"{"kind":"collector","body":"a\\u0000b"}"#)
            .unwrap_or_else(|_| panic!("refused"));
        assert_eq!(escaped.body, r"a\u0000b");
    }

    #[tokio::test]
    async fn what_a_caller_sent_is_not_sent_back_at_any_length() {
        let problem = refusal::<PutConfig>(&format!("{{\"{}\": 1}}", "x".repeat(100_000))).await;
        assert!(problem.detail.unwrap().len() < 1_100);
        assert!(problem.field.unwrap().len() < 300);
    }

    #[tokio::test]
    async fn a_missing_field_is_named() {
        let problem = refusal::<PutConfig>(r#"{"kind":"collector"}"#).await;
        assert!(problem.is(ProblemKind::InvalidBody));
        assert_eq!(problem.field.as_deref(), Some("body"));
    }

    #[tokio::test]
    async fn a_field_of_the_wrong_type_is_named_with_its_path() {
        let problem = refusal::<StartRollout>("{\"rollout\":\n {\"revision\":\"x\"}}").await;
        assert_eq!(problem.field.as_deref(), Some("rollout.revision"));
        assert_eq!(problem.line, Some(2));
        let problem = refusal::<PutConfig>(r#"{"selector":7}"#).await;
        assert_eq!(problem.field.as_deref(), Some("selector"));
    }

    #[tokio::test]
    async fn text_that_is_no_json_is_refused_at_its_line_and_column() {
        let problem = refusal::<StartRollout>("{\n  oops}").await;
        assert_eq!((problem.line, problem.column), (Some(2), Some(3)));
        let problem = refusal::<StartRollout>("{} {}").await;
        assert!(problem.detail.unwrap().contains("trailing characters"));
    }
}
