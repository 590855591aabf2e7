//! Retention: what is forgotten, and when. Driven from outside, in bounded steps.

mod revisions;

pub use revisions::{KeepRevisions, drop_revisions};

use std::time::Duration;

use domain::{AgentId, EventKind, Namespace, NewEvent};
use jiff::{SignedDuration, Timestamp};

use crate::bulk::Bulk;
use crate::contents::{ContentKind, MIN_GRACE};
use crate::sql::{query, query_built};
use crate::{Conn, Db, StoreError, Tx, agents, events, meta};

/// How long things are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// An agent that was neither seen nor detached for so long is forgotten. A server that was down for longer has
    /// detached its agents when it started, and gives them that time to come back.
    pub offline_agents: Duration,
    /// Events and history older than this are dropped.
    pub events: Duration,
    /// The most events kept of one agent, and the most entries of its history.
    pub events_per_agent: u32,
    /// Contents and desired contents that nothing refers to are dropped when they are older than this.
    pub contents_grace: Duration,
    /// Answers kept for idempotency keys.
    pub idempotency_keys: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 24 * 3600);
        Self {
            offline_agents: days(30),
            events: days(90),
            events_per_agent: 256,
            contents_grace: Duration::from_secs(3600),
            idempotency_keys: days(1),
        }
    }
}

/// What a sweep dropped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Agents that were forgotten; the caller forgets them in memory too.
    pub agents: Vec<(Namespace, AgentId)>,
    /// Events and history entries.
    pub events: u64,
    /// Desired contents.
    pub desired: u64,
    /// Contents.
    pub contents: u64,
    /// Saved answers.
    pub answers: u64,
}

/// The most agents, events and contents that one call drops of each.
const MAX_AGENTS: u32 = 500;
const MAX_EVENTS: u32 = 5_000;
const MAX_CONTENTS: u32 = 2_000;

/// Drops what is to be forgotten at a time, at most some thousands of each per call: call it again while it
/// reports more than nothing, or at the next interval. It lets the API's writes pass between its steps.
///
/// # Errors
/// [`StoreError`]; the steps before the one that failed stay done.
pub async fn sweep(db: &Db, keep: &Retention, now: Timestamp) -> Result<Swept, StoreError> {
    let before = |age: Duration| {
        let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
        now.checked_sub(age).unwrap_or(Timestamp::MIN)
    };
    let unreferenced_since =
        before(keep.contents_grace).min(now.checked_sub(MIN_GRACE).unwrap_or(Timestamp::MIN));
    Ok(Swept {
        agents: forget_agents(db, before(keep.offline_agents), now).await?,
        events: drop_old_events(db, before(keep.events)).await?
            + trim(db, Trimmed::Events, keep.events_per_agent).await?
            + trim(db, Trimmed::History, keep.events_per_agent).await?,
        desired: drop_desired(db, unreferenced_since).await?,
        contents: drop_contents(db, unreferenced_since).await?,
        answers: drop_answers(db, before(keep.idempotency_keys)).await?,
    })
}

async fn forget_agents(
    db: &Db,
    cutoff: Timestamp,
    now: Timestamp,
) -> Result<Vec<(Namespace, AgentId)>, StoreError> {
    let gone = offline(&mut *db.read().await?, cutoff).await?;
    if gone.is_empty() {
        return Ok(gone);
    }
    let mut tx = db.begin_reports().await?;
    // Asked again: one of them may have come back meanwhile.
    let gone = offline(&mut tx, cutoff).await?;
    for (ns, agent) in &gone {
        agents::delete(&mut tx, ns, *agent).await?;
    }
    let event = |(ns, agent): &(Namespace, AgentId)| NewEvent {
        namespace: ns.clone(),
        agent: Some(*agent),
        at: now,
        kind: EventKind::AgentDeleted,
        detail: [("reason".to_owned(), "not seen for too long".to_owned())].into(),
    };
    events::append(&mut tx, &gone.iter().map(event).collect::<Vec<_>>()).await?;
    tx.commit().await?;
    Ok(gone)
}

async fn offline(
    conn: &mut Conn,
    cutoff: Timestamp,
) -> Result<Vec<(Namespace, AgentId)>, StoreError> {
    query(
        "looking for agents to forget",
        "SELECT s.namespace, s.agent_id FROM agent_status s
         CROSS JOIN agent_liveness l
         WHERE s.connected = 0 AND l.namespace = s.namespace AND l.agent_id = s.agent_id AND l.last_seen < $1
             AND COALESCE(s.reported_at, 0) < $1
             AND COALESCE(s.detached_at, 0) < $1
         ORDER BY s.namespace, s.agent_id LIMIT $2",
    )
    .bind(cutoff)
    .bind(MAX_AGENTS)
    .read(conn, |row| Ok((row.namespace()?, row.agent()?)))
    .await
}

/// Events are numbered as time goes by: only the oldest are looked at.
async fn drop_old_events(db: &Db, cutoff: Timestamp) -> Result<u64, StoreError> {
    let oldest = query(
        "looking for old events",
        "SELECT at FROM events ORDER BY id LIMIT 1",
    )
    .read_one(&mut *db.read().await?, |row| row.time())
    .await?;
    let mut dropped = 0;
    if oldest.is_some_and(|oldest| oldest < cutoff) {
        let text = "DELETE FROM events WHERE id IN
             (SELECT id FROM (SELECT id, at FROM events ORDER BY id LIMIT $2) oldest WHERE at < $1)";
        dropped += run(
            db,
            query("dropping old events", text)
                .bind(cutoff)
                .bind(MAX_EVENTS),
        )
        .await?;
    }
    let oldest = query(
        "looking for old history",
        "SELECT at FROM agent_history ORDER BY id LIMIT 1",
    )
    .read_one(&mut *db.read().await?, |row| row.time())
    .await?;
    if oldest.is_some_and(|oldest| oldest < cutoff) {
        let text = "DELETE FROM agent_history WHERE id IN
             (SELECT id FROM (SELECT id, at FROM agent_history ORDER BY id LIMIT $2) oldest WHERE at < $1)";
        dropped += run(
            db,
            query("dropping old history", text)
                .bind(cutoff)
                .bind(MAX_EVENTS),
        )
        .await?;
    }
    Ok(dropped)
}

async fn run(db: &Db, statement: crate::sql::Query) -> Result<u64, StoreError> {
    let mut tx = db.begin_reports().await?;
    let changed = statement.run(&mut tx).await?;
    tx.commit().await?;
    Ok(changed)
}

/// What is kept in a bounded number for each agent.
#[derive(Debug, Clone, Copy)]
enum Trimmed {
    Events,
    History,
}

impl Trimmed {
    const fn table(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::History => "agent_history",
        }
    }

    /// The fact that says up to which row this was done.
    const fn done_to(self) -> &'static str {
        match self {
            Self::Events => "events_trimmed_to",
            Self::History => "history_trimmed_to",
        }
    }
}

/// Looks at the agents of which there are new rows, and drops what they have too many of.
async fn trim(db: &Db, what: Trimmed, keep: u32) -> Result<u64, StoreError> {
    let mut reader = db.read().await?;
    let done_to = meta::get(&mut reader, what.done_to()).await?;
    let done_to: i64 = done_to.and_then(|number| number.parse().ok()).unwrap_or(0);
    let (agents, now_done_to) = agents_with_new(&mut reader, what, done_to).await?;
    drop(reader);
    if now_done_to == done_to {
        return Ok(0);
    }
    let mut tx = db.begin_reports().await?;
    let mut dropped = 0;
    for (ns, agent) in agents {
        dropped += trim_agent(&mut tx, what, (&ns, agent), keep).await?;
    }
    meta::set(&mut tx, what.done_to(), &now_done_to.to_string()).await?;
    tx.commit().await?;
    Ok(dropped)
}

async fn agents_with_new(
    conn: &mut Conn,
    what: Trimmed,
    done_to: i64,
) -> Result<(Vec<(Namespace, AgentId)>, i64), StoreError> {
    let text = format!(
        "SELECT namespace, agent_id, MAX(id) FROM
             (SELECT namespace, agent_id, id FROM {} WHERE $1 < id ORDER BY id LIMIT $2) newest
         GROUP BY namespace, agent_id ORDER BY namespace, agent_id",
        what.table()
    );
    let rows = query_built("looking for new rows of agents", text)
        .bind(done_to)
        .bind(MAX_EVENTS)
        .read(conn, |row| {
            let (ns, agent) = (
                row.namespace()?,
                row.opt_bytes()?.and_then(AgentId::from_slice),
            );
            Ok((ns, agent, row.int()?))
        })
        .await?;
    let now_done_to = rows.iter().map(|(_, _, id)| *id).max().unwrap_or(done_to);
    Ok((
        rows.into_iter()
            .filter_map(|(ns, agent, _)| Some((ns, agent?)))
            .collect(),
        now_done_to,
    ))
}

async fn trim_agent(
    tx: &mut Tx,
    what: Trimmed,
    agent: (&Namespace, AgentId),
    keep: u32,
) -> Result<u64, StoreError> {
    let table = what.table();
    let text = format!(
        "DELETE FROM {table} WHERE namespace = $1 AND agent_id = $2 AND id <=
             (SELECT id FROM {table} WHERE namespace = $1 AND agent_id = $2 ORDER BY id DESC LIMIT 1 OFFSET $3)"
    );
    query_built("dropping what an agent has too much of", text)
        .bind(agent.0)
        .bind(agent.1)
        .bind(keep)
        .run(tx)
        .await
}

async fn drop_desired(db: &Db, cutoff: Timestamp) -> Result<u64, StoreError> {
    const UNREFERENCED: &str = "created_at < $1 AND hash NOT IN
         (SELECT desired_hash FROM agent_status WHERE desired_hash IS NOT NULL
          UNION SELECT offered_hash FROM agent_status WHERE offered_hash IS NOT NULL
          UNION SELECT hash FROM dry_run_refusals)";
    let any = format!("SELECT 1 FROM desired_contents WHERE {UNREFERENCED} LIMIT 1");
    let any = query_built("looking for unused desired contents", any).bind(cutoff);
    if any.row(&mut *db.read().await?).await?.is_none() {
        return Ok(0);
    }
    let text = format!("DELETE FROM desired_contents WHERE {UNREFERENCED}");
    run(
        db,
        query_built("dropping unused desired contents", text).bind(cutoff),
    )
    .await
}

/// The texts that find and drop the contents of a kind that nothing refers to.
struct Unused {
    kind: ContentKind,
    find: &'static str,
    drop: &'static str,
}

macro_rules! unused {
    ($kind:ident, $references:literal) => {
        Unused {
            kind: ContentKind::$kind,
            find: concat!(
                "SELECT namespace, hash FROM contents WHERE kind = $1 AND touched_at < $2 AND hash NOT IN (",
                $references,
                ") LIMIT $3"
            ),
            drop: concat!(
                "WITH v (namespace, kind, hash, cutoff) AS MATERIALIZED (VALUES {rows})
                 DELETE FROM contents WHERE (namespace, kind, hash) IN (SELECT namespace, kind, hash FROM v)
                     AND touched_at < (SELECT MAX(cutoff) FROM v) AND hash NOT IN (",
                $references,
                ")"
            ),
        }
    };
}

const UNUSED: [Unused; 5] = [
    unused!(
        Effective,
        "SELECT effective_hash FROM agent_status WHERE effective_hash IS NOT NULL"
    ),
    unused!(
        Description,
        "SELECT description_hash FROM agents WHERE description_hash IS NOT NULL"
    ),
    unused!(
        Components,
        "SELECT components_content FROM agent_status WHERE components_content IS NOT NULL"
    ),
    unused!(Desired, "SELECT content_hash FROM desired_contents"),
    unused!(Revision, "SELECT sha256 FROM revisions"),
];

async fn drop_contents(db: &Db, cutoff: Timestamp) -> Result<u64, StoreError> {
    let mut dropped = 0;
    for unused in &UNUSED {
        let kind = unused.kind.as_str();
        let found = query("looking for unused contents", unused.find)
            .bind(kind)
            .bind(cutoff)
            .bind(MAX_CONTENTS)
            .read(&mut *db.read().await?, |row| {
                Ok((row.namespace()?, row.hash()?))
            })
            .await?;
        if found.is_empty() {
            continue;
        }
        // The statement asks once more: a report may have referred to one of them meanwhile.
        let mut rows = Bulk::new("dropping unused contents", unused.drop, 4);
        for (ns, hash) in &found {
            rows.row([ns.into(), kind.into(), hash.into(), cutoff.into()]);
        }
        let mut tx = db.begin_reports().await?;
        dropped += rows.run(&mut tx).await?;
        tx.commit().await?;
    }
    Ok(dropped)
}

async fn drop_answers(db: &Db, cutoff: Timestamp) -> Result<u64, StoreError> {
    let text = "DELETE FROM idempotency_keys WHERE created_at < $1";
    run(db, query("dropping saved answers", text).bind(cutoff)).await
}
