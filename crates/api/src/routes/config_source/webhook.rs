//! `POST /config-source/webhook`: a forge says that something was pushed.
//!
//! What it says is not read: the repository is asked. So nothing of the body is kept, and whoever has the secret can
//! cause one look at the source, however often it is sent.

use std::time::Duration;

use api_types::ProblemKind;
use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use engine::admin::source::Asked;
use engine::{HmacSha256, Secret};
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode};

use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

/// GitHub's signature of the body, which Gitea and Forgejo send as well.
const SIGNATURE: &str = "x-hub-signature-256";
/// GitLab's secret, which comes as it is.
const TOKEN: &str = "x-gitlab-token";
/// The largest body, in bytes; what GitHub sends at most.
const BODY_MAX_BYTES: usize = 25 << 20;
/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Asks for a look at the source soon. Takes no token but a proof of `webhook_secret`: `X-Hub-Signature-256` (HMAC-SHA256
/// of the body), or `X-Gitlab-Token`.
#[utoipa::path(post, path = "/config-source/webhook", tag = "config-source",
    params(
        ("x-hub-signature-256" = Option<String>, Header, description = "`sha256=` and the HMAC-SHA256 of the body, in hexadecimal digits"),
        ("x-gitlab-token" = Option<String>, Header, description = "The secret itself"),
    ),
    responses((status = 202, description = "The source will be looked at")))]
pub(crate) async fn config_source_webhook(
    State(state): State<ApiState>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<StatusCode> {
    let Some((desk, secret)) = state
        .source
        .as_ref()
        .and_then(|desk| Some((desk, desk.webhook_secret()?)))
    else {
        return Err(refused());
    };
    let proved = match (headers.get(SIGNATURE), headers.get(TOKEN)) {
        (Some(signature), None) => {
            let signature = signature
                .to_str()
                .ok()
                .and_then(code_of)
                .ok_or_else(refused)?;
            let code = tokio::time::timeout(BODY_TIME, code_over(body, secret)).await;
            code.map_err(|_| too_slow())??.verify(&signature)
        }
        (None, Some(token)) => token
            .to_str()
            .is_ok_and(|token| Secret::new(token) == *secret),
        _ => false,
    };
    if !proved {
        return Err(refused());
    }
    desk.ask(Asked::Look);
    Ok(StatusCode::ACCEPTED)
}

/// The code in a signature's header.
fn code_of(signature: &str) -> Option<Vec<u8>> {
    let hex = signature.strip_prefix("sha256=")?.as_bytes();
    if hex.len() != 64 || !hex.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    hex.chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

/// The code over the body as it comes, none of which is kept.
async fn code_over(body: Body, secret: &Secret) -> ApiResult<HmacSha256> {
    let mut code = HmacSha256::new(secret.expose().as_bytes());
    let mut left = BODY_MAX_BYTES;
    let mut pieces: BodyDataStream = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| {
            ApiError::new(ProblemKind::InvalidBody).detail("the body did not arrive whole")
        })?;
        left = left
            .checked_sub(piece.len())
            .ok_or_else(|| ApiError::new(ProblemKind::BodyTooLarge))?;
        code.update(&piece);
    }
    Ok(code)
}

fn refused() -> ApiError {
    ApiError::new(ProblemKind::Unauthorized).detail(
        "the webhook does not prove to know config_source.git.webhook_secret: set the same secret on both sides",
    )
}

fn too_slow() -> ApiError {
    ApiError::new(ProblemKind::InvalidBody).detail("the body took too long to come")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_sixty_four_hexadecimal_digits() {
        assert_eq!(
            code_of(&format!("sha256={}", "0aF0".repeat(16))),
            Some([0x0a, 0xf0].repeat(16))
        );
        for bad in [
            "",
            "sha256=",
            &format!("sha1={}", "00".repeat(32)),
            &format!("sha256={}", "00".repeat(31)),
            &format!("sha256={}", "zz".repeat(32)),
            &format!("sha256={}", "é".repeat(32)),
        ] {
            assert_eq!(code_of(bad), None, "{bad}");
        }
    }
}
