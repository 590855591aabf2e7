//! The liveness flush.

use store::agents::{self, AgentReport, Liveness};
use store::testing::{TestDb, at};

use crate::fixture::*;

fn row(n: u32, seconds: i64) -> Liveness {
    Liveness {
        agent: agent_id(n),
        namespace: ns(),
        last_seen: at(seconds),
        wire: None,
        health_times: None,
    }
}

pub(crate) async fn a_flush_moves_the_last_seen_time_and_the_session(t: &TestDb) {
    apply(t, &[new_agent(1), new_agent(2)]).await;
    let with_wire = Liveness {
        wire: Some(Box::from([5; 200])),
        ..row(1, 30)
    };
    t.db.flush_liveness(&[row(2, 31), with_wire, row(99, 31)])
        .await
        .unwrap();
    t.db.flush_liveness(&[row(1, 60)]).await.unwrap();
    t.db.flush_liveness(&[]).await.unwrap();
    let loaded = agents::load_all(&mut t.db.read().await.unwrap())
        .await
        .unwrap();
    let [one, two] = &*loaded else {
        panic!("two agents")
    };
    assert_eq!(
        (one.last_seen, one.wire.as_deref()),
        (at(60), Some(&[5; 200][..]))
    );
    assert_eq!((two.last_seen, two.wire.as_deref()), (at(31), None));
    assert_eq!(detail(t, 1).await.summary.last_seen, at(60));
}

pub(crate) async fn flushed_times_join_the_tree_they_belong_to(t: &TestDb) {
    apply(t, &[with_health(true, new_agent(1))]).await;
    let flushed = Liveness {
        health_times: Some(times(1000)),
        ..row(1, 30)
    };
    t.db.flush_liveness(&[flushed]).await.unwrap();
    assert_eq!(detail(t, 1).await.health, Some(health(true, 1000)));
    // A flush without times leaves them as they were.
    t.db.flush_liveness(&[row(1, 60)]).await.unwrap();
    assert_eq!(detail(t, 1).await.health, Some(health(true, 1000)));
    let loaded = agents::load_all(&mut t.db.read().await.unwrap())
        .await
        .unwrap();
    assert_eq!(loaded[0].start_time_unix_nano, 1000);
}

pub(crate) async fn times_of_an_older_tree_are_not_shown(t: &TestDb) {
    apply(t, &[with_health(true, new_agent(1))]).await;
    let flushed = Liveness {
        health_times: Some(times(1000)),
        ..row(1, 30)
    };
    t.db.flush_liveness(&[flushed]).await.unwrap();
    apply(t, &[with_health(false, report(1, 40))]).await;
    t.db.flush_liveness(&[row(1, 60)]).await.unwrap();
    assert_eq!(detail(t, 1).await.health, Some(health(false, 1)));
    // Nor are those of a tree of another shape.
    let other = Liveness {
        health_times: Some(domain::model::HealthTimes::new([1, 2])),
        ..row(1, 90)
    };
    t.db.flush_liveness(&[other]).await.unwrap();
    assert_eq!(detail(t, 1).await.health, Some(health(false, 1)));
}

pub(crate) async fn fifteen_thousand_agents_flush_and_preload(t: &TestDb) {
    const FLEET: u32 = 15_000;
    for first in (0..FLEET).step_by(2000) {
        let batch: Vec<AgentReport> = (first..FLEET.min(first + 2000)).map(new_agent).collect();
        assert_eq!(apply(t, &batch).await.stale, []);
    }
    let rows: Vec<Liveness> = (0..FLEET)
        .map(|n| Liveness {
            wire: Some(Box::from([1; 200])),
            ..row(n, 90)
        })
        .collect();
    t.db.flush_liveness(&rows).await.unwrap();
    let loaded = agents::load_all(&mut t.db.read().await.unwrap())
        .await
        .unwrap();
    assert_eq!(loaded.len(), FLEET as usize);
    assert!(
        loaded
            .iter()
            .all(|agent| agent.last_seen == at(90) && agent.wire.is_some())
    );
}
