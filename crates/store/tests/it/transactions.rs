//! Transactions, readers beside them, and what goes wrong.

use store::agents::AgentReport;
use store::testing::{TestDb, at};
use store::{StoreError, meta, tokens};

use crate::fixture::*;

async fn fact(t: &TestDb) -> Option<String> {
    meta::get(&mut t.db.read().await.unwrap(), "k")
        .await
        .unwrap()
}

pub(crate) async fn a_dropped_transaction_leaves_nothing(t: &TestDb) {
    let mut tx = t.db.begin().await.unwrap();
    meta::set(&mut tx, "k", "v").await.unwrap();
    assert_eq!(meta::get(&mut tx, "k").await.unwrap().as_deref(), Some("v"));
    drop(tx);
    commit!(t, |tx| meta::set(&mut tx, "other", "v").await.unwrap());
    assert_eq!(fact(t).await, None);
}

pub(crate) async fn readers_never_see_what_is_not_committed(t: &TestDb) {
    let mut tx = t.db.begin().await.unwrap();
    meta::set(&mut tx, "k", "v").await.unwrap();
    assert_eq!(fact(t).await, None);
    tx.commit().await.unwrap();
    assert_eq!(fact(t).await.as_deref(), Some("v"));
}

pub(crate) async fn api_writes_and_reports_go_on_together(t: &TestDb) {
    apply(t, &(0..200).map(new_agent).collect::<Vec<_>>()).await;
    let reports = (0..4).map(|worker: u32| {
        let db = t.db.clone();
        tokio::spawn(async move {
            for round in 0..10 {
                // Overlapping agents in opposite orders: on PostgreSQL this would deadlock if rows were not locked
                // in one order.
                let mut batch: Vec<AgentReport> = (0..200)
                    .map(|n| with_health(round % 2 == 0, report(n, i64::from(round))))
                    .collect();
                if worker.is_multiple_of(2) {
                    batch.reverse();
                }
                db.apply_reports(&batch).await.unwrap();
            }
        })
    });
    let edits = (0..4).map(|worker: u32| {
        let db = t.db.clone();
        tokio::spawn(async move {
            for round in 0..10 {
                let mut tx = db.begin().await.unwrap();
                let labels = labels(&[("round", &round.to_string())]);
                let agent = agent_id(worker * 10 + round);
                let by = store::agents::By {
                    actor: &actor(),
                    at: at(9),
                };
                store::agents::set_operator_labels(&mut tx, &ns(), agent, &labels, None, by)
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
            }
        })
    });
    for task in reports.chain(edits).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(
        detail(t, 39).await.summary.labels,
        labels(&[("round", "9")])
    );
    assert_eq!(detail(t, 199).await.summary.healthy, Some(false));
}

pub(crate) async fn a_closed_database_is_lost(t: &TestDb) {
    t.db.close().await;
    let read = t.db.read().await.expect_err("closed");
    assert!(read.is_lost() && !read.is_contended(), "{read:?}");
    assert!(t.db.begin().await.expect_err("closed").is_lost());
    assert!(
        t.db.apply_reports(&[new_agent(1)])
            .await
            .expect_err("closed")
            .is_lost()
    );
    assert!(t.db.ping().await.expect_err("closed").is_lost());
    assert!(
        !read.to_string().contains("closed"),
        "the cause is the source, not the message: {read}"
    );
}

pub(crate) async fn a_broken_rule_is_told_apart(t: &TestDb) {
    let token = |n: u8| tokens::TokenRecord {
        id: domain::TokenId::from_bytes([n; 16]),
        namespace: ns(),
        kind: tokens::TokenKind::Agent,
        name: "t".into(),
        hash: hash(1),
        labels: labels(&[]),
        uid: None,
        created_by: actor(),
        created_at: at(0),
        expires_at: None,
        revoked_at: None,
    };
    commit!(t, |tx| tokens::add(&mut tx, &token(1)).await.unwrap());
    let mut tx = t.db.begin().await.unwrap();
    let twice = tokens::add(&mut tx, &token(2)).await;
    assert!(
        matches!(twice, Err(StoreError::Refused { .. })),
        "{twice:?}"
    );
}

pub(crate) async fn connections_in_use_are_counted(t: &TestDb) {
    // A connection is back in its pool a moment after it is dropped.
    while t.db.pool_use().in_use != 0 {
        tokio::task::yield_now().await;
    }
    let held = [t.db.read().await.unwrap(), t.db.read().await.unwrap()];
    let during = t.db.pool_use();
    assert_eq!(during.in_use, 2);
    assert!(during.in_use <= during.max);
    drop(held);
}

pub(crate) async fn a_commit_of_unknown_outcome_is_counted(t: &TestDb) {
    commit!(t, |tx| meta::set(&mut tx, "other", "v").await.unwrap());
    let mut tx = t.db.begin().await.unwrap();
    meta::set(&mut tx, "k", "v").await.unwrap();
    drop(tx);
    assert_eq!(t.db.lost_commits(), 0);

    store::testing::lose_next_commit(&t.db);
    let mut tx = t.db.begin().await.unwrap();
    meta::set(&mut tx, "k", "v").await.unwrap();
    let error = tx.commit().await.expect_err("its caller is told so");
    assert!(error.is_lost(), "{error:?}");
    assert_eq!(fact(t).await.as_deref(), Some("v"), "and yet it happened");
    assert_eq!(t.db.lost_commits(), 1);
}

pub(crate) async fn a_commit_whose_caller_goes_away_is_counted(t: &TestDb) {
    let mut tx = t.db.begin().await.unwrap();
    meta::set(&mut tx, "k", "v").await.unwrap();
    // An answer of the database may be there as soon as it is asked.
    let (stop, _held) = store::testing::commit_stop(store::testing::StopAt::AfterIt);
    store::testing::stop_next_commit(&t.db, stop);
    {
        let mut commit = std::pin::pin!(tx.commit());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(commit.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(t.db.lost_commits(), 1);
}
