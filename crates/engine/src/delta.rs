//! Contents as what changed against another one that agents have: made where nobody waits, kept with the content.
//!
//! A release makes those that it will need before it is committed. An agent for which there is none, because it has an
//! older content than its neighbours, is sent the whole, and what it would have needed is made by the next reconcile.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use domain::{ContentHash, Namespace};
use parking_lot::{Mutex, RwLock};
use store::{StoreError, desired as stored};

use crate::{aside::aside, change::Alike, content::DesiredContent, engine::Engine};

/// How many bases one content has deltas against; the oldest goes first. Together they have no more bytes than it.
const MOST_BASES: usize = 8;
/// How many deltas may wait for the next reconcile. What is over it is asked for again by the next agent.
const MOST_WANTED: usize = 64;
/// Bytes of contents, old and new, that one release or reconcile compresses at most: about half a second.
const WORK_BYTES: usize = 64 << 20;

/// A content as what changed, encoded for the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The bytes of the offer.
    pub encoded: Bytes,
    /// By how much it is smaller than the offer of the whole.
    pub saved_bytes: u32,
}

/// Encodes the second content as what changed against the first, if that is worth it.
pub type EncodeDelta = fn(&DesiredContent, &DesiredContent) -> Option<Delta>;

/// What one content has.
#[derive(Default)]
pub(crate) struct Deltas(RwLock<Vec<(ContentHash, Option<Delta>)>>);

/// What is known of a content against a base.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// There is one.
    Delta(Delta),
    /// It is not worth it.
    NotWorth,
    /// Nobody looked.
    Nothing,
}

/// Deltas that agents could have been sent, had there been any.
#[derive(Default)]
pub(crate) struct Wanted(Mutex<Vec<(Namespace, ContentHash, Weak<DesiredContent>)>>);

/// What is to be made: from the first to the second.
pub(crate) type Pair = (Arc<DesiredContent>, Arc<DesiredContent>);

impl Deltas {
    pub fn find(&self, base: &ContentHash) -> Known {
        let known = self.0.read();
        match known.iter().find(|(hash, _)| hash == base) {
            Some((_, Some(delta))) => Known::Delta(delta.clone()),
            Some((_, None)) => Known::NotWorth,
            None => Known::Nothing,
        }
    }

    /// Keeps one, in the room of a content with this many bytes.
    fn put(&self, base: ContentHash, delta: Option<Delta>, most_bytes: usize) {
        let mut known = self.0.write();
        known.retain(|(hash, _)| *hash != base);
        known.push((base, delta));
        let bytes = |known: &[(ContentHash, Option<Delta>)]| {
            let deltas = known.iter().filter_map(|(_, delta)| delta.as_ref());
            deltas.map(|delta| delta.encoded.len()).sum::<usize>()
        };
        while MOST_BASES < known.len() || (1 < known.len() && most_bytes < bytes(&known)) {
            known.remove(0);
        }
    }
}

impl Wanted {
    fn push(&self, namespace: &Namespace, base: ContentHash, content: &Arc<DesiredContent>) {
        let mut wanted = self.0.lock();
        let is_same = |(_, hash, to): &(Namespace, ContentHash, Weak<DesiredContent>)| {
            *hash == base && to.as_ptr() == Arc::as_ptr(content)
        };
        if wanted.len() < MOST_WANTED && !wanted.iter().any(is_same) {
            wanted.push((namespace.clone(), base, Arc::downgrade(content)));
        }
    }
}

impl Engine {
    /// A content as a delta against what an agent says that it runs. Looks at memory alone.
    pub(crate) fn find_delta(
        &self,
        namespace: &Namespace,
        base: ContentHash,
        content: &Arc<DesiredContent>,
    ) -> Option<Delta> {
        self.inner.options.deltas?;
        match content.deltas.find(&base) {
            Known::Delta(delta) => Some(delta),
            Known::NotWorth => None,
            Known::Nothing => {
                self.inner.wanted_deltas.push(namespace, base, content);
                None
            }
        }
    }

    /// Makes the deltas that agents need once these outcomes are in force, as far as they can be foreseen: most agents
    /// run what they should run.
    pub(crate) async fn foresee_deltas(&self, pairs: Vec<Pair>) {
        let Some(encode) = self.inner.options.deltas else {
            return;
        };
        let mut pairs = pairs;
        pairs.retain(|(base, content)| content.deltas.find(&base.hash) == Known::Nothing);
        if pairs.is_empty() {
            return;
        }
        // Another object of the same content may be the one that agents will be pointed to.
        for at in 0..pairs.len() {
            let twin = self.inner.contents.find_by_hash(&pairs[at].1.hash);
            if let Some(twin) = twin.filter(|twin| !Arc::ptr_eq(twin, &pairs[at].1)) {
                pairs.push((Arc::clone(&pairs[at].0), twin));
            }
        }
        aside(move || make(encode, &pairs)).await;
    }

    /// Makes the deltas that agents were missing.
    pub(crate) async fn make_wanted_deltas(&self) -> Result<(), StoreError> {
        let wanted = std::mem::take(&mut *self.inner.wanted_deltas.0.lock());
        let mut pairs = Vec::new();
        for (namespace, base, content) in wanted {
            let Some(content) = content.upgrade() else {
                continue;
            };
            // Of the agent's own namespace alone: what another has is no affair of its agents.
            let mut reader = self.inner.db.read().await?;
            let kind = stored::CONFIG;
            let row = stored::find_by_hash(&mut reader, &namespace, kind, &base).await?;
            let base = row.and_then(|row| self.inner.world.get().content_of(&row));
            pairs.extend(base.map(|base| (Arc::new(base), content)));
        }
        self.foresee_deltas(pairs).await;
        Ok(())
    }
}

impl Alike {
    /// What these agents run before and after, where one of them takes deltas.
    pub(crate) fn pair(&self, after: Option<&Arc<DesiredContent>>) -> Option<Pair> {
        let before = self.before.as_ref().filter(|_| self.takes_deltas)?;
        let after = after.filter(|after| after.hash != before.hash)?;
        Some((Arc::clone(before), Arc::clone(after)))
    }
}

fn make(encode: EncodeDelta, pairs: &[Pair]) {
    let mut left = WORK_BYTES;
    for (base, content) in pairs {
        let work = base.body_bytes() + content.body_bytes();
        let Some(rest) = left.checked_sub(work) else {
            return;
        };
        left = rest;
        if content.deltas.find(&base.hash) == Known::Nothing {
            let delta = encode(base, content);
            content.deltas.put(base.hash, delta, content.body_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u8) -> ContentHash {
        ContentHash::from_bytes([n; 32])
    }

    fn delta(bytes: usize) -> Option<Delta> {
        Some(Delta {
            encoded: vec![0; bytes].into(),
            saved_bytes: 1,
        })
    }

    #[test]
    fn a_content_keeps_deltas_against_few_bases() {
        let deltas = Deltas::default();
        for n in 0..20 {
            deltas.put(hash(n), delta(1), 1000);
            deltas.put(hash(n), delta(2), 1000);
        }
        assert_eq!(deltas.0.read().len(), MOST_BASES);
        assert_eq!(deltas.find(&hash(11)), Known::Nothing);
        assert_eq!(deltas.find(&hash(12)), Known::Delta(delta(2).unwrap()));
    }

    #[test]
    fn deltas_have_no_more_bytes_together_than_their_content() {
        let deltas = Deltas::default();
        deltas.put(hash(1), delta(600), 1000);
        deltas.put(hash(2), None, 1000);
        deltas.put(hash(3), delta(500), 1000);
        assert_eq!(deltas.find(&hash(1)), Known::Nothing);
        assert_eq!(deltas.find(&hash(2)), Known::NotWorth);
        assert_eq!(deltas.find(&hash(3)), Known::Delta(delta(500).unwrap()));
    }

    #[test]
    fn who_names_many_bases_fills_no_memory() {
        let wanted = Wanted::default();
        let content = Arc::new(DesiredContent::new(desired::Content {
            hash: hash(0),
            files: domain::model::ConfigMap::new(),
            secrets: Vec::new(),
            needs: desired::Needs::default(),
        }));
        for n in 0..=255 {
            wanted.push(&Namespace::default(), hash(n), &content);
            wanted.push(&Namespace::default(), hash(n), &content);
        }
        assert_eq!(wanted.0.lock().len(), MOST_WANTED);
    }
}
