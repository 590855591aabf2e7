//! The engine itself: what it holds, and how it starts from what is stored.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64},
    },
};

use desired::{Layer, Renderer};
use domain::{
    AgentId, Approval, ConfigState, ContentHash, EventId, Namespace, NodeName, config_state,
    model::{AgentCapabilities, ApplyState, CustomMessage, DRY_RUN, InstanceUid, WireState},
};
use jiff::Timestamp;
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use store::{Db, StoreError, tokens::TokenKind};
use tokio::sync::watch;
use trust::TokenHash;

use crate::{
    admin::let_in::LetIn,
    agent::{Command, Flags, LiveAgent, Offered, Queued, State},
    builds::{Builds, KnownBuild, Loading},
    clock::ClockWatch,
    content::DesiredContent,
    delta::Wanted,
    desire::Pointer,
    drive::Missing,
    dry_run::OpenQuestions,
    events::ConnectionLines,
    mailbox::CloseReason,
    options::EngineOptions,
    pending::PendingQueue,
    principal::{AgentTokens, AuthMethod, AuthenticationError, KnownToken, Principal},
    registry::Registry,
    world::{Contents, CurrentWorld, World},
};

/// What the control plane does, for all planes. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub db: Db,
    pub options: EngineOptions,
    pub node: NodeName,
    pub registry: Registry,
    pub world: CurrentWorld,
    pub contents: Contents,
    pub builds: Builds,
    pub renderer: Renderer,
    pub let_in: LetIn,
    pub tokens: AgentTokens,
    pub pending: PendingQueue,
    pub missing: Missing,
    pub wanted_deltas: Wanted,
    pub questions: OpenQuestions,
    /// Some agent's desired or offered content is not known to the database yet.
    pub standings_dirty: AtomicBool,
    pub change_lock: Arc<tokio::sync::Mutex<()>>,
    /// Held from taking reports or sessions out of memory until they are committed, so that a flush of sessions does
    /// not overtake the commit of the reports that they cover.
    pub write_lock: tokio::sync::Mutex<()>,
    pub latest_event: watch::Sender<EventId>,
    pub degraded: Mutex<Option<String>>,
    /// The lost commits ([`Db::lost_commits`]) after which memory was read again.
    pub repaired_after: AtomicU64,
    pub connection_lines: ConnectionLines,
    /// The times that [`Engine::expire`] and [`Engine::sweep`] were told.
    pub expired_at: ClockWatch,
    pub swept_at: ClockWatch,
    /// Silence before this time does not count, in milliseconds since 1970: the clock jumped then.
    pub silence_counts_from_ms: AtomicI64,
    random: Mutex<StdRng>,
}

/// Why an engine could not start.
#[derive(Debug, thiserror::Error)]
#[error("reading the fleet from the database")]
pub struct OpenError(#[from] StoreError);

/// Why something could not be queued for an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDelivered {
    /// There is no such agent.
    #[error("there is no such agent")]
    NotFound,
    /// The agent is not connected.
    #[error("the agent is not connected")]
    NotConnected,
    /// The agent does not claim the capability it takes.
    #[error("the agent does not accept it")]
    NotCapable,
    /// Too much waits for the agent already.
    #[error("the agent's queue is full")]
    QueueFull,
}

/// Where one agent stands, as memory has it: what the database lists may follow a moment later.
#[derive(Clone, Debug)]
pub struct AgentStanding {
    /// The hash of what it should run.
    pub desired: Option<ContentHash>,
    /// The hash that was last sent.
    pub offered: Option<ContentHash>,
    /// Where it stands with its desired config.
    pub config_state: ConfigState,
    /// Whether a connection speaks for it now.
    pub connected: bool,
    /// Whether a hold covers it.
    pub held: bool,
    /// When it was last heard.
    pub last_seen: Timestamp,
}

impl Engine {
    /// Starts from what is stored: every agent, what is released, holds and agent tokens. Agents that were attached to
    /// this node when it ended are marked as gone.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(db: Db, options: EngineOptions, now: Timestamp) -> Result<Self, OpenError> {
        let renderer = Renderer::new(options.limits.desired);
        Self::open_with(db, renderer, options, now).await
    }

    /// [`Engine::open`] with what makes the contents, which keeps to the limits of the options.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_with(
        db: Db,
        renderer: Renderer,
        options: EngineOptions,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let node = NodeName::new(&options.node);
        let random = Mutex::new(StdRng::from_seed(options.seed));
        let (latest_event, _) = watch::channel(EventId::default());
        let db_lost = db.lost_commits();
        let inner = Inner {
            db,
            renderer,
            let_in: LetIn::default(),
            options,
            node,
            registry: Registry::new(),
            world: CurrentWorld::default(),
            contents: Contents::default(),
            builds: Builds::default(),
            tokens: AgentTokens::default(),
            pending: PendingQueue::default(),
            missing: Missing::default(),
            wanted_deltas: Wanted::default(),
            questions: OpenQuestions::default(),
            standings_dirty: AtomicBool::new(true),
            change_lock: Arc::default(),
            write_lock: tokio::sync::Mutex::default(),
            latest_event,
            degraded: Mutex::new(None),
            repaired_after: AtomicU64::new(db_lost),
            connection_lines: ConnectionLines::default(),
            expired_at: ClockWatch::default(),
            swept_at: ClockWatch::default(),
            silence_counts_from_ms: AtomicI64::new(i64::MIN),
            random,
        };
        let engine = Self {
            inner: Arc::new(inner),
        };
        engine.load(now).await?;
        Ok(engine)
    }

    async fn load(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.inner.db.begin().await?;
        store::agents::detach_node(&mut tx, &self.inner.node, now, "server_restarted").await?;
        tx.commit().await?;
        let mut reader = self.inner.db.read().await?;
        self.inner
            .world
            .replace(World::load(&mut reader, self.sealing_key()).await?);
        for token in store::tokens::load_active(&mut reader, TokenKind::Agent, now).await? {
            self.admit_token(&token);
        }
        self.announce(store::events::latest(&mut reader).await?);
        let agents = store::agents::load_all(&mut reader).await?;
        drop(reader);
        let mut loading = Loading::default();
        for stored in agents {
            let build = loading.build_of(self, &stored).await?;
            self.load_agent(stored, build, now).await?;
        }
        Ok(())
    }

    async fn load_agent(
        &self,
        stored: store::agents::StoredAgent,
        build: Option<Arc<KnownBuild>>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut state = State::new(stored.uid, stored.approval);
        state.reported_build = build;
        // A session that cannot be read costs a full report, no more.
        state.wire = stored
            .wire
            .and_then(|bytes| WireState::from_bytes(&bytes).ok())
            .unwrap_or_default();
        state.wire.restored();
        state.epoch = stored.epoch;
        state.reports = stored.reports;
        state.labels = stored.labels;
        state.healthy = stored.healthy;
        state.start_time_unix_nano = stored.start_time_unix_nano;
        state.answered = stored.answered;
        state.desired_since_ms = now.as_millisecond();
        state.offered = stored.offered.map(|offered| {
            // One that was still being applied is counted when its outcome comes.
            let settled = state.answered.as_ref().is_some_and(|answered| {
                answered.hash.names(&offered.hash)
                    && matches!(answered.state, ApplyState::Applied | ApplyState::Failed)
            });
            Offered {
                hash: offered.hash,
                epoch: stored.epoch,
                at_ms: offered.at.as_millisecond(),
                sends: 0,
                sent_ms: offered.at.as_millisecond(),
                settled,
                whole: false,
                saved_bytes: 0,
            }
        });
        state.flags = Flags {
            fresh: false,
            dry_runs: stored
                .custom_capabilities
                .is_some_and(|custom| custom.contains(DRY_RUN)),
            ..Flags::default()
        };
        let agent = LiveAgent::new(stored.id, stored.namespace.clone(), stored.last_seen, state);
        self.inner
            .registry
            .find_or_insert(&stored.namespace, stored.uid, || Arc::clone(&agent));
        self.load_desired(&agent, stored.desired).await
    }

    /// Points a loaded agent to its content, which is read once for all agents that share it.
    async fn load_desired(
        &self,
        agent: &Arc<LiveAgent>,
        stored: Option<ContentHash>,
    ) -> Result<(), StoreError> {
        let world = self.inner.world.get();
        let mut pointer = self.pointer(&world, agent, &agent.lock());
        if let Pointer::Missing(key) = pointer {
            let mut reader = self.inner.db.read().await?;
            let row = store::desired::find(
                &mut reader,
                &agent.namespace,
                store::desired::CONFIG,
                key.as_bytes(),
            )
            .await?;
            if let Some(content) = row.and_then(|row| world.content_of(&row)) {
                let contents = &self.inner.contents;
                contents.put(agent.namespace.clone(), key, Arc::new(content));
            }
            pointer = self.pointer(&world, agent, &agent.lock());
        }
        let kept = match (&pointer, stored) {
            (Pointer::Missing(_) | Pointer::Unfit(_), Some(hash)) => {
                self.stored_content(&agent.namespace, hash).await?
            }
            _ => None,
        };
        let mut state = agent.lock();
        state.desired = match pointer {
            Pointer::Unassigned => None,
            Pointer::Known(content) => Some(content),
            Pointer::Unfit(content) if stored == Some(content.hash) => Some(content),
            Pointer::Unfit(_) => kept,
            Pointer::Missing(_) => {
                self.inner.missing.push(agent);
                kept
            }
        };
        state.flags.desired_dirty = state.desired.as_ref().map(|content| content.hash) != stored;
        Ok(())
    }

    /// What an agent was to run before it could not be given what is released for it.
    async fn stored_content(
        &self,
        namespace: &Namespace,
        hash: ContentHash,
    ) -> Result<Option<Arc<DesiredContent>>, StoreError> {
        if let Some(known) = self.inner.contents.find_by_hash(&hash) {
            return Ok(Some(known));
        }
        let mut reader = self.inner.db.read().await?;
        let kind = store::desired::CONFIG;
        let row = store::desired::find_by_hash(&mut reader, namespace, kind, &hash).await?;
        let content = row.and_then(|row| self.inner.world.get().content_of(&row));
        Ok(content.map(|content| self.inner.contents.share(Arc::new(content))))
    }

    pub(crate) fn sealing_key(&self) -> Option<&trust::SealingKey> {
        self.inner.options.sealing_key.as_deref()
    }

    /// Says who presents this bearer token on the agent plane. Memory only.
    ///
    /// # Errors
    /// [`AuthenticationError`].
    pub fn authenticate(
        &self,
        bearer: Option<&str>,
        now: Timestamp,
    ) -> Result<Principal, AuthenticationError> {
        self.inner
            .tokens
            .authenticate(self.inner.options.auth, bearer, now)
    }

    /// Lets agents in with a token that was just committed.
    pub fn admit_token(&self, token: &store::tokens::TokenRecord) {
        let known = KnownToken {
            id: token.id,
            namespace: token.namespace.clone(),
            bound_uid: token.uid,
            labels: token.labels.clone(),
            expires_at: token.expires_at,
            revoked: token.revoked_at.is_some(),
        };
        self.inner
            .tokens
            .put(TokenHash::from_bytes(*token.hash.as_bytes()), known);
    }

    /// Lets nobody in with a token any more, and has the connections closed that were opened with it. Claims of agents
    /// that poll end with the next [`Engine::expire`].
    pub fn revoke_token(&self, id: domain::TokenId) {
        self.inner.tokens.revoke(id);
        self.inner.registry.for_each(|agent| {
            let state = agent.lock();
            let link = state.link.as_ref();
            if let Some(link) = link.filter(|link| link.method == AuthMethod::Token(id)) {
                link.close(CloseReason::CredentialRevoked);
            }
        });
    }

    /// Queues a command for a connected agent.
    ///
    /// # Errors
    /// [`NotDelivered`].
    pub fn send_command(
        &self,
        ns: &Namespace,
        id: AgentId,
        command: Command,
    ) -> Result<(), NotDelivered> {
        self.enqueue(ns, id, Queued::Command(command))
    }

    /// Whether [`Engine::send_command`] would queue a command now.
    pub(crate) fn check_command(
        &self,
        ns: &Namespace,
        id: AgentId,
        command: Command,
    ) -> Result<(), NotDelivered> {
        let agent = self.find_agent_of(ns, id)?;
        let state = agent.lock();
        self.check_queue(&state, &Queued::Command(command))
    }

    /// Queues a custom message for a connected agent.
    ///
    /// # Errors
    /// [`NotDelivered`].
    pub fn send_custom(
        &self,
        ns: &Namespace,
        id: AgentId,
        message: CustomMessage,
    ) -> Result<(), NotDelivered> {
        self.enqueue(ns, id, Queued::Custom(message))
    }

    pub(crate) fn enqueue(
        &self,
        namespace: &Namespace,
        id: AgentId,
        item: Queued,
    ) -> Result<(), NotDelivered> {
        let agent = self.find_agent_of(namespace, id)?;
        let mut state = agent.lock();
        self.drop_closed_questions(&mut state);
        self.check_queue(&state, &item)?;
        state.queue.get_or_insert_default().push_back(item);
        state.wake(&agent);
        Ok(())
    }

    fn find_agent_of(
        &self,
        namespace: &Namespace,
        id: AgentId,
    ) -> Result<Arc<LiveAgent>, NotDelivered> {
        let agent = self.inner.registry.get(id);
        agent
            .filter(|agent| agent.namespace == *namespace)
            .ok_or(NotDelivered::NotFound)
    }

    fn check_queue(&self, state: &State, item: &Queued) -> Result<(), NotDelivered> {
        if state.link.is_none() {
            return Err(NotDelivered::NotConnected);
        }
        let is_capable = match item {
            Queued::Command(Command::Restart) => {
                let needed = AgentCapabilities::ACCEPTS_RESTART_COMMAND;
                state.wire.capabilities.contains(needed)
            }
            Queued::DryRun(_) => state.is_askable(),
            Queued::Custom(_) => true,
        };
        if !is_capable {
            return Err(NotDelivered::NotCapable);
        }
        let waiting = state.queue.as_ref().map_or(0, |queue| queue.len());
        if self.inner.options.limits.queue <= waiting {
            return Err(NotDelivered::QueueFull);
        }
        Ok(())
    }

    /// The agent with this uid, stored or not yet.
    #[must_use]
    pub fn find_by_uid(&self, namespace: &Namespace, uid: InstanceUid) -> Option<AgentId> {
        self.inner
            .registry
            .find(namespace, uid)
            .map(|agent| agent.id)
    }

    /// Where one agent stands now.
    #[must_use]
    pub fn standing(&self, namespace: &Namespace, id: AgentId) -> Option<AgentStanding> {
        let agent = self
            .inner
            .registry
            .get(id)
            .filter(|agent| agent.namespace == *namespace)?;
        let state = agent.lock();
        Some(self.standing_of(&agent, &state))
    }

    /// The components of what is released for an agent that its build lacks, for which it is not given that.
    #[must_use]
    pub fn missing_components(&self, namespace: &Namespace, id: AgentId) -> Vec<String> {
        let agent = self.inner.registry.get(id);
        let Some(agent) = agent.filter(|agent| agent.namespace == *namespace) else {
            return Vec::new();
        };
        let state = agent.lock();
        match self.pointer(&self.inner.world.get(), &agent, &state) {
            Pointer::Unfit(content) => content.fitness.lacking(state.build().map(Arc::as_ref)),
            _ => Vec::new(),
        }
    }

    /// What is released for an agent of this node, in merge order.
    #[must_use]
    pub fn layers_of(&self, namespace: &Namespace, id: AgentId) -> Vec<Layer> {
        let agent = self
            .inner
            .registry
            .get(id)
            .filter(|agent| agent.namespace == *namespace);
        let Some(agent) = agent else {
            return Vec::new();
        };
        let state = agent.lock();
        self.inner.world.get().layers_of(&agent, &state)
    }

    /// Where every agent of a namespace stands that these layers' config concerns: for the counts of a rollout.
    #[must_use]
    pub fn standings(
        &self,
        namespace: &Namespace,
        mut concerns: impl FnMut(AgentId, &domain::Labels) -> bool,
    ) -> Vec<(AgentId, AgentStanding)> {
        let mut standings = Vec::new();
        self.inner.registry.for_each(|agent| {
            let state = agent.lock();
            if agent.namespace == *namespace && concerns(agent.id, &state.effective_labels()) {
                standings.push((agent.id, self.standing_of(agent, &state)));
            }
        });
        standings
    }

    fn standing_of(&self, agent: &LiveAgent, state: &State) -> AgentStanding {
        let desired = state.desired.as_ref().map(|content| content.hash);
        let offered = state.offered.map(|offered| offered.hash);
        AgentStanding {
            desired,
            offered,
            config_state: config_state(desired.as_ref(), offered.as_ref(), state.answered.as_ref()),
            connected: state.link.is_some(),
            held: self
                .inner
                .world
                .get()
                .is_held(&agent.namespace, &state.effective_labels()),
            last_seen: agent.last_seen(),
        }
    }

    /// How many agents are kept, and how many of them wait for approval is told by the database.
    #[must_use]
    pub fn known_agents(&self) -> usize {
        self.inner.registry.len_estimate()
    }

    /// The database, for use cases that read.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.inner.db
    }

    /// What this engine was started with.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.inner.options
    }

    /// The newest event's id; changes when events are committed.
    #[must_use]
    pub fn follow_events(&self) -> watch::Receiver<EventId> {
        self.inner.latest_event.subscribe()
    }

    /// Why the database cannot be used at the moment, if it cannot.
    #[must_use]
    pub fn degraded(&self) -> Option<String> {
        self.inner.degraded.lock().clone()
    }

    /// Random bytes for an id or a secret.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.inner.random.lock().fill_bytes(&mut bytes);
        bytes
    }

    /// Whether an agent may be offered anything.
    #[must_use]
    pub fn approval(&self, namespace: &Namespace, id: AgentId) -> Option<Approval> {
        let agent = self
            .inner
            .registry
            .get(id)
            .filter(|agent| agent.namespace == *namespace)?;
        let approval = agent.lock().approval;
        Some(approval)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("agents", &self.inner.registry.len_estimate())
            .finish_non_exhaustive()
    }
}
