//! Agents, revisions and the like with ordinary values, and shorthands to store and read them.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::model::{
    AgentCapabilities, AgentDescription, ApplyState, Attribute, Health, HealthTimes, InstanceUid,
    RemoteConfigStatus,
};
use domain::{
    Actor, AgentId, Approval, ConfigName, ContentHash, Epoch, EventKind, Kind, Labels, Names,
    Namespace, NewEvent, NodeName, Override, Revision, RevisionNumber, Rollout, RolloutId,
    RolloutState, Strategy, Template, Uses, Variables, labels_of,
};
use store::agents::{
    AgentDetail, AgentReport, Applied, Attachment, AttachmentChange, By, HealthChange, NewAgent,
    Offered,
};
use store::testing::{TestDb, at};
use store::{agents, configs};

pub(crate) fn ns() -> Namespace {
    Namespace::default()
}

pub(crate) fn other_ns() -> Namespace {
    Namespace::new("other").unwrap()
}

pub(crate) fn agent_id(n: u32) -> AgentId {
    AgentId::from_parts(1_700_000_000_000 + u64::from(n), [7; 10])
}

pub(crate) fn uid(n: u32) -> InstanceUid {
    InstanceUid::v7(1_600_000_000_000 + u64::from(n), [9; 10])
}

pub(crate) fn hash(n: u8) -> ContentHash {
    ContentHash::from_bytes([n; 32])
}

pub(crate) fn actor() -> Actor {
    Actor::named("token:test")
}

pub(crate) fn by(actor: &Actor) -> By<'_> {
    By { actor, at: at(50) }
}

/// A report that says nothing, of agent `n`, `seconds` after the beginning.
pub(crate) fn report(n: u32, seconds: i64) -> AgentReport {
    AgentReport::new(agent_id(n), ns(), Epoch(1), at(seconds))
}

/// The report that makes agent `n`.
pub(crate) fn new_agent(n: u32) -> AgentReport {
    AgentReport {
        created: Some(NewAgent {
            uid: uid(n),
            approval: Approval::Approved,
        }),
        attachment: Some(AttachmentChange::Attached(attachment("node-1"))),
        last_seen: Some(at(0)),
        ..report(n, 0)
    }
}

pub(crate) fn attachment(node: &str) -> Attachment {
    Attachment {
        node: NodeName::new(node),
        transport: "websocket".into(),
        remote_addr: "127.0.0.1:1".into(),
        at: at(0),
    }
}

pub(crate) fn with_labels(labels: &[(&str, &str)], report: AgentReport) -> AgentReport {
    let attributes = labels
        .iter()
        .map(|(key, value)| Attribute::new(*key, *value))
        .collect();
    let description = AgentDescription {
        identifying: vec![],
        non_identifying: attributes,
    };
    AgentReport {
        reported_labels: Some(labels_of(&description)),
        description: Some(description),
        ..report
    }
}

pub(crate) fn with_health(healthy: bool, report: AgentReport) -> AgentReport {
    let mut tree = health(healthy, 1);
    let times = tree.split_times();
    AgentReport {
        health: Some(HealthChange { tree, times }),
        ..report
    }
}

/// A tree of ten components, with times that begin at a number.
pub(crate) fn health(healthy: bool, first_time: u64) -> Health {
    let part = |n: u64| Health {
        healthy,
        start_time_unix_nano: first_time + 2 * n,
        status_time_unix_nano: first_time + 2 * n + 1,
        status: "StatusOK".into(),
        ..Health::default()
    };
    let components = (1..=10)
        .map(|n| (format!("receiver:otlp/{n:02}"), part(n)))
        .collect();
    Health {
        last_error: if healthy {
            String::new()
        } else {
            "connection refused".into()
        },
        components,
        ..part(0)
    }
}

pub(crate) fn times(first: u64) -> HealthTimes {
    health(true, first).split_times()
}

pub(crate) fn answered(hash: &ContentHash, state: ApplyState) -> RemoteConfigStatus {
    let error = if state == ApplyState::Failed {
        "bad pipeline"
    } else {
        ""
    };
    RemoteConfigStatus {
        last_hash: hash.as_bytes().to_vec(),
        state,
        error: error.into(),
    }
}

pub(crate) fn offered(hash: ContentHash) -> Offered {
    Offered { hash, at: at(5) }
}

pub(crate) fn capable() -> AgentCapabilities {
    AgentCapabilities::REPORTS_STATUS.union(AgentCapabilities::ACCEPTS_REMOTE_CONFIG)
}

pub(crate) fn event(n: u32, seconds: i64, kind: EventKind) -> NewEvent {
    NewEvent {
        namespace: ns(),
        agent: Some(agent_id(n)),
        at: at(seconds),
        kind,
        detail: BTreeMap::new(),
    }
}

pub(crate) async fn apply(t: &TestDb, reports: &[AgentReport]) -> Applied {
    t.db.apply_reports(reports).await.unwrap()
}

pub(crate) async fn detail(t: &TestDb, n: u32) -> AgentDetail {
    agents::find(&mut t.db.read().await.unwrap(), &ns(), agent_id(n))
        .await
        .unwrap()
        .expect("the agent is there")
}

pub(crate) fn labels(entries: &[(&str, &str)]) -> Labels {
    entries.iter().copied().collect()
}

pub(crate) fn config(name: &str) -> ConfigName {
    ConfigName::new(name).unwrap()
}

pub(crate) fn revision(name: &str, number: u64) -> Revision {
    Revision {
        namespace: ns(),
        config: config(name),
        number: RevisionNumber(number),
        version: format!("v1.0.{number}"),
        kind: Kind::Collector,
        selector: "env=prod".parse().unwrap(),
        priority: -5,
        template: Some(template()),
        variables: Some(Arc::new(variables(r#"{"endpoint": ["a", {"b": null}], "rate": 0.5}"#))),
        body: format!("receivers: {{}} # {name} {number}\n")
            .into_bytes()
            .into(),
        sha256: sha256(format!("receivers: {{}} # {name} {number}\n").as_bytes()),
        author: actor(),
        message: "because".into(),
        created_at: at(i64::try_from(number).unwrap()),
        origin: "api".into(),
    }
}

/// A template that has all that one can have.
pub(crate) fn template() -> Template {
    Template {
        variables: variables(r#"{"port": 4317, "list": ["a", {"b": null}], "rate": 0.5}"#),
        overrides: vec![Override {
            selector: "region=eu".parse().unwrap(),
            variables: variables(r#"{"port": 4318}"#),
        }],
        uses: Uses {
            uid: true,
            labels: Names::Only(["env".to_owned()].into()),
            variables: Names::All,
        },
    }
}

fn variables(json: &str) -> Variables {
    serde_json::from_str(json).unwrap()
}

fn sha256(bytes: &[u8]) -> ContentHash {
    use sha2::Digest;
    ContentHash::from_bytes(sha2::Sha256::digest(bytes).into())
}

pub(crate) async fn add_revision(t: &TestDb, revision: &Revision) -> bool {
    let mut tx = t.db.begin().await.unwrap();
    let added = configs::add_revision(&mut tx, revision).await.unwrap();
    tx.commit().await.unwrap();
    added
}

pub(crate) fn rollout(n: u32, name: &str, target: Option<u64>) -> Rollout {
    Rollout {
        id: RolloutId::from_parts(1_700_000_000_000 + u64::from(n), [3; 10]),
        namespace: ns(),
        config: config(name),
        target: target.map(RevisionNumber),
        previous: None,
        strategy: Strategy::AllAtOnce,
        forced: false,
        state: RolloutState::Running,
        created_by: actor(),
        created_at: at(3),
        message: "go".into(),
    }
}

/// Runs a piece of code in a transaction and commits it.
macro_rules! commit {
    ($t:expr, |$tx:ident| $work:expr) => {{
        let mut $tx = $t.db.begin().await.unwrap();
        let result = $work;
        $tx.commit().await.unwrap();
        result
    }};
}
pub(crate) use commit;
