//! A copy in one file, of either engine, and the way into a database of the other.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use store::agents::{self, StoredAgent};
use store::audit::{self, AuditRecord};
use store::backup::{self, BackupError};
use store::testing::{TestDb, at};
use store::{Db, Location, configs, events, meta};

use crate::audit::{append, entry};
use crate::fixture::*;

/// Agents that reported everything, a config with a revision, audit entries, a fact.
async fn fill(t: &TestDb) {
    let agents: Vec<_> = (1..=150)
        .map(|n| with_health(true, with_labels(&[("env", "prod")], new_agent(n))))
        .collect();
    apply(t, &agents).await;
    assert!(add_revision(t, &revision("edge", 1)).await);
    append(t, &entry("one")).await;
    append(t, &entry("two")).await;
    commit!(t, |tx| meta::set(&mut tx, "k", "v").await.unwrap());
    edit(t, "r1").await;
}

/// An operator's label, which leaves an entry in the history: a table that counts by itself.
async fn edit(t: &TestDb, rack: &str) {
    let own = labels(&[("rack", rack)]);
    commit!(t, |tx| agents::set_operator_labels(
        &mut tx,
        &ns(),
        agent_id(1),
        &own,
        None,
        by(&actor())
    )
    .await
    .unwrap());
}

#[derive(Debug, PartialEq)]
struct Picture {
    agents: Vec<StoredAgent>,
    chain: Vec<AuditRecord>,
    latest_event: domain::EventId,
    revision: Option<domain::Revision>,
    fact: Option<String>,
}

async fn picture(db: &Db) -> Picture {
    let mut conn = db.read().await.unwrap();
    let mut agents = agents::load_all(&mut conn).await.unwrap();
    agents.sort_by_key(|agent| agent.id);
    let number = domain::RevisionNumber(1);
    Picture {
        agents,
        chain: audit::chain(&mut conn, 0, 100).await.unwrap(),
        latest_event: events::latest(&mut conn).await.unwrap(),
        revision: configs::revision(&mut conn, &ns(), &config("edge"), number)
            .await
            .unwrap(),
        fact: meta::get(&mut conn, "k").await.unwrap(),
    }
}

async fn picture_of(file: &Path) -> Picture {
    backup::check(file).await.unwrap();
    let copy = backup::read_copy(file).await.unwrap();
    let picture = picture(&copy).await;
    copy.close().await;
    picture
}

pub(crate) async fn a_copy_has_what_was_committed_and_no_more(t: &TestDb) {
    fill(t).await;
    let before = picture(&t.db).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("copy");
    // A write that is under way is not in it, and does not keep it waiting.
    let mut tx = t.db.begin().await.unwrap();
    meta::set(&mut tx, "k", "later").await.unwrap();
    backup::save(&t.options.location, &file, at(60))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(picture_of(&file).await, before);
    assert_eq!(before.agents.len(), 150);
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

pub(crate) async fn a_copy_made_during_writes_is_of_one_moment(t: &TestDb) {
    fill(t).await;
    let dir = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let writes = async {
        let mut written = 0_u32;
        while !stop.load(Ordering::Relaxed) {
            // Two facts that are always equal.
            let value = written.to_string();
            commit!(t, |tx| {
                meta::set(&mut tx, "a", &value).await.unwrap();
                meta::set(&mut tx, "z", &value).await.unwrap();
            });
            written += 1;
        }
        written
    };
    let saves = async {
        for n in 0..5 {
            let file = dir.path().join(n.to_string());
            backup::save(&t.options.location, &file, at(60))
                .await
                .unwrap();
            backup::check(&file).await.unwrap();
            let copy = backup::read_copy(&file).await.unwrap();
            let mut conn = copy.read().await.unwrap();
            let a = meta::get(&mut conn, "a").await.unwrap();
            assert_eq!(a, meta::get(&mut conn, "z").await.unwrap());
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (written, ()) = tokio::join!(writes, saves);
    assert!(0 < written);
}

pub(crate) async fn a_copy_opens_as_a_database_and_goes_on(t: &TestDb) {
    fill(t).await;
    let before = picture(&t.db).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("copy");
    backup::save(&t.options.location, &file, at(60))
        .await
        .unwrap();
    let db = backup::open_copy(&file, at(61)).await.unwrap();
    assert_eq!(picture(&db).await, before);
    let mut tx = db.begin().await.unwrap();
    let next = audit::append(&mut tx, &entry("three"), crate::audit::chain_hash)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(next.sequence, 3);
    db.close().await;
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(
        names.len(),
        1,
        "closed, the file is whole by itself: {names:?}"
    );
    assert_eq!(picture_of(&file).await.chain.len(), 3);
}

pub(crate) async fn a_copy_loads_into_an_empty_server_and_goes_on(t: &TestDb) {
    let Some(target) = TestDb::postgres().await else {
        return;
    };
    fill(t).await;
    let before = picture(&t.db).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("copy");
    backup::save(&t.options.location, &file, at(60))
        .await
        .unwrap();
    let Location::Postgres(url) = &target.options.location else {
        panic!("on PostgreSQL")
    };
    let in_use = backup::load(&file, url, at(61)).await.unwrap_err();
    assert!(matches!(in_use, BackupError::InUse { .. }), "{in_use:?}");
    target.db.close().await;
    backup::load(&file, url, at(61)).await.unwrap();
    let again = backup::load(&file, url, at(61)).await.unwrap_err();
    assert!(matches!(again, BackupError::NotEmpty { .. }), "{again:?}");
    let target = target.reopened().await;
    assert_eq!(picture(&target.db).await, before);
    append(&target, &entry("three")).await;
    edit(&target, "r2").await;
    target.close().await;
}

#[tokio::test]
async fn what_is_no_copy_of_ours_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "notes, and no database\n".repeat(400)).unwrap();
    let error = backup::check(&file).await.unwrap_err();
    assert!(matches!(error, BackupError::NoDatabase { .. }), "{error:?}");
    std::fs::write(&file, "").unwrap();
    let error = backup::check(&file).await.unwrap_err();
    assert!(matches!(error, BackupError::NotOurs { .. }), "{error:?}");
    let nothing = Location::Sqlite(dir.path().join("nothing"));
    let error = backup::save(&nothing, &file, at(0)).await.unwrap_err();
    assert!(matches!(error, BackupError::Missing { .. }), "{error:?}");
}

/// Wherever a copy ends or is changed in its pages, it does not pass.
#[tokio::test]
async fn a_copy_that_is_cut_off_is_refused_wherever_it_ends() {
    let t = TestDb::sqlite().await;
    fill(&t).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("copy");
    backup::save(&t.options.location, &file, at(60))
        .await
        .unwrap();
    let whole = std::fs::read(&file).unwrap();
    let cuts = [
        1,
        99,
        100,
        4096,
        4097,
        whole.len() / 2,
        whole.len() / 4096 / 2 * 4096,
        whole.len() - 4096,
        whole.len() - 1,
    ];
    for cut in cuts {
        std::fs::write(&file, &whole[..cut]).unwrap();
        assert!(
            backup::check(&file).await.is_err(),
            "{cut} of {}",
            whole.len()
        );
    }
    let mut zeroed = whole.clone();
    let middle = whole.len() / 4096 / 2 * 4096;
    zeroed[middle..middle + 4096].fill(0);
    std::fs::write(&file, zeroed).unwrap();
    assert!(backup::check(&file).await.is_err());
    std::fs::write(&file, &whole).unwrap();
    backup::check(&file).await.unwrap();
    t.close().await;
}
