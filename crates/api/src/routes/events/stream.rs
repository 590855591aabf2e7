//! `GET /events`: server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use api_types::ProblemKind;
use api_types::events::StreamEvents;
use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event as SseEvent, KeepAlive};
use engine::domain::EventId;
use futures_util::future::ready;
use futures_util::stream::{once, unfold};
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::feed::Feed;
use super::to_event;
use crate::access::Acting;
use crate::extract::Query;
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

/// How long a stream is silent before a comment shows that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The namespace's events as server-sent events: `id`, `event` (the kind) and `data` (an `Event`). It starts now, after `after`,
/// or after the `Last-Event-ID` that a reconnecting client sends. It opens with an `id` alone, so that a client that saw no event
/// yet can resume, too. Where events after that id are no longer kept, or it is not one of this server's, it opens with an
/// event `reset` and starts now: what a client made of earlier events is to be read anew.
#[utoipa::path(get, path = "/events", tag = "events",
    params(StreamEvents, ("last-event-id" = Option<i64>, Header, description = "Resume after this event")),
    responses((status = 200, content_type = "text/event-stream", body = api_types::events::Event)))]
pub(crate) async fn stream_events(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    Query(query): Query<StreamEvents>,
    headers: HeaderMap,
) -> ApiResult<(
    [(HeaderName, HeaderValue); 1],
    Sse<impl Stream<Item = Result<SseEvent, Infallible>>>,
)> {
    let permit = Arc::clone(&state.streams)
        .try_acquire_owned()
        .map_err(|_| {
            ApiError::new(ProblemKind::TooManyRequests)
                .detail("too many event streams are open")
                .retry_after(10)
        })?;
    let wanted = last_event_id(&headers)?;
    let (first, after) = begin(&state, wanted, query.after).await?;
    let feed = Feed::new(state, caller, after, permit);
    let events = unfold(feed, |mut feed| async {
        let event = feed.next().await?;
        Some((Ok(to_sse(event)), feed))
    });
    let events = once(ready(Ok(first))).chain(events);
    // Proxies (nginx) would hold back what looks like a slow answer.
    let headers = [(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    )];
    Ok((
        headers,
        Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)),
    ))
}

/// The frame that a stream opens with, and the event after which it goes on.
async fn begin(
    state: &ApiState,
    last: Option<EventId>,
    after: Option<i64>,
) -> ApiResult<(SseEvent, EventId)> {
    let latest = state.engine.latest_event().await?;
    let after = match last {
        Some(last) if !state.engine.keeps_events_after(last).await? => {
            let event = SseEvent::default().event("reset");
            let data = format!("{{\"after\":{}}}", latest.0);
            return Ok((event.id(latest.0.to_string()).data(data), latest));
        }
        Some(last) => last,
        None => after.map_or(latest, EventId),
    };
    // Without data it is no event to a client, which keeps the id.
    Ok((SseEvent::default().id(after.0.to_string()), after))
}

fn to_sse(event: engine::domain::Event) -> SseEvent {
    let event = to_event(event);
    let data = serde_json::to_string(&event).unwrap_or_default();
    SseEvent::default()
        .id(event.id.to_string())
        .event(event.kind)
        .data(data)
}

fn last_event_id(headers: &HeaderMap) -> ApiResult<Option<EventId>> {
    let name = HeaderName::from_static("last-event-id");
    let Some(value) = headers.get(&name) else {
        return Ok(None);
    };
    let id = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .map(EventId);
    id.map(Some).ok_or_else(|| {
        ApiError::new(ProblemKind::InvalidHeader)
            .field(name.as_str())
            .detail("must be the id of an event")
    })
}
