//! Configs, their revisions, and what of them is in force: baselines and exceptions.

mod in_force;
mod owned;
mod revisions;
mod tags;

use domain::{ConfigName, ConfigRecord, Namespace, RevisionNumber, SourceOwner};
use jiff::Timestamp;

pub use in_force::{
    baseline, clear_baseline, clear_exception, exceptions_of, set_baseline, set_exception,
};
pub use owned::{disown, mark_gone, owned, set_owner};
pub use revisions::{RevisionHead, add_revision, revision, revisions};
pub use tags::{Tag, remove_tag, set_tag, tags};

use crate::db::Dialect;
use crate::sql::{Columns, query, query_built};
use crate::{Conn, StoreError, Tx};

/// A config beside its newest revision and the one in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigOverview {
    /// The config.
    pub config: ConfigRecord,
    /// Its newest revision.
    pub latest: RevisionHead,
    /// The revision in force.
    pub baseline: Option<RevisionNumber>,
}

const COLUMNS: &str = "namespace, name, latest, version, created_at, deleted_at, source, gone_at";

/// A config, deleted ones included.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    conn: &mut Conn,
    ns: &Namespace,
    name: &ConfigName,
) -> Result<Option<ConfigRecord>, StoreError> {
    find_and(conn, ns, name, "").await
}

/// A config, deleted ones included, that nobody else changes until the transaction ends: read, decide, write.
///
/// # Errors
/// [`StoreError`].
pub async fn lock(
    tx: &mut Tx,
    ns: &Namespace,
    name: &ConfigName,
) -> Result<Option<ConfigRecord>, StoreError> {
    let lock = match tx.dialect() {
        // There is one writer, and it is this transaction.
        Dialect::Sqlite => "",
        Dialect::Postgres => " FOR UPDATE",
    };
    find_and(tx, ns, name, lock).await
}

async fn find_and(
    conn: &mut Conn,
    ns: &Namespace,
    name: &ConfigName,
    suffix: &str,
) -> Result<Option<ConfigRecord>, StoreError> {
    let text = format!("SELECT {COLUMNS} FROM configs WHERE namespace = $1 AND name = $2{suffix}");
    query_built("reading a config", text)
        .bind(ns)
        .bind(name.as_str())
        .read_one(conn, read_config)
        .await
}

fn read_config(row: &mut Columns<'_>) -> Result<ConfigRecord, StoreError> {
    Ok(ConfigRecord {
        namespace: row.namespace()?,
        name: row.parsed("config name")?,
        latest: RevisionNumber(row.count()?),
        version: row.count()?,
        created_at: row.time()?,
        deleted_at: row.opt_time()?,
        source: read_owner(row)?,
    })
}

fn read_owner(row: &mut Columns<'_>) -> Result<Option<SourceOwner>, StoreError> {
    let (repository, gone_at) = (row.opt_text()?, row.opt_time()?);
    Ok(repository.map(|repository| SourceOwner {
        repository: repository.to_owned(),
        gone_at,
    }))
}

/// The configs of a namespace that are not deleted, by name, after one if it is named.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    conn: &mut Conn,
    ns: &Namespace,
    after: Option<&ConfigName>,
    limit: u32,
) -> Result<Vec<ConfigOverview>, StoreError> {
    let text = overviews("AND $2 < c.name AND c.deleted_at IS NULL ORDER BY c.name LIMIT $3");
    query_built("listing configs", text)
        .bind(ns)
        .bind(after.map_or("", ConfigName::as_str))
        .bind(limit)
        .read(conn, read_overview)
        .await
}

/// A statement that reads overviews of a namespace's configs, `c`.
fn overviews(which: &str) -> String {
    format!(
        "SELECT c.namespace, c.name, c.latest, c.version, c.created_at, c.deleted_at, c.source, c.gone_at, {},
             b.revision
         FROM configs c JOIN revisions r ON r.namespace = c.namespace AND r.config = c.name AND r.number = c.latest
         LEFT JOIN baselines b ON b.namespace = c.namespace AND b.config = c.name
         WHERE c.namespace = $1 {which}",
        revisions::HEAD
    )
}

fn read_overview(row: &mut Columns<'_>) -> Result<ConfigOverview, StoreError> {
    Ok(ConfigOverview {
        config: read_config(row)?,
        latest: revisions::read_head(row)?,
        baseline: row
            .opt_int()?
            .map(|number| RevisionNumber(number.cast_unsigned())),
    })
}

/// Marks a config as deleted; says whether there was one that was not. Its revisions stay until retention drops them.
///
/// # Errors
/// [`StoreError`].
pub async fn mark_deleted(
    tx: &mut Tx,
    ns: &Namespace,
    name: &ConfigName,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let changed = query(
        "deleting a config",
        "UPDATE configs SET deleted_at = $3, version = version + 1, source = NULL, gone_at = NULL
         WHERE namespace = $1 AND name = $2 AND deleted_at IS NULL",
    )
    .bind(ns)
    .bind(name.as_str())
    .bind(at)
    .run(tx)
    .await?;
    Ok(changed == 1)
}
