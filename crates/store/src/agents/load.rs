//! Preload: what a starting server needs of every agent, without a query per agent.

use domain::model::{AgentCapabilities, HealthTimes};
use domain::{AgentId, Answered, Approval, Epoch, Namespace, ReportedHash};

use super::labels::{read_labels, read_uid};
use super::report::Offered;
use super::view::StoredAgent;
use crate::sql::{Columns, query};
use crate::{Conn, StoreError, codec};

/// How many agents are read at once, which bounds the memory that takes.
const PAGE: u32 = 1000;

/// What a starting server needs of every agent, all at once.
///
/// # Errors
/// [`StoreError`].
pub async fn load_all(conn: &mut Conn) -> Result<Vec<StoredAgent>, StoreError> {
    let mut agents: Vec<StoredAgent> = Vec::new();
    loop {
        let after = agents.last().map(|last| (last.namespace.clone(), last.id));
        let page = load_page(conn, after.as_ref().map(|(ns, id)| (ns, *id)), PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        agents.extend(page);
        if is_last {
            return Ok(agents);
        }
    }
}

/// What a starting server needs of agents, in ascending order of (namespace, id), after one if it is named.
///
/// # Errors
/// [`StoreError`].
pub async fn load_page(
    conn: &mut Conn,
    after: Option<(&Namespace, AgentId)>,
    limit: u32,
) -> Result<Vec<StoredAgent>, StoreError> {
    let (ns, id) = after.map_or(("", AgentId::from_bytes([0; 16])), |(ns, id)| {
        (ns.as_str(), id)
    });
    query(
        "loading agents",
        "SELECT a.namespace, a.id, a.uid, a.labels_reported, a.labels_operator, a.labels_credential, a.capabilities,
             a.approval, s.epoch, s.connected, s.reports,
             CASE WHEN l.follows = s.reports THEN l.wire ELSE s.wire END,
             s.answered_hash, s.answered_state, s.offered_hash, s.offered_at,
             s.desired_hash, s.healthy, s.health_times, s.health_at, l.health_times, l.flushed_at,
             CASE WHEN l.follows = s.reports THEN l.last_seen ELSE COALESCE(s.reported_at, l.last_seen) END,
             s.components_content, s.custom_capabilities
         FROM agents a CROSS JOIN agent_status s CROSS JOIN agent_liveness l
         WHERE (a.namespace, a.id) > ($1, $2) AND s.namespace = a.namespace AND s.agent_id = a.id
             AND l.namespace = a.namespace AND l.agent_id = a.id
         ORDER BY a.namespace, a.id LIMIT $3",
    )
    .bind(ns)
    .bind(id)
    .bind(limit)
    .read(conn, read_agent)
    .await
}

fn read_agent(row: &mut Columns<'_>) -> Result<StoredAgent, StoreError> {
    Ok(StoredAgent {
        namespace: row.namespace()?,
        id: row.agent()?,
        uid: read_uid(row)?,
        labels: read_labels(row)?,
        capabilities: read_capabilities(row)?,
        approval: read_approval(row)?,
        epoch: Epoch(row.int()?),
        connected: row.flag()?,
        reports: row.count()?,
        wire: row.opt_bytes()?.map(Into::into),
        answered: read_answered(row)?,
        offered: read_offered(row)?,
        desired: row.opt_hash()?,
        healthy: row.opt_flag()?,
        start_time_unix_nano: read_times(row)?.map_or(0, |times| times.root_start_time_unix_nano()),
        last_seen: row.time()?,
        components: row.opt_hash()?,
        custom_capabilities: row
            .opt_text()?
            .map(codec::decode_custom_capabilities)
            .transpose()?,
    })
}

pub(super) fn read_capabilities(row: &mut Columns<'_>) -> Result<AgentCapabilities, StoreError> {
    Ok(AgentCapabilities::from_bits_truncate(
        row.int()?.cast_unsigned(),
    ))
}

pub(super) fn read_approval(row: &mut Columns<'_>) -> Result<Approval, StoreError> {
    Approval::parse(row.text()?).ok_or(StoreError::Corrupt { what: "approval" })
}

/// Reads the columns answered_hash and answered_state.
pub(super) fn read_answered(row: &mut Columns<'_>) -> Result<Option<Answered>, StoreError> {
    let (hash, state) = (row.opt_bytes()?, row.opt_text()?);
    let (Some(hash), Some(state)) = (hash, state) else {
        return Ok(None);
    };
    Ok(Some(Answered {
        hash: ReportedHash::new(hash),
        state: codec::decode_apply_state(state)?,
    }))
}

/// Reads the columns offered_hash and offered_at.
pub(super) fn read_offered(row: &mut Columns<'_>) -> Result<Option<Offered>, StoreError> {
    let (hash, at) = (row.opt_hash()?, row.opt_time()?);
    Ok(hash.zip(at).map(|(hash, at)| Offered { hash, at }))
}

/// Reads the times that came with the health tree and when, and the flushed ones and when; gives the newer.
pub(super) fn read_times(row: &mut Columns<'_>) -> Result<Option<HealthTimes>, StoreError> {
    let (with_tree, tree_at) = (row.opt_bytes()?, row.opt_int()?);
    let (flushed, flushed_at) = (row.opt_bytes()?, row.opt_int()?);
    // A flush of times that belong to an older tree of another shape is no use for this one.
    let fits = |times: &&[u8]| {
        tree_at <= flushed_at && with_tree.is_none_or(|own| own.len() == times.len())
    };
    let newest = flushed.filter(fits).or(with_tree);
    newest
        .map(HealthTimes::from_bytes)
        .transpose()
        .map_err(|_| StoreError::Corrupt {
            what: "health times",
        })
}
