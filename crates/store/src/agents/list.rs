//! The inventory: pages of agents and counts, filtered in SQL.

use domain::model::{InstanceUid, RemoteConfigStatus};
use domain::{
    AgentId, Answered, Approval, ConfigState, Namespace, NodeName, ReportedHash, Selector,
    config_state,
};

use super::filter::{CONFIG_STATE, Filter, matching};
use super::labels::{read_labels, read_uid};
use super::load::{read_approval, read_capabilities, read_offered};
use super::report::Attachment;
use super::view::{AgentSummary, FleetCounts};
use crate::sql::{Columns, query, query_built};
use crate::{Conn, StoreError, codec};

/// Which agents to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListAgents {
    /// Of this namespace.
    pub namespace: Namespace,
    /// That this selector matches.
    pub selector: Selector,
    /// Whose id, uid or a label's value contains this text, whatever its case.
    pub text: Option<String>,
    /// That are connected, or not.
    pub connected: Option<bool>,
    /// That say they are healthy, or that they are not.
    pub healthy: Option<bool>,
    /// That stand so with their desired config.
    pub config_state: Option<ConfigState>,
    /// That run what they should (`applied`), or that should run something and do not (yet).
    pub in_sync: Option<bool>,
    /// That are managed, or wait for approval.
    pub approval: Option<Approval>,
    /// That come after this one.
    pub after: Option<AgentId>,
    /// At most so many.
    pub limit: u32,
}

impl ListAgents {
    /// Every agent of a namespace, 100 at a time.
    #[must_use]
    pub fn all(namespace: Namespace) -> Self {
        Self {
            namespace,
            selector: Selector::default(),
            text: None,
            connected: None,
            healthy: None,
            config_state: None,
            in_sync: None,
            approval: None,
            after: None,
            limit: 100,
        }
    }
}

/// One page of agents.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentPage {
    /// The agents, ascending by id.
    pub items: Vec<AgentSummary>,
    /// Where the next page begins, if there is one ([`ListAgents::after`]).
    pub next: Option<AgentId>,
}

/// The columns of a summary, for [`read_summary`].
pub(super) const SUMMARY: &str = "a.id, a.namespace, a.uid, a.labels_reported, a.labels_operator, a.labels_credential,
    a.capabilities, a.approval, a.version, a.created_at,
    CASE WHEN l.follows = s.reports THEN l.last_seen ELSE COALESCE(s.reported_at, l.last_seen) END,
    s.connected, s.node, s.transport, s.remote_addr, s.attached_at, s.detached_at, s.detach_reason, s.healthy, s.health, s.offered_hash, s.offered_at, s.desired_hash,
    s.answered_hash, s.answered_state, s.answered_error";

/// One page of the agents that a filter admits.
///
/// # Errors
/// [`StoreError`].
pub async fn list(conn: &mut Conn, filter: &ListAgents) -> Result<AgentPage, StoreError> {
    let built = Filter::narrowed(filter, conn).await?;
    // One more than asked for tells whether there is a next page. In the text, since SQLite plans a statement anew each
    // time that a limit is bound to it.
    let limit = u64::from(filter.limit) + 1;
    let text = format!(
        "SELECT {SUMMARY}{} ORDER BY {} LIMIT {limit}",
        built.text, built.order
    );
    let mut items = query_built("listing agents", text)
        .bind_all(built.values)
        .read(conn, read_summary)
        .await?;
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let next = if limit < items.len() {
        items.truncate(limit);
        items.last().map(|last| last.id)
    } else {
        None
    };
    Ok(AgentPage { items, next })
}

pub(super) fn read_summary(row: &mut Columns<'_>) -> Result<AgentSummary, StoreError> {
    let id = row.agent()?;
    let namespace = row.namespace()?;
    let uid: InstanceUid = read_uid(row)?;
    let labels = read_labels(row)?.effective();
    let (capabilities, approval): (_, Approval) = (read_capabilities(row)?, read_approval(row)?);
    let (version, created_at, last_seen) = (row.count()?, row.time()?, row.time()?);
    let connected = row.flag()?;
    let attachment = read_attachment(row)?;
    let detached = (
        row.opt_time()?,
        row.opt_text()?.unwrap_or_default().to_owned(),
    );
    let healthy = row.opt_flag()?;
    let (health_status, last_error) = row
        .opt_text()?
        .map(codec::decode_health_root)
        .transpose()?
        .unwrap_or_default();
    let (offered, desired) = (read_offered(row)?, row.opt_hash()?);
    let remote_config_status = read_remote_config_status(row)?;
    let answered = remote_config_status.as_ref().map(|status| Answered {
        hash: ReportedHash::new(status.last_hash.as_slice()),
        state: status.state,
    });
    Ok(AgentSummary {
        id,
        namespace,
        uid,
        labels,
        capabilities,
        approval,
        version,
        connected,
        attachment,
        detached: detached.0.map(|at| (at, detached.1)),
        healthy,
        health_status,
        last_error,
        config_state: config_state(
            desired.as_ref(),
            offered.as_ref().map(|offered| &offered.hash),
            answered.as_ref(),
        ),
        desired,
        offered,
        remote_config_status,
        created_at,
        last_seen,
    })
}

fn read_attachment(row: &mut Columns<'_>) -> Result<Option<Attachment>, StoreError> {
    let (node, transport, remote_addr) = (row.opt_text()?, row.opt_text()?, row.opt_text()?);
    let (Some(node), Some(at)) = (node, row.opt_time()?) else {
        return Ok(None);
    };
    Ok(Some(Attachment {
        node: NodeName::new(node),
        transport: transport.unwrap_or_default().to_owned(),
        remote_addr: remote_addr.unwrap_or_default().to_owned(),
        at,
    }))
}

/// Reads the columns answered_hash, answered_state and answered_error.
fn read_remote_config_status(
    row: &mut Columns<'_>,
) -> Result<Option<RemoteConfigStatus>, StoreError> {
    let (hash, state, error) = (row.opt_bytes()?, row.opt_text()?, row.opt_text()?);
    let (Some(hash), Some(state)) = (hash, state) else {
        return Ok(None);
    };
    Ok(Some(RemoteConfigStatus {
        last_hash: hash.to_vec(),
        state: codec::decode_apply_state(state)?,
        error: error.unwrap_or_default().to_owned(),
    }))
}

/// Counts of a namespace's agents.
///
/// # Errors
/// [`StoreError`].
pub async fn counts(conn: &mut Conn, ns: &Namespace) -> Result<FleetCounts, StoreError> {
    let text = format!(
        "SELECT {CONFIG_STATE}, s.connected, s.healthy, COUNT(*) FROM agent_status s WHERE s.namespace = $1
         GROUP BY 1, 2, 3"
    );
    let groups = query_built("counting agents", text)
        .bind(ns)
        .read(conn, |row| {
            let state = ConfigState::parse(row.text()?).ok_or(StoreError::Corrupt {
                what: "config state",
            })?;
            Ok((state, row.flag()?, row.opt_flag()?, row.count()?))
        })
        .await?;
    let pending = "SELECT COUNT(*) FROM agents WHERE namespace = $1 AND approval = 'pending'";
    let pending = query("counting agents", pending)
        .bind(ns)
        .read_one(conn, |row| row.count())
        .await?;
    let mut counts = FleetCounts {
        pending_approval: pending.unwrap_or(0),
        config_states: ConfigState::ALL.map(|state| (state, 0)).to_vec(),
        ..FleetCounts::default()
    };
    for (state, connected, healthy, count) in groups {
        counts.total += count;
        counts.connected += if connected { count } else { 0 };
        counts.healthy += if healthy == Some(true) { count } else { 0 };
        counts.unhealthy += if healthy == Some(false) { count } else { 0 };
        let of_state = counts
            .config_states
            .iter_mut()
            .find(|(known, _)| *known == state);
        *of_state.map(|(_, sum)| sum).expect("every state is there") += count;
    }
    Ok(counts)
}

/// How many agents a selector matches.
///
/// # Errors
/// [`StoreError`].
pub async fn count_matching(
    conn: &mut Conn,
    ns: &Namespace,
    selector: &Selector,
) -> Result<u64, StoreError> {
    let built = Filter::of(&matching(ns, selector), conn.dialect());
    let text = format!("SELECT COUNT(*){}", built.text);
    let count = query_built("counting agents", text)
        .bind_all(built.values)
        .read_one(conn, |row| row.count())
        .await?;
    Ok(count.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use domain::{ConfigState, Namespace};

    use super::*;
    use crate::testing::TestDb;

    /// How SQLite would run a list: one line a step.
    async fn plan(t: &TestDb, filter: &ListAgents) -> String {
        let mut conn = t.db.read().await.unwrap();
        let mut built = Filter::narrowed(filter, &mut conn).await.unwrap();
        let limit = built.value(10_u32);
        let text = format!(
            "EXPLAIN QUERY PLAN SELECT 1{} ORDER BY {} LIMIT {limit}",
            built.text, built.order
        );
        let steps = query_built("explaining", text)
            .bind_all(built.values)
            .read(&mut conn, |row| {
                row.int()?;
                row.int()?;
                row.int()?;
                Ok(row.text()?.to_owned())
            });
        steps.await.unwrap().join("\n")
    }

    /// No list sorts, and each begins with the index that fits it: a page reads no more than it needs.
    #[tokio::test]
    async fn lists_walk_an_index_in_their_own_order() {
        let t = TestDb::sqlite().await;
        let all = || ListAgents::all(Namespace::default());
        let selected = |text: &str| ListAgents {
            selector: text.parse().unwrap(),
            ..all()
        };
        let cases = [
            (all(), "sqlite_autoindex_agent_status_1"),
            (
                selected("env=prod,!legacy,region in (a,b)"),
                "agent_labels_value",
            ),
            (selected("!legacy"), "sqlite_autoindex_agent_status_1"),
            // Few agents have it: they are looked up one by one.
            (
                selected("region in (a,b),!legacy"),
                "sqlite_autoindex_agent_status_1 (namespace=? AND agent_id=?)",
            ),
            (
                selected("region"),
                "sqlite_autoindex_agent_status_1 (namespace=? AND agent_id=?)",
            ),
            (
                ListAgents {
                    connected: Some(false),
                    ..all()
                },
                "agent_status_gone",
            ),
            (
                ListAgents {
                    healthy: Some(false),
                    ..all()
                },
                "agent_status_unhealthy",
            ),
            (
                ListAgents {
                    config_state: Some(ConfigState::Failed),
                    ..all()
                },
                "agent_status_failed",
            ),
        ];
        for (filter, index) in cases {
            let filter = ListAgents {
                after: Some(AgentId::from_bytes([1; 16])),
                ..filter
            };
            let plan = plan(&t, &filter).await;
            assert!(
                plan.lines()
                    .next()
                    .is_some_and(|first| first.contains(index)),
                "{filter:?}: {plan}"
            );
            assert!(
                !plan.contains("TEMP B-TREE") && !plan.contains("SCAN"),
                "{filter:?}: {plan}"
            );
        }
        t.close().await;
    }
}
