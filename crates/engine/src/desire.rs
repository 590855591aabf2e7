//! Which desired content an agent points to, and making those contents that nobody made yet.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use desired::{Content, Finding, InputsKey, Layer, MaterialiseError, Needs, inputs_key};
use domain::{AgentId, Namespace, OfferDecision, SecretName, SecretVersion};
use jiff::Timestamp;
use metrics::histogram;
use store::{Db, StoreError, desired as stored};

use crate::{
    agent::{LiveAgent, State},
    aside::aside,
    builds::KnownBuild,
    content::DesiredContent,
    engine::Engine,
    preview::CheckErrors,
    world::World,
};

/// How long it takes to make a content: templates rendered, layers merged, written and read back.
pub(crate) const CONTENT_DURATION: &str = "opamp_server_content_duration_seconds";

/// Where an agent's desired content stands.
pub(crate) enum Pointer {
    /// No config matches the agent.
    Unassigned,
    /// It is made and committed.
    Known(Arc<DesiredContent>),
    /// It is committed, and the agent's build lacks components of it, or it refused it in a dry run: it keeps what it has.
    Unfit(Arc<DesiredContent>),
    /// It was not made yet, or not read back yet.
    Missing(InputsKey),
}

/// Why a desired content could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DesireError {
    /// The revisions that match an agent do not merge.
    #[error("the configs that match agent {agent} cannot be combined")]
    Materialise {
        /// An agent that would be concerned; others with the same revisions are, too.
        agent: AgentId,
        /// Why.
        #[source]
        source: MaterialiseError,
    },
    /// An agent would get what its Collector is known to refuse.
    #[error("agent {agent} is not given what its configs make")]
    Checks {
        /// The agent.
        agent: AgentId,
        /// What is wrong with it.
        #[source]
        source: Box<CheckErrors>,
    },
    /// The database failed.
    #[error("reading desired contents")]
    Store(#[from] StoreError),
}

impl DesireError {
    /// Whether a template is at fault.
    pub(crate) const fn is_of_a_template(&self) -> bool {
        match self {
            Self::Materialise { source, .. } => source.is_of_a_template(),
            Self::Checks { .. } | Self::Store(_) => false,
        }
    }
}

/// A content that agents will need.
pub(crate) struct Made {
    pub content: Arc<DesiredContent>,
    /// What checks say of it, where it was made just now; nothing: it stands since earlier.
    pub findings: Option<Arc<[Finding]>>,
    /// The row to store, also if it stands: a content that nobody used for a while would else be swept as soon as it is
    /// used.
    pub row: stored::DesiredContent,
}

impl Engine {
    /// Where the content stands that an agent should run in a world.
    pub(crate) fn pointer(&self, world: &World, agent: &LiveAgent, state: &State) -> Pointer {
        let layers = world.layers_of(agent, state);
        if layers.is_empty() {
            return Pointer::Unassigned;
        }
        let key = inputs_key(&layers);
        let Some(content) = self.inner.contents.find(&agent.namespace, key) else {
            return Pointer::Missing(key);
        };
        let runs_it = state.desired.as_ref().map(|content| content.hash) == Some(content.hash);
        let suits = world.suits(agent, state.build().map(Arc::as_ref), &content);
        if suits || runs_it || world.is_forced(&agent.namespace, &layers) {
            Pointer::Known(content)
        } else {
            Pointer::Unfit(content)
        }
    }

    /// Points an agent to what it should run now; what is not made yet is left to [`Engine::reconcile`].
    /// Says whether the agent should run something else than before.
    pub(crate) fn redesire(
        &self,
        agent: &Arc<LiveAgent>,
        state: &mut State,
        now: Timestamp,
    ) -> bool {
        state.flags.fresh = false;
        let next = match self.pointer(&self.inner.world.get(), agent, state) {
            Pointer::Unassigned => None,
            Pointer::Known(content) => Some(content),
            Pointer::Unfit(_) => return false,
            Pointer::Missing(_) => {
                self.inner.missing.push(agent);
                return false;
            }
        };
        let same = state.desired.as_ref().map(|content| content.hash)
            == next.as_ref().map(|content| content.hash);
        state.desired = next;
        if !same {
            state.desired_since_ms = now.as_millisecond();
            state.flags.desired_dirty = true;
            self.inner.standings_dirty.store(true, Ordering::Relaxed);
        }
        !same
    }

    /// Redesires an agent and wakes its connection if that makes an offer due.
    pub(crate) fn redesire_and_wake(&self, agent: &Arc<LiveAgent>, now: Timestamp) {
        let mut state = agent.lock();
        self.redesire(agent, &mut state, now);
        self.wake_if_due(agent, &state);
    }

    pub(crate) fn wake_if_due(&self, agent: &Arc<LiveAgent>, state: &State) {
        if state.is_streaming()
            && self.decide(agent, state, state.flags.retry) == OfferDecision::Offer
        {
            state.wake(agent);
        }
    }

    /// Makes the content of these layers, or takes what was made of the same inputs before.
    pub(crate) async fn content_of(
        &self,
        namespace: &Namespace,
        agent: AgentId,
        layers: &[Layer],
        now: Timestamp,
    ) -> Result<Made, DesireError> {
        let key = inputs_key(layers);
        if let Some(known) = self.inner.contents.find(namespace, key) {
            let row = row_of(namespace, layers, &known, now);
            return Ok(Made {
                content: known,
                findings: None,
                row,
            });
        }
        if let Some(row) = find_stored(&self.inner.db, namespace, key).await?
            && let Some(content) = of_row(&row, |name, version| named_by(layers, name, version))
        {
            let created_at = now;
            return Ok(Made {
                content: Arc::new(content),
                findings: None,
                row: stored::DesiredContent { created_at, ..row },
            });
        }
        let (engine, own) = (self.clone(), layers.to_vec());
        let (content, findings) = aside(move || engine.make(&own))
            .await
            .map_err(|source| DesireError::Materialise { agent, source })?;
        let content = DesiredContent::new(content);
        let row = row_of(namespace, layers, &content, now);
        Ok(Made {
            content: Arc::new(content),
            findings: Some(findings),
            row,
        })
    }

    fn make(&self, layers: &[Layer]) -> Result<(Content, Arc<[Finding]>), MaterialiseError> {
        let began = Instant::now();
        let combined = self.inner.renderer.combine(layers)?;
        let content = combined.content()?;
        histogram!(CONTENT_DURATION).record(began.elapsed());
        Ok((content, combined.findings().into()))
    }

    /// What these layers define that a build lacks.
    pub(crate) async fn missing_of(
        &self,
        agent: AgentId,
        layers: &[Layer],
        build: &Arc<KnownBuild>,
    ) -> Result<Vec<Finding>, DesireError> {
        let (engine, own, build) = (self.clone(), layers.to_vec(), Arc::clone(build));
        let missing = move || {
            let combined = engine.inner.renderer.combine(&own)?;
            Ok(combined.missing_from(&build.build))
        };
        aside(missing)
            .await
            .map_err(|source| DesireError::Materialise { agent, source })
    }

    /// What checks say of what these layers make.
    pub(crate) async fn findings_of(
        &self,
        agent: AgentId,
        layers: &[Layer],
    ) -> Result<Arc<[Finding]>, DesireError> {
        let (engine, own) = (self.clone(), layers.to_vec());
        aside(move || Ok(engine.inner.renderer.combine(&own)?.findings().into()))
            .await
            .map_err(|source| DesireError::Materialise { agent, source })
    }
}

/// A content as it is stored, with the values of its secrets; nothing: one of them is not there, so that it has to be made
/// anew.
pub(crate) fn of_row(
    row: &stored::DesiredContent,
    known: impl Fn(&SecretName, u32) -> Option<Arc<SecretVersion>>,
) -> Option<DesiredContent> {
    let secrets = row.secrets.iter();
    let secrets = secrets
        .map(|(name, version)| known(name, *version))
        .collect::<Option<Vec<_>>>()?;
    if !secrets.is_empty() {
        let filled = desired::filled(&row.files, &secrets).ok()?;
        (desired::content_hash(&filled) == row.hash).then_some(())?;
    }
    Some(DesiredContent::new(Content {
        files: row.files.clone(),
        hash: row.hash,
        secrets,
        needs: Needs::read(&row.needs),
    }))
}

/// A version of a secret that layers name.
fn named_by(layers: &[Layer], name: &SecretName, version: u32) -> Option<Arc<SecretVersion>> {
    let mut secrets = layers.iter().filter_map(Layer::secrets).flatten();
    let found = secrets.find(|secret| secret.name == *name && secret.version == version);
    found.cloned()
}

fn row_of(
    namespace: &Namespace,
    layers: &[Layer],
    content: &DesiredContent,
    now: Timestamp,
) -> stored::DesiredContent {
    stored::DesiredContent {
        namespace: namespace.clone(),
        kind: stored::CONFIG.to_owned(),
        inputs_key: inputs_key(layers).as_bytes().to_vec(),
        layers: layers
            .iter()
            .map(|layer| stored::LayerRecord {
                config: layer.revision.config.clone(),
                revision: layer.revision.number,
                values: layer
                    .values
                    .as_ref()
                    .map(|values| values.as_json().to_owned()),
            })
            .collect(),
        hash: content.hash,
        files: content.files.clone(),
        secrets: content.secrets(),
        needs: content.fitness.needs().to_string(),
        created_at: now,
    }
}

async fn find_stored(
    db: &Db,
    namespace: &Namespace,
    key: InputsKey,
) -> Result<Option<stored::DesiredContent>, StoreError> {
    let mut reader = db.read().await?;
    stored::find(&mut reader, namespace, stored::CONFIG, key.as_bytes()).await
}
