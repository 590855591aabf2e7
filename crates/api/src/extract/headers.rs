//! Headers that make writes safe: preconditions and idempotency keys.

use api_types::ProblemKind;
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::problem::{ApiError, ApiResult};

/// The longest idempotency key, in bytes.
const IDEMPOTENCY_KEY_MAX_BYTES: usize = 255;

/// `If-Match` and `If-None-Match` of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Preconditions {
    /// None: write in any case.
    Always,
    /// `If-Match: *`: only what exists.
    IfExists,
    /// `If-Match: "…"`: only what has one of these versions.
    IfVersion(Vec<u64>),
    /// `If-None-Match: *`: only what does not exist.
    IfAbsent,
}

impl<S: Send + Sync> FromRequestParts<S> for Preconditions {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        let (matches, none) = (
            text(&parts.headers, &header::IF_MATCH)?,
            text(&parts.headers, &header::IF_NONE_MATCH)?,
        );
        match (matches, none) {
            (None, None) => Ok(Self::Always),
            (Some("*"), None) => Ok(Self::IfExists),
            (Some(list), None) => Ok(Self::IfVersion(versions(list)?)),
            (None, Some("*")) => Ok(Self::IfAbsent),
            (None, Some(_)) => Err(bad(&header::IF_NONE_MATCH, "only * is supported on writes")),
            (Some(_), Some(_)) => Err(bad(
                &header::IF_MATCH,
                "give either If-Match or If-None-Match",
            )),
        }
    }
}

impl Preconditions {
    /// The versions that an agent found for the request may have; `None` where any will do.
    pub(crate) fn of_agent(&self) -> ApiResult<Option<&[u64]>> {
        match self {
            Self::Always | Self::IfExists => Ok(None),
            Self::IfVersion(versions) => Ok(Some(versions)),
            Self::IfAbsent => Err(ApiError::new(ProblemKind::PreconditionFailed)
                .field(header::IF_NONE_MATCH.as_str())
                .detail("the agent exists")),
        }
    }
}

/// For writes to what has no version: a precondition that nobody checks must not look as if it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoPreconditions;

impl<S: Send + Sync> FromRequestParts<S> for NoPreconditions {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        let mut names = [header::IF_MATCH, header::IF_NONE_MATCH].into_iter();
        match names.find(|name| parts.headers.contains_key(name)) {
            Some(name) => Err(bad(&name, "is not supported here")),
            None => Ok(Self),
        }
    }
}

/// A list of entity tags as [`etag`] makes them. A tag that is none of ours matches nothing, which is the
/// caller's precondition failing and no error of form.
fn versions(list: &str) -> ApiResult<Vec<u64>> {
    let mut versions = Vec::new();
    for tag in list.split(',').map(str::trim) {
        let Some(opaque) = tag
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
        else {
            let text = if tag.starts_with("W/") {
                "a weak tag never matches"
            } else {
                "tags stand in double quotes"
            };
            return Err(bad(&header::IF_MATCH, text));
        };
        versions.extend(opaque.parse::<u64>());
    }
    Ok(versions)
}

/// The entity tag of a version.
pub(crate) fn etag(version: u64) -> [(HeaderName, HeaderValue); 1] {
    let value =
        HeaderValue::try_from(format!("\"{version}\"")).expect("digits and quotes are header text");
    [(header::ETAG, value)]
}

/// The `Idempotency-Key` of a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        let name = HeaderName::from_static("idempotency-key");
        let Some(key) = text(&parts.headers, &name)? else {
            return Ok(Self(None));
        };
        if key.is_empty() || IDEMPOTENCY_KEY_MAX_BYTES < key.len() {
            return Err(bad(&name, "must have 1 to 255 bytes"));
        }
        Ok(Self(Some(key.to_owned())))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> ApiResult<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(bad(name, "stands more than once"));
    }
    first
        .map(|value| {
            value
                .to_str()
                .map(str::trim)
                .map_err(|_| bad(name, "may hold ASCII only"))
        })
        .transpose()
}

fn bad(name: &HeaderName, detail: &str) -> ApiError {
    ApiError::new(ProblemKind::InvalidHeader)
        .field(name.as_str())
        .detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(headers: &[(&str, &str)]) -> Result<Preconditions, ()> {
        let mut request = http::Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        Preconditions::from_request_parts(&mut parts, &())
            .await
            .map_err(|_| ())
    }

    #[tokio::test]
    async fn preconditions_are_read() {
        assert_eq!(read(&[]).await, Ok(Preconditions::Always));
        assert_eq!(
            read(&[("if-match", "*")]).await,
            Ok(Preconditions::IfExists)
        );
        assert_eq!(
            read(&[("if-match", "\"7\"")]).await,
            Ok(Preconditions::IfVersion(vec![7]))
        );
        assert_eq!(
            read(&[("if-match", "\"7\", \"x\"")]).await,
            Ok(Preconditions::IfVersion(vec![7]))
        );
        assert_eq!(
            read(&[("if-none-match", "*")]).await,
            Ok(Preconditions::IfAbsent)
        );
    }

    #[tokio::test]
    async fn other_preconditions_are_refused() {
        for headers in [
            &[("if-match", "7")][..],
            &[("if-match", "W/\"7\"")],
            &[("if-none-match", "\"7\"")],
            &[("if-match", "*"), ("if-none-match", "*")],
            &[("if-match", "\"1\""), ("if-match", "\"2\"")],
        ] {
            assert_eq!(read(headers).await, Err(()), "{headers:?}");
        }
    }
}
