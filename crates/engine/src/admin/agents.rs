//! Agents: listing them, one of them whole, and what an operator does to one.

mod edit;

use std::sync::Arc;

use desired::difference::Drift;
use desired::{
    Explanation, InputsKey, Layer, MaterialiseError, Values, content_hash, inputs_key, redacted,
    redacted_pair,
};
use domain::model::{ConfigFile, ConfigMap, InstanceUid};
use domain::{AgentId, ConfigState, ContentHash, Namespace};
use jiff::Timestamp;
use store::desired::CONFIG;
use store::refusals::RefusalRecord;
use store::{Conn, StoreError, agents, configs, desired as stored};

pub use store::agents::{AgentChange, AgentDetail, AgentSummary, ListAgents};

pub use desired::Source;
pub use edit::{AgentActionError, LabelEdits, MAX_LABEL_EDITS};

use super::access::Caller;
use super::audit::Act;
use super::{PageOf, Paged};
use crate::engine::{AgentStanding, Engine};
use crate::refused::Who;
use crate::world::World;

/// An agent as lists show it, with what memory knows better.
#[derive(Debug, Clone)]
pub struct ListedAgent {
    /// What is stored.
    pub stored: AgentSummary,
    /// What memory says; `None` on a node that does not know the agent.
    pub live: Option<AgentStanding>,
}

/// One agent whole.
#[derive(Debug, Clone)]
pub struct AgentView {
    /// What is stored.
    pub stored: AgentDetail,
    /// What memory says; `None` on a node that does not know the agent.
    pub live: Option<AgentStanding>,
    /// What it should run.
    pub desired: Option<DesiredView>,
    /// The components of what is released for it that its build lacks, such as `receiver kafka`: it is not given that.
    pub missing_components: Vec<String>,
    /// For what it is not given what is released for it: a Collector refused that in a dry run.
    pub refusal: Option<Arc<RefusalRecord>>,
}

/// What an agent should run.
#[derive(Debug, Clone)]
pub struct DesiredView {
    /// The hash agents know it by.
    pub hash: ContentHash,
    /// The files, with their secrets.
    pub files: ConfigMap,
    /// What it is made of, in merge order.
    pub layers: Vec<Layer>,
}

impl ListedAgent {
    /// Whether what is shown of it still is what was asked for: the list was made by what is stored.
    fn is_admitted_by(&self, filter: &ListAgents) -> bool {
        let Some(live) = &self.live else {
            return true;
        };
        let is_applied = live.config_state == ConfigState::Applied;
        let in_sync = live.desired.map(|_| is_applied);
        filter
            .connected
            .is_none_or(|wanted| wanted == live.connected)
            && filter
                .config_state
                .is_none_or(|wanted| wanted == live.config_state)
            && filter.in_sync.is_none_or(|wanted| Some(wanted) == in_sync)
    }
}

impl Engine {
    /// One page of the agents that a filter admits; the filter's namespace is the caller's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn agents(
        &self,
        caller: &Caller,
        filter: ListAgents,
    ) -> Result<Paged<ListedAgent, AgentId>, StoreError> {
        let filter = ListAgents {
            namespace: caller.namespace.clone(),
            ..filter
        };
        let mut conn = self.db().read().await?;
        let page = agents::list(&mut conn, &filter).await?;
        drop(conn);
        // Pages may be short by those that memory knows to be otherwise.
        let listed = |stored: AgentSummary| ListedAgent {
            live: self.live(&stored),
            stored,
        };
        Ok(Paged {
            items: page
                .items
                .into_iter()
                .map(listed)
                .filter(|agent| agent.is_admitted_by(&filter))
                .collect(),
            next: page.next,
        })
    }

    /// The id of an agent that is named by its id or by its uid.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find_agent(
        &self,
        caller: &Caller,
        named: [u8; 16],
    ) -> Result<Option<AgentId>, StoreError> {
        let (id, uid) = (AgentId::from_bytes(named), InstanceUid::new(named));
        if self.standing(&caller.namespace, id).is_some() {
            return Ok(Some(id));
        }
        if let Some(id) = self.find_by_uid(&caller.namespace, uid) {
            return Ok(Some(id));
        }
        let mut conn = self.db().read().await?;
        if agents::find(&mut conn, &caller.namespace, id)
            .await?
            .is_some()
        {
            return Ok(Some(id));
        }
        agents::find_by_uid(&mut conn, &caller.namespace, &uid).await
    }

    /// One agent whole.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn agent(
        &self,
        caller: &Caller,
        id: AgentId,
    ) -> Result<Option<AgentView>, StoreError> {
        let mut conn = self.db().read().await?;
        let Some(stored) = agents::find(&mut conn, &caller.namespace, id).await? else {
            return Ok(None);
        };
        let live = self.live(&stored.summary);
        let hash = live
            .as_ref()
            .map_or(stored.summary.desired, |live| live.desired);
        let desired = match hash {
            Some(hash) => {
                let released = self.layers_of(&caller.namespace, stored.summary.id);
                desired_view(&mut conn, caller, &hash, released).await?
            }
            None => None,
        };
        let refusal = match &live {
            Some(live) => {
                let agent = (stored.summary.id, live.desired);
                self.refusal(&mut conn, caller, agent).await?
            }
            None => None,
        };
        Ok(Some(AgentView {
            refusal,
            stored,
            missing_components: live
                .as_ref()
                .map(|_| self.missing_components(&caller.namespace, id))
                .unwrap_or_default(),
            live,
            desired,
        }))
    }

    /// For what an agent is not given what is released for it.
    async fn refusal(
        &self,
        conn: &mut Conn,
        caller: &Caller,
        (id, should_run): (AgentId, Option<ContentHash>),
    ) -> Result<Option<Arc<RefusalRecord>>, StoreError> {
        let world = self.inner.world.get();
        let namespace = &caller.namespace;
        let Some((key, who)) = self.released_to(&world, namespace, id) else {
            return Ok(None);
        };
        let hash = match self.inner.contents.find(namespace, key) {
            Some(content) => Some(content.hash),
            // Memory keeps what agents run.
            None => stored::find_hash(conn, namespace, CONFIG, key.as_bytes()).await?,
        };
        // What it runs already is not taken from it.
        let hash = hash.filter(|hash| should_run != Some(*hash));
        let refusal = hash.and_then(|hash| world.refused.find(namespace, &hash, who));
        Ok(refusal.cloned())
    }

    /// The inputs of what is released for an agent and not forced, and who it is.
    fn released_to(
        &self,
        world: &World,
        namespace: &Namespace,
        id: AgentId,
    ) -> Option<(InputsKey, Who)> {
        let agent = self.inner.registry.get(id)?;
        let state = agent.lock();
        let layers = world.layers_of(&agent, &state);
        if agent.namespace != *namespace || world.is_forced(namespace, &layers) {
            return None;
        }
        let who = Who {
            agent: id,
            build: state.build().map(|build| build.digest),
        };
        Some((inputs_key(&layers), who))
    }

    /// What memory says of an agent, unless another node serves it: that node's memory is then ahead of ours.
    fn live(&self, stored: &AgentSummary) -> Option<AgentStanding> {
        let node = stored
            .attachment
            .as_ref()
            .map(|attachment| attachment.node.as_str());
        let elsewhere = stored.connected && node.is_some_and(|node| node != self.options().node);
        if elsewhere {
            None
        } else {
            self.standing(&stored.namespace, stored.id)
        }
    }

    /// What changed about an agent, newest first; `None` where there is no such agent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn agent_history(
        &self,
        caller: &Caller,
        agent: AgentId,
        page: PageOf<i64>,
    ) -> Result<Option<Paged<AgentChange, i64>>, StoreError> {
        let mut conn = self.db().read().await?;
        if agents::find(&mut conn, &caller.namespace, agent)
            .await?
            .is_none()
        {
            return Ok(None);
        }
        let read = agents::history(
            &mut conn,
            &caller.namespace,
            agent,
            page.after,
            page.probe(),
        )
        .await?;
        Ok(Some(page.cut(read, |last| last.id)))
    }

    /// Notes that somebody was shown the secrets in an agent's configs. Before they are shown.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_agent_reveal(
        &self,
        caller: &Caller,
        agent: AgentId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.db().begin().await?;
        Act::on_agent("agent.config_revealed", "reveal", agent)
            .done(&mut tx, caller, now)
            .await?;
        tx.commit().await
    }
}

/// The content of that hash with the layers that make it: those that are released for the agent if they do, else those
/// that it was made of when it was stored.
async fn desired_view(
    conn: &mut Conn,
    caller: &Caller,
    hash: &ContentHash,
    released: Vec<Layer>,
) -> Result<Option<DesiredView>, StoreError> {
    let namespace = &caller.namespace;
    let key = inputs_key(&released);
    let own = stored::find(conn, namespace, CONFIG, key.as_bytes()).await?;
    if let Some(content) = own.filter(|content| content.hash == *hash) {
        return Ok(Some(DesiredView {
            hash: content.hash,
            files: content.files,
            layers: released,
        }));
    }
    let Some(content) = stored::find_by_hash(conn, namespace, CONFIG, hash).await? else {
        return Ok(None);
    };
    let mut layers = Vec::new();
    for stored::LayerRecord {
        config,
        revision,
        values,
    } in content.layers
    {
        let revision = configs::revision(conn, namespace, &config, revision).await?;
        let values = values.map(Values::from_json);
        layers.extend(revision.map(|revision| Layer::with(Arc::new(revision), values)));
    }
    Ok(Some(DesiredView {
        hash: content.hash,
        files: content.files,
        layers,
    }))
}

/// Files as they may be shown: secrets replaced.
#[must_use]
pub fn redacted_files(files: &ConfigMap) -> ConfigMap {
    redacted(files)
}

/// Two files as they may be compared: secrets replaced, and different ones still different.
#[must_use]
pub fn redacted_for_diff(before: &ConfigFile, after: &ConfigFile) -> (String, String) {
    redacted_pair(before, after)
}

/// The hash of files as this server computes it for what it offers.
#[must_use]
pub fn hash_of_files(files: &ConfigMap) -> ContentHash {
    content_hash(files)
}

/// The SHA-256 of one file's body.
#[must_use]
pub fn hash_of_body(body: &[u8]) -> ContentHash {
    ContentHash::from_bytes(trust::sha256(body))
}

impl Engine {
    /// Explains the values at or inside of a path of what an agent should run; at most `most` of them.
    ///
    /// # Errors
    /// [`MaterialiseError`]: its revisions do not merge any more.
    pub fn explain(
        &self,
        desired: &DesiredView,
        under: &str,
        most: usize,
    ) -> Result<Explanation, MaterialiseError> {
        self.inner
            .renderer
            .combine(&desired.layers)?
            .explain(under, most)
    }
}

/// Where what an agent runs differs from what it should; nothing where one of them cannot be read.
#[must_use]
pub fn drift_of(should_run: &ConfigMap, runs: &ConfigMap) -> Option<Drift> {
    // Both were measured when they came in.
    let limits = desired::Limits {
        body_bytes: usize::MAX,
        merged_bytes: usize::MAX,
    };
    desired::drift_of(should_run, runs, &limits)
}

/// A body as it may be shown: secrets replaced.
#[must_use]
pub fn redacted_body(body: &[u8]) -> String {
    let files = ConfigMap::from([(String::new(), ConfigFile::new(body, ""))]);
    let shown = redacted(&files)
        .remove("")
        .map(|file| file.body)
        .unwrap_or_default();
    String::from_utf8_lossy(&shown).into_owned()
}
