//! Events as they happen.

use std::time::{Duration, Instant};

use api::Readiness;
use api_types::ProblemKind;
use api_types::events::Event;
use api_types::tokens::CreatedToken;
use axum::body::Body;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::json;

use crate::harness::{ADMIN, BODY, World, soon};

const EVENTS: &str = "/api/v1/events";

/// A stream of server-sent events, read frame by frame.
pub(crate) struct Stream {
    body: Body,
    text: String,
}

impl Stream {
    pub(crate) async fn open(world: &World<'_>, path: &str, headers: &[(&str, &str)]) -> Self {
        Self::open_as(world, ADMIN, path, headers).await
    }

    async fn open_as(world: &World<'_>, token: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut call = world.call_as(token, Method::GET, path);
        for (name, value) in headers {
            call = call.header(name, value);
        }
        let response = call.open().await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// The next frame; `None` at the stream's end.
    async fn frame(&mut self) -> Option<String> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(frame);
            }
            let frame = soon(self.body.frame()).await?.unwrap();
            self.text
                .push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    }

    /// The next event; `None` at the stream's end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let frame = self.frame().await?;
            let field = |name: &str| {
                frame
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .map(str::trim)
            };
            let Some(data) = field("data:") else { continue };
            let event: Event = serde_json::from_str(data).unwrap();
            assert_eq!(field("id:"), Some(event.id.to_string().as_str()));
            assert_eq!(field("event:"), Some(event.kind.as_str()));
            return Some(event);
        }
    }

    pub(crate) async fn until(&mut self, kind: &str) -> Event {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.kind == kind {
                return event;
            }
        }
    }
}

pub async fn the_stream_resumes_after_an_id(world: &World<'_>) {
    world.release("edge", "env=prod", BODY).await;
    let mut all = Stream::open(world, "/api/v1/events?after=0", &[]).await;
    let first = all.next().await.unwrap();
    let second = all.next().await.unwrap();
    assert!(first.id < second.id);
    assert_eq!(first.kind, "revision_created");
    assert_eq!(first.detail["config"], "edge");
    let resumed = [("last-event-id", first.id.to_string())];
    let headers = [(resumed[0].0, resumed[0].1.as_str())];
    let mut rest = Stream::open(world, "/api/v1/events?after=0", &headers).await;
    assert_eq!(
        rest.next().await.unwrap(),
        second,
        "Last-Event-ID wins over the query"
    );
    for bad in ["x", ""] {
        let refused = world
            .call(Method::GET, EVENTS)
            .header("last-event-id", bad)
            .send()
            .await;
        refused.problem(ProblemKind::InvalidHeader);
    }
    world
        .get("/api/v1/events?after=x")
        .await
        .problem(ProblemKind::InvalidQuery);
}

pub async fn the_stream_sends_what_happens(world: &World<'_>) {
    world.release("before", "env=prod", BODY).await;
    let mut stream = Stream::open(world, EVENTS, &[]).await;
    let agent = world.connect(1, &[("env", "prod")]).await;
    let created = stream.next().await.unwrap();
    assert_ne!(created.kind, "rollout_started", "the stream starts now");
    assert_eq!(created.agent.as_deref(), Some(agent.id().as_str()));
    world.release("edge", "env=prod", BODY).await;
    let started = stream.until("rollout_started").await;
    assert_eq!(started.detail["config"], "edge");
    world
        .patch(&agent.path(), json!({ "labels": { "a": "b" } }))
        .await;
    assert_eq!(
        stream.until("agent_labels_changed").await.agent,
        created.agent
    );
    world
        .put(
            "/api/v1/fleet/hold",
            json!({ "held": true, "reason": "why" }),
        )
        .await;
    assert_eq!(stream.until("hold_changed").await.detail["reason"], "why");
}

pub async fn the_stream_ends_when_the_server_drains(world: &World<'_>) {
    let mut stream = Stream::open(world, EVENTS, &[]).await;
    let drain = async {
        tokio::task::yield_now().await;
        world.readiness.send_replace(Readiness::Draining);
    };
    let (end, ()) = tokio::join!(stream.next(), drain);
    assert_eq!(end, None);
}

pub async fn the_stream_ends_when_its_token_is_revoked(world: &World<'_>) {
    let made: CreatedToken = world
        .post("/api/v1/tokens", json!({ "kind": "admin" }))
        .await
        .json(StatusCode::CREATED);
    let mut stream = Stream::open_as(world, &made.secret.unwrap(), EVENTS, &[]).await;
    world
        .delete(&format!("/api/v1/tokens/{}", made.token.id))
        .await;
    assert_eq!(stream.next().await, None);
}

pub async fn a_busy_stream_ends_when_its_token_is_revoked(world: &World<'_>) {
    let made: CreatedToken = world
        .post("/api/v1/tokens", json!({ "kind": "admin" }))
        .await
        .json(StatusCode::CREATED);
    let agent = world.connect(1, &[]).await;
    let mut stream = Stream::open_as(world, &made.secret.unwrap(), EVENTS, &[]).await;
    world
        .delete(&format!("/api/v1/tokens/{}", made.token.id))
        .await;
    // Never quiet for long, and for longer than a credential is trusted.
    let began = Instant::now();
    for number in 0.. {
        let labels = json!({ "labels": { "a": number.to_string() } });
        world.patch(&agent.path(), labels).await;
        if stream.next().await.is_none() {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(8), "still open");
    }
}

pub async fn a_stream_can_be_resumed_before_its_first_event(world: &World<'_>) {
    world.release("before", "env=prod", BODY).await;
    let mut quiet = Stream::open(world, EVENTS, &[]).await;
    let opening = quiet.frame().await.unwrap();
    let id = opening.strip_prefix("id: ").expect("an id and no data");
    drop(quiet);
    world.release("edge", "env=prod", BODY).await;
    let mut resumed = Stream::open(world, EVENTS, &[("last-event-id", id)]).await;
    let missed = resumed.next().await.unwrap();
    assert_eq!(missed.detail["config"], "edge");
}

pub async fn an_id_that_cannot_be_resumed_after_resets_the_stream(world: &World<'_>) {
    world.release("edge", "env=prod", BODY).await;
    let latest = world.engine.latest_event().await.unwrap().0;
    for (last, is_reset) in [
        (0, false),
        (latest, false),
        (-1, true),
        (latest + 1, true),
        (i64::MAX, true),
    ] {
        let mut stream = Stream::open(world, EVENTS, &[("last-event-id", &last.to_string())]).await;
        let opening = stream.frame().await.unwrap();
        assert_eq!(
            opening.contains("event: reset"),
            is_reset,
            "{last}: {opening}"
        );
        let id = if is_reset { latest } else { last };
        assert!(opening.contains(&format!("id: {id}")), "{opening}");
    }
}

pub async fn streams_beyond_the_limit_are_refused(world: &World<'_>) {
    let mut open = Vec::new();
    for _ in 0..256 {
        open.push(Stream::open(world, EVENTS, &[]).await);
    }
    let refused = world.get(EVENTS).await;
    refused.problem(ProblemKind::TooManyRequests);
    assert!(refused.headers.contains_key("retry-after"));
    open.pop();
    Stream::open(world, EVENTS, &[]).await;
}
