//! `POST /configs/{config}/import`: what an agent runs by now as a revision.

use api_types::ProblemKind;
use api_types::configs::{ImportConfig, Revision};
use axum::extract::State;
use engine::admin::configs::{Aim, ImportConfigError};
use engine::domain::AgentId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ConfigPath;
use super::put::{Answer, answer};
use crate::access::Acting;
use crate::extract::{Json as Body, Path, Preconditions};
use crate::problem::{ApiError, ApiResult};
use crate::selector;
use crate::state::ApiState;

pub(super) fn route() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(import_config))
}

/// Makes a revision of what an agent reports to run, without what its supervisor adds for itself. No agent changes; the plan
/// of the release says `no_change` for those that run just that. Secrets that the agent masks cannot be taken over: the
/// refusal names the line.
#[utoipa::path(post, path = "/configs/{config}/import", tag = "configs",
    params(
        ("config" = String, Path, description = "The config's name"),
        ("if-match" = Option<String>, Header, description = "The config's etag, or `*`"),
        ("if-none-match" = Option<String>, Header, description = "`*`: only a new config"),
    ),
    request_body = ImportConfig,
    responses(
        (status = 201, body = Revision, description = "A revision was made"),
        (status = 200, body = Revision, description = "The newest revision is just that"),
    ))]
pub(crate) async fn import_config(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<ConfigPath>,
    preconditions: Preconditions,
    Body(body): Body<ImportConfig>,
) -> ApiResult<Answer> {
    let name = path.name()?;
    let named: AgentId = body.agent.parse().map_err(|_| {
        ApiError::new(ProblemKind::InvalidField)
            .field("agent")
            .detail("an agent is named by UUID text")
    })?;
    let found = state.engine.find_agent(&caller, *named.as_bytes()).await?;
    let aim = Aim {
        selector: selector::read(body.selector.as_ref(), "selector")?,
        priority: body.priority.unwrap_or_default(),
    };
    let put = state
        .engine
        .import_config(
            &caller,
            &name,
            (found.unwrap_or(named), aim),
            body.message,
            &preconditions.into(),
            state.now(),
        )
        .await?;
    answer(put).await
}

impl From<ImportConfigError> for ApiError {
    fn from(error: ImportConfigError) -> Self {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let text = [Some(error.to_string()), cause].into_iter().flatten();
        let text = text.collect::<Vec<_>>().join(": ");
        match error {
            ImportConfigError::NoAgent { .. } => {
                Self::new(ProblemKind::NotFound).field("agent").detail(text)
            }
            ImportConfigError::Effective(_) => {
                Self::new(ProblemKind::Conflict).field("agent").detail(text)
            }
            ImportConfigError::Put(error) => error.into(),
            ImportConfigError::Store(error) => error.into(),
        }
    }
}
