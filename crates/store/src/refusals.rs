//! Contents that agents refused in a dry run and that a release left them out of.

use domain::{AgentId, ConfigName, ContentHash, Namespace, RevisionNumber};
use jiff::Timestamp;

use crate::sql::{Columns, query, query_built};
use crate::{Conn, StoreError, Tx};

/// That an agent's Collector refused a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalRecord {
    /// Its namespace.
    pub namespace: Namespace,
    /// The hash agents know the content by.
    pub hash: ContentHash,
    /// The agent that refused.
    pub agent: AgentId,
    /// The digest of what it was built of; nothing: that was not known.
    pub build: Option<ContentHash>,
    /// Whether it spoke for all agents of its build.
    pub for_build: bool,
    /// What its Collector says, without secrets.
    pub reason: String,
    /// When it refused.
    pub at: Timestamp,
    /// The config whose release left it out.
    pub config: ConfigName,
    /// The revision that was released.
    pub revision: RevisionNumber,
}

/// Makes these all that is kept of who refused a content.
///
/// # Errors
/// [`StoreError`].
pub async fn replace(
    tx: &mut Tx,
    ns: &Namespace,
    hash: &ContentHash,
    refusals: &[RefusalRecord],
) -> Result<(), StoreError> {
    let text = "DELETE FROM dry_run_refusals WHERE namespace = $1 AND hash = $2";
    query("dropping refusals of a content", text)
        .bind(ns)
        .bind(hash)
        .run(tx)
        .await?;
    for refusal in refusals {
        query(
            "storing a refusal",
            "INSERT INTO dry_run_refusals
                 (namespace, hash, agent_id, build, for_build, reason, at, config, revision)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(ns)
        .bind(hash)
        .bind(refusal.agent)
        .bind(refusal.build.as_ref())
        .bind(refusal.for_build)
        .bind(refusal.reason.as_str())
        .bind(refusal.at)
        .bind(refusal.config.as_str())
        .bind(refusal.revision.0)
        .run(tx)
        .await?;
    }
    Ok(())
}

/// Every refusal, in all namespaces, by namespace, content and agent.
///
/// # Errors
/// [`StoreError`].
pub async fn load_all(conn: &mut Conn) -> Result<Vec<RefusalRecord>, StoreError> {
    let text = "SELECT namespace, hash, agent_id, build, for_build, reason, at, config, revision
         FROM dry_run_refusals ORDER BY namespace, hash, agent_id";
    query("loading refusals", text)
        .read(conn, read_refusal)
        .await
}

/// What is true of refusals that nothing needs any more: the revision of whose release is in force for nobody, and whose
/// content no agent should run or was sent.
const UNUSED: &str = "NOT EXISTS (SELECT 1 FROM baselines b
             WHERE b.namespace = dry_run_refusals.namespace AND b.config = dry_run_refusals.config
                 AND b.revision = dry_run_refusals.revision)
         AND NOT EXISTS (SELECT 1 FROM exceptions e
             WHERE e.namespace = dry_run_refusals.namespace AND e.config = dry_run_refusals.config
                 AND e.revision = dry_run_refusals.revision)
         AND hash NOT IN
             (SELECT desired_hash FROM agent_status WHERE desired_hash IS NOT NULL
              UNION SELECT offered_hash FROM agent_status WHERE offered_hash IS NOT NULL)";

/// Contents of which refusals are kept that nothing stored needs any more. Until they are dropped the contents are kept, too.
///
/// # Errors
/// [`StoreError`].
pub async fn unused(conn: &mut Conn) -> Result<Vec<(Namespace, ContentHash)>, StoreError> {
    let text = format!("SELECT DISTINCT namespace, hash FROM dry_run_refusals WHERE {UNUSED}");
    query_built("looking for refusals that nothing needs", text)
        .read(conn, |row| Ok((row.namespace()?, row.hash()?)))
        .await
}

fn read_refusal(row: &mut Columns<'_>) -> Result<RefusalRecord, StoreError> {
    Ok(RefusalRecord {
        namespace: row.namespace()?,
        hash: row.hash()?,
        agent: row.agent()?,
        build: row.opt_hash()?,
        for_build: row.flag()?,
        reason: row.text()?.to_owned(),
        at: row.time()?,
        config: row.parsed("config name")?,
        revision: RevisionNumber(row.count()?),
    })
}
