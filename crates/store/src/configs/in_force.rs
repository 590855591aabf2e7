//! What of a config is in force: its baseline, and the agents that go their own way.

use domain::{
    Actor, AgentId, BaselineRecord, ConfigName, Exception, ExceptionReason, Namespace,
    RevisionNumber, RolloutId,
};

use crate::sql::{Columns, query};
use crate::{Conn, StoreError, Tx};

/// Puts a revision in force.
///
/// # Errors
/// [`StoreError`].
pub async fn set_baseline(tx: &mut Tx, baseline: &BaselineRecord) -> Result<(), StoreError> {
    query(
        "storing a baseline",
        "INSERT INTO baselines (namespace, config, revision, rollout_id, set_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (namespace, config) DO UPDATE
         SET revision = excluded.revision, rollout_id = excluded.rollout_id, set_at = excluded.set_at",
    )
    .bind(&baseline.namespace)
    .bind(baseline.config.as_str())
    .bind(baseline.revision.0)
    .bind(baseline.rollout.as_bytes().as_slice())
    .bind(baseline.set_at)
    .run(tx)
    .await
    .map(drop)
}

/// Leaves no revision of a config in force; says whether one was.
///
/// # Errors
/// [`StoreError`].
pub async fn clear_baseline(
    tx: &mut Tx,
    ns: &Namespace,
    config: &ConfigName,
) -> Result<bool, StoreError> {
    let text = "DELETE FROM baselines WHERE namespace = $1 AND config = $2";
    Ok(query("clearing a baseline", text)
        .bind(ns)
        .bind(config.as_str())
        .run(tx)
        .await?
        == 1)
}

/// The revision of a config that is in force.
///
/// # Errors
/// [`StoreError`].
pub async fn baseline(
    conn: &mut Conn,
    ns: &Namespace,
    config: &ConfigName,
) -> Result<Option<BaselineRecord>, StoreError> {
    query(
        "reading a baseline",
        "SELECT revision, rollout_id, set_at FROM baselines WHERE namespace = $1 AND config = $2",
    )
    .bind(ns)
    .bind(config.as_str())
    .read_one(conn, |row| {
        Ok(BaselineRecord {
            namespace: ns.clone(),
            config: config.clone(),
            revision: RevisionNumber(row.count()?),
            rollout: RolloutId::from_slice(row.bytes()?)
                .ok_or(StoreError::Corrupt { what: "rollout id" })?,
            set_at: row.time()?,
        })
    })
    .await
}

/// Lets an agent go its own way for one config.
///
/// # Errors
/// [`StoreError`].
pub async fn set_exception(tx: &mut Tx, exception: &Exception) -> Result<(), StoreError> {
    query(
        "storing an exception",
        "INSERT INTO exceptions (namespace, agent_id, config, revision, reason, set_by, set_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (namespace, agent_id, config) DO UPDATE SET revision = excluded.revision,
             reason = excluded.reason, set_by = excluded.set_by, set_at = excluded.set_at",
    )
    .bind(&exception.namespace)
    .bind(exception.agent)
    .bind(exception.config.as_str())
    .bind(exception.revision.map(|number| number.0.cast_signed()))
    .bind(exception.reason.as_str())
    .bind(exception.set_by.as_str())
    .bind(exception.set_at)
    .run(tx)
    .await
    .map(drop)
}

/// Ends an exception; says whether there was one.
///
/// # Errors
/// [`StoreError`].
pub async fn clear_exception(
    tx: &mut Tx,
    ns: &Namespace,
    agent: AgentId,
    config: &ConfigName,
) -> Result<bool, StoreError> {
    let text = "DELETE FROM exceptions WHERE namespace = $1 AND agent_id = $2 AND config = $3";
    Ok(query("clearing an exception", text)
        .bind(ns)
        .bind(agent)
        .bind(config.as_str())
        .run(tx)
        .await?
        == 1)
}

/// The exceptions of one agent.
///
/// # Errors
/// [`StoreError`].
pub async fn exceptions_of(
    conn: &mut Conn,
    ns: &Namespace,
    agent: AgentId,
) -> Result<Vec<Exception>, StoreError> {
    query(
        "reading an agent's exceptions",
        "SELECT namespace, agent_id, config, revision, reason, set_by, set_at FROM exceptions
         WHERE namespace = $1 AND agent_id = $2 ORDER BY config",
    )
    .bind(ns)
    .bind(agent)
    .read(conn, read_exception)
    .await
}

fn read_exception(row: &mut Columns<'_>) -> Result<Exception, StoreError> {
    Ok(Exception {
        namespace: row.namespace()?,
        agent: row.agent()?,
        config: row.parsed("config name")?,
        revision: row
            .opt_int()?
            .map(|number| RevisionNumber(number.cast_unsigned())),
        reason: ExceptionReason::parse(row.text()?)
            .ok_or(StoreError::Corrupt { what: "exception" })?,
        set_by: Actor::named(row.text()?),
        set_at: row.time()?,
    })
}
