//! Contents that agents refused in a dry run, where a release left them out for it: whom that concerns, and until when.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use domain::{AgentId, ContentHash, Namespace};
use store::StoreError;
use store::desired::{self as stored, CONFIG};
use store::refusals::RefusalRecord;

use crate::desire::Pointer;
use crate::engine::Engine;
use crate::world::World;

/// How many refusals are kept of a namespace. Releases that would make it more are refused.
pub(crate) const MOST_REFUSED: usize = 2_000;
/// The longest reason that is kept, in bytes.
const REASON_MAX_BYTES: usize = 1_024;

/// All refusals that stand.
///
/// One concerns the agent that refused for as long as it has the build with which it did, and where it spoke for its build,
/// all agents of that build. Nothing is known of other builds: they are given the content.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refused {
    spaces: HashMap<Namespace, HashMap<ContentHash, Vec<Arc<RefusalRecord>>>>,
    /// Agents of which a refusal stands that concerns them alone.
    alone: HashSet<AgentId>,
}

/// Whose refusal is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who {
    pub agent: AgentId,
    /// The digest of its build, where it is known.
    pub build: Option<ContentHash>,
}

impl Refused {
    /// Those that are stored.
    pub fn of(records: Vec<RefusalRecord>) -> Self {
        let mut refused = Self::default();
        for record in records {
            refused.add(record);
        }
        refused.note_alone();
        refused
    }

    /// For what an agent is not given a content, if it is.
    pub fn find(
        &self,
        namespace: &Namespace,
        hash: &ContentHash,
        who: Who,
    ) -> Option<&Arc<RefusalRecord>> {
        let refusals = self.spaces.get(namespace)?.get(hash)?;
        refusals.iter().find(|refusal| concerns(refusal, who))
    }

    /// Whether a refusal stands that concerns this agent alone.
    pub fn is_alone(&self, agent: AgentId) -> bool {
        self.alone.contains(&agent)
    }

    /// Whether somebody refused a content.
    pub fn is_known(&self, namespace: &Namespace, hash: &ContentHash) -> bool {
        let space = self.spaces.get(namespace);
        space.is_some_and(|space| space.contains_key(hash))
    }

    /// All refusals of a content.
    pub fn of_content(&self, namespace: &Namespace, hash: &ContentHash) -> Vec<RefusalRecord> {
        let space = self.spaces.get(namespace);
        let refusals = space.and_then(|space| space.get(hash));
        refusals
            .into_iter()
            .flatten()
            .map(|refusal| RefusalRecord::clone(refusal))
            .collect()
    }

    /// How many stand in a namespace.
    pub fn count(&self, namespace: &Namespace) -> usize {
        let space = self.spaces.get(namespace);
        space.map_or(0, |space| space.values().map(Vec::len).sum())
    }

    /// An agent refused; what it said of the same content before is replaced.
    pub fn refuse(&mut self, mut refusal: RefusalRecord) {
        let end = refusal.reason.floor_char_boundary(REASON_MAX_BYTES);
        refusal.reason.truncate(end);
        self.take(&refusal.namespace, &refusal.hash, refusal.agent);
        self.add(refusal);
        self.note_alone();
    }

    /// An agent accepted: what it and others said for its build is void. Others that refused still speak for themselves.
    pub fn accept(&mut self, namespace: &Namespace, hash: &ContentHash, who: Who) {
        self.take(namespace, hash, who.agent);
        let space = self.spaces.get_mut(namespace);
        let refusals = space.and_then(|space| space.get_mut(hash));
        for refusal in refusals.into_iter().flatten() {
            if refusal.for_build && refusal.build == who.build {
                Arc::make_mut(refusal).for_build = false;
            }
        }
        self.note_alone();
    }

    /// A content is given whatever agents said of it.
    pub fn overrule(&mut self, namespace: &Namespace, hash: &ContentHash) {
        if let Some(space) = self.spaces.get_mut(namespace) {
            space.remove(hash);
        }
        self.note_alone();
    }

    /// These are all refusals of a content.
    pub fn restore(&mut self, namespace: &Namespace, hash: &ContentHash, all: Vec<RefusalRecord>) {
        self.overrule(namespace, hash);
        for refusal in all {
            self.add(refusal);
        }
        self.note_alone();
    }

    fn add(&mut self, refusal: RefusalRecord) {
        let space = self.spaces.entry(refusal.namespace.clone()).or_default();
        let refusals = space.entry(refusal.hash).or_default();
        refusals.push(Arc::new(refusal));
        refusals.sort_by_key(|refusal| refusal.agent);
    }

    fn take(&mut self, namespace: &Namespace, hash: &ContentHash, agent: AgentId) {
        let Some(space) = self.spaces.get_mut(namespace) else {
            return;
        };
        if let Some(refusals) = space.get_mut(hash) {
            refusals.retain(|refusal| refusal.agent != agent);
            if refusals.is_empty() {
                space.remove(hash);
            }
        }
    }

    fn note_alone(&mut self) {
        let all = self.spaces.values().flat_map(HashMap::values).flatten();
        let own = all.filter(|refusal| !refusal.for_build);
        self.alone = own.map(|refusal| refusal.agent).collect();
    }
}

impl Engine {
    /// Forgets what agents refused that nobody would be given any more. The caller holds the change lock.
    pub(crate) async fn drop_refusals(&self) -> Result<(), StoreError> {
        let mut conn = self.inner.db.read().await?;
        let unused = store::refusals::unused(&mut conn).await?;
        let mut unused: HashSet<(Namespace, ContentHash)> = unused.into_iter().collect();
        if unused.is_empty() {
            return Ok(());
        }
        // Another revision may make the same content, and who is left out of it is not pointed to it.
        let world = self.inner.world.get();
        let (mut released, mut elsewhere) = (HashSet::new(), HashSet::new());
        self.inner.registry.for_each(|agent| {
            let pointer = self.pointer(&world, agent, &agent.lock());
            let namespace = agent.namespace.clone();
            match pointer {
                Pointer::Known(content) | Pointer::Unfit(content) => {
                    released.insert((namespace, content.hash));
                }
                Pointer::Missing(key) => {
                    elsewhere.insert((namespace, key));
                }
                Pointer::Unassigned => {}
            }
        });
        for (namespace, key) in elsewhere {
            let hash = stored::find_hash(&mut conn, &namespace, CONFIG, key.as_bytes()).await?;
            released.extend(hash.map(|hash| (namespace, hash)));
        }
        drop(conn);
        unused.retain(|content| !released.contains(content));
        let mut tx = self.inner.db.begin().await?;
        for (namespace, hash) in &unused {
            store::refusals::replace(&mut tx, namespace, hash, &[]).await?;
        }
        tx.commit().await?;
        let mut world = World::clone(&world);
        let refused = Arc::make_mut(&mut world.refused);
        for (namespace, hash) in &unused {
            refused.overrule(namespace, hash);
        }
        self.inner.world.replace(world);
        Ok(())
    }
}

/// Whether a refusal concerns an agent.
fn concerns(refusal: &RefusalRecord, who: Who) -> bool {
    let is_of_build = refusal.for_build && refusal.build.is_some() && refusal.build == who.build;
    // A build that is not known for now is no other one.
    let is_same = refusal.build == who.build || who.build.is_none();
    is_of_build || (is_same && refusal.agent == who.agent)
}

#[cfg(test)]
mod tests {
    use domain::{ConfigName, RevisionNumber};
    use jiff::Timestamp;

    use super::*;

    const X: Option<ContentHash> = Some(ContentHash::from_bytes([1; 32]));
    const Y: Option<ContentHash> = Some(ContentHash::from_bytes([2; 32]));
    const CONTENT: ContentHash = ContentHash::from_bytes([9; 32]);

    fn who(n: u8, build: Option<ContentHash>) -> Who {
        let agent = AgentId::from_bytes([n; 16]);
        Who { agent, build }
    }

    fn refusal(Who { agent, build }: Who, for_build: bool) -> RefusalRecord {
        RefusalRecord {
            namespace: Namespace::default(),
            hash: CONTENT,
            agent,
            build,
            for_build,
            reason: "no".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            config: ConfigName::new("edge").unwrap(),
            revision: RevisionNumber(1),
        }
    }

    fn is_refused(refused: &Refused, who: Who) -> bool {
        let found = refused.find(&Namespace::default(), &CONTENT, who);
        found.is_some()
    }

    #[test]
    fn a_refusal_concerns_the_build_for_which_an_agent_spoke() {
        let refused = Refused::of(vec![refusal(who(1, X), true)]);
        assert!(is_refused(&refused, who(1, X)) && is_refused(&refused, who(2, X)));
        assert!(is_refused(&refused, who(1, None)));
        for other in [who(1, Y), who(2, Y), who(2, None)] {
            assert!(!is_refused(&refused, other), "{other:?}");
        }
        let (other, hash) = (
            Namespace::new("other").unwrap(),
            ContentHash::from_bytes([8; 32]),
        );
        assert!(refused.find(&other, &CONTENT, who(1, X)).is_none());
        let default = Namespace::default();
        assert!(refused.find(&default, &hash, who(1, X)).is_none());
    }

    #[test]
    fn an_agent_that_speaks_for_itself_concerns_nobody_else() {
        let alone = [refusal(who(1, X), false), refusal(who(3, None), false)];
        let refused = Refused::of(alone.to_vec());
        assert!(is_refused(&refused, who(1, X)) && is_refused(&refused, who(3, None)));
        assert!(refused.is_alone(who(1, X).agent) && !refused.is_alone(who(2, X).agent));
        assert!(is_refused(&refused, who(1, None)));
        // Built anew, or saying for the first time what it is built of, it is another.
        for other in [who(1, Y), who(2, X), who(3, X), who(4, None)] {
            assert!(!is_refused(&refused, other), "{other:?}");
        }
    }

    #[test]
    fn who_accepts_frees_its_build_but_for_those_that_refused() {
        let mut refused = Refused::of(vec![
            refusal(who(1, X), true),
            refusal(who(2, X), true),
            refusal(who(3, Y), true),
        ]);
        refused.accept(&Namespace::default(), &CONTENT, who(2, X));
        assert!(!is_refused(&refused, who(2, X)) && !is_refused(&refused, who(4, X)));
        assert!(is_refused(&refused, who(1, X)) && is_refused(&refused, who(4, Y)));
        refused.accept(&Namespace::default(), &CONTENT, who(1, X));
        assert!(!is_refused(&refused, who(1, X)));
        refused.overrule(&Namespace::default(), &CONTENT);
        assert_eq!(refused.count(&Namespace::default()), 0);
    }

    #[test]
    fn what_an_agent_says_last_counts_and_in_few_words() {
        let mut refused = Refused::default();
        for reason in [
            "ä".repeat(REASON_MAX_BYTES),
            "x".repeat(REASON_MAX_BYTES + 1),
        ] {
            let again = RefusalRecord {
                reason,
                ..refusal(who(1, X), true)
            };
            refused.refuse(again);
        }
        let kept = refused.of_content(&Namespace::default(), &CONTENT);
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].reason, "x".repeat(REASON_MAX_BYTES));
    }
}
