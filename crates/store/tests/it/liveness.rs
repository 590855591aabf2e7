//! The liveness flush.

use store::agents::{self, AgentReport, Liveness};
use store::testing::{TestDb, at};

use crate::fixture::*;

fn row(n: u32, seconds: i64) -> Liveness {
    Liveness {
        agent: agent_id(n),
        namespace: ns(),
        last_seen: at(seconds),
        follows: 0,
        wire: Box::from([1; 8]),
        health_times: None,
    }
}

pub(crate) async fn a_flush_moves_the_last_seen_time_and_the_session(t: &TestDb) {
    apply(t, &[new_agent(1), new_agent(2)]).await;
    let with_wire = Liveness {
        wire: Box::from([5; 200]),
        ..row(1, 30)
    };
    t.db.flush_liveness(&[row(2, 31), with_wire, row(99, 31)])
        .await
        .unwrap();
    t.db.flush_liveness(&[]).await.unwrap();
    let loaded = agents::load_all(&mut t.db.read().await.unwrap())
        .await
        .unwrap();
    let [one, two] = &*loaded else {
        panic!("two agents")
    };
    assert_eq!(
        (one.last_seen, one.wire.as_deref()),
        (at(30), Some(&[5; 200][..]))
    );
    assert_eq!(
        (two.last_seen, two.wire.as_deref()),
        (at(31), Some(&[1; 8][..]))
    );
    assert_eq!(detail(t, 1).await.summary.last_seen, at(30));
}

pub(crate) async fn the_session_is_that_of_the_newest_report_or_of_a_flush_after_it(t: &TestDb) {
    let session = |number: u64, seconds: i64, wire: u8| AgentReport {
        number,
        wire: Some(Box::from([wire; 8])),
        last_seen: Some(at(seconds)),
        ..report(1, seconds)
    };
    let flush = |follows: u64, seconds: i64, wire: u8| Liveness {
        follows,
        wire: Box::from([wire; 8]),
        ..row(1, seconds)
    };
    apply(t, &[new_agent(1), session(1, 10, 1)]).await;
    assert_eq!(stored(t).await, (1, 1, at(10)));
    t.db.flush_liveness(&[flush(1, 20, 2)]).await.unwrap();
    assert_eq!(stored(t).await, (1, 2, at(20)));
    apply(t, &[session(2, 30, 3)]).await;
    assert_eq!(stored(t).await, (2, 3, at(30)));
    // A report that says how the agent is is written another way.
    apply(t, &[with_health(false, session(3, 40, 4))]).await;
    assert_eq!(stored(t).await, (3, 4, at(40)));
    // The clock may go back: what counts is what follows what.
    t.db.flush_liveness(&[flush(3, 15, 5)]).await.unwrap();
    assert_eq!(stored(t).await, (3, 5, at(15)));
    apply(t, &[session(4, 12, 6)]).await;
    assert_eq!(stored(t).await, (4, 6, at(12)));
}

/// The number of agent 1's reports, the first byte of its session and when it was last seen.
async fn stored(t: &TestDb) -> (u64, u8, jiff::Timestamp) {
    let loaded = agents::load_all(&mut t.db.read().await.unwrap())
        .await
        .unwrap();
    let agent = &loaded[0];
    assert_eq!(detail(t, 1).await.summary.last_seen, agent.last_seen);
    (
        agent.reports,
        agent.wire.as_deref().unwrap()[0],
        agent.last_seen,
    )
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
            wire: Box::from([1; 200]),
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
