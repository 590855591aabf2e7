//! Events as they happen.

mod feed;
mod stream;

use api_types::events::Event;
use engine::domain;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::ApiState;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(stream::stream_events))
}

pub(super) fn to_event(event: domain::Event) -> Event {
    Event {
        id: event.id.0,
        kind: event.kind.as_str().to_owned(),
        at: event.at,
        namespace: event.namespace.to_string(),
        agent: event.agent.map(|agent| agent.to_string()),
        detail: event.detail,
    }
}
