//! Sealed secrets by name and version.

use domain::SecretName;
use store::secrets::{self, SecretRecord};
use store::testing::{TestDb, at};
use store::{Tx, desired};

use crate::desired::content;
use crate::fixture::*;

fn record(name: &str, version: u32) -> SecretRecord {
    SecretRecord {
        namespace: ns(),
        name: SecretName::new(name).unwrap(),
        version,
        is_current: true,
        sealed: vec![7, 0, 255],
        key_id: "key".to_owned(),
        created_by: domain::Actor::admin(),
        created_at: at(5),
    }
}

async fn add(tx: &mut Tx, name: &str, version: u32) {
    secrets::add(tx, &record(name, version)).await.unwrap();
}

async fn all(t: &TestDb) -> Vec<SecretRecord> {
    secrets::load_all(&mut t.db.read().await.unwrap())
        .await
        .unwrap()
}

pub(crate) async fn the_newest_version_is_the_current_one(t: &TestDb) {
    commit!(t, |tx| add(&mut tx, "db", 1).await);
    commit!(t, |tx| add(&mut tx, "db", 2).await);
    commit!(t, |tx| add(&mut tx, "api", 1).await);
    let past = SecretRecord {
        is_current: false,
        ..record("db", 1)
    };
    assert_eq!(all(t).await, [record("api", 1), past, record("db", 2)]);
    let mut reader = t.db.read().await.unwrap();
    let name = record("db", 1).name;
    let newest = secrets::newest(&mut reader, &ns(), &name).await;
    assert_eq!(newest.unwrap(), Some(record("db", 2)));
    drop(reader);
    let mut tx = t.db.begin().await.unwrap();
    assert!(
        secrets::add(&mut tx, &record("db", 2)).await.is_err(),
        "no number is used twice"
    );
}

pub(crate) async fn a_retired_secret_has_no_current_version(t: &TestDb) {
    commit!(t, |tx| add(&mut tx, "db", 1).await);
    let name = record("db", 1).name;
    commit!(t, |tx| assert!(
        secrets::retire(&mut tx, &ns(), &name).await.unwrap()
    ));
    commit!(t, |tx| assert!(
        !secrets::retire(&mut tx, &ns(), &name).await.unwrap()
    ));
    assert!(!all(t).await[0].is_current);
}

pub(crate) async fn values_go_that_nothing_needs_and_numbers_stay(t: &TestDb) {
    for version in 1..=3 {
        commit!(t, |tx| add(&mut tx, "db", version).await);
    }
    let content = desired::DesiredContent {
        secrets: vec![(record("db", 2).name, 2)],
        ..content(b"k", "a: ${secret:db}")
    };
    commit!(t, |tx| desired::put(&mut tx, &content).await.unwrap());
    assert_eq!(secrets::sweep(&t.db).await.unwrap(), 1);
    assert_eq!(secrets::sweep(&t.db).await.unwrap(), 0);
    let sizes: Vec<usize> = all(t)
        .await
        .iter()
        .map(|secret| secret.sealed.len())
        .collect();
    assert_eq!(
        sizes,
        [0, 3, 3],
        "one that a content has, and the current one"
    );
}
