//! Secrets that configs refer to. No answer ever has a value.

mod delete;
mod get;
mod list;
mod put;

use api_types::ProblemKind;
use api_types::secrets::Secret;
use engine::admin::secrets::SecretView;
use engine::domain::{InvalidName, SecretName};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list_secrets))
        .routes(routes!(
            get::get_secret,
            put::put_secret,
            delete::delete_secret
        ))
}

/// The secret of a path.
#[derive(Deserialize)]
pub(crate) struct SecretPath {
    secret: String,
}

impl SecretPath {
    fn name(&self) -> ApiResult<SecretName> {
        let refuse = |error: InvalidName| {
            ApiError::new(ProblemKind::InvalidPath)
                .field("secret")
                .detail(error.to_string())
        };
        SecretName::new(&self.secret).map_err(refuse)
    }
}

fn to_secret(view: SecretView) -> Secret {
    Secret {
        name: view.name.to_string(),
        version: view.version,
        author: view.author.to_string(),
        created_at: view.created_at,
        readable: view.is_open,
        used_by: view.used_by.iter().map(ToString::to_string).collect(),
    }
}
