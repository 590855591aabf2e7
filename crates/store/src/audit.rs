//! The audit chain: entries in one order, each with the hash of the one before it.

use domain::{Actor, AgentId, AuditEntry, AuditOutcome, ContentHash, Namespace};
use jiff::Timestamp;

use crate::sql::{Columns, query, query_built};
use crate::{Conn, StoreError, Tx};

/// An entry in its place on the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its place, counted from 1 without gaps.
    pub sequence: u64,
    /// The hash of the entry before it; zeros for the first.
    pub previous: ContentHash,
    /// What happened.
    pub entry: AuditEntry,
    /// The hash of all of the above.
    pub hash: ContentHash,
}

/// Computes the hash of an entry from its place, the hash before it and itself.
///
/// Times are handed to it as they are stored, in microseconds, so that verification gets the same.
pub type ChainHash = fn(sequence: u64, previous: &ContentHash, entry: &AuditEntry) -> ContentHash;

const COLUMNS: &str =
    "sequence, previous, hash, namespace, at, event_type, agent_id, actor, action, resource,
    old_value, new_value, error";

/// Puts an entry on the chain, in the transaction of the write it records. Do it last: until the transaction ends,
/// no other can append.
///
/// # Errors
/// [`StoreError`].
pub async fn append(
    tx: &mut Tx,
    entry: &AuditEntry,
    hash: ChainHash,
) -> Result<AuditRecord, StoreError> {
    let text = "UPDATE counters SET value = value + 1 WHERE name = 'audit' RETURNING value";
    let sequence = query("numbering an audit entry", text)
        .read_one(tx, |row| row.count())
        .await?;
    let sequence = sequence.ok_or(StoreError::Corrupt {
        what: "audit counter",
    })?;
    let previous = previous(tx, sequence).await?;
    let entry = as_stored(entry);
    let record = AuditRecord {
        sequence,
        previous,
        hash: hash(sequence, &previous, &entry),
        entry,
    };
    insert(tx, &record).await?;
    Ok(record)
}

async fn previous(tx: &mut Tx, sequence: u64) -> Result<ContentHash, StoreError> {
    if sequence == 1 {
        return Ok(ContentHash::from_bytes([0; 32]));
    }
    let text = "SELECT hash FROM audit WHERE sequence = $1";
    let hash = query("reading the audit chain", text)
        .bind(sequence - 1)
        .read_one(tx, |row| row.hash())
        .await?;
    hash.ok_or(StoreError::Corrupt {
        what: "audit chain (its end is missing)",
    })
}

/// The entry as it will be read back: what is hashed must be what is stored.
fn as_stored(entry: &AuditEntry) -> AuditEntry {
    let text = |text: &str| text.replace('\0', "\u{FFFD}");
    AuditEntry {
        namespace: entry.namespace.clone(),
        at: Timestamp::from_microsecond(entry.at.as_microsecond()).unwrap_or(entry.at),
        event_type: text(&entry.event_type),
        agent: entry.agent,
        user: Actor::named(&text(entry.user.as_str())),
        action: text(&entry.action),
        resource: text(&entry.resource),
        old_value: entry.old_value.as_deref().map(text),
        new_value: entry.new_value.as_deref().map(text),
        outcome: match &entry.outcome {
            AuditOutcome::Success => AuditOutcome::Success,
            AuditOutcome::Failure { error } => AuditOutcome::Failure { error: text(error) },
        },
    }
}

async fn insert(tx: &mut Tx, record: &AuditRecord) -> Result<(), StoreError> {
    let entry = &record.entry;
    let error = match &entry.outcome {
        AuditOutcome::Success => None,
        AuditOutcome::Failure { error } => Some(error.as_str()),
    };
    query(
        "storing an audit entry",
        "INSERT INTO audit (sequence, previous, hash, namespace, at, event_type, agent_id, actor, action, resource,
             old_value, new_value, error)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(record.sequence)
    .bind(&record.previous)
    .bind(&record.hash)
    .bind(&entry.namespace)
    .bind(entry.at)
    .bind(entry.event_type.as_str())
    .bind(entry.agent.as_ref().map(|agent| agent.as_bytes().as_slice()))
    .bind(entry.user.as_str())
    .bind(entry.action.as_str())
    .bind(entry.resource.as_str())
    .bind(entry.old_value.as_deref())
    .bind(entry.new_value.as_deref())
    .bind(error)
    .run(tx)
    .await
    .map(drop)
}

fn read_record(row: &mut Columns<'_>) -> Result<AuditRecord, StoreError> {
    let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
    Ok(AuditRecord {
        sequence: row.count()?,
        previous: row.hash()?,
        hash: row.hash()?,
        entry: AuditEntry {
            namespace: row.namespace()?,
            at: row.time()?,
            event_type: row.text()?.to_owned(),
            agent: row.opt_bytes()?.and_then(AgentId::from_slice),
            user: Actor::named(row.text()?),
            action: row.text()?.to_owned(),
            resource: row.text()?.to_owned(),
            old_value: owned(row.opt_text()?),
            new_value: owned(row.opt_text()?),
            outcome: match row.opt_text()? {
                None => AuditOutcome::Success,
                Some(error) => AuditOutcome::Failure {
                    error: error.to_owned(),
                },
            },
        },
    })
}

/// Entries of a namespace, newest first, before a sequence number if one is named.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    conn: &mut Conn,
    ns: &Namespace,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<AuditRecord>, StoreError> {
    let text = format!(
        "SELECT {COLUMNS} FROM audit WHERE namespace = $1 AND sequence < $2 ORDER BY sequence DESC LIMIT $3"
    );
    query_built("listing audit entries", text)
        .bind(ns)
        .bind(before.unwrap_or(u64::MAX))
        .bind(limit)
        .read(conn, read_record)
        .await
}

/// The chain itself, over all namespaces, after a sequence number (0: from the start), for verification.
///
/// # Errors
/// [`StoreError`].
pub async fn chain(
    conn: &mut Conn,
    after: u64,
    limit: u32,
) -> Result<Vec<AuditRecord>, StoreError> {
    query_built(
        "reading the audit chain",
        format!("SELECT {COLUMNS} FROM audit WHERE $1 < sequence ORDER BY sequence LIMIT $2"),
    )
    .bind(after)
    .bind(limit)
    .read(conn, read_record)
    .await
}
