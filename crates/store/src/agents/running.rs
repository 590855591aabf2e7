//! What agents run that nobody gave them, and what they are built of.

use std::collections::BTreeMap;

use domain::model::{ComponentDetails, ConfigMap};
use domain::{AgentId, ContentHash, Namespace};

use crate::contents::{self, ContentKind};
use crate::sql::query;
use crate::{Conn, StoreError, codec};

/// The agents that should run nothing of ours and report what they run: with the hash of that, under which
/// [`effective_config`] finds it.
///
/// # Errors
/// [`StoreError`].
pub async fn running_their_own(
    conn: &mut Conn,
    ns: &Namespace,
) -> Result<Vec<(AgentId, ContentHash)>, StoreError> {
    query(
        "looking at what agents run",
        "SELECT agent_id, effective_hash FROM agent_status
         WHERE namespace = $1 AND desired_hash IS NULL AND effective_hash IS NOT NULL",
    )
    .bind(ns)
    .read(conn, |row| Ok((row.agent()?, row.hash()?)))
    .await
}

/// What agents report to run, by its hash.
///
/// # Errors
/// [`StoreError`].
pub async fn effective_config(
    conn: &mut Conn,
    ns: &Namespace,
    hash: &ContentHash,
) -> Result<ConfigMap, StoreError> {
    let bytes = contents::get(conn, ns, ContentKind::Effective, hash).await?;
    codec::decode_files(&bytes)
}

/// The components that agents report, by the hash under which they are stored.
///
/// # Errors
/// [`StoreError`].
pub async fn components(
    conn: &mut Conn,
    ns: &Namespace,
    hash: &ContentHash,
) -> Result<BTreeMap<String, ComponentDetails>, StoreError> {
    let bytes = contents::get(conn, ns, ContentKind::Components, hash).await?;
    codec::decode_components(&bytes)
}
