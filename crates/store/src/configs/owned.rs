//! Which configs come from a config source, which alone changes them.

use domain::{ConfigName, Namespace};
use jiff::Timestamp;

use super::{ConfigOverview, overviews, read_overview};
use crate::sql::{query, query_built};
use crate::{Conn, StoreError, Tx};

/// The configs of a namespace that come from a source, by name.
///
/// # Errors
/// [`StoreError`].
pub async fn owned(conn: &mut Conn, ns: &Namespace) -> Result<Vec<ConfigOverview>, StoreError> {
    let text = overviews("AND c.source IS NOT NULL AND c.deleted_at IS NULL ORDER BY c.name");
    query_built("listing the configs of a source", text)
        .bind(ns)
        .read(conn, read_overview)
        .await
}

/// Makes a config one of a repository, which has it.
///
/// # Errors
/// [`StoreError`].
pub async fn set_owner(
    tx: &mut Tx,
    ns: &Namespace,
    name: &ConfigName,
    repository: &str,
) -> Result<(), StoreError> {
    query(
        "giving a config to its source",
        "UPDATE configs SET source = $3, gone_at = NULL, version = version + 1
         WHERE namespace = $1 AND name = $2
             AND (source IS NULL OR source <> $3 OR gone_at IS NOT NULL)",
    )
    .bind(ns)
    .bind(name.as_str())
    .bind(repository)
    .run(tx)
    .await
    .map(drop)
}

/// Notes that the source of a config has it no more. Says whether that is news.
///
/// # Errors
/// [`StoreError`].
pub async fn mark_gone(
    tx: &mut Tx,
    ns: &Namespace,
    name: &ConfigName,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let changed = query(
        "noting that a source has a config no more",
        "UPDATE configs SET gone_at = $3, version = version + 1
         WHERE namespace = $1 AND name = $2 AND source IS NOT NULL AND gone_at IS NULL",
    )
    .bind(ns)
    .bind(name.as_str())
    .bind(at)
    .run(tx)
    .await?;
    Ok(changed == 1)
}

/// Lets the configs of every other namespace than one go: they come from no source any more. Gives their number.
///
/// # Errors
/// [`StoreError`].
pub async fn disown(tx: &mut Tx, keep: Option<&Namespace>) -> Result<u64, StoreError> {
    query(
        "letting configs of a source go",
        "UPDATE configs SET source = NULL, gone_at = NULL, version = version + 1
         WHERE source IS NOT NULL AND namespace <> $1",
    )
    .bind(keep.map_or("", Namespace::as_str))
    .run(tx)
    .await
}
