//! What operators do to agents.

use domain::{Actor, AgentId, Approval, Labels, LabelsBySource, Namespace, NodeName};
use jiff::Timestamp;

use super::history::{Changes, Edit};
use super::labels::{LabelRows, STORED, Stored, difference, search_text};
use crate::db::Dialect;
use crate::sql::{query, query_built};
use crate::{StoreError, Tx, Versioned, codec};

/// Who makes a change, and when.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// When.
    pub at: Timestamp,
}

/// Replaces the labels that operators gave an agent; `expected` is the version it must still have.
/// Gives its labels by source as they are then.
///
/// # Errors
/// [`StoreError`].
pub async fn set_operator_labels(
    tx: &mut Tx,
    ns: &Namespace,
    agent: AgentId,
    labels: &Labels,
    expected: Option<u64>,
    by: By<'_>,
) -> Result<Versioned<LabelsBySource>, StoreError> {
    let Some((version, stored)) = lock(tx, ns, agent).await? else {
        return Ok(Versioned::NotFound);
    };
    if expected.is_some_and(|expected| expected != version) {
        return Ok(Versioned::Conflict { current: version });
    }
    let new = LabelsBySource {
        operator: labels.clone(),
        ..stored.labels.clone()
    };
    let (before, after) = (stored.labels.effective(), new.effective());
    query(
        "storing an operator's labels",
        "UPDATE agents SET labels_operator = $3, search = $4, version = version + 1 WHERE namespace = $1 AND id = $2",
    )
    .bind(ns)
    .bind(agent)
    .bind(codec::encode_labels(labels))
    .bind(search_text(agent, &stored.uid, &after))
    .run(tx)
    .await?;
    let mut rows = LabelRows::default();
    rows.change(ns, agent, &before, &after);
    rows.write(tx).await?;
    let (old, changed) = difference(&stored.labels.operator, labels);
    let mut changes = Changes::default();
    changes.of_operator(Edit {
        ns,
        agent,
        at: by.at,
        actor: by.actor,
        what: "labels",
        old,
        new: changed,
    });
    changes.write(tx).await?;
    Ok(Versioned::Done(new))
}

async fn lock(
    tx: &mut Tx,
    ns: &Namespace,
    agent: AgentId,
) -> Result<Option<(u64, Stored)>, StoreError> {
    let lock = match tx.dialect() {
        Dialect::Sqlite => "",
        Dialect::Postgres => " FOR UPDATE",
    };
    let text =
        format!("SELECT version, {STORED} FROM agents WHERE namespace = $1 AND id = $2{lock}");
    query_built("reading an agent's labels", text)
        .bind(ns)
        .bind(agent)
        .read_one(tx, |row| Ok((row.count()?, Stored::read(row)?)))
        .await
}

/// Approves an agent or puts it back on pending; says whether there is such an agent.
///
/// # Errors
/// [`StoreError`].
pub async fn set_approval(
    tx: &mut Tx,
    ns: &Namespace,
    agent: AgentId,
    approval: Approval,
    by: By<'_>,
) -> Result<bool, StoreError> {
    let changed = query(
        "storing an approval",
        "UPDATE agents SET approval = $3, version = version + 1 WHERE namespace = $1 AND id = $2 AND approval <> $3",
    )
    .bind(ns)
    .bind(agent)
    .bind(approval.as_str())
    .run(tx)
    .await?;
    if changed == 0 {
        return exists(tx, ns, agent).await;
    }
    let old = match approval {
        Approval::Approved => Approval::Pending,
        Approval::Pending => Approval::Approved,
    };
    let (old, new) = (old.as_str().to_owned(), approval.as_str().to_owned());
    let mut changes = Changes::default();
    changes.of_operator(Edit {
        ns,
        agent,
        at: by.at,
        actor: by.actor,
        what: "approval",
        old,
        new,
    });
    changes.write(tx).await?;
    Ok(true)
}

async fn exists(tx: &mut Tx, ns: &Namespace, agent: AgentId) -> Result<bool, StoreError> {
    let text = "SELECT 1 FROM agents WHERE namespace = $1 AND id = $2";
    Ok(query("looking for an agent", text)
        .bind(ns)
        .bind(agent)
        .row(tx)
        .await?
        .is_some())
}

/// Forgets an agent and all that hangs on it but its events; says whether there was one.
///
/// # Errors
/// [`StoreError`].
pub async fn delete(tx: &mut Tx, ns: &Namespace, agent: AgentId) -> Result<bool, StoreError> {
    // Reports lock the status first: the same order here keeps the two from waiting for each other.
    let parts = [
        "DELETE FROM agent_status WHERE namespace = $1 AND agent_id = $2",
        "DELETE FROM agent_liveness WHERE namespace = $1 AND agent_id = $2",
        "DELETE FROM agent_labels WHERE namespace = $1 AND agent_id = $2",
        "DELETE FROM agent_history WHERE namespace = $1 AND agent_id = $2",
        "DELETE FROM exceptions WHERE namespace = $1 AND agent_id = $2",
    ];
    for part in parts {
        query("deleting an agent", part)
            .bind(ns)
            .bind(agent)
            .run(tx)
            .await?;
    }
    let text = "DELETE FROM agents WHERE namespace = $1 AND id = $2";
    Ok(query("deleting an agent", text)
        .bind(ns)
        .bind(agent)
        .run(tx)
        .await?
        == 1)
}

/// Marks every agent that is attached to a node as gone, as at its start and its end. Says how many.
///
/// # Errors
/// [`StoreError`].
pub async fn detach_node(
    tx: &mut Tx,
    node: &NodeName,
    at: Timestamp,
    reason: &str,
) -> Result<u64, StoreError> {
    query(
        "detaching a node's agents",
        "UPDATE agent_status SET connected = 0, detached_at = $2, detach_reason = $3 WHERE connected = 1 AND node = $1",
    )
    .bind(node.as_str())
    .bind(at)
    .bind(reason)
    .run(tx)
    .await
}

/// Marks every agent as gone, whichever node it is attached to, and forgets where its session was and what it was sent: in
/// a database that was restored agents have said, and were sent, more than it knows, and are asked for everything anew.
///
/// # Errors
/// [`StoreError`].
pub async fn forget_sessions(tx: &mut Tx, at: Timestamp, reason: &str) -> Result<(), StoreError> {
    let text = "UPDATE agent_status SET connected = 0, detached_at = $1, detach_reason = $2 WHERE connected = 1";
    query("detaching all agents", text)
        .bind(at)
        .bind(reason)
        .run(tx)
        .await?;
    let text = "UPDATE agent_status SET offered_hash = NULL, offered_at = NULL, wire = NULL";
    query("forgetting all offers", text).run(tx).await?;
    let text = "UPDATE agent_liveness SET wire = NULL";
    query("forgetting all sessions", text)
        .run(tx)
        .await
        .map(drop)
}
