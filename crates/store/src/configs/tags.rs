//! Tags: names for revisions, which people may move.

use domain::{Actor, ConfigName, Namespace, RevisionNumber};
use jiff::Timestamp;

use crate::sql::query;
use crate::{Conn, StoreError, Tx};

/// A name for a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The name.
    pub name: String,
    /// The revision.
    pub revision: RevisionNumber,
    /// Who set it.
    pub set_by: Actor,
    /// When.
    pub set_at: Timestamp,
}

/// Gives a revision a name, also one that another revision of the config has until now.
///
/// # Errors
/// [`StoreError`].
pub async fn set_tag(
    tx: &mut Tx,
    ns: &Namespace,
    config: &ConfigName,
    tag: &Tag,
) -> Result<(), StoreError> {
    query(
        "storing a tag",
        "INSERT INTO tags (namespace, config, tag, revision, set_by, set_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (namespace, config, tag) DO UPDATE SET revision = excluded.revision,
             set_by = excluded.set_by, set_at = excluded.set_at",
    )
    .bind(ns)
    .bind(config.as_str())
    .bind(tag.name.as_str())
    .bind(tag.revision.0)
    .bind(tag.set_by.as_str())
    .bind(tag.set_at)
    .run(tx)
    .await
    .map(drop)
}

/// Takes a name away; says whether it was there.
///
/// # Errors
/// [`StoreError`].
pub async fn remove_tag(
    tx: &mut Tx,
    ns: &Namespace,
    config: &ConfigName,
    name: &str,
) -> Result<bool, StoreError> {
    let text = "DELETE FROM tags WHERE namespace = $1 AND config = $2 AND tag = $3";
    Ok(query("removing a tag", text)
        .bind(ns)
        .bind(config.as_str())
        .bind(name)
        .run(tx)
        .await?
        == 1)
}

/// The tags of a config, by name.
///
/// # Errors
/// [`StoreError`].
pub async fn tags(
    conn: &mut Conn,
    ns: &Namespace,
    config: &ConfigName,
) -> Result<Vec<Tag>, StoreError> {
    query(
        "reading the tags of a config",
        "SELECT tag, revision, set_by, set_at FROM tags WHERE namespace = $1 AND config = $2 ORDER BY tag",
    )
    .bind(ns)
    .bind(config.as_str())
    .read(conn, |row| {
        Ok(Tag {
            name: row.text()?.to_owned(),
            revision: RevisionNumber(row.count()?),
            set_by: Actor::named(row.text()?),
            set_at: row.time()?,
        })
    })
    .await
}
