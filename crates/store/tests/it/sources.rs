//! Config sources, and the configs that belong to them.

use domain::{ConfigName, SourceOwner};
use store::sources::{
    AppliedCommit, CommitRecord, RefusedCommit, SourceFinding, SourceRecord, SourceRelease,
};
use store::testing::{TestDb, at};
use store::{configs, sources};

use crate::fixture::*;

fn fresh() -> SourceRecord {
    SourceRecord {
        namespace: ns(),
        repository: "/srv/git/a.git".into(),
        branch: "main".into(),
        path: String::new(),
        seen: String::new(),
        applied: None,
        refused: None,
        releases: vec![],
    }
}

fn commit(id: &str) -> CommitRecord {
    CommitRecord {
        id: id.into(),
        author: "Ada <ada@example.com>".into(),
        message: "why".into(),
        time: at(1),
    }
}

pub(crate) async fn a_source_keeps_what_was_taken_of_it(t: &TestDb) {
    let found = async || {
        sources::find(&mut t.db.read().await.unwrap(), &ns())
            .await
            .unwrap()
    };
    assert_eq!(found().await, None);
    for _ in 0..2 {
        let locked = commit!(t, |tx| sources::lock(&mut tx, &fresh()).await.unwrap());
        assert_eq!(locked, fresh());
    }
    let full = SourceRecord {
        branch: "other".into(),
        path: "b".into(),
        seen: "22".into(),
        applied: Some(AppliedCommit {
            commit: commit("11"),
            at: at(2),
            forced: true,
        }),
        refused: Some(RefusedCommit {
            commit: commit("22"),
            at: at(3),
            findings: vec![SourceFinding {
                file: "edge.config.yaml".into(),
                line: Some(3),
                column: None,
                code: "config-body".into(),
                problem: "is wrong".into(),
            }],
            more: 7,
        }),
        releases: vec![SourceRelease {
            config: "edge".into(),
            refused: Some("why not".into()),
        }],
        ..fresh()
    };
    commit!(t, |tx| sources::save(&mut tx, &full).await.unwrap());
    assert_eq!(found().await, Some(full.clone()));
    assert!(!full.has_applied("11") && !full.has_applied("22"));
    let own_ns = ns();
    let forget = async |keep| commit!(t, |tx| sources::forget(&mut tx, keep).await.unwrap());
    assert_eq!(forget(Some(&own_ns)).await, 0);
    assert_eq!(forget(None).await, 1);
    let left = sources::find(&mut t.db.read().await.unwrap(), &own_ns).await;
    assert_eq!(left.unwrap(), None);
}

pub(crate) async fn a_config_belongs_to_its_source_until_it_is_deleted(t: &TestDb) {
    let owner = async |name: &ConfigName| {
        let found = configs::find(&mut t.db.read().await.unwrap(), &ns(), name).await;
        found.unwrap().expect("a config").source
    };
    let (edge, own) = (config("edge"), config("own"));
    for name in ["edge", "own"] {
        let first = revision(name, 1);
        assert!(commit!(t, |tx| configs::add_revision(&mut tx, &first)
            .await
            .unwrap()));
    }
    let take = async |repository| {
        commit!(t, |tx| configs::set_owner(
            &mut tx,
            &ns(),
            &edge,
            repository
        )
        .await
        .unwrap());
    };
    take("/a").await;
    let at_a = SourceOwner {
        repository: "/a".into(),
        gone_at: None,
    };
    assert_eq!(owner(&edge).await, Some(at_a.clone()));
    assert_eq!(owner(&own).await, None);
    let owned = configs::owned(&mut t.db.read().await.unwrap(), &ns()).await;
    let names: Vec<_> = owned
        .unwrap()
        .into_iter()
        .map(|owned| owned.config.name)
        .collect();
    assert_eq!(names, std::slice::from_ref(&edge));

    let lose = async |name, seconds| {
        commit!(t, |tx| configs::mark_gone(
            &mut tx,
            &ns(),
            name,
            at(seconds)
        )
        .await
        .unwrap())
    };
    assert!(lose(&edge, 5).await);
    assert!(!lose(&edge, 6).await && !lose(&own, 6).await);
    let gone = SourceOwner {
        gone_at: Some(at(5)),
        ..at_a.clone()
    };
    assert_eq!(owner(&edge).await, Some(gone));
    take("/a").await;
    assert_eq!(owner(&edge).await, Some(at_a));

    commit!(t, |tx| configs::mark_deleted(&mut tx, &ns(), &edge, at(7))
        .await
        .unwrap());
    assert_eq!(owner(&edge).await, None);
    let own_ns = ns();
    let disown = async |keep| commit!(t, |tx| configs::disown(&mut tx, keep).await.unwrap());
    take("/b").await;
    assert_eq!(disown(Some(&own_ns)).await, 0);
    assert_eq!(disown(None).await, 1);
    assert_eq!(owner(&edge).await, None);
}
