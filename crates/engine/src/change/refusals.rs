//! What agents refused in dry runs, as a drafted change looks at it and edits it.

use std::collections::HashSet;
use std::sync::Arc;

use domain::{AgentId, ContentHash, Namespace};
use store::refusals::RefusalRecord;

use super::{Alike, Change};
use crate::content::DesiredContent;
use crate::refused::Refused;

/// What is kept from now on of who refused a content.
pub(crate) struct Judged {
    pub namespace: Namespace,
    pub hash: ContentHash,
    pub refusals: Vec<RefusalRecord>,
}

impl Change {
    /// For what these agents are not given what they would get: a Collector refused it in a dry run, and nobody forced
    /// it. It is prepared or made.
    pub(crate) fn refusal_of(&self, alike: &Alike) -> Option<&Arc<RefusalRecord>> {
        self.refusal_in(alike, self.looked_at(alike)?)
    }

    /// [`Change::refusal_of`] of this content.
    pub(crate) fn refusal_in(
        &self,
        alike: &Alike,
        content: &DesiredContent,
    ) -> Option<&Arc<RefusalRecord>> {
        if self.is_forced(alike) {
            return None;
        }
        let agent = alike.examples.first()?;
        self.world.refusal(agent, alike.build.as_deref(), content)
    }

    /// Whether these agents refused that before the change.
    pub(crate) fn was_refused(&self, alike: &Alike) -> bool {
        let refusal = || {
            let (agent, content) = (alike.examples.first()?, self.looked_at(alike)?);
            self.before.refusal(agent, alike.build.as_deref(), content)
        };
        refusal().is_some()
    }

    /// Whether a refusal for itself alone stood of the one agent of these before the change.
    pub(crate) fn was_alone(&self, alike: &Alike) -> bool {
        let alone = alike.alone;
        alone.is_some_and(|agent| self.before.refused.is_alone(agent))
    }

    pub(super) fn is_newly_refused(&self, alike: &Alike) -> bool {
        self.refusal_of(alike).is_some() && !self.was_refused(alike)
    }

    /// Whether nothing but a refusal stands against what these agents would get.
    pub(crate) fn is_kept_by_refusal(&self, alike: &Alike) -> bool {
        self.refusal_of(alike).is_some() && self.lacking(alike).is_empty()
    }

    /// Edits who refuses a content.
    pub(crate) fn judge(&mut self, namespace: &Namespace, hash: ContentHash) -> &mut Refused {
        self.judged.insert((namespace.clone(), hash));
        Arc::make_mut(&mut self.world.refused)
    }

    /// These agents are given what they would get, whatever was said of it. It is made.
    pub(crate) fn overrule(&mut self, alike: &Alike) {
        let content = self.made_for(alike).map(|content| content.hash);
        if let (Some(agent), Some(hash)) = (alike.examples.first(), content)
            && self.world.refused.is_known(&agent.namespace, &hash)
        {
            let namespace = &agent.namespace;
            self.judge(namespace, hash).overrule(namespace, &hash);
        }
    }

    /// What was said of other contents than these stays as it was before.
    pub(crate) fn judge_only(&mut self, contents: &HashSet<ContentHash>) {
        let is_other = |place: &(Namespace, ContentHash)| !contents.contains(&place.1);
        for (namespace, hash) in self.judged.extract_if(is_other) {
            let before = self.before.refused.of_content(&namespace, &hash);
            Arc::make_mut(&mut self.world.refused).restore(&namespace, &hash, before);
        }
    }

    /// Who refuses which of these contents.
    pub(crate) fn who_refuses(
        &self,
        namespace: &Namespace,
        contents: &HashSet<ContentHash>,
    ) -> HashSet<(ContentHash, AgentId)> {
        let refused = &self.world.refused;
        let of = |hash: &ContentHash| refused.of_content(namespace, hash);
        let refusals = contents.iter().flat_map(of);
        refusals
            .map(|refusal| (refusal.hash, refusal.agent))
            .collect()
    }

    /// How many refusals would stand in a namespace.
    pub(crate) fn count_refused(&self, namespace: &Namespace) -> usize {
        self.world.refused.count(namespace)
    }

    /// The contents of which other refusals stand than before, and which.
    pub(crate) fn judged(&self) -> Vec<Judged> {
        let judged = self.judged.iter().filter_map(|(namespace, hash)| {
            let refusals = self.world.refused.of_content(namespace, hash);
            let changed = refusals != self.before.refused.of_content(namespace, hash);
            changed.then(|| Judged {
                namespace: namespace.clone(),
                hash: *hash,
                refusals,
            })
        });
        judged.collect()
    }
}
