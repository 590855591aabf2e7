//! Tokens, and the file that a new agent starts with.

mod agent_file;
mod create;
mod get;
mod list;
mod revoke;
mod view;

use api_types::ProblemKind;
use engine::domain::{InvalidName, TokenId};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list_tokens, create::create_token))
        .routes(routes!(get::get_token, revoke::revoke_token))
        .routes(routes!(agent_file::get_agent_file))
}

/// The token of a path.
#[derive(Deserialize)]
pub(crate) struct TokenPath {
    token: String,
}

impl TokenPath {
    fn id(&self) -> ApiResult<TokenId> {
        let refuse = |error: InvalidName| {
            ApiError::new(ProblemKind::InvalidPath)
                .field("token")
                .detail(error.to_string())
        };
        self.token.parse().map_err(refuse)
    }

    fn missing(&self) -> ApiError {
        ApiError::new(ProblemKind::NotFound).detail(format!("there is no token {}", self.token))
    }
}
