//! Events: one order over all of them, in which commits appear; nothing ever appears before what was read.
//!
//! A database's own sequence would not do: its numbers commit out of order, and a reader that resumes after the
//! newest it saw would miss those that commit later.

use domain::{AgentId, Event, EventId, EventKind, Namespace, NewEvent};

use crate::bulk::Bulk;
use crate::sql::{Columns, query};
use crate::{Conn, StoreError, Tx, codec};

/// Appends events and gives the id of the last one. Do it last in a transaction: until it ends, no other
/// transaction can append.
///
/// # Errors
/// [`StoreError`].
pub async fn append(tx: &mut Tx, events: &[NewEvent]) -> Result<Option<EventId>, StoreError> {
    append_refs(tx, &events.iter().collect::<Vec<_>>()).await
}

pub(crate) async fn append_refs(
    tx: &mut Tx,
    events: &[&NewEvent],
) -> Result<Option<EventId>, StoreError> {
    if events.is_empty() {
        return Ok(None);
    }
    let count = i64::try_from(events.len()).expect("a batch of events has a countable size");
    let text = "UPDATE counters SET value = value + $1 WHERE name = 'event' RETURNING value";
    let last = query("numbering events", text)
        .bind(count)
        .read_one(tx, |row| row.int())
        .await?;
    let last = last.ok_or(StoreError::Corrupt {
        what: "event counter",
    })?;
    let mut rows = Bulk::new(
        "storing events",
        "INSERT INTO events (id, namespace, agent_id, at, kind, detail) VALUES {rows}",
        6,
    );
    for (id, event) in (last - count + 1..).zip(events) {
        let detail = (!event.detail.is_empty()).then(|| codec::encode_map(&event.detail));
        let agent = event
            .agent
            .as_ref()
            .map(|agent| agent.as_bytes().as_slice());
        let kind = event.kind.as_str();
        rows.row([
            id.into(),
            (&event.namespace).into(),
            agent.into(),
            event.at.into(),
            kind.into(),
            detail.into(),
        ]);
    }
    rows.run(tx).await?;
    Ok(Some(EventId(last)))
}

fn read_event(row: &mut Columns<'_>) -> Result<Event, StoreError> {
    Ok(Event {
        id: EventId(row.int()?),
        namespace: row.namespace()?,
        agent: row.opt_bytes()?.and_then(AgentId::from_slice),
        at: row.time()?,
        kind: EventKind::parse(row.text()?).ok_or(StoreError::Corrupt { what: "event kind" })?,
        detail: row
            .opt_text()?
            .map(codec::decode_map)
            .transpose()?
            .unwrap_or_default(),
    })
}

/// Events of a namespace after one, in order.
///
/// # Errors
/// [`StoreError`].
pub async fn list_after(
    conn: &mut Conn,
    ns: &Namespace,
    after: EventId,
    limit: u32,
) -> Result<Vec<Event>, StoreError> {
    query(
        "reading events",
        "SELECT id, namespace, agent_id, at, kind, detail FROM events WHERE $2 < id AND namespace = $1
         ORDER BY id LIMIT $3",
    )
    .bind(ns)
    .bind(after.0)
    .bind(limit)
    .read(conn, read_event)
    .await
}

/// Events of one agent, newest first, before one if it is named.
///
/// # Errors
/// [`StoreError`].
pub async fn list_of_agent(
    conn: &mut Conn,
    ns: &Namespace,
    agent: AgentId,
    before: Option<EventId>,
    limit: u32,
) -> Result<Vec<Event>, StoreError> {
    query(
        "reading an agent's events",
        "SELECT id, namespace, agent_id, at, kind, detail FROM events
         WHERE namespace = $1 AND agent_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4",
    )
    .bind(ns)
    .bind(agent)
    .bind(before.map_or(i64::MAX, |before| before.0))
    .bind(limit)
    .read(conn, read_event)
    .await
}

/// The id of the newest event; 0 if there never was one.
///
/// # Errors
/// [`StoreError`].
pub async fn latest(conn: &mut Conn) -> Result<EventId, StoreError> {
    let text = "SELECT value FROM counters WHERE name = 'event'";
    let latest = query("reading the newest event", text)
        .read_one(conn, |row| row.int())
        .await?;
    Ok(EventId(latest.unwrap_or(0)))
}

/// The id of the oldest event that is kept.
///
/// # Errors
/// [`StoreError`].
pub async fn oldest(conn: &mut Conn) -> Result<Option<EventId>, StoreError> {
    let text = "SELECT id FROM events ORDER BY id LIMIT 1";
    let oldest = query("reading the oldest event", text)
        .read_one(conn, |row| row.int())
        .await?;
    Ok(oldest.map(EventId))
}
