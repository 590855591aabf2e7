//! An engine on a temporary database, agents that are nothing but a session, and releases without the admin plane.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use domain::{
    Actor, BaselineRecord, ConfigName, ContentHash, Kind, Namespace, Revision, RevisionNumber,
    Rollout, RolloutId, RolloutState, Selector, Strategy,
    model::{
        AgentCapabilities, AgentDescription, ApplyState, Attribute, Changes, Health, HealthReport,
        InstanceUid, RemoteConfigStatus,
    },
};
use engine::{
    Attach, AttachRequest, Attachment, Engine, EngineOptions, ExchangeError, Heard, Mailbox,
    Outgoing, Principal, Transport,
    admin::{
        Caller, Created, Creation,
        tokens::{NewToken, TokenKind},
    },
};
use jiff::{Timestamp, ToSpan};
use store::{Db, DbOptions, Location};

pub const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1234);

/// An engine with its clock.
pub struct World {
    pub engine: Engine,
    pub db: Db,
    pub now: Timestamp,
    options: EngineOptions,
}

/// An agent on a stream of its own.
pub struct Agent {
    pub uid: InstanceUid,
    pub mailbox: Arc<Mailbox>,
    pub attachment: Attachment,
    sequence: u64,
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(adjust: impl FnOnce(&mut EngineOptions)) -> Self {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let db = Db::open(&DbOptions::new(Location::SqliteMemory), now)
            .await
            .unwrap();
        let mut options = EngineOptions::new([7; 32]);
        adjust(&mut options);
        let engine = Engine::open(db.clone(), options.clone(), now)
            .await
            .unwrap();
        Self {
            engine,
            db,
            now,
            options,
        }
    }

    /// Ends the engine without a word, as kill -9 does, and starts another on what was committed.
    pub async fn crash(&mut self) {
        self.engine = Engine::open(self.db.clone(), self.options.clone(), self.now)
            .await
            .unwrap();
    }

    pub fn pass(&mut self, seconds: i64) {
        self.now = self.now.checked_add(seconds.seconds()).unwrap();
    }

    /// Has the next commit happen and its caller told that the database was lost.
    pub fn lose_next_commit(&self) {
        store::testing::lose_next_commit(&self.db);
    }

    pub async fn commit(&self) {
        self.engine.commit_reports().await.unwrap();
    }

    /// Makes the next revision of a config.
    pub async fn revise(
        &self,
        config: &str,
        selector: &str,
        priority: i64,
        body: &str,
    ) -> Arc<Revision> {
        let namespace = Namespace::default();
        let config = ConfigName::new(config).unwrap();
        let mut tx = self.db.begin().await.unwrap();
        let latest = store::configs::find(&mut tx, &namespace, &config)
            .await
            .unwrap();
        let number = latest.map_or(RevisionNumber(1), |known| known.latest.next());
        let revision = Arc::new(Revision {
            namespace: namespace.clone(),
            config: config.clone(),
            number,
            version: format!("v0.0.{number}"),
            kind: Kind::Collector,
            selector: selector.parse::<Selector>().unwrap(),
            priority,
            template: None,
            variables: None,
            body: Arc::from(body.as_bytes()),
            sha256: ContentHash::from_bytes(trust::sha256(body.as_bytes())),
            author: Actor::server(),
            message: String::new(),
            created_at: self.now,
            origin: "test".to_owned(),
        });
        assert!(
            store::configs::add_revision(&mut tx, &revision)
                .await
                .unwrap()
        );
        tx.commit().await.unwrap();
        revision
    }

    /// Makes the next revision of a config and puts it in force.
    pub async fn release(&self, config: &str, selector: &str, priority: i64, body: &str) {
        let revision = self.revise(config, selector, priority, body).await;
        let (namespace, config) = (revision.namespace.clone(), revision.config.clone());
        let number = revision.number;
        let mut change = self.engine.begin_change(self.now).await.unwrap();
        // Bodies of these tests are no more than something to compare.
        change.force_baseline(Arc::clone(&revision));
        let rows = change.materialise(self.now).await.unwrap();
        let rollout = RolloutId::from_parts(0, self.engine.random());
        let mut tx = self.db.begin().await.unwrap();
        let record = Rollout {
            id: rollout,
            namespace: namespace.clone(),
            config: config.clone(),
            target: Some(number),
            previous: None,
            strategy: Strategy::AllAtOnce,
            forced: true,
            state: RolloutState::Completed { at: self.now },
            created_by: Actor::server(),
            created_at: self.now,
            message: String::new(),
        };
        store::rollouts::add(&mut tx, &record).await.unwrap();
        let baseline = BaselineRecord {
            namespace,
            config,
            revision: number,
            rollout,
            set_at: self.now,
        };
        store::configs::set_baseline(&mut tx, &baseline)
            .await
            .unwrap();
        for row in &rows {
            store::desired::put(&mut tx, row).await.unwrap();
        }
        tx.commit().await.unwrap();
        change.publish(self.now);
    }

    /// Connects an agent that accepts configs and says these labels of itself; gives the answer to its first message.
    pub fn connect(&self, uid: u8, labels: &[(&str, &str)]) -> (Agent, Outgoing) {
        let uid = InstanceUid::new([uid; 16]);
        let mailbox = Mailbox::new();
        let attachment = match self.attach(uid, Some(&mailbox)) {
            Attach::Ready(attachment) => attachment,
            other => panic!("not attached: {other:?}"),
        };
        let mut agent = Agent {
            uid,
            mailbox,
            attachment,
            sequence: 0,
        };
        let first = agent.say(self, described(labels));
        (agent, first)
    }

    pub fn attach(&self, uid: InstanceUid, mailbox: Option<&Arc<Mailbox>>) -> Attach {
        self.attach_as(&Principal::anonymous(), uid, mailbox)
    }

    /// Makes an agent token that ends at a time and gives these labels, and says who presents it.
    pub async fn token(&self, ends: Option<Timestamp>, labels: &[(&str, &str)]) -> Principal {
        let new = NewToken {
            kind: TokenKind::Agent,
            description: String::new(),
            labels: labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            expires_at: ends,
        };
        let (caller, creation) = (Caller::anonymous(), Creation::default());
        let made = self.engine.create_token(&caller, &new, &creation, self.now);
        let Created::New(made) = made.await.unwrap() else {
            panic!("made before")
        };
        let secret = made.secret.unwrap();
        self.engine
            .authenticate(Some(secret.expose()), self.now)
            .unwrap()
    }

    pub fn attach_as(
        &self,
        principal: &Principal,
        uid: InstanceUid,
        mailbox: Option<&Arc<Mailbox>>,
    ) -> Attach {
        let transport = if mailbox.is_some() {
            Transport::WebSocket
        } else {
            Transport::Http
        };
        self.engine.attach(
            &AttachRequest {
                principal,
                uid,
                mailbox,
                transport,
                peer: PEER,
            },
            self.now,
        )
    }
}

impl Agent {
    /// Sends a message with these changes.
    pub fn say(&mut self, world: &World, changes: Changes) -> Outgoing {
        self.try_say(world, changes).unwrap()
    }

    pub fn try_say(
        &mut self,
        world: &World,
        changes: Changes,
    ) -> Result<Outgoing, ExchangeError<Infallible>> {
        self.sequence += 1;
        let sequence = self.sequence;
        world.engine.exchange(&self.attachment, world.now, |wire| {
            wire.sequence_num = Some(sequence);
            if let Some(capabilities) = changes.capabilities {
                wire.capabilities = capabilities;
            }
            let carried_status = changes.remote_config_status.is_some();
            Ok(Heard {
                carried_status,
                changes,
                ..Heard::default()
            })
        })
    }

    /// Takes what the agent's connection was woken for.
    pub fn pushed(&self, world: &World) -> Option<Outgoing> {
        let wakes = self.mailbox.take();
        wakes
            .agents
            .first()
            .map(|attachment| world.engine.take(attachment, world.now))
    }

    /// Reports the fate of a config.
    pub fn answers(
        &mut self,
        world: &World,
        hash: &ContentHash,
        state: ApplyState,
        error: &str,
    ) -> Outgoing {
        let status = RemoteConfigStatus {
            last_hash: hash.as_bytes().to_vec(),
            state,
            error: error.to_owned(),
        };
        self.say(
            world,
            Changes {
                remote_config_status: Some(status),
                ..Changes::default()
            },
        )
    }
}

/// A first message of an agent that accepts configs.
pub fn described(labels: &[(&str, &str)]) -> Changes {
    let non_identifying = labels
        .iter()
        .map(|(key, value)| Attribute::new(*key, *value))
        .collect();
    let capabilities = AgentCapabilities::REPORTS_STATUS
        | AgentCapabilities::ACCEPTS_REMOTE_CONFIG
        | AgentCapabilities::REPORTS_REMOTE_CONFIG;
    Changes {
        capabilities: Some(capabilities),
        description: Some(AgentDescription {
            identifying: Vec::new(),
            non_identifying,
        }),
        ..Changes::default()
    }
}

/// A health report with no parts.
pub fn health(healthy: bool, start_time_unix_nano: u64) -> Changes {
    let mut tree = Health {
        healthy,
        start_time_unix_nano,
        ..Health::default()
    };
    let times = tree.split_times();
    Changes {
        health: Some(HealthReport {
            tree: Some(tree),
            times,
        }),
        ..Changes::default()
    }
}

/// The body of an offer.
pub fn body(outgoing: &Outgoing) -> Option<String> {
    let config = outgoing.config.as_ref()?;
    let file = config.files.get("config.yaml")?;
    Some(String::from_utf8(file.body.clone()).unwrap())
}
