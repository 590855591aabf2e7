//! Contents that agents refused in a dry run.

use domain::{BaselineRecord, Exception, ExceptionReason, RevisionNumber, RolloutId};
use store::agents::AgentReport;
use store::refusals::{self, RefusalRecord};
use store::retention::{Retention, sweep};
use store::testing::{TestDb, at};
use store::{configs, desired};

use crate::desired::content;
use crate::fixture::*;

/// That an agent refused a content, of which it was left out by revision 2 of `edge`.
fn refusal(content: u8, n: u32) -> RefusalRecord {
    RefusalRecord {
        namespace: ns(),
        hash: hash(content),
        agent: agent_id(n),
        build: Some(hash(9)),
        for_build: true,
        reason: "no such key: verbosty".to_owned(),
        at: at(1),
        config: config("edge"),
        revision: RevisionNumber(2),
    }
}

async fn put(t: &TestDb, content: u8, all: &[RefusalRecord]) {
    let hash = hash(content);
    commit!(t, |tx| refusals::replace(&mut tx, &ns(), &hash, all)
        .await
        .unwrap());
}

async fn loaded(t: &TestDb) -> Vec<RefusalRecord> {
    let mut conn = t.db.read().await.unwrap();
    refusals::load_all(&mut conn).await.unwrap()
}

pub(crate) async fn refusals_of_a_content_are_replaced_together(t: &TestDb) {
    let alone = RefusalRecord {
        build: None,
        for_build: false,
        ..refusal(1, 2)
    };
    put(t, 1, &[refusal(1, 1), alone.clone()]).await;
    put(t, 2, &[refusal(2, 1)]).await;
    let expected = [refusal(1, 1), alone.clone(), refusal(2, 1)];
    assert_eq!(loaded(t).await, expected);
    let changed = RefusalRecord {
        build: Some(hash(8)),
        reason: "no such file".to_owned(),
        at: at(2),
        revision: RevisionNumber(3),
        ..alone
    };
    put(t, 1, std::slice::from_ref(&changed)).await;
    assert_eq!(loaded(t).await, [changed, refusal(2, 1)]);
    put(t, 1, &[]).await;
    assert_eq!(loaded(t).await, [refusal(2, 1)]);
}

pub(crate) async fn refusals_stay_while_they_are_of_use_and_so_do_their_contents(t: &TestDb) {
    const DAY: i64 = 24 * 3600;
    let row = content(b"1", "1");
    commit!(t, |tx| desired::put(&mut tx, &row).await.unwrap());
    put(t, b'1', &[refusal(b'1', 1)]).await;
    let dropped = async |seconds: i64| {
        let unused = refusals::unused(&mut t.db.read().await.unwrap()).await;
        let unused = unused.unwrap();
        for (ns, hash) in &unused {
            commit!(t, |tx| refusals::replace(&mut tx, ns, hash, &[])
                .await
                .unwrap());
        }
        let refusals = unused.len();
        let swept = sweep(&t.db, &Retention::default(), at(seconds)).await;
        (refusals, swept.unwrap().desired)
    };
    let in_force = async |revision: u64| {
        let baseline = BaselineRecord {
            namespace: ns(),
            config: config("edge"),
            revision: RevisionNumber(revision),
            rollout: RolloutId::from_parts(1, [1; 10]),
            set_at: at(0),
        };
        commit!(t, |tx| configs::set_baseline(&mut tx, &baseline)
            .await
            .unwrap());
    };
    in_force(2).await;
    assert_eq!(dropped(DAY).await, (0, 0), "it is in force");

    in_force(3).await;
    let pinned = Exception {
        namespace: ns(),
        agent: agent_id(7),
        config: config("edge"),
        revision: Some(RevisionNumber(2)),
        reason: ExceptionReason::Pin,
        set_by: actor(),
        set_at: at(0),
    };
    commit!(t, |tx| configs::set_exception(&mut tx, &pinned)
        .await
        .unwrap());
    assert_eq!(dropped(DAY).await, (0, 0), "an agent is pinned to it");
    let (agent, name) = (agent_id(7), config("edge"));
    commit!(t, |tx| configs::clear_exception(
        &mut tx,
        &ns(),
        agent,
        &name
    )
    .await
    .unwrap());
    let runs_it = AgentReport {
        desired: Some(Some(hash(b'1'))),
        ..new_agent(1)
    };
    apply(t, &[runs_it]).await;
    assert_eq!(dropped(DAY).await, (0, 0), "an agent should run it");
    let runs_another = AgentReport {
        desired: Some(Some(hash(b'2'))),
        ..report(1, 2)
    };
    apply(t, &[runs_another]).await;
    assert_eq!(dropped(DAY).await, (1, 1));
    assert_eq!(loaded(t).await, []);
}
