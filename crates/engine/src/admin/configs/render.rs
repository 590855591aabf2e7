//! Rendering: what a revision's template makes of one agent, or of labels that nobody has yet.

use std::sync::Arc;

use desired::{AgentFacts, Layer, MaterialiseError};
use domain::model::InstanceUid;
use domain::{AgentId, ConfigName, Kind, Labels, RevisionNumber};
use jiff::Timestamp;
use store::StoreError;

use super::plan::edited;
use super::{NewRevision, NoSuch, PutConfigError, find_revision};
use crate::admin::access::Caller;
use crate::engine::Engine;

/// What to render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenderWhat {
    /// This revision; the newest when `None`.
    Revision(Option<RevisionNumber>),
    /// A revision that is not made yet.
    Edit(NewRevision),
}

/// For whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenderFor {
    /// A known agent.
    Agent(AgentId),
    /// One that nobody knows.
    MadeUp {
        /// Its labels.
        labels: Labels,
        /// Its uid.
        uid: InstanceUid,
    },
}

/// What a revision comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedBody {
    /// The revision; `None`: it is not made yet.
    pub revision: Option<RevisionNumber>,
    /// What its body is.
    pub kind: Kind,
    /// Whether its selector matches.
    pub matches: bool,
    /// The text.
    pub body: Vec<u8>,
    /// The values that the template was given, JSON; `None`: the body is no template.
    pub values: Option<String>,
    /// The values among them that shared sets of variables give.
    pub given: Vec<GivenBySet>,
    /// Why the text is no configuration, if it is none.
    pub error: Option<String>,
}

/// A variable whose value a shared set gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenBySet {
    /// Its name.
    pub name: String,
    /// The set.
    pub set: ConfigName,
    /// The revision of the set.
    pub revision: RevisionNumber,
}

impl GivenBySet {
    /// What sets give the template of a layer.
    #[must_use]
    pub fn of(layer: &Layer) -> Vec<Self> {
        let given = layer.shared().map(|(name, set)| Self {
            name: name.to_owned(),
            set: set.config.clone(),
            revision: set.number,
        });
        given.collect()
    }
}

/// Why nothing was rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// There is no such config or revision.
    #[error(transparent)]
    NoSuch(#[from] NoSuch),
    /// There is no such agent.
    #[error("there is no agent {agent}")]
    NoAgent {
        /// Its id.
        agent: AgentId,
    },
    /// The edit could not become a revision.
    #[error(transparent)]
    Edit(#[from] PutConfigError),
    /// The template fails.
    #[error(transparent)]
    Template(Box<MaterialiseError>),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// What a revision comes to for one agent. Nothing is stored.
    ///
    /// # Errors
    /// [`RenderError`].
    pub async fn render_config(
        &self,
        caller: &Caller,
        config: &ConfigName,
        what: &RenderWhat,
        whom: &RenderFor,
        now: Timestamp,
    ) -> Result<RenderedBody, RenderError> {
        let mut conn = self.db().read().await?;
        let (revision, number) = match what {
            RenderWhat::Revision(number) => {
                let found =
                    find_revision::<RenderError>(&mut conn, caller, config, *number).await?;
                let number = found.number;
                (found, Some(number))
            }
            RenderWhat::Edit(new) => {
                let read = self.check_new_revision(new)?;
                let made = edited(&mut conn, caller, config, (new, read), now).await?;
                (made, None)
            }
        };
        drop(conn);
        let (agent, uid, labels) = self.facts_of(caller, whom)?;
        let facts = AgentFacts {
            uid,
            labels: &labels,
        };
        let matches = revision.selector.matches(&labels);
        let kind = revision.kind;
        let sets = self.inner.world.get();
        let sets = sets.sets(&caller.namespace, agent, &labels);
        let layer = Layer::of(Arc::new(revision), facts, &sets);
        let renderer = &self.inner.renderer;
        let failed = |error| RenderError::Template(Box::new(error));
        let body = renderer.text(&layer).map_err(failed)?;
        let unusable = match kind {
            Kind::Collector => renderer.combine(std::slice::from_ref(&layer)).err(),
            Kind::Variables => None,
        };
        Ok(RenderedBody {
            revision: number,
            kind,
            matches,
            body,
            given: GivenBySet::of(&layer),
            values: layer.values.map(|values| values.as_json().to_owned()),
            error: unusable.map(|error| crate::drive::error_chain(&error)),
        })
    }

    fn facts_of(
        &self,
        caller: &Caller,
        whom: &RenderFor,
    ) -> Result<(AgentId, InstanceUid, Labels), RenderError> {
        match whom {
            // No agent has this id, so that none of its exceptions apply.
            RenderFor::MadeUp { labels, uid } => {
                Ok((AgentId::from_bytes([0; 16]), *uid, labels.clone()))
            }
            RenderFor::Agent(id) => {
                let agent = self.inner.registry.get(*id);
                let agent = agent
                    .filter(|agent| agent.namespace == caller.namespace)
                    .ok_or(RenderError::NoAgent { agent: *id })?;
                let state = agent.lock();
                let labels = state.effective_labels();
                Ok((agent.id, state.uid, Labels::clone(&labels)))
            }
        }
    }
}
