//! Revisions that nobody can need any more.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use domain::{ConfigName, Namespace, RevisionNumber};
use jiff::{SignedDuration, Timestamp};

use crate::bulk::Bulk;
use crate::sql::query;
use crate::{Conn, Db, StoreError, codec, configs};

/// The most revisions that one call drops.
const MAX_REVISIONS: u32 = 500;

/// Kept whatever their age: the newest of each config, the one in force and the one that it replaced, those that a running
/// rollout moves from or to, those of agents that go their own way, and those with a tag.
const OLD: &str = "SELECT r.namespace, r.config, r.number
     FROM revisions r JOIN configs c ON c.namespace = r.namespace AND c.name = r.config
     WHERE r.number <= c.latest - $1 AND r.created_at < $2
         AND NOT EXISTS (SELECT 1 FROM baselines b LEFT JOIN rollouts o ON o.namespace = b.namespace AND o.id = b.rollout_id
             WHERE b.namespace = r.namespace AND b.config = r.config AND (b.revision = r.number OR o.previous = r.number))
         AND NOT EXISTS (SELECT 1 FROM rollouts o WHERE o.namespace = r.namespace AND o.config = r.config
             AND o.state = 'running' AND (o.target = r.number OR o.previous = r.number))
         AND NOT EXISTS (SELECT 1 FROM exceptions e WHERE e.namespace = r.namespace AND e.config = r.config
             AND e.revision = r.number)
         AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.namespace = r.namespace AND t.config = r.config
             AND t.revision = r.number)
     ORDER BY r.namespace, r.config, r.number";

const DROP: &str = "WITH v (namespace, config, number) AS MATERIALIZED (VALUES {rows})
     DELETE FROM revisions WHERE (namespace, config, number) IN (SELECT namespace, config, number FROM v)";

type Key = (Namespace, ConfigName, RevisionNumber);

/// Which revisions are kept that nobody needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepRevisions {
    /// Those that are younger than this.
    pub younger_than: Duration,
    /// So many of the newest of each config, whatever their age.
    pub per_config: u32,
}

/// Drops revisions that are too old and not among the newest of their config, unless they are in use or could be returned
/// to: the one in force and the one before it, those with a tag, and what agents run. At most some hundreds at a time; says
/// how many.
///
/// Nothing may be released meanwhile: the caller holds what serialises releases, and releases of other nodes lock the
/// config.
///
/// # Errors
/// [`StoreError`].
pub async fn drop_revisions(
    db: &Db,
    keep: KeepRevisions,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let age = SignedDuration::try_from(keep.younger_than).unwrap_or(SignedDuration::MAX);
    let cutoff = now.checked_sub(age).unwrap_or(Timestamp::MIN);
    let keep = keep.per_config;
    let mut old = old(&mut *db.read().await?, keep, cutoff).await?;
    if old.is_empty() {
        return Ok(0);
    }
    let run = run_by_agents(&mut *db.read().await?).await?;
    old.retain(|key| !run.contains(key));
    old.truncate(MAX_REVISIONS as usize);
    if old.is_empty() {
        return Ok(0);
    }
    // Between looking and dropping one of them may have come into use.
    let mut tx = db.begin().await?;
    for (ns, config) in old
        .iter()
        .map(|key| (&key.0, &key.1))
        .collect::<BTreeSet<_>>()
    {
        configs::lock(&mut tx, ns, config).await?;
    }
    let still: HashSet<Key> = self::old(&mut tx, keep, cutoff)
        .await?
        .into_iter()
        .collect();
    let run = run_by_agents(&mut tx).await?;
    let mut rows = Bulk::new("dropping old revisions", DROP, 3);
    for key in old
        .iter()
        .filter(|key| still.contains(key) && !run.contains(key))
    {
        rows.row([
            (&key.0).into(),
            key.1.as_str().into(),
            key.2.0.cast_signed().into(),
        ]);
    }
    let dropped = rows.run(&mut tx).await?;
    tx.commit().await?;
    Ok(dropped)
}

async fn old(conn: &mut Conn, keep: u32, cutoff: Timestamp) -> Result<Vec<Key>, StoreError> {
    query("looking for old revisions", OLD)
        .bind(keep)
        .bind(cutoff)
        .read(conn, |row| {
            let (ns, config) = (row.namespace()?, row.parsed("config name")?);
            Ok((ns, config, RevisionNumber(row.count()?)))
        })
        .await
}

/// The revisions of contents that are kept: those that agents should run or were sent.
async fn run_by_agents(conn: &mut Conn) -> Result<HashSet<Key>, StoreError> {
    let text = "SELECT DISTINCT namespace, layers FROM desired_contents";
    let contents = query("looking at what agents run", text)
        .read(conn, |row| {
            Ok((row.namespace()?, codec::decode_layers(row.text()?)?))
        })
        .await?;
    let keys = contents.into_iter().flat_map(|(ns, layers)| {
        let key =
            move |layer: crate::desired::LayerRecord| (ns.clone(), layer.config, layer.revision);
        layers.into_iter().map(key)
    });
    Ok(keys.collect())
}
