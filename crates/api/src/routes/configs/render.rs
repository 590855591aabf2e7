//! `POST /configs/{config}/render`: what a revision comes to for one agent, or for labels that nobody has yet.

use std::collections::BTreeMap;

use api_types::ProblemKind;
use api_types::configs::{RenderConfig, RenderedConfig, SharedBy};
use axum::Json;
use axum::extract::State;
use engine::admin::agents::hash_of_body;
use engine::admin::configs::{GivenBySet, RenderError, RenderFor, RenderWhat, RenderedBody};
use engine::domain::labels::Labels;
use engine::domain::model::InstanceUid;
use engine::domain::{AgentId, RevisionNumber};
use serde_json::Value;

use super::{ConfigPath, put, template, view};
use crate::access::Acting;
use crate::extract::{ConfigJson as Body, Path};
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

/// Says what a revision, or an edit that is not saved, comes to for an agent or for made-up labels: the template rendered,
/// with the values that it was given. Secrets are redacted. Nothing changes.
#[utoipa::path(post, path = "/configs/{config}/render", tag = "configs",
    params(("config" = String, Path, description = "The config's name")),
    request_body = RenderConfig,
    responses((status = 200, body = RenderedConfig)))]
pub(crate) async fn render_config(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Path(path): Path<ConfigPath>,
    Body(body): Body<RenderConfig>,
) -> ApiResult<Json<RenderedConfig>> {
    let name = path.name()?;
    let whom = match &body.agent {
        None => made_up(&body)?,
        Some(agent) => {
            if !body.labels.is_empty() || body.uid.is_some() {
                return Err(refuse("agent").detail(
                    "an agent has its own labels and uid: give either \"agent\", or \"labels\" and \"uid\"",
                ));
            }
            let named: AgentId = agent
                .parse()
                .map_err(|_| refuse("agent").detail("an agent is named by UUID text"))?;
            let found = state.engine.find_agent(&caller, *named.as_bytes()).await?;
            RenderFor::Agent(found.unwrap_or(named))
        }
    };
    let what = match (body.revision, body.edit) {
        (Some(_), Some(_)) => {
            return Err(refuse("revision").detail("give \"revision\" or \"edit\", not both"));
        }
        (number, None) => RenderWhat::Revision(number.map(RevisionNumber)),
        (None, Some(edit)) => {
            RenderWhat::Edit(put::read(edit).map_err(|error| error.within("edit"))?)
        }
    };
    let rendered = state
        .engine
        .render_config(&caller, &name, &what, &whom, state.now())
        .await?;
    // Redacting a megabyte takes a while.
    let shown = tokio::task::spawn_blocking(move || to_rendered(path.config, rendered)).await;
    Ok(Json(shown.map_err(|error| ApiError::internal(&error))?))
}

fn refuse(field: &str) -> ApiError {
    ApiError::new(ProblemKind::InvalidField).field(field)
}

fn made_up(body: &RenderConfig) -> ApiResult<RenderFor> {
    for (key, value) in &body.labels {
        Labels::check(key, value)
            .map_err(|error| refuse(&format!("labels.{key}")).detail(error.to_string()))?;
    }
    let uid = body
        .uid
        .as_deref()
        .map(str::parse::<InstanceUid>)
        .transpose();
    let labels = body.labels.iter();
    Ok(RenderFor::MadeUp {
        labels: labels
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect(),
        uid: uid
            .map_err(|_| refuse("uid").detail("a uid is UUID text"))?
            .unwrap_or_else(|| InstanceUid::new([0; 16])),
    })
}

fn to_rendered(config: String, rendered: RenderedBody) -> RenderedConfig {
    let values = rendered
        .values
        .and_then(|json| serde_json::from_str::<Value>(&json).ok());
    RenderedConfig {
        config,
        revision: rendered.revision.map(|number| number.0),
        matches: rendered.matches,
        sha256: hash_of_body(&rendered.body).to_string(),
        body: view::body(rendered.kind, &rendered.body),
        values: values.map(redacted_values),
        shared: to_shared(rendered.given),
        error: rendered.error,
    }
}

/// Which sets give which values.
pub(crate) fn to_shared(given: Vec<GivenBySet>) -> BTreeMap<String, SharedBy> {
    let shared = given.into_iter().map(|given| {
        let by = SharedBy {
            config: given.set.to_string(),
            revision: given.revision.0,
        };
        (given.name, by)
    });
    shared.collect()
}

/// The values that a template was given, as they may be shown.
pub(crate) fn redacted_values(values: Value) -> Value {
    template::redacted_value("values", values)
}

impl From<RenderError> for ApiError {
    fn from(error: RenderError) -> Self {
        match error {
            RenderError::NoSuch(error) => error.into(),
            RenderError::NoAgent { .. } => Self::new(ProblemKind::NotFound)
                .field("agent")
                .detail(error.to_string()),
            RenderError::Edit(error) => Self::from(error).within("edit"),
            RenderError::Template(error) => Self::from(*error),
            RenderError::Store(error) => error.into(),
        }
    }
}
