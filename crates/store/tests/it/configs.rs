//! Configs, revisions, baselines and exceptions.

use domain::{BaselineRecord, Exception, ExceptionReason, RevisionNumber, RolloutId};
use store::configs;
use store::testing::{TestDb, at};

use crate::fixture::*;

pub(crate) async fn revisions_are_numbered_without_gaps(t: &TestDb) {
    assert!(add_revision(t, &revision("edge", 1)).await);
    assert!(!add_revision(t, &revision("edge", 3)).await);
    assert!(add_revision(t, &revision("edge", 2)).await);
    let mut conn = t.db.read().await.unwrap();
    let found = configs::revision(&mut conn, &ns(), &config("edge"), RevisionNumber(2))
        .await
        .unwrap();
    assert_eq!(found, Some(revision("edge", 2)));
    let missing = configs::revision(&mut conn, &ns(), &config("edge"), RevisionNumber(3))
        .await
        .unwrap();
    assert_eq!(missing, None);
    let record = configs::find(&mut conn, &ns(), &config("edge"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (record.latest, record.version, record.created_at),
        (RevisionNumber(2), 2, at(1))
    );
    assert_eq!(
        configs::find(&mut conn, &other_ns(), &config("edge"))
            .await
            .unwrap(),
        None
    );
}

pub(crate) async fn a_number_that_is_taken_is_refused(t: &TestDb) {
    assert!(add_revision(t, &revision("edge", 1)).await);
    assert!(!add_revision(t, &revision("edge", 1)).await);
    assert!(add_revision(t, &revision("edge", 2)).await);
    assert!(!add_revision(t, &revision("edge", 2)).await);
    let locked = commit!(t, |tx| configs::lock(&mut tx, &ns(), &config("edge"))
        .await
        .unwrap());
    assert_eq!(locked.unwrap().latest, RevisionNumber(2));
}

pub(crate) async fn a_deleted_config_revives_with_its_next_revision(t: &TestDb) {
    add_revision(t, &revision("edge", 1)).await;
    let delete = async || {
        commit!(t, |tx| configs::mark_deleted(
            &mut tx,
            &ns(),
            &config("edge"),
            at(9)
        )
        .await
        .unwrap())
    };
    assert!(delete().await);
    assert!(!delete().await);
    let mut conn = t.db.read().await.unwrap();
    assert_eq!(configs::list(&mut conn, &ns(), None, 10).await.unwrap(), []);
    let record = configs::find(&mut conn, &ns(), &config("edge"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((record.deleted_at, record.version), (Some(at(9)), 2));
    assert!(
        configs::revision(&mut conn, &ns(), &config("edge"), RevisionNumber(1))
            .await
            .unwrap()
            .is_some()
    );
    drop(conn);
    assert!(add_revision(t, &revision("edge", 2)).await);
    let record = configs::find(&mut t.db.read().await.unwrap(), &ns(), &config("edge"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (record.deleted_at, record.version, record.created_at),
        (None, 3, at(2))
    );
}

pub(crate) async fn configs_are_listed_by_name_with_their_baseline(t: &TestDb) {
    for name in ["b", "a", "c", "Z".to_lowercase().as_str(), "a.b", "a-b"] {
        add_revision(t, &revision(name, 1)).await;
    }
    add_revision(t, &revision("b", 2)).await;
    commit!(t, |tx| configs::set_baseline(&mut tx, &baseline("b", 1))
        .await
        .unwrap());
    let mut conn = t.db.read().await.unwrap();
    let all = configs::list(&mut conn, &ns(), None, 10).await.unwrap();
    let names: Vec<&str> = all
        .iter()
        .map(|overview| overview.config.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["a", "a-b", "a.b", "b", "c", "z"],
        "in the order of bytes, as in memory"
    );
    assert_eq!(all[3].baseline, Some(RevisionNumber(1)));
    assert_eq!(all[3].latest.number, RevisionNumber(2));
    assert_eq!(all[3].latest.body_bytes, revision("b", 2).body.len() as u64);
    assert_eq!(all[0].baseline, None);
    let page = configs::list(&mut conn, &ns(), Some(&config("a.b")), 2)
        .await
        .unwrap();
    assert_eq!(page, all[3..5]);
}

pub(crate) async fn revisions_are_paged_from_the_newest(t: &TestDb) {
    for number in 1..=5 {
        add_revision(t, &revision("edge", number)).await;
    }
    let mut conn = t.db.read().await.unwrap();
    let numbers =
        |page: &[configs::RevisionHead]| page.iter().map(|head| head.number.0).collect::<Vec<_>>();
    let first = configs::revisions(&mut conn, &ns(), &config("edge"), None, 3)
        .await
        .unwrap();
    assert_eq!(numbers(&first), [5, 4, 3]);
    let rest = configs::revisions(&mut conn, &ns(), &config("edge"), Some(first[2].number), 3)
        .await
        .unwrap();
    assert_eq!(numbers(&rest), [2, 1]);
    let (head, whole) = (&first[0], revision("edge", 5));
    assert_eq!(
        (&head.selector, head.priority, &head.template, &head.variables),
        (&whole.selector, -5, &whole.template, &whole.variables)
    );
    assert_eq!(
        (head.sha256, &head.author, &*head.origin),
        (whole.sha256, &whole.author, "api")
    );
}

fn baseline(name: &str, number: u64) -> BaselineRecord {
    BaselineRecord {
        namespace: ns(),
        config: config(name),
        revision: RevisionNumber(number),
        rollout: RolloutId::from_bytes([4; 16]),
        set_at: at(4),
    }
}

pub(crate) async fn baselines_are_set_moved_and_cleared(t: &TestDb) {
    let find = async || {
        configs::baseline(&mut t.db.read().await.unwrap(), &ns(), &config("edge"))
            .await
            .unwrap()
    };
    assert_eq!(find().await, None);
    for number in [1, 2] {
        commit!(t, |tx| configs::set_baseline(
            &mut tx,
            &baseline("edge", number)
        )
        .await
        .unwrap());
        assert_eq!(find().await, Some(baseline("edge", number)));
    }
    let clear = async || {
        commit!(t, |tx| configs::clear_baseline(
            &mut tx,
            &ns(),
            &config("edge")
        )
        .await
        .unwrap())
    };
    assert!(clear().await);
    assert!(!clear().await);
    assert_eq!(find().await, None);
}

pub(crate) async fn exceptions_are_set_replaced_and_cleared(t: &TestDb) {
    let exception = |name: &str, revision: Option<u64>, reason| Exception {
        namespace: ns(),
        agent: agent_id(1),
        config: config(name),
        revision: revision.map(RevisionNumber),
        reason,
        set_by: actor(),
        set_at: at(6),
    };
    let pinned = exception("edge", Some(1), ExceptionReason::Pin);
    let rolled_back = exception("edge", None, ExceptionReason::Rollback);
    let other = exception("base", Some(3), ExceptionReason::Pin);
    for one in [&pinned, &rolled_back, &other] {
        commit!(t, |tx| configs::set_exception(&mut tx, one).await.unwrap());
    }
    let of = async || {
        configs::exceptions_of(&mut t.db.read().await.unwrap(), &ns(), agent_id(1))
            .await
            .unwrap()
    };
    assert_eq!(of().await, [other.clone(), rolled_back]);
    let clear = async || {
        commit!(t, |tx| configs::clear_exception(
            &mut tx,
            &ns(),
            agent_id(1),
            &config("edge")
        )
        .await
        .unwrap())
    };
    assert!(clear().await);
    assert!(!clear().await);
    assert_eq!(of().await, [other]);
}
