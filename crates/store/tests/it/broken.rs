//! Databases that cannot be used, at start and later: each engine in its own way.

use std::error::Error;
use std::path::PathBuf;

use store::testing::{TestDb, at};
use store::{Db, DbOptions, Location, OpenError, meta};

use crate::fixture::*;

async fn open(location: Location) -> OpenError {
    Db::open(&DbOptions::new(location), at(0))
        .await
        .expect_err("it cannot be opened")
}

#[tokio::test]
async fn a_file_in_no_directory_is_unreachable() {
    let error = open(Location::Sqlite(PathBuf::from("/nowhere/at/all/opamp.db"))).await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "opening the database /nowhere/at/all/opamp.db"
    );
    assert!(error.source().is_some());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_unreachable() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("opamp.db");
    std::fs::write(
        &file,
        "this is a text and no database, and long enough to be told apart from one".repeat(9),
    )
    .unwrap();
    let error = open(Location::Sqlite(file)).await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unreachable_at_once_and_without_the_password() {
    let started = std::time::Instant::now();
    let error = open(Location::Postgres(
        "postgres://me:secret@127.0.0.1:1/fleet".into(),
    ))
    .await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "opening the database postgres://127.0.0.1:1/fleet"
    );
    assert!(
        started.elapsed().as_secs() < 8,
        "no waiting for the pool's deadline"
    );
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    let error = open(Location::Postgres("not an address".into())).await;
    assert!(matches!(error, OpenError::Address { .. }), "{error:?}");
}

#[tokio::test]
async fn a_read_only_server_is_told_apart() {
    let Some(t) = TestDb::postgres().await else {
        return;
    };
    t.db.close().await;
    let Location::Postgres(url) = &t.options.location else {
        panic!("on PostgreSQL")
    };
    let separator = if url.contains('?') { '&' } else { '?' };
    let read_only = format!("{url}{separator}options=-c%20default_transaction_read_only=on");
    let error = open(Location::Postgres(read_only)).await;
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error:?}");
    t.close().await;
}

#[tokio::test]
async fn a_server_that_cuts_its_connections_is_lost_and_found_again() {
    let Some(t) = TestDb::postgres().await else {
        return;
    };
    let mut tx = t.db.begin().await.unwrap();
    meta::set(&mut tx, "k", "v").await.unwrap();
    t.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
               AND pid <> pg_backend_pid()",
    )
    .await;
    let error = meta::set(&mut tx, "k", "w")
        .await
        .expect_err("the connection is cut");
    assert!(error.is_lost(), "{error:?}");
    drop(tx);
    assert_eq!(
        meta::get(&mut t.db.read().await.unwrap(), "k")
            .await
            .unwrap(),
        None
    );
    t.close().await;
}

#[tokio::test]
async fn a_commit_on_a_cut_connection_is_one_of_unknown_outcome() {
    let Some(t) = TestDb::postgres().await else {
        return;
    };
    let mut tx = t.db.begin().await.unwrap();
    meta::set(&mut tx, "k", "v").await.unwrap();
    t.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
               AND pid <> pg_backend_pid()",
    )
    .await;
    let error = tx.commit().await.expect_err("the connection is cut");
    assert!(error.is_lost(), "{error:?}");
    assert_eq!(t.db.lost_commits(), 1);
    t.close().await;
}

#[tokio::test]
async fn a_full_disk_is_lost_and_what_was_committed_stays() {
    let t = TestDb::sqlite().await;
    apply(&t, &[new_agent(1)]).await;
    let mut tx = t.db.begin().await.unwrap();
    // SQLite's own limit on the size of the file stands for the disk's.
    store::testing::forbid_growth(&mut tx).await;
    let error = loop {
        if let Err(error) = meta::set(&mut tx, "k", &"long ".repeat(100_000)).await {
            break error;
        }
    };
    assert!(error.is_lost(), "{error:?}");
    drop(tx);
    assert!(detail(&t, 1).await.summary.connected);
    t.close().await;
}

#[tokio::test]
async fn a_database_in_memory_works_with_its_one_connection() {
    let db = Db::open(&DbOptions::new(Location::SqliteMemory), at(0))
        .await
        .unwrap();
    db.apply_reports(&[with_health(true, new_agent(1))])
        .await
        .unwrap();
    let found = store::agents::find(&mut db.read().await.unwrap(), &ns(), agent_id(1))
        .await
        .unwrap();
    assert_eq!(found.unwrap().summary.healthy, Some(true));
    db.close().await;
}
