//! What is released, on hold and materialised, as one snapshot that readers share and a change replaces.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use desired::{AgentFacts, InputsKey, Layer};
use domain::{AgentId, ContentHash, Hold, Labels, Namespace, ReleasedSet, Revision};
use parking_lot::RwLock;
use store::refusals::RefusalRecord;
use store::{Conn, StoreError};
use trust::SealingKey;

use crate::agent::{LiveAgent, State};
use crate::builds::KnownBuild;
use crate::content::DesiredContent;
use crate::desire::of_row;
use crate::refused::{Refused, Who};
use crate::vault::Vault;

/// The released configs of every namespace and the holds that are on.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub released: HashMap<Namespace, ReleasedSet>,
    pub holds: Vec<Hold>,
    pub vault: Arc<Vault>,
    /// What agents refused in dry runs.
    pub refused: Arc<Refused>,
}

/// The snapshot in force. Writers are serialised by the engine's change lock.
#[derive(Default)]
pub(crate) struct CurrentWorld(RwLock<Arc<World>>);

/// Desired contents by the inputs they were made from. One is here only once it is committed.
#[derive(Default)]
pub(crate) struct Contents(RwLock<Known>);

#[derive(Default)]
struct Known {
    by_inputs: HashMap<(Namespace, InputsKey), Arc<DesiredContent>>,
    /// Different inputs may give the same content, which is then held once.
    by_hash: HashMap<ContentHash, Weak<DesiredContent>>,
}

impl World {
    /// What is stored.
    pub async fn load(conn: &mut Conn, key: Option<&SealingKey>) -> Result<Self, StoreError> {
        let released = store::released::load_all(conn).await?.into_iter().collect();
        let holds = store::holds::load_all(conn).await?;
        let secrets = store::secrets::load_all(conn).await?;
        let refused = store::refusals::load_all(conn).await?;
        Ok(Self {
            released,
            holds,
            vault: Arc::new(Vault::open(&secrets, key)),
            refused: Arc::new(Refused::of(refused)),
        })
    }

    /// What is released for an agent of which this is known, in merge order.
    pub fn layers(
        &self,
        namespace: &Namespace,
        agent: AgentId,
        facts: AgentFacts<'_>,
    ) -> Vec<Layer> {
        let Some(set) = self.released.get(namespace) else {
            return Vec::new();
        };
        let revisions = set.layers(agent, facts.labels);
        let looks = |revision: &Arc<Revision>| {
            let template = revision.template.as_ref();
            template.is_some_and(|template| !template.uses.variables.is_empty())
        };
        let sets = match revisions.iter().any(looks) {
            true => self.sets(namespace, agent, facts.labels),
            false => Arc::default(),
        };
        let secrets = self.vault.current(namespace);
        revisions
            .into_iter()
            .map(|revision| Layer::of(revision, facts, &sets).with_secrets(secrets))
            .collect()
    }

    /// A content as it is stored, if the values of its secrets are there.
    pub fn content_of(&self, row: &store::desired::DesiredContent) -> Option<DesiredContent> {
        of_row(row, |name, version| {
            self.vault.version(&row.namespace, name, version)
        })
    }

    /// The sets of variables that are released for an agent; the later wins.
    pub fn sets(
        &self,
        namespace: &Namespace,
        agent: AgentId,
        labels: &Labels,
    ) -> Arc<[Arc<Revision>]> {
        let set = self.released.get(namespace);
        set.map_or_else(Arc::default, |set| set.variables(agent, labels).into())
    }

    /// What is released for an agent as it stands, in merge order.
    pub fn layers_of(&self, agent: &LiveAgent, state: &State) -> Vec<Layer> {
        let labels = state.effective_labels();
        let facts = AgentFacts {
            uid: state.uid,
            labels: &labels,
        };
        self.layers(&agent.namespace, agent.id, facts)
    }

    /// Whether one of these revisions, or of the sets that give them values, was put in force whatever checks say.
    pub fn is_forced(&self, namespace: &Namespace, layers: &[Layer]) -> bool {
        let Some(set) = self.released.get(namespace) else {
            return false;
        };
        let is_forced = |revision: &Revision| {
            let released = set.configs.get(&revision.config);
            released.is_some_and(|released| released.forced)
        };
        layers.iter().any(|layer| {
            is_forced(&layer.revision) || layer.shared().any(|(_, given)| is_forced(given))
        })
    }

    /// For what an agent refused a content, if it did, or another agent for all of its build.
    pub fn refusal(
        &self,
        agent: &LiveAgent,
        build: Option<&KnownBuild>,
        content: &DesiredContent,
    ) -> Option<&Arc<RefusalRecord>> {
        let who = Who {
            agent: agent.id,
            build: build.map(|build| build.digest),
        };
        self.refused.find(&agent.namespace, &content.hash, who)
    }

    /// Whether an agent with this build can be given a content, as far as that is known: it lacks nothing of it, and its
    /// Collector did not refuse it.
    pub fn suits(
        &self,
        agent: &LiveAgent,
        build: Option<&KnownBuild>,
        content: &DesiredContent,
    ) -> bool {
        content.fitness.fits(build) && self.refusal(agent, build, content).is_none()
    }

    pub fn is_held(&self, namespace: &Namespace, labels: &Labels) -> bool {
        self.holds
            .iter()
            .any(|hold| hold.scope.covers(namespace, labels))
    }

    pub fn of_namespace(&mut self, namespace: &Namespace) -> &mut ReleasedSet {
        self.released.entry(namespace.clone()).or_default()
    }
}

impl CurrentWorld {
    pub fn get(&self) -> Arc<World> {
        Arc::clone(&self.0.read())
    }

    pub fn replace(&self, world: World) {
        *self.0.write() = Arc::new(world);
    }
}

impl Known {
    fn share(&mut self, content: Arc<DesiredContent>) -> Arc<DesiredContent> {
        let twin = self.by_hash.get(&content.hash).and_then(Weak::upgrade);
        // One has written out what another refers to as a secret.
        let twin = twin.filter(|twin| twin.files == content.files);
        let shared = twin.unwrap_or(content);
        self.by_hash.insert(shared.hash, Arc::downgrade(&shared));
        shared
    }
}

impl Contents {
    pub fn find(&self, namespace: &Namespace, key: InputsKey) -> Option<Arc<DesiredContent>> {
        self.0
            .read()
            .by_inputs
            .get(&(namespace.clone(), key))
            .cloned()
    }

    /// Keeps a content; an equal one that is already there (same hash) is shared.
    pub fn put(&self, namespace: Namespace, key: InputsKey, content: Arc<DesiredContent>) {
        let mut known = self.0.write();
        let shared = known.share(content);
        known.by_inputs.insert((namespace, key), shared);
    }

    /// A content by what it is, as long as anybody has it.
    pub fn find_by_hash(&self, hash: &ContentHash) -> Option<Arc<DesiredContent>> {
        self.0.read().by_hash.get(hash).and_then(Weak::upgrade)
    }

    /// The one of this content that all share that have it.
    pub fn share(&self, content: Arc<DesiredContent>) -> Arc<DesiredContent> {
        self.0.write().share(content)
    }

    /// Lets go of contents that no agent points to; they are read back from the database when they are needed again.
    pub fn drop_unused(&self) {
        let mut known = self.0.write();
        let mut users: HashMap<ContentHash, usize> = HashMap::new();
        for content in known.by_inputs.values() {
            *users.entry(content.hash).or_default() += 1;
        }
        known.by_inputs.retain(|_, content| {
            users
                .get(&content.hash)
                .is_some_and(|own| *own < Arc::strong_count(content))
        });
        known
            .by_hash
            .retain(|_, content| 0 < content.strong_count());
    }
}
