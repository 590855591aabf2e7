//! Integration tests: what an agent should run, its hash, and why.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod bodies;
mod content;
mod explained;
mod hashes;
mod shared_sets;
mod templates;

use std::sync::Arc;

use desired::{Layer, Values};
use domain::{Actor, ConfigName, ContentHash, Kind, Namespace, Revision, RevisionNumber, Template};

/// A layer with what revisions have beside it.
pub(crate) struct Given {
    config: ConfigName,
    revision: u64,
    priority: i64,
    body: Vec<u8>,
    /// What its body is given, JSON, if it is a template.
    values: Option<&'static str>,
}

pub(crate) fn given(config: &str, revision: u64, priority: i64, body: &str) -> Given {
    Given {
        config: ConfigName::new(config).unwrap(),
        revision,
        priority,
        body: body.into(),
        values: None,
    }
}

pub(crate) fn template(config: &str, priority: i64, body: &str, values: &'static str) -> Given {
    Given {
        values: Some(values),
        ..given(config, 3, priority, body)
    }
}

pub(crate) fn layers(given: &[Given]) -> Vec<Layer> {
    given.iter().map(Given::layer).collect()
}

impl Given {
    fn layer(&self) -> Layer {
        let revision = Revision {
            namespace: Namespace::default(),
            config: self.config.clone(),
            number: RevisionNumber(self.revision),
            version: "v1.0.0".to_owned(),
            kind: Kind::Collector,
            selector: "".parse().unwrap(),
            priority: self.priority,
            template: self.values.map(|_| Template::default()),
            variables: None,
            body: self.body.as_slice().into(),
            sha256: ContentHash::from_bytes(trust::sha256(&self.body)),
            author: Actor::admin(),
            message: String::new(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            origin: "api".to_owned(),
        };
        let values = self.values.map(|json| Values::from_json(json.to_owned()));
        Layer::with(Arc::new(revision), values)
    }
}
