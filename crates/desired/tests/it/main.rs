//! Integration tests: what an agent should run, its hash, and why.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod bodies;
mod content;
mod hashes;
mod layers;

use desired::Layer;
use domain::{ConfigName, ContentHash, RevisionNumber};

/// A layer with what revisions have beside it.
pub(crate) struct Given {
    config: ConfigName,
    revision: u64,
    priority: i64,
    body: Vec<u8>,
}

pub(crate) fn given(config: &str, revision: u64, priority: i64, body: &str) -> Given {
    Given {
        config: ConfigName::new(config).unwrap(),
        revision,
        priority,
        body: body.into(),
    }
}

pub(crate) fn layers(given: &[Given]) -> Vec<Layer<'_>> {
    given.iter().map(Given::layer).collect()
}

impl Given {
    fn layer(&self) -> Layer<'_> {
        Layer {
            config: &self.config,
            revision: RevisionNumber(self.revision),
            priority: self.priority,
            sha256: ContentHash::from_bytes(trust::sha256(&self.body)),
            body: &self.body,
        }
    }
}
