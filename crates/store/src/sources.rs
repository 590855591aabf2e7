//! Config sources: what was taken from each, so that a restart goes on from there.

use domain::Namespace;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::db::Dialect;
use crate::sql::{Columns, query, query_built};
use crate::{Conn, StoreError, Tx};

/// What was taken from the config source of a namespace. Its parts are stored as JSON: fields may be added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRecord {
    /// The namespace.
    pub namespace: Namespace,
    /// The repository.
    pub repository: String,
    /// The branch.
    pub branch: String,
    /// The directory in the repository; empty: all of it.
    pub path: String,
    /// The commit that was looked at last; empty: none.
    pub seen: String,
    /// The commit that was applied last.
    pub applied: Option<AppliedCommit>,
    /// The commit that was refused after that.
    pub refused: Option<RefusedCommit>,
    /// What is to be released by itself, or was and could not be.
    pub releases: Vec<SourceRelease>,
}

impl SourceRecord {
    /// Whether this commit was looked at last, and applied.
    #[must_use]
    pub fn has_applied(&self, commit: &str) -> bool {
        let applied = self.applied.as_ref();
        self.seen == commit && applied.is_some_and(|applied| applied.commit.id == commit)
    }
}

/// A commit as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// Its id.
    pub id: String,
    /// Who wrote it.
    pub author: String,
    /// The first line of its message.
    pub message: String,
    /// When it was committed.
    pub time: Timestamp,
}

/// A commit that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedCommit {
    /// It.
    pub commit: CommitRecord,
    /// When it was applied.
    pub at: Timestamp,
    /// Whether the branch had been moved there by a force-push.
    #[serde(default)]
    pub forced: bool,
}

/// A commit that was refused whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedCommit {
    /// It.
    pub commit: CommitRecord,
    /// When it was refused.
    pub at: Timestamp,
    /// What is wrong with it.
    pub findings: Vec<SourceFinding>,
    /// How many further findings there are.
    #[serde(default)]
    pub more: u64,
}

/// Something that is wrong with a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFinding {
    /// The file below the source's directory; empty: the directory itself.
    pub file: String,
    /// The line, from 1, where it is known.
    #[serde(default)]
    pub line: Option<u64>,
    /// The column, from 1, where it is known.
    #[serde(default)]
    pub column: Option<u64>,
    /// A stable word for the kind of fault.
    pub code: String,
    /// What is wrong and what to do.
    pub problem: String,
}

/// A config that a source releases by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRelease {
    /// The config.
    pub config: String,
    /// Why it was not released; nothing: it is yet to be.
    #[serde(default)]
    pub refused: Option<String>,
}

const COLUMNS: &str = "namespace, repository, branch, path, seen, applied, refused, releases";

/// What was taken from a namespace's source.
///
/// # Errors
/// [`StoreError`].
pub async fn find(conn: &mut Conn, ns: &Namespace) -> Result<Option<SourceRecord>, StoreError> {
    find_and(conn, ns, "").await
}

/// What was taken from a namespace's source, which nobody else changes until the transaction ends. Where there is nothing
/// yet, a record without a commit is made.
///
/// # Errors
/// [`StoreError`].
pub async fn lock(tx: &mut Tx, new: &SourceRecord) -> Result<SourceRecord, StoreError> {
    let text = "INSERT INTO config_sources (namespace, repository, branch, path, seen, releases)
         VALUES ($1, $2, $3, $4, '', '[]') ON CONFLICT DO NOTHING";
    query("beginning a config source", text)
        .bind(&new.namespace)
        .bind(new.repository.as_str())
        .bind(new.branch.as_str())
        .bind(new.path.as_str())
        .run(tx)
        .await?;
    let lock = match tx.dialect() {
        // There is one writer, and it is this transaction.
        Dialect::Sqlite => "",
        Dialect::Postgres => " FOR UPDATE",
    };
    let found = find_and(tx, &new.namespace, lock).await?;
    found.ok_or(StoreError::Corrupt {
        what: "config source (it is missing)",
    })
}

async fn find_and(
    conn: &mut Conn,
    ns: &Namespace,
    suffix: &str,
) -> Result<Option<SourceRecord>, StoreError> {
    let text = format!("SELECT {COLUMNS} FROM config_sources WHERE namespace = $1{suffix}");
    query_built("reading a config source", text)
        .bind(ns)
        .read_one(conn, read_source)
        .await
}

/// Stores what was taken, over what was there.
///
/// # Errors
/// [`StoreError`].
pub async fn save(tx: &mut Tx, record: &SourceRecord) -> Result<(), StoreError> {
    query(
        "storing a config source",
        "UPDATE config_sources
         SET repository = $2, branch = $3, path = $4, seen = $5, applied = $6, refused = $7, releases = $8
         WHERE namespace = $1",
    )
    .bind(&record.namespace)
    .bind(record.repository.as_str())
    .bind(record.branch.as_str())
    .bind(record.path.as_str())
    .bind(record.seen.as_str())
    .bind(record.applied.as_ref().map(encode))
    .bind(record.refused.as_ref().map(encode))
    .bind(encode(&record.releases))
    .run(tx)
    .await
    .map(drop)
}

/// Forgets what was taken from the sources of every other namespace than one. Gives their number.
///
/// # Errors
/// [`StoreError`].
pub async fn forget(tx: &mut Tx, keep: Option<&Namespace>) -> Result<u64, StoreError> {
    let text = "DELETE FROM config_sources WHERE namespace <> $1";
    query("forgetting config sources", text)
        .bind(keep.map_or("", Namespace::as_str))
        .run(tx)
        .await
}

fn read_source(row: &mut Columns<'_>) -> Result<SourceRecord, StoreError> {
    Ok(SourceRecord {
        namespace: row.namespace()?,
        repository: row.text()?.to_owned(),
        branch: row.text()?.to_owned(),
        path: row.text()?.to_owned(),
        seen: row.text()?.to_owned(),
        applied: row.opt_text()?.map(decode).transpose()?,
        refused: row.opt_text()?.map(decode).transpose()?,
        releases: decode(row.text()?)?,
    })
}

fn encode(part: &impl Serialize) -> String {
    serde_json::to_string(part).expect("texts, numbers and lists of them always serialize")
}

fn decode<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Corrupt {
        what: "config source",
    })
}
