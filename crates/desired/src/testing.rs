//! Layers for the tests of this crate.

use std::sync::Arc;

use domain::{Actor, ConfigName, Kind, Namespace, Revision, RevisionNumber};

use crate::Layer;
use crate::hash::sha256;

/// A revision of this number with this text.
pub(crate) fn revision(config: &str, number: u64, priority: i64, body: &str) -> Revision {
    Revision {
        namespace: Namespace::default(),
        config: ConfigName::new(config).unwrap(),
        number: RevisionNumber(number),
        version: "v1.0.0".to_owned(),
        kind: Kind::Collector,
        selector: "".parse().unwrap(),
        priority,
        template: None,
        variables: None,
        body: body.as_bytes().into(),
        sha256: sha256(body.as_bytes()),
        author: Actor::admin(),
        message: String::new(),
        created_at: jiff::Timestamp::UNIX_EPOCH,
        origin: "api".to_owned(),
    }
}

/// A layer that is no template.
pub(crate) fn layer(config: &str, number: u64, priority: i64, body: &str) -> Layer {
    Layer::with(Arc::new(revision(config, number, priority, body)), None)
}
