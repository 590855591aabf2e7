//! The inventory: SQL and memory agree on which agents a filter admits.

use domain::model::ApplyState;
use domain::{AgentId, Approval, ConfigState, EventKind, Selector};
use store::agents::{self, AgentReport, AgentSummary, AttachmentChange, ListAgents, NewAgent};
use store::testing::{TestDb, at};

use crate::fixture::*;

const FLEET: u32 = 60;

/// Agents of all sorts, mixed by their number.
fn fleet() -> Vec<AgentReport> {
    (0..FLEET).map(one_of_fleet).collect()
}

fn one_of_fleet(n: u32) -> AgentReport {
    let env = ["prod", "dev", "test"][n as usize % 3];
    let region = ["us-west", "us-east", "eu", "EU"][n as usize % 4];
    let host = format!("Web-{n:02}.example");
    let mut own = vec![("env", env), ("host.name", host.as_str())];
    if !n.is_multiple_of(5) {
        own.push(("region", region));
    }
    if n.is_multiple_of(7) {
        own.push(("legacy", ""));
    }
    let mut report = with_labels(&own, new_agent(n));
    if n % 4 != 3 {
        report = with_health(!n.is_multiple_of(4), report);
    }
    if n % 6 == 5 {
        report.created = Some(NewAgent {
            uid: uid(n),
            approval: Approval::Pending,
        });
    }
    if n % 3 == 1 {
        report.attachment = Some(AttachmentChange::Detached {
            at: at(1),
            reason: "closed".into(),
        });
    }
    // Every combination of what is desired, offered and answered, and a state nobody expects.
    let states = [
        ApplyState::Applied,
        ApplyState::Failed,
        ApplyState::Applying,
        ApplyState::Unset,
    ];
    report.desired = (n % 5 != 4).then(|| Some(hash(1)));
    report.offered =
        (n.is_multiple_of(2)).then(|| offered(hash(1 + u8::from(n.is_multiple_of(8)))));
    report.remote_config_status = (n % 3 != 2).then(|| {
        answered(
            &hash(1 + u8::from(n.is_multiple_of(10))),
            states[(n / 3) as usize % 4],
        )
    });
    report.events = vec![event(n, 0, EventKind::AgentCreated)];
    report
}

async fn list(t: &TestDb, filter: &ListAgents) -> agents::AgentPage {
    agents::list(&mut t.db.read().await.unwrap(), filter)
        .await
        .unwrap()
}

async fn everyone(t: &TestDb) -> Vec<AgentSummary> {
    list(
        t,
        &ListAgents {
            limit: 1000,
            ..ListAgents::all(ns())
        },
    )
    .await
    .items
}

fn ids(items: &[AgentSummary]) -> Vec<AgentId> {
    items.iter().map(|agent| agent.id).collect()
}

pub(crate) async fn a_list_is_paged_without_gaps_or_doubles(t: &TestDb) {
    apply(t, &fleet()).await;
    let mut seen = Vec::new();
    let mut filter = ListAgents {
        limit: 7,
        ..ListAgents::all(ns())
    };
    loop {
        let page = list(t, &filter).await;
        seen.extend(ids(&page.items));
        match page.next {
            Some(next) => filter.after = Some(next),
            None => break,
        }
        assert_eq!(page.items.len(), 7);
    }
    assert!(seen.into_iter().eq((0..FLEET).map(agent_id)));
    // A page that ends exactly with the last agent names no next one.
    let exact = ListAgents {
        limit: FLEET,
        ..ListAgents::all(ns())
    };
    assert_eq!(list(t, &exact).await.next, None);
}

pub(crate) async fn selectors_match_in_sql_as_in_memory(t: &TestDb) {
    apply(t, &fleet()).await;
    let everyone = everyone(t).await;
    let selectors = [
        "",
        "env=prod",
        "env==dev,region=eu",
        "env!=prod",
        "region!=eu",
        "region in (eu,us-west)",
        "region notin (eu,us-west)",
        "region",
        "!region",
        "legacy",
        "!legacy,env in (prod,test)",
        "legacy=",
        "env=prod,env=dev",
        "env=prod,!legacy,region notin (us-east),host.name",
        "host.name=\"Web-07.example\"",
        "nothing=here",
        "!nothing",
    ];
    for text in selectors {
        let selector: Selector = text.parse().unwrap();
        let filter = ListAgents {
            selector: selector.clone(),
            limit: 1000,
            ..ListAgents::all(ns())
        };
        let expected: Vec<AgentId> = everyone
            .iter()
            .filter(|agent| selector.matches(&agent.labels))
            .map(|agent| agent.id)
            .collect();
        assert_eq!(ids(&list(t, &filter).await.items), expected, "{text}");
        let mut conn = t.db.read().await.unwrap();
        let count = agents::count_matching(&mut conn, &ns(), &selector)
            .await
            .unwrap();
        assert_eq!(count, expected.len() as u64, "{text}");
    }
}

pub(crate) async fn status_filters_match_in_sql_as_in_memory(t: &TestDb) {
    apply(t, &fleet()).await;
    let everyone = everyone(t).await;
    let all = || ListAgents {
        limit: 1000,
        ..ListAgents::all(ns())
    };
    type Check = fn(&AgentSummary) -> bool;
    let mut cases: Vec<(ListAgents, Check)> = vec![
        (
            ListAgents {
                connected: Some(true),
                ..all()
            },
            |agent| agent.connected,
        ),
        (
            ListAgents {
                connected: Some(false),
                ..all()
            },
            |agent| !agent.connected,
        ),
        (
            ListAgents {
                healthy: Some(true),
                ..all()
            },
            |agent| agent.healthy == Some(true),
        ),
        (
            ListAgents {
                healthy: Some(false),
                ..all()
            },
            |agent| agent.healthy == Some(false),
        ),
        (
            ListAgents {
                approval: Some(Approval::Pending),
                ..all()
            },
            |agent| agent.approval == Approval::Pending,
        ),
        (
            ListAgents {
                in_sync: Some(true),
                ..all()
            },
            |agent| agent.config_state == ConfigState::Applied,
        ),
        (
            ListAgents {
                in_sync: Some(false),
                ..all()
            },
            |agent| {
                !matches!(
                    agent.config_state,
                    ConfigState::Applied | ConfigState::Unassigned
                )
            },
        ),
    ];
    let states: [Check; 6] = [
        |agent| agent.config_state == ConfigState::Unassigned,
        |agent| agent.config_state == ConfigState::Pending,
        |agent| agent.config_state == ConfigState::Offered,
        |agent| agent.config_state == ConfigState::Applying,
        |agent| agent.config_state == ConfigState::Applied,
        |agent| agent.config_state == ConfigState::Failed,
    ];
    for (state, check) in ConfigState::ALL.into_iter().zip(states) {
        cases.push((
            ListAgents {
                config_state: Some(state),
                ..all()
            },
            check,
        ));
    }
    for (filter, check) in cases {
        let expected: Vec<AgentId> = everyone
            .iter()
            .filter(|agent| check(agent))
            .map(|agent| agent.id)
            .collect();
        assert!(!expected.is_empty(), "the fleet has some of {filter:?}");
        assert_eq!(ids(&list(t, &filter).await.items), expected, "{filter:?}");
    }
}

pub(crate) async fn text_is_found_in_ids_and_labels_whatever_its_case(t: &TestDb) {
    apply(t, &fleet()).await;
    let find = async |text: &str| {
        let filter = ListAgents {
            text: Some(text.to_owned()),
            limit: 1000,
            ..ListAgents::all(ns())
        };
        list(t, &filter).await.items.len()
    };
    assert_eq!(find("web-07").await, 1);
    assert_eq!(find("WEB-07.EXAMPLE").await, 1);
    assert_eq!(find("example").await, FLEET as usize);
    assert_eq!(find(&agent_id(3).to_string()).await, 1);
    assert_eq!(find(&uid(3).to_string().to_uppercase()).await, 1);
    assert_eq!(find("").await, FLEET as usize);
    // Nothing in a text is a pattern.
    assert_eq!(
        find("%").await + find("_").await + find("'").await + find("web*").await,
        0
    );
}

pub(crate) async fn filters_and_cursor_go_together(t: &TestDb) {
    apply(t, &fleet()).await;
    let filter = ListAgents {
        selector: "env=prod,region".parse().unwrap(),
        text: Some("web".into()),
        connected: Some(true),
        limit: 1000,
        ..ListAgents::all(ns())
    };
    let all = ids(&list(t, &filter).await.items);
    assert!(4 < all.len());
    let first = list(
        t,
        &ListAgents {
            limit: 2,
            ..filter.clone()
        },
    )
    .await;
    assert_eq!(
        (ids(&first.items), first.next),
        (all[..2].to_vec(), Some(all[1]))
    );
    let rest = list(
        t,
        &ListAgents {
            after: first.next,
            ..filter
        },
    )
    .await;
    assert_eq!((ids(&rest.items), rest.next), (all[2..].to_vec(), None));
}

pub(crate) async fn counts_add_up(t: &TestDb) {
    apply(t, &fleet()).await;
    let everyone = everyone(t).await;
    let counts = agents::counts(&mut t.db.read().await.unwrap(), &ns())
        .await
        .unwrap();
    let count = |check: &dyn Fn(&AgentSummary) -> bool| {
        everyone.iter().filter(|agent| check(agent)).count() as u64
    };
    assert_eq!(counts.total, u64::from(FLEET));
    assert_eq!(counts.connected, count(&|agent| agent.connected));
    assert_eq!(counts.healthy, count(&|agent| agent.healthy == Some(true)));
    assert_eq!(
        counts.unhealthy,
        count(&|agent| agent.healthy == Some(false))
    );
    assert_eq!(
        counts.pending_approval,
        count(&|agent| agent.approval == Approval::Pending)
    );
    for (state, counted) in counts.config_states {
        assert_eq!(
            counted,
            count(&|agent| agent.config_state == state),
            "{state:?}"
        );
    }
}

pub(crate) async fn an_empty_namespace_counts_zero(t: &TestDb) {
    apply(t, &[new_agent(1)]).await;
    let counts = agents::counts(&mut t.db.read().await.unwrap(), &other_ns())
        .await
        .unwrap();
    assert_eq!((counts.total, counts.config_states.len()), (0, 6));
}
