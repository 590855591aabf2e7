//! `POST /tokens`.

use api_types::ProblemKind;
use api_types::tokens::{CreateToken, CreatedToken};
use axum::Json;
use axum::extract::State;
use engine::admin::tokens::{CreateTokenError, Made, NewToken};
use engine::admin::{Created, Creation};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::view;
use crate::access::Acting;
use crate::extract::{IdempotencyKey, Json as Body, NoPreconditions};
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

type Answer = (
    StatusCode,
    [(HeaderName, HeaderValue); 1],
    Json<CreatedToken>,
);

/// Makes a token. Its secret is in this answer and nowhere else: the server keeps only a hash.
#[utoipa::path(post, path = "/tokens", tag = "tokens",
    params(("idempotency-key" = Option<String>, Header, description = "The same key again makes nothing; the answer is then without the secret")),
    request_body = CreateToken,
    responses(
        (status = 201, body = CreatedToken, description = "It is made"),
        (status = 200, body = CreatedToken, description = "An earlier request with this key made it"),
    ))]
pub(crate) async fn create_token(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    IdempotencyKey(key): IdempotencyKey,
    _: NoPreconditions,
    Body(body): Body<CreateToken>,
) -> ApiResult<Answer> {
    let creation = Creation {
        key,
        request: request(&body),
    };
    let new = NewToken {
        kind: view::from_kind(body.kind),
        description: body.description.unwrap_or_default(),
        labels: body.labels.into_iter().collect(),
        expires_at: body.expires_at,
    };
    let (status, made) = match state
        .engine
        .create_token(&caller, &new, &creation, state.now())
        .await?
    {
        Created::New(made) => (StatusCode::CREATED, made),
        Created::Earlier(made) => (StatusCode::OK, made),
    };
    let Made { record, secret } = made;
    let secret = secret.map(|secret| secret.expose().to_owned());
    // The secret must not stay in any cache on the way.
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((
        status,
        headers,
        Json(CreatedToken {
            token: view::to_token(record),
            secret,
        }),
    ))
}

/// What an idempotency key is bound to.
fn request(body: &CreateToken) -> Vec<u8> {
    let body = serde_json::to_string(body).unwrap_or_default();
    format!("token {body}").into_bytes()
}

impl From<CreateTokenError> for ApiError {
    fn from(error: CreateTokenError) -> Self {
        let text = error.to_string();
        let refuse = |field: &str| {
            Self::new(ProblemKind::InvalidField)
                .field(field)
                .detail(text.clone())
        };
        match error {
            CreateTokenError::DescriptionTooLong { .. } => refuse("description"),
            CreateTokenError::Label { key, .. } => refuse(&format!("labels.{key}")),
            CreateTokenError::TooManyLabels { .. } | CreateTokenError::LabelsOnAdminToken => {
                refuse("labels")
            }
            CreateTokenError::ExpiresInThePast { .. } => refuse("expires_at"),
            CreateTokenError::Key(error) => error.into(),
            CreateTokenError::Raced => Self::new(ProblemKind::Conflict).detail(text),
            CreateTokenError::Store(error) => error.into(),
        }
    }
}
