//! Events and their order.

use std::time::Duration;

use domain::{Event, EventId, EventKind, NewEvent};
use store::agents::AgentReport;
use store::events;
use store::testing::{TestDb, at};

use crate::fixture::*;

async fn after(t: &TestDb, id: i64) -> Vec<Event> {
    events::list_after(&mut t.db.read().await.unwrap(), &ns(), EventId(id), 100)
        .await
        .unwrap()
}

pub(crate) async fn events_are_read_in_order_after_one(t: &TestDb) {
    assert_eq!(
        events::latest(&mut t.db.read().await.unwrap())
            .await
            .unwrap(),
        EventId(0)
    );
    assert_eq!(
        events::oldest(&mut t.db.read().await.unwrap())
            .await
            .unwrap(),
        None
    );
    let detail = [("reason".to_owned(), "closed \0 by peer".to_owned())].into();
    let first = NewEvent {
        detail,
        ..event(1, 0, EventKind::AgentDisconnected)
    };
    let of_fleet = NewEvent {
        agent: None,
        ..event(1, 1, EventKind::HoldChanged)
    };
    let elsewhere = NewEvent {
        namespace: other_ns(),
        ..event(1, 2, EventKind::AgentHealthy)
    };
    let last = commit!(t, |tx| events::append(
        &mut tx,
        &[first.clone(), of_fleet, elsewhere]
    )
    .await
    .unwrap());
    assert_eq!(last, Some(EventId(3)));
    assert_eq!(
        commit!(t, |tx| events::append(&mut tx, &[]).await.unwrap()),
        None
    );
    apply(
        t,
        &[AgentReport {
            events: vec![event(1, 3, EventKind::AgentCreated)],
            ..new_agent(1)
        }],
    )
    .await;
    let all = after(t, 0).await;
    assert_eq!(
        all.iter().map(|event| event.id.0).collect::<Vec<_>>(),
        [1, 2, 4]
    );
    assert_eq!(
        (all[0].kind, all[0].agent, all[0].at),
        (first.kind, first.agent, at(0))
    );
    assert_eq!(all[0].detail, first.detail);
    assert_eq!((all[1].agent, all[2].kind), (None, EventKind::AgentCreated));
    assert_eq!(after(t, 2).await, all[2..]);
    assert_eq!(
        events::latest(&mut t.db.read().await.unwrap())
            .await
            .unwrap(),
        EventId(4)
    );
    assert_eq!(
        events::oldest(&mut t.db.read().await.unwrap())
            .await
            .unwrap(),
        Some(EventId(1))
    );
}

/// A database's own sequence hands out numbers before the commit: a reader would see 2, resume after it and miss 1.
pub(crate) async fn no_reader_misses_an_event_that_commits_late(t: &TestDb) {
    let mut slow = t.db.begin().await.unwrap();
    events::append(&mut slow, &[event(1, 0, EventKind::AgentCreated)])
        .await
        .unwrap();
    let db = t.db.clone();
    let fast = tokio::spawn(async move {
        let mut tx = db.begin().await.unwrap();
        events::append(&mut tx, &[event(2, 0, EventKind::AgentCreated)])
            .await
            .unwrap();
        tx.commit().await.unwrap();
    });
    // Whatever the second does meanwhile, it cannot be seen before the first.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(after(t, 0).await, []);
    slow.commit().await.unwrap();
    fast.await.unwrap();
    assert_eq!(
        after(t, 0)
            .await
            .iter()
            .map(|event| event.agent)
            .collect::<Vec<_>>(),
        [Some(agent_id(1)), Some(agent_id(2))]
    );
}

pub(crate) async fn events_of_an_agent_are_paged_from_the_newest(t: &TestDb) {
    let made: Vec<NewEvent> = (0..6)
        .map(|n| event(1 + n % 2, n.into(), EventKind::AgentHealthy))
        .collect();
    commit!(t, |tx| events::append(&mut tx, &made).await.unwrap());
    let mut conn = t.db.read().await.unwrap();
    let first = events::list_of_agent(&mut conn, &ns(), agent_id(1), None, 2)
        .await
        .unwrap();
    assert_eq!(
        first.iter().map(|event| event.id.0).collect::<Vec<_>>(),
        [5, 3]
    );
    let rest = events::list_of_agent(&mut conn, &ns(), agent_id(1), Some(first[1].id), 2)
        .await
        .unwrap();
    assert_eq!(rest.iter().map(|event| event.id.0).collect::<Vec<_>>(), [1]);
}
