//! Materialized desired state.

use domain::model::{ConfigFile, ConfigMap};
use domain::{RevisionNumber, SecretName};
use store::desired::{self, CONFIG, DesiredContent, LayerRecord};
use store::testing::{TestDb, at};

use crate::fixture::*;

pub(crate) fn content(key: &[u8], body: &str) -> DesiredContent {
    DesiredContent {
        namespace: ns(),
        kind: CONFIG.to_owned(),
        inputs_key: key.to_vec(),
        layers: vec![
            LayerRecord {
                config: config("base"),
                revision: RevisionNumber(1),
                values: None,
            },
            LayerRecord {
                config: config("edge"),
                revision: RevisionNumber(7),
                // Kept byte for byte.
                values: Some(r#"{"vars":{"b":1.50, "a":[]}}"#.to_owned()),
            },
        ],
        hash: hash(key[0]),
        files: ConfigMap::from([("config.yaml".to_owned(), ConfigFile::new(body, "text/yaml"))]),
        secrets: vec![(SecretName::new("db").unwrap(), 3)],
        needs: "receiver/otlp".to_owned(),
        created_at: at(0),
    }
}

pub(crate) async fn equal_inputs_keep_what_stands(t: &TestDb) {
    let first = content(b"1", "a: 1");
    let later = DesiredContent {
        created_at: at(9),
        ..content(b"1", "a: 2")
    };
    commit!(t, |tx| {
        desired::put(&mut tx, &first).await.unwrap();
        desired::put(&mut tx, &later).await.unwrap();
    });
    let mut conn = t.db.read().await.unwrap();
    assert_eq!(
        desired::find(&mut conn, &ns(), CONFIG, b"1").await.unwrap(),
        Some(DesiredContent {
            created_at: at(9),
            ..first
        })
    );
    assert_eq!(
        desired::find(&mut conn, &ns(), CONFIG, b"2").await.unwrap(),
        None
    );
    assert_eq!(
        desired::find(&mut conn, &other_ns(), CONFIG, b"1")
            .await
            .unwrap(),
        None
    );
}

pub(crate) async fn a_desired_content_is_found_by_its_hash(t: &TestDb) {
    // Two inputs that give one content share its bytes and its hash.
    let first = content(b"1", "a: 1");
    let second = DesiredContent {
        hash: first.hash,
        created_at: at(9),
        ..content(b"2", "a: 1")
    };
    commit!(t, |tx| {
        desired::put(&mut tx, &second).await.unwrap();
        desired::put(&mut tx, &first).await.unwrap();
    });
    let mut conn = t.db.read().await.unwrap();
    for (key, hash) in [(&first.inputs_key, Some(first.hash)), (&vec![9], None)] {
        let found = desired::find_hash(&mut conn, &ns(), CONFIG, key).await;
        assert_eq!(found.unwrap(), hash);
    }
    let found = desired::find_by_hash(&mut conn, &ns(), CONFIG, &first.hash)
        .await
        .unwrap();
    assert_eq!(found, Some(first));
    assert_eq!(
        desired::find_by_hash(&mut conn, &ns(), CONFIG, &hash(99))
            .await
            .unwrap(),
        None
    );
}
