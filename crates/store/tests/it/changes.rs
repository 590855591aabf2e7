//! What operators change about agents, and the history that is kept.

use domain::{Approval, EventKind};
use store::agents::{self, AgentReport, ListAgents};
use store::testing::{TestDb, at};
use store::{Versioned, events};

use crate::fixture::*;

async fn set(
    t: &TestDb,
    entries: &[(&str, &str)],
    expected: Option<u64>,
) -> Versioned<domain::LabelsBySource> {
    let labels = labels(entries);
    commit!(t, |tx| agents::set_operator_labels(
        &mut tx,
        &ns(),
        agent_id(1),
        &labels,
        expected,
        by(&actor())
    )
    .await
    .unwrap())
}

async fn matching(t: &TestDb, selector: &str) -> usize {
    let filter = ListAgents {
        selector: selector.parse().unwrap(),
        ..ListAgents::all(ns())
    };
    agents::list(&mut t.db.read().await.unwrap(), &filter)
        .await
        .unwrap()
        .items
        .len()
}

pub(crate) async fn operators_labels_win_over_the_agents_own(t: &TestDb) {
    apply(
        t,
        &[with_labels(&[("env", "dev"), ("zone", "a")], new_agent(1))],
    )
    .await;
    let Versioned::Done(by_source) = set(t, &[("env", "prod"), ("tier", "1")], None).await else {
        panic!("done")
    };
    assert_eq!(
        by_source.effective(),
        labels(&[("env", "prod"), ("tier", "1"), ("zone", "a")])
    );
    assert_eq!(detail(t, 1).await.labels, by_source);
    assert_eq!(
        (matching(t, "env=prod").await, matching(t, "env=dev").await),
        (1, 0)
    );

    // A report that the agent makes later changes its own labels only.
    apply(t, &[with_labels(&[("env", "test")], report(1, 60))]).await;
    assert_eq!(
        detail(t, 1).await.summary.labels,
        labels(&[("env", "prod"), ("tier", "1")])
    );
    assert_eq!(
        (matching(t, "env=prod").await, matching(t, "zone").await),
        (1, 0)
    );
    set(t, &[], None).await;
    assert_eq!(
        detail(t, 1).await.summary.labels,
        labels(&[("env", "test")])
    );
    assert_eq!(
        (matching(t, "env=test").await, matching(t, "tier").await),
        (1, 0)
    );
}

pub(crate) async fn labels_are_written_under_their_version_only(t: &TestDb) {
    assert_eq!(set(t, &[], None).await, Versioned::NotFound);
    apply(t, &[new_agent(1)]).await;
    assert_eq!(detail(t, 1).await.summary.version, 1);
    assert!(matches!(
        set(t, &[("a", "1")], Some(1)).await,
        Versioned::Done(_)
    ));
    assert_eq!(
        set(t, &[("a", "2")], Some(1)).await,
        Versioned::Conflict { current: 2 }
    );
    assert_eq!(detail(t, 1).await.summary.labels, labels(&[("a", "1")]));
}

pub(crate) async fn a_label_change_of_the_agent_is_kept_in_its_history(t: &TestDb) {
    apply(
        t,
        &[with_labels(
            &[("env", "dev"), ("zone", "a"), ("os", "linux")],
            new_agent(1),
        )],
    )
    .await;
    apply(
        t,
        &[with_labels(
            &[("env", "prod"), ("os", "linux"), ("rack", "7")],
            report(1, 9),
        )],
    )
    .await;
    set(t, &[("tier", "1")], None).await;
    let history = agents::history(
        &mut t.db.read().await.unwrap(),
        &ns(),
        agent_id(1),
        None,
        10,
    )
    .await
    .unwrap();
    let [operators, own] = &*history else {
        panic!("two changes: {history:?}")
    };
    assert_eq!((own.at, &*own.what, &own.actor), (at(9), "labels", &None));
    assert_eq!(own.old.as_deref(), Some(r#"{"env":"dev","zone":"a"}"#));
    assert_eq!(own.new.as_deref(), Some(r#"{"env":"prod","rack":"7"}"#));
    assert_eq!(
        (&*operators.what, &operators.actor),
        ("labels", &Some(actor()))
    );
    assert_eq!(operators.new.as_deref(), Some(r#"{"tier":"1"}"#));
}

pub(crate) async fn a_description_that_changes_no_label_is_noted(t: &TestDb) {
    let first = with_labels(&[("env", "dev")], new_agent(1));
    apply(t, std::slice::from_ref(&first)).await;
    let mut second = AgentReport {
        created: None,
        ..first
    };
    apply(t, std::slice::from_ref(&second)).await;
    let list = domain::model::Value::Array(vec![]);
    let description = second.description.as_mut().unwrap();
    description
        .non_identifying
        .push(domain::model::Attribute::new("list", list));
    apply(t, &[second]).await;
    let history = agents::history(
        &mut t.db.read().await.unwrap(),
        &ns(),
        agent_id(1),
        None,
        10,
    )
    .await
    .unwrap();
    assert_eq!(
        history
            .iter()
            .map(|change| &*change.what)
            .collect::<Vec<_>>(),
        ["description"]
    );
}

pub(crate) async fn approval_is_changed_once(t: &TestDb) {
    let approve = async || {
        commit!(t, |tx| agents::set_approval(
            &mut tx,
            &ns(),
            agent_id(1),
            Approval::Pending,
            by(&actor())
        )
        .await
        .unwrap())
    };
    assert!(!approve().await);
    apply(t, &[new_agent(1)]).await;
    assert!(approve().await);
    assert!(approve().await);
    let found = detail(t, 1).await.summary;
    assert_eq!((found.approval, found.version), (Approval::Pending, 2));
    let history = agents::history(
        &mut t.db.read().await.unwrap(),
        &ns(),
        agent_id(1),
        None,
        10,
    )
    .await
    .unwrap();
    let [change] = &*history else {
        panic!("one change: {history:?}")
    };
    assert_eq!(
        (change.old.as_deref(), change.new.as_deref()),
        (Some("approved"), Some("pending"))
    );
}

pub(crate) async fn a_deleted_agent_leaves_nothing_behind(t: &TestDb) {
    let with_event = AgentReport {
        events: vec![event(1, 1, EventKind::AgentCreated)],
        ..new_agent(1)
    };
    apply(t, &[with_labels(&[("env", "prod")], with_event)]).await;
    let delete = async || {
        commit!(t, |tx| agents::delete(&mut tx, &ns(), agent_id(1))
            .await
            .unwrap())
    };
    assert!(delete().await);
    assert!(!delete().await);
    let mut conn = t.db.read().await.unwrap();
    assert_eq!(
        agents::find(&mut conn, &ns(), agent_id(1)).await.unwrap(),
        None
    );
    assert_eq!(agents::load_all(&mut conn).await.unwrap(), []);
    assert_eq!(
        events::list_of_agent(&mut conn, &ns(), agent_id(1), None, 9)
            .await
            .unwrap()
            .len(),
        1
    );
    drop(conn);
    assert_eq!(matching(t, "env=prod").await, 0);
    // It may come back as a new agent with the uid it had.
    apply(
        t,
        &[AgentReport {
            created: new_agent(1).created,
            ..new_agent(2)
        }],
    )
    .await;
    assert_eq!(detail(t, 2).await.summary.uid, uid(1));
}

pub(crate) async fn history_is_paged_from_the_newest(t: &TestDb) {
    apply(t, &[new_agent(1)]).await;
    for n in 1..=5 {
        set(t, &[("n", &n.to_string())], None).await;
    }
    let mut conn = t.db.read().await.unwrap();
    let first = agents::history(&mut conn, &ns(), agent_id(1), None, 3)
        .await
        .unwrap();
    let rest = agents::history(&mut conn, &ns(), agent_id(1), Some(first[2].id), 3)
        .await
        .unwrap();
    let seen: Vec<_> = first
        .iter()
        .chain(&rest)
        .filter_map(|change| change.new.as_deref())
        .collect();
    assert_eq!(
        seen,
        [
            r#"{"n":"5"}"#,
            r#"{"n":"4"}"#,
            r#"{"n":"3"}"#,
            r#"{"n":"2"}"#,
            r#"{"n":"1"}"#
        ]
    );
}
