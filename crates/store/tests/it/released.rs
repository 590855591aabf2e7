//! The released set.

use domain::{BaselineRecord, Exception, ExceptionReason, Labels, Revision, RevisionNumber};
use store::testing::{TestDb, at};
use store::{configs, released, rollouts};

use crate::fixture::*;

pub(crate) async fn the_released_set_is_what_was_committed(t: &TestDb) {
    for (name, number) in [("base", 1), ("edge", 1), ("edge", 2), ("edge", 3)] {
        add_revision(t, &revision(name, number)).await;
    }
    let baseline = |name: &str| BaselineRecord {
        namespace: ns(),
        config: config(name),
        revision: RevisionNumber(1),
        rollout: rollout(1, name, None).id,
        set_at: at(1),
    };
    let pinned = |n: u32, revision: Option<u64>| Exception {
        namespace: ns(),
        agent: agent_id(n),
        config: config("edge"),
        revision: revision.map(RevisionNumber),
        reason: ExceptionReason::Pin,
        set_by: actor(),
        set_at: at(2),
    };
    commit!(t, |tx| {
        configs::set_baseline(&mut tx, &baseline("base"))
            .await
            .unwrap();
        configs::set_baseline(&mut tx, &baseline("edge"))
            .await
            .unwrap();
        rollouts::add(&mut tx, &rollout(2, "edge", Some(2)))
            .await
            .unwrap();
        configs::set_exception(&mut tx, &pinned(1, Some(3)))
            .await
            .unwrap();
        configs::set_exception(&mut tx, &pinned(2, None))
            .await
            .unwrap();
    });
    let set = released::load(&mut t.db.read().await.unwrap(), &ns())
        .await
        .unwrap();
    let prod = Labels::from_iter([("env", "prod")]);
    let layers = |n: u32| -> Vec<Revision> {
        set.layers(agent_id(n), &prod)
            .iter()
            .map(|layer| Revision::clone(layer))
            .collect()
    };
    assert_eq!(layers(1), [revision("base", 1), revision("edge", 3)]);
    assert_eq!(layers(2), [revision("base", 1)]);
    assert_eq!(layers(3), [revision("base", 1), revision("edge", 2)]);
    assert!(set.layers(agent_id(3), &Labels::default()).is_empty());
    // A rollout that takes the config away.
    commit!(t, |tx| {
        let running = rollouts::running(&mut tx, &ns(), &config("edge"))
            .await
            .unwrap()
            .unwrap();
        rollouts::advance(&mut tx, &running.complete(at(3)).unwrap())
            .await
            .unwrap();
        rollouts::add(&mut tx, &rollout(3, "edge", None))
            .await
            .unwrap();
    });
    let set = released::load(&mut t.db.read().await.unwrap(), &ns())
        .await
        .unwrap();
    assert_eq!(set.layers(agent_id(3), &prod).len(), 1);
}

pub(crate) async fn namespaces_with_nothing_released_are_left_out(t: &TestDb) {
    add_revision(t, &revision("edge", 1)).await;
    assert!(
        released::load_all(&mut t.db.read().await.unwrap())
            .await
            .unwrap()
            .is_empty()
    );
    commit!(t, |tx| rollouts::add(&mut tx, &rollout(1, "edge", Some(1)))
        .await
        .unwrap());
    let sets = released::load_all(&mut t.db.read().await.unwrap())
        .await
        .unwrap();
    assert_eq!(sets.keys().collect::<Vec<_>>(), [&ns()]);
    assert!(sets[&ns()].configs[&config("edge")].open.is_some());
}
