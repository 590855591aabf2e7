//! The audit chain.

use domain::{AuditEntry, AuditOutcome, ContentHash};
use jiff::Timestamp;
use sha2::Digest;
use store::audit::{self, AuditRecord};
use store::testing::{TestDb, at};

use crate::fixture::*;

pub(crate) fn entry(action: &str) -> AuditEntry {
    AuditEntry {
        namespace: ns(),
        // Finer than what is stored: the hash is of what is stored.
        at: at(1) + jiff::SignedDuration::from_nanos(1_234_567_891),
        event_type: "config.revision_created".into(),
        agent: Some(agent_id(1)),
        user: actor(),
        action: action.into(),
        resource: "configs/edge".into(),
        old_value: None,
        new_value: Some("nul: \0".into()),
        outcome: AuditOutcome::Failure { error: "no".into() },
    }
}

pub(crate) fn chain_hash(sequence: u64, previous: &ContentHash, entry: &AuditEntry) -> ContentHash {
    let text = format!("{sequence} {previous} {entry:?}");
    ContentHash::from_bytes(sha2::Sha256::digest(text).into())
}

pub(crate) async fn append(t: &TestDb, entry: &AuditEntry) -> AuditRecord {
    commit!(t, |tx| audit::append(&mut tx, entry, chain_hash)
        .await
        .unwrap())
}

async fn chain(t: &TestDb) -> Vec<AuditRecord> {
    audit::chain(&mut t.db.read().await.unwrap(), 0, 100)
        .await
        .unwrap()
}

fn assert_holds(chain: &[AuditRecord]) {
    let mut previous = ContentHash::from_bytes([0; 32]);
    for (record, sequence) in chain.iter().zip(1..) {
        assert_eq!((record.sequence, record.previous), (sequence, previous));
        assert_eq!(
            record.hash,
            chain_hash(sequence, &previous, &record.entry),
            "{sequence}"
        );
        previous = record.hash;
    }
}

pub(crate) async fn the_chain_holds_together(t: &TestDb) {
    let success = AuditEntry {
        outcome: AuditOutcome::Success,
        agent: None,
        ..entry("approve")
    };
    let written = [
        append(t, &entry("create")).await,
        append(t, &success).await,
        append(t, &entry("delete")).await,
    ];
    let read = chain(t).await;
    assert_eq!(read, written);
    assert_holds(&read);
    assert_eq!(
        read[0].entry.at,
        Timestamp::from_microsecond(entry("").at.as_microsecond()).unwrap()
    );
    assert_eq!(
        read[1].entry,
        AuditEntry {
            at: read[1].entry.at,
            new_value: Some("nul: \u{FFFD}".into()),
            ..success
        }
    );
    assert_eq!(
        audit::chain(&mut t.db.read().await.unwrap(), 1, 1)
            .await
            .unwrap(),
        read[1..2]
    );
}

pub(crate) async fn a_rolled_back_write_leaves_no_entry(t: &TestDb) {
    append(t, &entry("create")).await;
    let mut tx = t.db.begin().await.unwrap();
    audit::append(&mut tx, &entry("lost"), chain_hash)
        .await
        .unwrap();
    drop(tx);
    append(t, &entry("delete")).await;
    let read = chain(t).await;
    assert_eq!(
        read.iter()
            .map(|record| &*record.entry.action)
            .collect::<Vec<_>>(),
        ["create", "delete"]
    );
    assert_holds(&read);
}

pub(crate) async fn entries_are_listed_by_namespace(t: &TestDb) {
    for n in 0..6 {
        let namespace = if n % 2 == 0 { ns() } else { other_ns() };
        append(
            t,
            &AuditEntry {
                namespace,
                ..entry("act")
            },
        )
        .await;
    }
    let mut conn = t.db.read().await.unwrap();
    let first = audit::list(&mut conn, &ns(), None, 2).await.unwrap();
    assert_eq!(
        first
            .iter()
            .map(|record| record.sequence)
            .collect::<Vec<_>>(),
        [5, 3]
    );
    let rest = audit::list(&mut conn, &ns(), Some(3), 2).await.unwrap();
    assert_eq!(
        rest.iter()
            .map(|record| record.sequence)
            .collect::<Vec<_>>(),
        [1]
    );
}

pub(crate) async fn concurrent_writes_make_one_chain(t: &TestDb) {
    let writers = (0..8).map(|n| {
        let db = t.db.clone();
        tokio::spawn(async move {
            for round in 0..5 {
                let mut tx = db.begin().await.unwrap();
                audit::append(&mut tx, &entry(&format!("{n} {round}")), chain_hash)
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let read = chain(t).await;
    assert_eq!(read.len(), 40);
    assert_holds(&read);
}
