//! An agent plane on a free port with its engine, and releases without the admin plane.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use engine::{
    AgentStanding, AgentsAuth, Engine, EngineOptions,
    domain::{
        Actor, AgentId, ConfigName, ContentHash, Kind, Labels, Namespace, Revision, RevisionNumber,
        TokenId, model::InstanceUid,
    },
};
use gateway::{Clock, Drained, Gateway, GatewayOptions};
use jiff::Timestamp;
use store::{
    Db, DbOptions, Location,
    tokens::{TokenKind, TokenRecord},
};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

/// How long a test waits for anything before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A served agent plane.
pub struct Plane {
    pub address: SocketAddr,
    pub engine: Engine,
    stop: CancellationToken,
    served: JoinHandle<Drained>,
}

/// What a test may change before the plane starts.
pub struct Setup {
    pub gateway: GatewayOptions,
    pub engine: EngineOptions,
}

impl Plane {
    /// A plane with the defaults and `agents.auth: none`.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(adjust: impl FnOnce(&mut Setup)) -> Self {
        let began = Instant::now();
        let clock = Clock::new(move || epoch() + began.elapsed());
        let mut setup = Setup {
            gateway: GatewayOptions::new(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0), clock),
            engine: EngineOptions {
                auth: AgentsAuth::None,
                ..EngineOptions::new([7; 32])
            },
        };
        adjust(&mut setup);
        let db = Db::open(&DbOptions::new(Location::SqliteMemory), epoch())
            .await
            .unwrap();
        let engine = Engine::open(db, setup.engine, epoch()).await.unwrap();
        let gateway = Gateway::bind(setup.gateway, engine.clone()).unwrap();
        let address = gateway.local_addr();
        let stop = CancellationToken::new();
        let served = tokio::spawn(gateway.serve(stop.clone().cancelled_owned()));
        Self {
            address,
            engine,
            stop,
            served,
        }
    }

    /// Lets the plane begin to drain.
    pub fn begin_drain(&self) {
        self.stop.cancel();
    }

    /// Waits until it is drained.
    pub async fn drained(self) -> Drained {
        self.stop.cancel();
        within(self.served).await.unwrap()
    }

    /// Puts a body in force as the newest revision of the config `base` for every agent.
    pub async fn release(&self, body: &[u8]) -> ContentHash {
        let revision = revision(body);
        let sha256 = revision.sha256;
        let mut change = self.engine.begin_change(epoch()).await.unwrap();
        change.set_baseline(revision);
        change.materialise(epoch()).await.unwrap();
        change.publish(epoch());
        sha256
    }

    /// Makes an agent token and returns its text.
    pub fn token(&self) -> (String, TokenId) {
        let token = trust::Token::generate(trust::TokenKind::Agent, &self.engine.random());
        let id = TokenId::from_parts(0, self.engine.random());
        self.engine.admit_token(&TokenRecord {
            id,
            namespace: Namespace::default(),
            kind: TokenKind::Agent,
            name: "test".to_owned(),
            hash: ContentHash::from_bytes(trust::sha256(token.expose().as_bytes())),
            labels: Labels::default(),
            uid: None,
            created_by: Actor::server(),
            created_at: epoch(),
            expires_at: None,
            revoked_at: None,
        });
        (token.expose().to_owned(), id)
    }

    /// The agent that the engine knows under a uid.
    pub fn agent(&self, uid: InstanceUid) -> AgentId {
        self.engine
            .find_by_uid(&Namespace::default(), uid)
            .expect("the agent is known")
    }

    /// Whether an agent with this uid is connected now.
    pub fn is_connected(&self, uid: InstanceUid) -> bool {
        self.standing(uid)
            .is_some_and(|standing| standing.connected)
    }

    /// The config that was last offered to the agent with this uid.
    pub fn offered(&self, uid: InstanceUid) -> Option<ContentHash> {
        self.standing(uid)?.offered
    }

    fn standing(&self, uid: InstanceUid) -> Option<AgentStanding> {
        let namespace = Namespace::default();
        let agent = self.engine.find_by_uid(&namespace, uid)?;
        self.engine.standing(&namespace, agent)
    }
}

/// The newest revision of the config `base`, for every agent.
pub fn revision(body: &[u8]) -> Arc<Revision> {
    Arc::new(Revision {
        namespace: Namespace::default(),
        config: ConfigName::new("base").unwrap(),
        number: RevisionNumber(1),
        version: "v0.0.1".to_owned(),
        kind: Kind::Collector,
        selector: "".parse().unwrap(),
        priority: 0,
        template: None,
        variables: None,
        body: Arc::from(body),
        sha256: ContentHash::from_bytes(trust::sha256(body)),
        author: Actor::server(),
        message: String::new(),
        created_at: epoch(),
        origin: "test".to_owned(),
    })
}

/// When every test begins.
pub fn epoch() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// A YAML body of at least this many bytes.
pub fn body_of(bytes: usize) -> Vec<u8> {
    format!(
        "exporters:\n  debug:\n    verbosity: {}\n",
        "x".repeat(bytes)
    )
    .into_bytes()
}

/// Waits for something that must happen.
pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it happens in time")
}

/// Waits for a condition on state.
pub async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
