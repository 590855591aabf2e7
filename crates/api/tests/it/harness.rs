//! An admin plane without a socket, over an engine on a temporary database, and agents that are nothing but a session.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use api::{ApiState, Readiness};
use api_types::{Problem, ProblemKind};
use axum::Router;
use axum::body::Body;
use engine::admin::source::{ConfigSource, ReleaseBy, SourceDesk};
use engine::domain::Namespace;
use engine::domain::model::{
    AgentCapabilities, AgentDescription, ApplyState, Attribute, Changes, DryRunAnswer, InstanceUid,
    RemoteConfigStatus,
};
use engine::{
    ApprovalMode, AskedContent, Attach, AttachRequest, Attachment, DesiredContent, Engine,
    EngineOptions, Heard, Mailbox, Outgoing, Principal, SealingKey, Secret, Transport,
};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::testing::TestDb;
use tokio::sync::watch;
use tower::ServiceExt;

pub const ADMIN: &str = "bootstrap-token-of-the-tests";
pub const WEBHOOK_SECRET: &str = "webhook-secret-of-the-tests";
pub const BODY: &str = "receivers: {otlp: {}}\nexporters: {debug: {}}\n\
    service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n";

/// A server's admin plane.
pub struct World<'a> {
    pub db: &'a TestDb,
    pub engine: Engine,
    pub readiness: watch::Sender<Readiness>,
    pub router: Router,
    /// The config source of the namespace `default`. Nothing fetches it.
    pub source: SourceDesk,
    clock: Arc<AtomicI64>,
}

/// What was answered.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

/// A request under construction.
pub struct Call<'a> {
    router: &'a Router,
    request: http::request::Builder,
    body: Option<String>,
}

impl<'a> World<'a> {
    pub async fn start(db: &'a TestDb) -> Self {
        Self::start_with(db, |_| {}).await
    }

    /// A second server on the same database, or the same one after a crash.
    pub async fn start_with(db: &'a TestDb, adjust: impl FnOnce(&mut EngineOptions)) -> Self {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut options = EngineOptions::new([7; 32]);
        options.sealing_key = Some(Arc::new(SealingKey::from_bytes(&[5; 32])));
        adjust(&mut options);
        let engine = Engine::open(db.db.clone(), options, now).await.unwrap();
        engine
            .replace_bootstrap_token(&Secret::new(ADMIN), now)
            .await
            .unwrap();
        let clock = Arc::new(AtomicI64::new(now.as_millisecond()));
        let readiness = watch::Sender::new(Readiness::Ready);
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let ticking = Arc::clone(&clock);
        let state = ApiState::new(
            engine.clone(),
            metrics,
            readiness.subscribe(),
            "wss://opamp.test:4320/v1/opamp",
            move || as_a_machine_tells_it(ticking.load(Ordering::Relaxed)),
        );
        let source = ConfigSource {
            namespace: Namespace::default(),
            repository: "/srv/git/collectors.git".to_owned(),
            branch: "main".to_owned(),
            path: String::new(),
            release: ReleaseBy::Person,
        };
        let secret = Some(Secret::new(WEBHOOK_SECRET));
        let source = SourceDesk::new(source, Duration::from_secs(60), secret);
        Self {
            db,
            engine,
            readiness,
            router: api::router(state.with_source(source.clone())),
            source,
            clock,
        }
    }

    /// Another server on this database, as after a kill -9: it knows what was committed.
    pub async fn crashed(&self) -> Self {
        Self::start_with(self.db, |options| options.seed = [8; 32]).await
    }

    /// Another server on this database where unknown agents wait for approval.
    pub async fn with_approval(&self) -> Self {
        Self::start_with(self.db, |options| {
            options.approval = ApprovalMode::Manual;
            options.seed = [9; 32];
        })
        .await
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.clock.load(Ordering::Relaxed)).unwrap()
    }

    pub fn pass(&self, seconds: i64) {
        self.clock.fetch_add(1_000 * seconds, Ordering::Relaxed);
    }

    /// A request with the bootstrap token.
    pub fn call(&self, method: Method, path: &str) -> Call<'_> {
        self.call_as(ADMIN, method, path)
    }

    pub fn call_as(&self, token: &str, method: Method, path: &str) -> Call<'_> {
        self.anonymous(method, path)
            .header("authorization", &format!("Bearer {token}"))
    }

    pub fn anonymous(&self, method: Method, path: &str) -> Call<'_> {
        let request = Request::builder().method(method).uri(path);
        Call {
            router: &self.router,
            request,
            body: None,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).send().await
    }

    pub async fn read<T: DeserializeOwned>(&self, path: &str) -> T {
        self.get(path).await.json(StatusCode::OK)
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path).json(body).send().await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path).json(body).send().await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path).json(body).send().await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path).send().await
    }

    /// Makes a revision of a config and releases it, whatever checks say of it.
    pub async fn release(&self, config: &str, selector: &str, body: &str) {
        let path = format!("/api/v1/configs/{config}");
        let put = serde_json::json!({ "kind": "collector", "selector": selector, "body": body });
        assert_eq!(self.put(&path, put).await.status, StatusCode::CREATED);
        let released = self
            .post(
                &format!("{path}/rollouts"),
                serde_json::json!({ "force": true }),
            )
            .await;
        assert_eq!(released.status, StatusCode::CREATED, "{}", released.text);
    }

    pub async fn commit(&self) {
        self.engine.reconcile(self.now()).await.unwrap();
        self.engine.commit_reports().await.unwrap();
    }

    /// Connects an agent that says these labels of itself, and commits that.
    pub async fn connect(&self, uid: u8, labels: &[(&str, &str)]) -> Agent {
        self.connect_with(uid, described(labels)).await
    }

    pub async fn connect_with(&self, uid: u8, first: Changes) -> Agent {
        let uid = InstanceUid::new([uid; 16]);
        let mailbox = Mailbox::new();
        let request = AttachRequest {
            principal: &Principal::anonymous(),
            uid,
            mailbox: Some(&mailbox),
            transport: Transport::WebSocket,
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1234)),
        };
        let Attach::Ready(attachment) = self.engine.attach(&request, self.now()) else {
            panic!("not attached");
        };
        let mut agent = Agent {
            uid,
            mailbox,
            attachment,
            sequence: 0,
            answered_with: None,
        };
        agent.say(self, first);
        self.commit().await;
        agent
    }
}

impl Call<'_> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub fn json(self, body: Value) -> Self {
        self.text("application/json", &body.to_string())
    }

    pub fn text(mut self, content_type: &str, body: &str) -> Self {
        self.request = self.request.header("content-type", content_type);
        self.body = Some(body.to_owned());
        self
    }

    pub async fn open(self) -> http::Response<Body> {
        let request = self
            .request
            .body(Body::from(self.body.unwrap_or_default()))
            .unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub async fn send(self) -> Answer {
        let response = self.open().await;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer {
            status,
            headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}

impl Answer {
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self, expected: StatusCode) -> T {
        assert_eq!(self.status, expected, "{}", self.text);
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A problem of this kind, as every refusal is one.
    #[track_caller]
    pub fn problem(&self, kind: ProblemKind) -> Problem {
        let problem: Problem = serde_json::from_str(&self.text)
            .unwrap_or_else(|_| panic!("{} {}", self.status, self.text));
        assert!(problem.is(kind), "{kind:?} wanted, got {}", self.text);
        assert_eq!(self.status.as_u16(), kind.status());
        assert_eq!(problem.status, kind.status());
        assert_eq!(self.headers["content-type"], "application/problem+json");
        problem
    }

    pub fn etag(&self) -> &str {
        self.headers["etag"].to_str().unwrap()
    }
}

/// An agent on a stream of its own.
pub struct Agent {
    pub uid: InstanceUid,
    pub mailbox: Arc<Mailbox>,
    pub attachment: Attachment,
    sequence: u64,
    /// The config that the last answer carried.
    answered_with: Option<Arc<DesiredContent>>,
}

impl Agent {
    pub fn id(&self) -> String {
        self.attachment.agent_id().to_string()
    }

    pub fn path(&self) -> String {
        format!("/api/v1/agents/{}", self.id())
    }

    /// Sends a message with these changes.
    pub fn say(&mut self, world: &World<'_>, changes: Changes) -> Outgoing {
        let carried_status = changes.remote_config_status.is_some();
        let components = changes.available_components.as_ref();
        let components_wanted = components.is_some_and(|said| said.components.is_none());
        self.send(
            world,
            Heard {
                carried_status,
                components_wanted,
                changes,
                ..Heard::default()
            },
        )
    }

    /// Sends the answer to a dry run.
    pub fn answer(&mut self, world: &World<'_>, answer: DryRunAnswer) {
        self.send(
            world,
            Heard {
                dry_run: Some(answer),
                ..Heard::default()
            },
        );
    }

    /// Waits until it is asked for a dry run.
    pub async fn asked(&self, world: &World<'_>) -> AskedContent {
        loop {
            for attachment in self.mailbox.wait().await.agents {
                let taken = world.engine.take(&attachment, world.now());
                if let Some(asked) = taken.dry_run {
                    return asked;
                }
            }
        }
    }

    fn send(&mut self, world: &World<'_>, heard: Heard) -> Outgoing {
        self.sequence += 1;
        let sequence = self.sequence;
        let answer = world.engine.exchange(
            &self.attachment,
            world.now(),
            |wire| -> Result<Heard, Infallible> {
                wire.sequence_num = Some(sequence);
                if let Some(capabilities) = heard.changes.capabilities {
                    wire.capabilities = capabilities;
                }
                Ok(heard)
            },
        );
        let answer = answer.unwrap();
        self.answered_with = answer.config.clone();
        answer
    }

    /// Takes what the agent's connection was woken for.
    pub fn pushed(&self, world: &World<'_>) -> Option<Outgoing> {
        let wakes = self.mailbox.take();
        wakes
            .agents
            .first()
            .map(|attachment| world.engine.take(attachment, world.now()))
    }

    /// Takes the config it is offered, and answers for it.
    pub async fn takes_config(
        &mut self,
        world: &World<'_>,
        state: ApplyState,
        error: &str,
    ) -> String {
        let pushed = self.pushed(world).and_then(|outgoing| outgoing.config);
        let offer = pushed
            .or_else(|| self.answered_with.take())
            .expect("an offer");
        let last_hash = offer.hash.as_bytes().to_vec();
        let status = RemoteConfigStatus {
            last_hash,
            state,
            error: error.to_owned(),
        };
        self.say(
            world,
            Changes {
                remote_config_status: Some(status),
                ..Changes::default()
            },
        );
        world.commit().await;
        String::from_utf8(offer.offered()["config.yaml"].body.clone()).unwrap()
    }
}

/// A first message of an agent that accepts configs and restarts.
pub fn described(labels: &[(&str, &str)]) -> Changes {
    let non_identifying = labels
        .iter()
        .map(|(key, value)| Attribute::new(*key, *value))
        .collect();
    let capabilities = AgentCapabilities::REPORTS_STATUS
        | AgentCapabilities::ACCEPTS_REMOTE_CONFIG
        | AgentCapabilities::REPORTS_REMOTE_CONFIG
        | AgentCapabilities::ACCEPTS_RESTART_COMMAND;
    Changes {
        capabilities: Some(capabilities),
        description: Some(AgentDescription {
            identifying: Vec::new(),
            non_identifying,
        }),
        ..Changes::default()
    }
}

/// Real clocks have nanoseconds, which databases do not keep.
fn as_a_machine_tells_it(ms: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(ms) * 1_000_000 + 789).unwrap()
}

/// Fails the test instead of waiting for good.
pub async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work)
        .await
        .expect("within 20 seconds")
}

/// Another namespace than `default`.
pub fn other() -> Namespace {
    Namespace::new("other").unwrap()
}
