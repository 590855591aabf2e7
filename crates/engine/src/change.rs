//! A change of what agents should run: drafted beside the world in force, committed by its caller, then published.
//!
//! One lock serialises changes, so a draft is never out of date when it is published. Readers and agents go on meanwhile.

mod left_out;
mod refusals;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use desired::{AgentFacts, InputsKey, Layer, Released, inputs_key};
use domain::{
    AgentId, Approval, ConfigName, ContentHash, Hold, HoldScope, Kind, LabelsBySource, Namespace,
    Revision, SecretName, SecretVersion, released::ReleasedConfig,
};
use jiff::Timestamp;
use store::{StoreError, desired as stored};
use tokio::sync::OwnedMutexGuard;

use crate::{
    agent::{LiveAgent, State},
    attach::DisconnectReason,
    builds::{KnownBuild, id_of, presumed},
    content::DesiredContent,
    desire::{DesireError, Made},
    dry_run::{Candidate, Candidates},
    engine::Engine,
    mailbox::CloseReason,
    prepared::{Place, Prepared, place},
    preview::Findings,
    vault::configs_that_refer,
    world::World,
};

pub(crate) use refusals::Judged;

/// A drafted change. Dropped without [`Change::publish`], nothing of it happens.
pub struct Change {
    engine: Engine,
    /// What was in force when it began.
    before: Arc<World>,
    world: World,
    /// Configs whose released revision changes: only agents that their old or new revision may match are looked at.
    configs: Vec<(Namespace, ConfigName)>,
    agents: HashMap<AgentId, AgentEdit>,
    holds_changed: bool,
    made: HashMap<Place, Arc<DesiredContent>>,
    /// What was looked at before it is known whether it is wanted.
    prepared: Prepared,
    /// What checks say of what was made.
    pub(crate) findings: Findings,
    /// Contents of which it may be said otherwise than before who refuses them.
    judged: HashSet<(Namespace, ContentHash)>,
    serial: Option<OwnedMutexGuard<()>>,
}

/// Agents that would get the same layers.
pub(crate) struct Alike {
    /// The first few of them, at least one.
    pub examples: Vec<Arc<LiveAgent>>,
    /// How many they are.
    pub agents: u64,
    /// How many of them have no connection.
    pub disconnected: u64,
    /// Whether one of them takes deltas.
    pub takes_deltas: bool,
    /// What they should run before the change.
    pub before: Option<Arc<DesiredContent>>,
    /// What they would be given; of no layers: nothing.
    pub layers: Vec<Layer>,
    /// Whether the change gives them other layers than they have without it.
    pub is_moved: bool,
    /// What is released for them without the change, where they do not have it: it was refused, or is not made yet.
    pub not_given: Vec<Layer>,
    /// All of them, where they should run nothing of ours before the change: what they run instead may be just that.
    pub free: Vec<Arc<LiveAgent>>,
    /// What they are built of, where they say so.
    pub build: Option<Arc<KnownBuild>>,
    /// The one agent, where it refused a content in a dry run for itself alone.
    pub alone: Option<AgentId>,
    /// The release that they name, where they do not say.
    pub presumed: Option<Released>,
    /// Those that can be asked for a dry run.
    pub candidates: Candidates,
}

impl Alike {
    /// The same outcome for some of the agents.
    pub fn of(&self, agents: Vec<Arc<LiveAgent>>) -> Self {
        let is_gone = |agent: &&Arc<LiveAgent>| agent.lock().link.is_none();
        let mut candidates = Candidates::default();
        for agent in &agents {
            let candidate = Candidate::of(agent, &agent.lock());
            if let Some(candidate) = candidate {
                candidates.add(candidate);
            }
        }
        Self {
            examples: agents.iter().take(EXAMPLES).map(Arc::clone).collect(),
            agents: agents.len() as u64,
            disconnected: agents.iter().filter(is_gone).count() as u64,
            takes_deltas: self.takes_deltas,
            before: self.before.clone(),
            layers: self.layers.clone(),
            is_moved: self.is_moved,
            not_given: self.not_given.clone(),
            free: Vec::new(),
            build: self.build.clone(),
            alone: self.alone,
            presumed: self.presumed,
            candidates,
        }
    }

    /// Takes in agents for which the outcome is the same although their build is another.
    pub fn join(&mut self, other: Self) {
        let room = EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.into_iter().take(room));
        self.agents += other.agents;
        self.disconnected += other.disconnected;
        self.takes_deltas |= other.takes_deltas;
        self.free.extend(other.free);
        self.candidates.join(other.candidates);
    }
}

/// How many agents of those that are alike are named.
const EXAMPLES: usize = 5;

#[derive(Default)]
struct AgentEdit {
    labels: Option<LabelsBySource>,
    approval: Option<Approval>,
    retry: bool,
    forget: bool,
}

impl Engine {
    /// Starts a change; waits for the one under way. If nobody knows whether an earlier one was committed, memory is
    /// brought back to what is stored first: what the caller then finds done already is so in memory, too.
    ///
    /// # Errors
    /// [`StoreError`]: that could not be found out.
    pub async fn begin_change(&self, now: Timestamp) -> Result<Change, StoreError> {
        let serial = Arc::clone(&self.inner.change_lock).lock_owned().await;
        self.repair(&serial, now).await?;
        let before = self.inner.world.get();
        Ok(Change {
            world: World::clone(&before),
            before,
            engine: self.clone(),
            configs: Vec::new(),
            agents: HashMap::new(),
            holds_changed: false,
            made: HashMap::new(),
            prepared: Prepared::default(),
            findings: Findings::default(),
            judged: HashSet::new(),
            serial: Some(serial),
        })
    }
}

impl Change {
    /// Lets other changes go on, since this one will not be published: it is looked at only, as of when it began.
    pub(crate) fn stay_a_draft(&mut self) {
        self.serial = None;
    }

    /// Puts a revision in force as the baseline of its config.
    pub fn set_baseline(&mut self, revision: Arc<Revision>) {
        self.put_baseline(revision, false);
    }

    /// Puts a revision in force whatever checks say of what agents get by it, now and when they come.
    pub fn force_baseline(&mut self, revision: Arc<Revision>) {
        self.put_baseline(revision, true);
    }

    fn put_baseline(&mut self, revision: Arc<Revision>, forced: bool) {
        let (namespace, config) = (revision.namespace.clone(), revision.config.clone());
        let released = ReleasedConfig {
            baseline: Some(revision),
            forced,
            open: None,
        };
        self.world
            .of_namespace(&namespace)
            .configs
            .insert(config.clone(), released);
        self.configs.push((namespace, config));
    }

    /// Takes a config out of force, its exceptions included.
    pub fn remove_config(&mut self, namespace: &Namespace, config: &ConfigName) {
        let released = self.world.of_namespace(namespace);
        released.configs.remove(config);
        for own in released.exceptions.values_mut() {
            own.remove(config);
        }
        released.exceptions.retain(|_, own| !own.is_empty());
        self.configs.push((namespace.clone(), config.clone()));
    }

    /// Lets an agent go its own way for a config; `None` as the revision means nothing of that config.
    pub fn set_exception(
        &mut self,
        namespace: &Namespace,
        agent: AgentId,
        config: &ConfigName,
        revision: Option<Arc<Revision>>,
    ) {
        let released = self.world.of_namespace(namespace);
        released
            .exceptions
            .entry(agent)
            .or_default()
            .insert(config.clone(), revision);
        self.agents.entry(agent).or_default();
    }

    /// Ends an exception.
    pub fn clear_exception(&mut self, namespace: &Namespace, agent: AgentId, config: &ConfigName) {
        if let Some(own) = self
            .world
            .of_namespace(namespace)
            .exceptions
            .get_mut(&agent)
        {
            own.remove(config);
        }
        self.agents.entry(agent).or_default();
    }

    /// Gives an agent other labels.
    pub fn set_labels(&mut self, agent: AgentId, labels: LabelsBySource) {
        self.agents.entry(agent).or_default().labels = Some(labels);
    }

    /// Approves an agent or puts it back on pending.
    pub fn set_approval(&mut self, agent: AgentId, approval: Approval) {
        self.agents.entry(agent).or_default().approval = Some(approval);
    }

    /// Lets an agent that failed its config, or is not done with it, try it again.
    pub fn retry_config(&mut self, agent: AgentId) {
        self.agents.entry(agent).or_default().retry = true;
    }

    /// Forgets an agent; its connection is closed.
    pub fn forget_agent(&mut self, agent: AgentId) {
        self.agents.entry(agent).or_default().forget = true;
    }

    /// Puts a hold on, over one of the same scope.
    pub fn set_hold(&mut self, hold: Hold) {
        self.world.holds.retain(|known| known.scope != hold.scope);
        self.world.holds.push(hold);
        self.holds_changed = true;
    }

    /// Lifts a hold. Says whether it was on.
    pub fn lift_hold(&mut self, scope: &HoldScope) -> bool {
        let before = self.world.holds.len();
        self.world.holds.retain(|known| known.scope != *scope);
        self.holds_changed |= self.world.holds.len() < before;
        self.world.holds.len() < before
    }

    /// Gives a secret another value, or takes it away. Concerned are the agents that a revision which refers to it matches.
    pub(crate) fn set_secret(
        &mut self,
        namespace: &Namespace,
        name: &SecretName,
        version: Option<Arc<SecretVersion>>,
    ) {
        self.world.vault = Arc::new(self.world.vault.with(namespace, name, version));
        let released = self.world.released.get(namespace);
        let configs = released.map(|set| configs_that_refer(set, name));
        let configs = configs.into_iter().flatten();
        self.configs
            .extend(configs.map(|config| (namespace.clone(), config)));
    }

    pub(crate) const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether one of the revisions that these agents would get was put in force whatever checks say.
    pub(crate) fn is_forced(&self, alike: &Alike) -> bool {
        let agent = alike.examples.first();
        agent.is_some_and(|agent| self.world.is_forced(&agent.namespace, &alike.layers))
    }

    /// Whether these agents would get another content than they should run, and it is this change that gives it to them.
    /// Contents are made.
    pub(crate) fn changes(&self, alike: &Alike) -> bool {
        if alike.examples.is_empty() {
            return false;
        }
        let hash = |content: &Arc<DesiredContent>| content.hash;
        alike.is_moved && self.made_for(alike).map(hash) != alike.before.as_ref().map(hash)
    }

    /// What was made for these agents.
    pub(crate) fn made_for(&self, alike: &Alike) -> Option<&Arc<DesiredContent>> {
        let agent = alike.examples.first()?;
        self.made.get(&place(agent, &alike.layers))
    }

    /// Whether this very revision is in force already, and by force.
    pub(crate) fn is_forced_baseline(&self, revision: &Revision) -> bool {
        let set = self.world.released.get(&revision.namespace);
        let released = set.and_then(|set| set.configs.get(&revision.config));
        released.is_some_and(|released| {
            let baseline = released.baseline.as_ref();
            released.forced && baseline.is_some_and(|standing| standing.number == revision.number)
        })
    }

    /// Makes the contents that agents will need, and gives the rows to store in the transaction that commits the change.
    ///
    /// # Errors
    /// [`DesireError`]: a combination of revisions that some agent would get cannot be made.
    pub async fn materialise(
        &mut self,
        now: Timestamp,
    ) -> Result<Vec<stored::DesiredContent>, DesireError> {
        let alike = self.outcomes();
        self.make(&alike, now).await
    }

    /// [`Change::materialise`] for these outcomes.
    pub(crate) async fn make(
        &mut self,
        alike: &[Alike],
        now: Timestamp,
    ) -> Result<Vec<stored::DesiredContent>, DesireError> {
        self.prepare(alike, now).await?;
        let mut rows = Vec::new();
        for (agent, layers) in distinct(alike) {
            let place = place(agent, layers);
            if self.made.contains_key(&place) {
                continue;
            }
            let made = self.take_prepared(&place)?;
            rows.push(made.row);
            self.made.insert(place, made.content);
        }
        let pairs = alike.iter().filter_map(|alike| {
            let place = place(alike.examples.first()?, &alike.layers);
            alike.pair(self.made.get(&place))
        });
        self.engine.foresee_deltas(pairs.collect()).await;
        Ok(rows)
    }

    /// Makes what these agents would get, or finds out why that cannot be done.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn prepare(
        &mut self,
        alike: &[Alike],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.prepared.add(&self.engine, distinct(alike), now).await
    }

    /// The components of what these agents would get that their build lacks: `receiver kafka`. It is prepared or made.
    pub(crate) fn lacking(&self, alike: &Alike) -> Vec<String> {
        self.looked_at(alike).map_or_else(Vec::new, |content| {
            content.fitness.lacking(alike.build.as_deref())
        })
    }

    /// The same of the release that they name, where they do not say what they are built of.
    pub(crate) fn presumably_lacking(&self, alike: &Alike) -> Vec<String> {
        match (alike.presumed, self.looked_at(alike)) {
            (Some(release), Some(content)) => content.fitness.lacking_of(release),
            _ => Vec::new(),
        }
    }

    /// What these agents would get, prepared or made.
    pub(crate) fn looked_at(&self, alike: &Alike) -> Option<&Arc<DesiredContent>> {
        let place = place(alike.examples.first()?, &alike.layers);
        let prepared = || match self.prepared.get(&place)? {
            Ok(made) => Some(&made.content),
            Err(_) => None,
        };
        self.made.get(&place).or_else(prepared)
    }

    /// What was prepared. What checks say of it is kept.
    pub(crate) fn take_prepared(&mut self, place: &Place) -> Result<Made, DesireError> {
        // Invariant: callers prepare what they take.
        let made = self.prepared.take(place).expect("it is prepared")?;
        if let Some(findings) = &made.findings {
            self.findings.keep(place.1, findings);
        }
        Ok(made)
    }

    /// Puts the change in force. Call it when the transaction with its rows is committed.
    pub fn publish(self, now: Timestamp) {
        let engine = self.engine.clone();
        // A content that agents refused may be what others get that have nothing to do with the released config.
        let refusals_changed = !self.judged().is_empty();
        for ((namespace, key), content) in self.made {
            engine.inner.contents.put(namespace, key, content);
        }
        debug_assert!(self.serial.is_some(), "a draft is not published");
        let concerned = Concerned::new(&self.before, &self.world, &self.configs);
        engine.inner.world.replace(self.world);
        for (id, edit) in self.agents {
            if let Some(agent) = engine.inner.registry.get(id) {
                engine.edit(&agent, edit, now);
            }
        }
        engine.inner.registry.for_each(|agent| {
            if refusals_changed || concerned.by_config(agent) {
                engine.redesire_and_wake(agent, now);
            } else if self.holds_changed {
                engine.wake_if_due(agent, &agent.lock());
            }
        });
    }

    /// Whether all configs whose released revision changes are sets of variables.
    fn is_of_sets(&self, old: &World) -> bool {
        self.configs.iter().all(|(namespace, config)| {
            let of = |world: &World| {
                let released = world.released.get(namespace)?.configs.get(config)?;
                Some(released.baseline.as_ref()?.kind)
            };
            [of(old), of(&self.world)]
                .into_iter()
                .flatten()
                .all(|kind| kind == Kind::Variables)
        })
    }

    /// What the agents that may run something else after the change would get, alike ones together.
    pub(crate) fn outcomes(&self) -> Vec<Alike> {
        let old = &self.before;
        let concerned = Concerned::new(old, &self.world, &self.configs);
        let mut places: HashMap<Outcome, usize> = HashMap::new();
        let mut outcomes: Vec<Alike> = Vec::new();
        let (world, edits, engine) = (&self.world, &self.agents, &self.engine);
        let is_of_sets = self.is_of_sets(old);
        engine.inner.registry.for_each(|agent| {
            let edit = edits.get(&agent.id);
            if edit.is_none_or(|edit| edit.forget) && !concerned.by_config(agent) {
                return;
            }
            let state = agent.lock();
            let labels = edit
                .and_then(|edit| edit.labels.as_ref())
                .map(LabelsBySource::effective);
            let layers = match &labels {
                Some(labels) => {
                    let facts = AgentFacts {
                        uid: state.uid,
                        labels,
                    };
                    world.layers(&agent.namespace, agent.id, facts)
                }
                None => world.layers_of(agent, &state),
            };
            let not_given = old.layers_of(agent, &state);
            let standing = (!not_given.is_empty()).then(|| inputs_key(&not_given));
            let (before, disconnected) = (state.desired.clone(), state.link.is_none());
            let takes_deltas = state.flags.takes_deltas;
            let build = state.build().cloned();
            let is_alone = old.refused.is_alone(agent.id) || world.refused.is_alone(agent.id);
            let alone = is_alone.then_some(agent.id);
            let presumed = presumed(&state);
            let candidate = Candidate::of(agent, &state);
            drop(state);
            let after = (!layers.is_empty()).then(|| inputs_key(&layers));
            // Agents whose templates look at nothing of it have nothing to do with a set that matches them.
            if is_of_sets && edit.is_none() && after == standing {
                return;
            }
            let outcome = Outcome {
                namespace: agent.namespace.clone(),
                before: before.as_ref().map(|content| content.hash),
                is_moved: after != standing,
                after,
                standing,
                build: id_of(build.as_deref()),
                alone,
                presumed: presumed.map_or(0, Released::number),
            };
            let is_moved = outcome.is_moved;
            let place = *places.entry(outcome).or_insert_with(|| {
                outcomes.push(Alike {
                    examples: Vec::new(),
                    agents: 0,
                    disconnected: 0,
                    takes_deltas: false,
                    before,
                    layers,
                    is_moved,
                    not_given: match standing {
                        Some(key) if !engine.is_given(old, agent, key, build.as_deref()) => {
                            not_given
                        }
                        _ => Vec::new(),
                    },
                    free: Vec::new(),
                    build,
                    alone,
                    presumed,
                    candidates: Candidates::default(),
                });
                outcomes.len() - 1
            });
            let alike = &mut outcomes[place];
            if alike.before.is_none() {
                alike.free.push(Arc::clone(agent));
            }
            alike.agents += 1;
            alike.disconnected += u64::from(disconnected);
            alike.takes_deltas |= takes_deltas;
            if let Some(candidate) = candidate {
                alike.candidates.add(candidate);
            }
            if alike.examples.len() < EXAMPLES {
                alike.examples.push(Arc::clone(agent));
            }
        });
        outcomes
    }
}

/// What tells agents apart that are concerned by a change.
#[derive(PartialEq, Eq, Hash)]
struct Outcome {
    namespace: Namespace,
    before: Option<ContentHash>,
    standing: Option<InputsKey>,
    after: Option<InputsKey>,
    is_moved: bool,
    /// The number of the build.
    build: u64,
    alone: Option<AgentId>,
    /// The number of the release that is presumed to be it.
    presumed: u64,
}

/// One agent of each outcome that gives it something, and the layers of that; some may come twice.
pub(crate) fn distinct(alike: &[Alike]) -> impl Iterator<Item = (&Arc<LiveAgent>, &[Layer])> {
    alike
        .iter()
        .filter(|alike| !alike.layers.is_empty())
        .filter_map(|alike| Some((alike.examples.first()?, alike.layers.as_slice())))
}

impl Engine {
    /// Whether agents of this build have what is made of these inputs.
    fn is_given(
        &self,
        world: &World,
        agent: &LiveAgent,
        key: InputsKey,
        build: Option<&KnownBuild>,
    ) -> bool {
        let content = self.inner.contents.find(&agent.namespace, key);
        content.is_some_and(|content| world.suits(agent, build, &content))
    }

    fn edit(&self, agent: &Arc<LiveAgent>, edit: AgentEdit, now: Timestamp) {
        let mut state = agent.lock();
        if edit.forget {
            self.forget(agent, &mut state, now);
            return;
        }
        if let Some(approval) = edit.approval {
            state.approval = approval;
        }
        if let Some(labels) = edit.labels {
            // What the agent says of itself may have changed since the draft; the newest stands.
            state.labels.operator = labels.operator;
        }
        state.flags.retry |= edit.retry;
        self.redesire(agent, &mut state, now);
        self.wake_if_due(agent, &state);
    }

    /// Takes an agent out of memory; nothing more is written for it.
    pub(crate) fn forget(&self, agent: &Arc<LiveAgent>, state: &mut State, now: Timestamp) {
        state.flags.forgotten = true;
        if let Some(link) = &state.link {
            link.close(CloseReason::AgentDeleted);
        }
        self.disconnect(agent, state, DisconnectReason::AgentDeleted, now);
        self.inner.pending.take_report(state);
        for uid in [Some(state.uid), state.replaced_uid].into_iter().flatten() {
            self.inner.registry.remove_uid(uid, agent);
        }
        self.inner.registry.remove(agent.id);
    }
}

/// Which agents a change of released configs may concern: those that an old or a new revision of them matches.
struct Concerned {
    selectors: Vec<(Namespace, domain::Selector)>,
    exceptions: Vec<AgentId>,
}

impl Concerned {
    fn new(old: &World, new: &World, configs: &[(Namespace, ConfigName)]) -> Self {
        let mut concerned = Self {
            selectors: Vec::new(),
            exceptions: Vec::new(),
        };
        for (namespace, config) in configs {
            for released in [old, new]
                .into_iter()
                .filter_map(|world| world.released.get(namespace))
            {
                let in_force = released.configs.get(config);
                let open = in_force
                    .and_then(|known| known.open.as_ref())
                    .and_then(|open| open.target.as_ref());
                let baseline = in_force.and_then(|known| known.baseline.as_ref());
                for revision in baseline.into_iter().chain(open) {
                    concerned
                        .selectors
                        .push((namespace.clone(), revision.selector.clone()));
                }
                let own = released
                    .exceptions
                    .iter()
                    .filter(|(_, own)| own.contains_key(config));
                concerned.exceptions.extend(own.map(|(agent, _)| *agent));
            }
        }
        concerned.selectors.dedup();
        concerned
    }

    fn by_config(&self, agent: &LiveAgent) -> bool {
        if self.selectors.is_empty() && self.exceptions.is_empty() {
            return false;
        }
        if self.exceptions.contains(&agent.id) {
            return true;
        }
        let state = agent.lock();
        let labels = state.effective_labels();
        self.selectors
            .iter()
            .any(|(namespace, selector)| *namespace == agent.namespace && selector.matches(&labels))
    }
}
