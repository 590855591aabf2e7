//! What is forgotten, and what is not.

use std::time::Duration;

use domain::model::{ConfigFile, ConfigMap};
use domain::{
    BaselineRecord, EventId, EventKind, Exception, ExceptionReason, NewEvent, RevisionNumber,
    Rollout, RolloutState,
};
use store::agents::{self, AgentReport, AttachmentChange, Liveness};
use store::contents::{self, ContentKind};
use store::idempotency::{self, SavedAnswer};
use store::retention::{KeepRevisions, Retention, Swept, drop_revisions, sweep};
use store::testing::{TestDb, at};
use store::{configs, desired, events, rollouts};

use crate::desired::content;
use crate::fixture::*;

const DAY: i64 = 24 * 3600;

async fn swept(t: &TestDb, seconds: i64) -> Swept {
    sweep(&t.db, &Retention::default(), at(seconds))
        .await
        .unwrap()
}

pub(crate) async fn agents_offline_too_long_are_forgotten(t: &TestDb) {
    let gone = |n| AgentReport {
        attachment: Some(AttachmentChange::Detached {
            at: at(0),
            reason: "closed".into(),
        }),
        ..new_agent(n)
    };
    apply(t, &[new_agent(1), gone(2), gone(3)]).await;
    let seen = |n| Liveness {
        agent: agent_id(n),
        namespace: ns(),
        last_seen: at(20 * DAY),
        follows: 0,
        wire: Box::from([1]),
        health_times: None,
    };
    t.db.flush_liveness(&[seen(3)]).await.unwrap();
    assert_eq!(swept(t, 29 * DAY).await.agents, []);
    assert_eq!(swept(t, 31 * DAY).await.agents, [(ns(), agent_id(2))]);
    let left = agents::load_all(&mut t.db.read().await.unwrap())
        .await
        .unwrap();
    assert_eq!(
        left.iter().map(|agent| agent.id).collect::<Vec<_>>(),
        [agent_id(1), agent_id(3)]
    );
    let events =
        events::list_of_agent(&mut t.db.read().await.unwrap(), &ns(), agent_id(2), None, 9)
            .await
            .unwrap();
    assert_eq!(
        events.iter().map(|event| event.kind).collect::<Vec<_>>(),
        [EventKind::AgentDeleted]
    );
}

pub(crate) async fn after_a_long_outage_no_agent_is_forgotten_before_it_could_come_back(
    t: &TestDb,
) {
    apply(t, &[new_agent(1)]).await;
    let node = domain::NodeName::new("node-1");
    commit!(t, |tx| agents::detach_node(
        &mut tx,
        &node,
        at(60 * DAY),
        "server_restarted"
    )
    .await
    .unwrap());
    assert_eq!(swept(t, 60 * DAY + 1).await.agents, []);
    assert_eq!(swept(t, 89 * DAY).await.agents, []);
    assert_eq!(swept(t, 91 * DAY).await.agents, [(ns(), agent_id(1))]);
}

pub(crate) async fn old_events_are_dropped(t: &TestDb) {
    let made: Vec<NewEvent> = (0..10)
        .map(|n| event(n, i64::from(n) * DAY, EventKind::AgentHealthy))
        .collect();
    commit!(t, |tx| events::append(&mut tx, &made).await.unwrap());
    assert_eq!(swept(t, 94 * DAY).await.events, 4);
    let left = events::list_after(&mut t.db.read().await.unwrap(), &ns(), EventId(0), 99)
        .await
        .unwrap();
    assert_eq!(left.first().map(|event| event.id.0), Some(5));
    assert_eq!(swept(t, 94 * DAY).await, Swept::default());
}

pub(crate) async fn an_agent_keeps_its_newest_events(t: &TestDb) {
    let keep = Retention {
        events_per_agent: 3,
        ..Retention::default()
    };
    let flapping = |n: u32| (0..5).map(move |second| event(n, second, EventKind::AgentHealthy));
    let made: Vec<NewEvent> = flapping(1).chain(flapping(2).take(2)).collect();
    commit!(t, |tx| events::append(&mut tx, &made).await.unwrap());
    let of_fleet = NewEvent {
        agent: None,
        ..event(0, 0, EventKind::HoldChanged)
    };
    commit!(t, |tx| events::append(&mut tx, &vec![of_fleet; 5])
        .await
        .unwrap());
    assert_eq!(sweep(&t.db, &keep, at(10)).await.unwrap().events, 2);
    let left = events::list_after(&mut t.db.read().await.unwrap(), &ns(), EventId(0), 99)
        .await
        .unwrap();
    assert_eq!(
        left.iter().map(|event| event.id.0).collect::<Vec<_>>(),
        (3..=12).collect::<Vec<_>>()
    );
    assert_eq!(sweep(&t.db, &keep, at(10)).await.unwrap().events, 0);
    commit!(t, |tx| events::append(
        &mut tx,
        &[event(1, 20, EventKind::AgentHealthy)]
    )
    .await
    .unwrap());
    assert_eq!(sweep(&t.db, &keep, at(30)).await.unwrap().events, 1);
}

pub(crate) async fn unreferenced_contents_are_swept_after_the_grace_time(t: &TestDb) {
    let with_config = |n: u32, seconds: i64, body: &str| {
        let files = ConfigMap::from([(String::new(), ConfigFile::new(body, ""))]);
        AgentReport {
            effective_config: Some(files),
            ..report(n, seconds)
        }
    };
    apply(
        t,
        &[
            new_agent(1),
            new_agent(2),
            with_config(1, 0, "a"),
            with_config(2, 0, "b"),
        ],
    )
    .await;
    let lonely = commit!(t, |tx| contents::put(
        &mut tx,
        &ns(),
        ContentKind::Effective,
        b"lonely",
        at(0)
    )
    .await
    .unwrap());
    apply(t, &[with_config(2, 1, "a")]).await;
    assert_eq!(swept(t, 3000).await.contents, 0, "young ones stay");
    assert_eq!(swept(t, 4000).await.contents, 2);
    let mut conn = t.db.read().await.unwrap();
    assert_eq!(
        contents::find(&mut conn, &ns(), ContentKind::Effective, &lonely)
            .await
            .unwrap(),
        None
    );
    drop(conn);
    assert!(detail(t, 2).await.effective_config.is_some());
    // What was swept comes back when it is reported again, even though it was once known to be stored.
    apply(t, &[with_config(2, 4001, "b")]).await;
    assert_eq!(detail(t, 2).await.effective_config.unwrap()[""].body, b"b");
}

pub(crate) async fn desired_contents_in_use_stay(t: &TestDb) {
    apply(
        t,
        &[AgentReport {
            desired: Some(Some(hash(b'1'))),
            offered: Some(offered(hash(b'2'))),
            ..new_agent(1)
        }],
    )
    .await;
    for key in [b"1", b"2", b"3"] {
        let body = std::str::from_utf8(key).unwrap();
        commit!(t, |tx| desired::put(&mut tx, &content(key, body))
            .await
            .unwrap());
    }
    add_revision(t, &revision("edge", 1)).await;
    let dropped = swept(t, DAY).await;
    assert_eq!((dropped.desired, dropped.contents), (1, 1));
    let mut conn = t.db.read().await.unwrap();
    for (key, there) in [(b"1", true), (b"2", true), (b"3", false)] {
        let found = desired::find(&mut conn, &ns(), desired::CONFIG, key)
            .await
            .unwrap();
        assert_eq!(found.is_some(), there, "{key:?}");
    }
}

pub(crate) async fn a_desired_content_that_is_wanted_again_is_not_swept(t: &TestDb) {
    let old = content(b"1", "1");
    let again = desired::DesiredContent {
        created_at: at(DAY),
        ..old.clone()
    };
    for row in [&old, &again] {
        commit!(t, |tx| desired::put(&mut tx, row).await.unwrap());
    }
    let dropped = swept(t, DAY + 60).await;
    assert_eq!((dropped.desired, dropped.contents), (0, 0));
    let dropped = swept(t, 2 * DAY).await;
    assert_eq!((dropped.desired, dropped.contents), (1, 1));
}

pub(crate) async fn saved_answers_are_dropped(t: &TestDb) {
    let keep = Retention {
        idempotency_keys: Duration::from_secs(60),
        ..Retention::default()
    };
    let answer = SavedAnswer {
        request: hash(1),
        status: 201,
        body: vec![],
    };
    for (key, seconds) in [("old", 0), ("new", 50)] {
        commit!(t, |tx| idempotency::save(
            &mut tx,
            &ns(),
            key,
            &answer,
            at(seconds)
        )
        .await
        .unwrap());
    }
    assert_eq!(sweep(&t.db, &keep, at(100)).await.unwrap().answers, 1);
    assert_eq!(
        idempotency::find(&mut t.db.read().await.unwrap(), &ns(), "new")
            .await
            .unwrap(),
        Some(answer)
    );
}

pub(crate) async fn old_revisions_are_dropped_unless_they_are_needed(t: &TestDb) {
    let keep = KeepRevisions {
        younger_than: Duration::from_secs(60),
        per_config: 2,
    };
    let drop_old = async |keep| drop_revisions(&t.db, keep, at(100)).await.unwrap();
    for number in 1..=12 {
        assert!(add_revision(t, &revision("edge", number)).await);
    }
    let base = config("edge");
    let in_force = Rollout {
        previous: Some(RevisionNumber(3)),
        state: RolloutState::Completed { at: at(5) },
        ..rollout(1, "edge", Some(4))
    };
    commit!(t, |tx| {
        rollouts::add(&mut tx, &in_force).await.unwrap();
        let baseline = BaselineRecord {
            namespace: ns(),
            config: base.clone(),
            revision: RevisionNumber(4),
            rollout: in_force.id,
            set_at: at(0),
        };
        configs::set_baseline(&mut tx, &baseline).await.unwrap();
        let exception = Exception {
            namespace: ns(),
            agent: agent_id(1),
            config: base.clone(),
            revision: Some(RevisionNumber(5)),
            reason: ExceptionReason::Pin,
            set_by: actor(),
            set_at: at(0),
        };
        configs::set_exception(&mut tx, &exception).await.unwrap();
        let tag = configs::Tag {
            name: "stable".to_owned(),
            revision: RevisionNumber(6),
            set_by: actor(),
            set_at: at(0),
        };
        configs::set_tag(&mut tx, &ns(), &base, &tag).await.unwrap();
        // Some agent runs `edge` 7.
        desired::put(&mut tx, &content(b"1", "a: 1")).await.unwrap();
    });
    // The desired content is young: it counts until it is swept.
    assert_eq!(drop_old(keep).await, 5);
    let mut conn = t.db.read().await.unwrap();
    let left = configs::revisions(&mut conn, &ns(), &base, None, 100)
        .await
        .unwrap();
    let left: Vec<u64> = left.iter().map(|head| head.number.0).collect();
    assert_eq!(left, [12, 11, 7, 6, 5, 4, 3]);
    drop(conn);
    assert_eq!(drop_old(keep).await, 0);
    // Numbers go on where they were.
    assert!(add_revision(t, &revision("edge", 13)).await);
    // What is young stays, whatever there is of it.
    let young = KeepRevisions {
        younger_than: Duration::from_secs(3600),
        ..keep
    };
    assert_eq!(drop_old(young).await, 0);
}
