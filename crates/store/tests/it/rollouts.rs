//! Rollouts.

use domain::RolloutState;
use store::rollouts::{self, AddRolloutError};
use store::testing::{TestDb, at};

use crate::fixture::*;

pub(crate) async fn one_rollout_of_a_config_runs_at_a_time(t: &TestDb) {
    let first = rollout(1, "edge", Some(1));
    commit!(t, |tx| rollouts::add(&mut tx, &first).await.unwrap());
    let mut tx = t.db.begin().await.unwrap();
    let second = rollouts::add(&mut tx, &rollout(2, "edge", Some(2))).await;
    assert!(
        matches!(second, Err(AddRolloutError::Running { config }) if config.as_str() == "edge")
    );
    drop(tx);
    commit!(t, |tx| rollouts::add(&mut tx, &rollout(3, "base", None))
        .await
        .unwrap());
    let running = async || {
        rollouts::running(&mut t.db.read().await.unwrap(), &ns(), &config("edge"))
            .await
            .unwrap()
    };
    assert_eq!(running().await, Some(first.clone()));
    let done = first.complete(at(8)).unwrap();
    assert!(commit!(t, |tx| rollouts::advance(&mut tx, &done)
        .await
        .unwrap()));
    assert_eq!(running().await, None);
    commit!(t, |tx| rollouts::add(&mut tx, &rollout(4, "edge", Some(2)))
        .await
        .unwrap());
}

pub(crate) async fn a_rollout_advances_once(t: &TestDb) {
    let started = rollout(1, "edge", Some(1));
    commit!(t, |tx| rollouts::add(&mut tx, &started).await.unwrap());
    let aborted = started
        .clone()
        .abort(at(8), "too many failures".into())
        .unwrap();
    let completed = started.complete(at(9)).unwrap();
    assert!(commit!(t, |tx| rollouts::advance(&mut tx, &aborted)
        .await
        .unwrap()));
    assert!(!commit!(t, |tx| rollouts::advance(&mut tx, &completed)
        .await
        .unwrap()));
    let mut conn = t.db.read().await.unwrap();
    assert_eq!(
        rollouts::find(&mut conn, &ns(), aborted.id).await.unwrap(),
        Some(aborted.clone())
    );
    assert_eq!(
        rollouts::find(&mut conn, &other_ns(), aborted.id)
            .await
            .unwrap(),
        None
    );
}

pub(crate) async fn rollouts_are_paged_from_the_newest(t: &TestDb) {
    for n in 1..=5 {
        let mut one = rollout(n, if n % 2 == 0 { "even" } else { "odd" }, Some(1));
        one.state = RolloutState::Completed { at: at(n.into()) };
        commit!(t, |tx| rollouts::add(&mut tx, &one).await.unwrap());
    }
    let mut conn = t.db.read().await.unwrap();
    let all = rollouts::list(&mut conn, &ns(), None, None, 10)
        .await
        .unwrap();
    assert_eq!(
        all.iter().map(|one| one.id).collect::<Vec<_>>(),
        [5, 4, 3, 2, 1].map(|n| rollout(n, "x", None).id)
    );
    let page = rollouts::list(&mut conn, &ns(), None, Some(all[1].id), 2)
        .await
        .unwrap();
    assert_eq!(page, all[2..4]);
    let odd = rollouts::list(&mut conn, &ns(), Some(&config("odd")), Some(all[0].id), 10)
        .await
        .unwrap();
    assert_eq!(odd, [all[2].clone(), all[4].clone()]);
}
