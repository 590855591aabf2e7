//! The one registry of agents on this node: by id and by (namespace, uid), sharded so that a storm does not queue at one lock.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use domain::{AgentId, Namespace, model::InstanceUid};
use parking_lot::RwLock;

use crate::agent::LiveAgent;

const SHARDS: usize = 64;

/// All agents that this node knows, connected or not.
pub(crate) struct Registry {
    by_uid: Sharded<InstanceUid, Vec<Arc<LiveAgent>>>,
    by_id: Sharded<AgentId, Arc<LiveAgent>>,
    count: AtomicUsize,
}

struct Sharded<K, V> {
    hasher: RandomState,
    shards: Box<[RwLock<HashMap<K, V>>]>,
}

impl Registry {
    pub fn new() -> Self {
        Self {
            by_uid: Sharded::new(),
            by_id: Sharded::new(),
            count: AtomicUsize::new(0),
        }
    }

    pub fn find(&self, namespace: &Namespace, uid: InstanceUid) -> Option<Arc<LiveAgent>> {
        let shard = self.by_uid.shard(&uid).read();
        shard
            .get(&uid)?
            .iter()
            .find(|agent| agent.namespace == *namespace)
            .cloned()
    }

    pub fn get(&self, id: AgentId) -> Option<Arc<LiveAgent>> {
        self.by_id.shard(&id).read().get(&id).cloned()
    }

    /// Finds an agent, or puts in the one that `make` makes. The second value says whether it was made.
    pub fn find_or_insert(
        &self,
        namespace: &Namespace,
        uid: InstanceUid,
        make: impl FnOnce() -> Arc<LiveAgent>,
    ) -> (Arc<LiveAgent>, bool) {
        if let Some(found) = self.find(namespace, uid) {
            return (found, false);
        }
        let mut shard = self.by_uid.shard(&uid).write();
        let bucket = shard.entry(uid).or_default();
        if let Some(found) = bucket.iter().find(|agent| agent.namespace == *namespace) {
            return (Arc::clone(found), false);
        }
        let agent = make();
        bucket.push(Arc::clone(&agent));
        bucket.shrink_to_fit();
        drop(shard);
        self.by_id
            .shard(&agent.id)
            .write()
            .insert(agent.id, Arc::clone(&agent));
        self.count.fetch_add(1, Ordering::Relaxed);
        (agent, true)
    }

    /// Makes an agent known under one more uid.
    pub fn add_uid(&self, uid: InstanceUid, agent: &Arc<LiveAgent>) {
        self.by_uid
            .shard(&uid)
            .write()
            .entry(uid)
            .or_default()
            .push(Arc::clone(agent));
    }

    /// Makes an agent unknown under a uid.
    pub fn remove_uid(&self, uid: InstanceUid, agent: &LiveAgent) {
        let mut shard = self.by_uid.shard(&uid).write();
        if let Some(bucket) = shard.get_mut(&uid) {
            bucket.retain(|known| known.id != agent.id);
            if bucket.is_empty() {
                shard.remove(&uid);
            }
        }
    }

    /// Takes an agent out under its id; its uids are removed apart.
    pub fn remove(&self, id: AgentId) -> Option<Arc<LiveAgent>> {
        let removed = self.by_id.shard(&id).write().remove(&id)?;
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(removed)
    }

    /// Every agent, a shard at a time, so that no lock is held while the caller works.
    pub fn for_each(&self, mut act: impl FnMut(&Arc<LiveAgent>)) {
        for shard in &self.by_id.shards {
            let agents: Vec<Arc<LiveAgent>> = shard.read().values().cloned().collect();
            agents.iter().for_each(&mut act);
        }
    }

    /// How many agents there are; exact when nobody is attaching.
    pub fn len_estimate(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl<K: std::hash::Hash, V> Sharded<K, V> {
    fn new() -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self {
            hasher: RandomState::new(),
            shards,
        }
    }

    fn shard(&self, key: &K) -> &RwLock<HashMap<K, V>> {
        let hash = self.hasher.hash_one(key);
        let index = usize::try_from(hash >> 58).expect("six bits fit");
        &self.shards[index]
    }
}
