//! Parts of the path.

use api_types::ProblemKind;
use axum::extract::FromRequestParts;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::{ApiError, ApiResult};

/// Parts of the path, into a struct with fields of the route's own parameters; a namespace before them is not
/// the handler's concern.
pub(crate) struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => {
                Err(refuse(error.into_kind()))
            }
            Err(error) => Err(ApiError::internal(&error)),
        }
    }
}

fn refuse(kind: ErrorKind) -> ApiError {
    let refusal = ApiError::new(ProblemKind::InvalidPath);
    match kind {
        ErrorKind::ParseErrorAtKey {
            key,
            value,
            expected_type,
        } => refusal
            .detail(format!("{value:?} is no {expected_type}"))
            .field(key),
        ErrorKind::InvalidUtf8InPathParam { key } => refusal.detail("is no UTF-8").field(key),
        other => refusal.detail(other.to_string()),
    }
}
