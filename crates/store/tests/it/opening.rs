//! Opening a database that is there already.

use store::testing::{TestDb, at};
use store::{Db, OpenError, meta};

use crate::fixture::*;

pub(crate) async fn what_was_committed_is_there_after_a_restart(t: &TestDb) {
    apply(t, &[with_health(false, new_agent(1))]).await;
    add_revision(t, &revision("edge", 1)).await;
    let before = detail(t, 1).await;
    t.db.close().await;
    let again = Db::open(&t.options, at(60)).await.unwrap();
    let mut conn = again.read().await.unwrap();
    let found = store::agents::find(&mut conn, &ns(), agent_id(1))
        .await
        .unwrap();
    assert_eq!(found, Some(before));
    assert!(
        store::configs::find(&mut conn, &ns(), &config("edge"))
            .await
            .unwrap()
            .is_some()
    );
    drop(conn);
    again.close().await;
}

pub(crate) async fn a_newer_database_is_refused(t: &TestDb) {
    t.db.close().await;
    t.execute(
        "INSERT INTO schema_migrations SELECT 9999, checksum, applied_at FROM schema_migrations",
    )
    .await;
    let error = Db::open(&t.options, at(60)).await.expect_err("refused");
    assert!(
        matches!(error, OpenError::Newer { found: 9999, .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("run the newer program"),
        "{error}"
    );
}

pub(crate) async fn another_builds_migration_is_refused(t: &TestDb) {
    t.db.close().await;
    let other = if t.is_postgres() { "'\\x00'" } else { "x'00'" };
    t.execute(&format!("UPDATE schema_migrations SET checksum = {other}"))
        .await;
    let error = Db::open(&t.options, at(60)).await.expect_err("refused");
    assert!(
        matches!(error, OpenError::Foreign { version: 1, .. }),
        "{error:?}"
    );
}

pub(crate) async fn opening_again_changes_nothing(t: &TestDb) {
    commit!(t, |tx| meta::set(&mut tx, "k", "v").await.unwrap());
    for _ in 0..2 {
        let again = Db::open(&t.options, at(60)).await.unwrap();
        assert_eq!(
            meta::get(&mut again.read().await.unwrap(), "k")
                .await
                .unwrap()
                .as_deref(),
            Some("v")
        );
        again.close().await;
    }
}

/// On PostgreSQL several nodes start at once; on SQLite it is one process, and nothing breaks either.
pub(crate) async fn two_nodes_may_open_at_once(t: &TestDb) {
    t.execute("DROP TABLE schema_migrations").await;
    for table in [
        "meta",
        "counters",
        "agents",
        "agent_labels",
        "agent_status",
        "agent_liveness",
        "agent_history",
    ] {
        t.execute(&format!("DROP TABLE {table}")).await;
    }
    for table in [
        "contents",
        "configs",
        "config_sources",
        "revisions",
        "tags",
        "baselines",
        "exceptions",
        "rollouts",
        "desired_contents",
        "dry_run_refusals",
    ] {
        t.execute(&format!("DROP TABLE {table}")).await;
    }
    for table in [
        "holds",
        "secrets",
        "tokens",
        "events",
        "audit",
        "idempotency_keys",
    ] {
        t.execute(&format!("DROP TABLE {table}")).await;
    }
    let (first, second) = if t.is_postgres() {
        tokio::join!(Db::open(&t.options, at(0)), Db::open(&t.options, at(0)))
    } else {
        (
            Db::open(&t.options, at(0)).await,
            Db::open(&t.options, at(0)).await,
        )
    };
    for db in [first.unwrap(), second.unwrap()] {
        db.ping().await.unwrap();
        db.close().await;
    }
}
