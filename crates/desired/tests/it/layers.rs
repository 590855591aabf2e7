//! Layers come from revisions.

use std::collections::BTreeMap;

use desired::Layer;
use domain::{Actor, ConfigName, ContentHash, Kind, Namespace, Revision, RevisionNumber};

#[test]
fn a_revision_is_a_layer() {
    let revision = Revision {
        namespace: Namespace::default(),
        config: ConfigName::new("base").unwrap(),
        number: RevisionNumber(3),
        version: "v1.0.0".to_owned(),
        kind: Kind::Collector,
        selector: "env=prod".parse().unwrap(),
        priority: -5,
        variables: BTreeMap::new(),
        body: b"a: 1\n".as_slice().into(),
        sha256: ContentHash::from_bytes(trust::sha256(b"a: 1\n")),
        author: Actor::admin(),
        message: String::new(),
        created_at: jiff::Timestamp::UNIX_EPOCH,
        origin: "api".to_owned(),
    };
    let layer = Layer::from(&revision);
    assert_eq!(
        (layer.config.as_str(), layer.revision.0, layer.priority),
        ("base", 3, -5)
    );
    assert_eq!(
        (layer.body, layer.sha256),
        (b"a: 1\n".as_slice(), revision.sha256)
    );
}
