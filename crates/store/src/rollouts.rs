//! Rollouts: one at a time runs for a config; a rollout that has ended never changes again.

use domain::{
    Actor, ConfigName, InvalidTransition, Namespace, RevisionNumber, Rollout, RolloutId,
    RolloutState, Strategy,
};

use crate::sql::{Columns, Value, query, query_built};
use crate::{Conn, StoreError, Tx};

const COLUMNS: &str =
    "namespace, id, config, target, previous, strategy, forced, state, ended_at, abort_reason,
    created_by, created_at, message";

/// Why a rollout could not be added.
#[derive(Debug, thiserror::Error)]
pub enum AddRolloutError {
    /// Another rollout of the config runs.
    #[error("another rollout of {config} is running")]
    Running {
        /// The config.
        config: ConfigName,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn revision(number: Option<RevisionNumber>) -> Value {
    number.map(|number| number.0.cast_signed()).into()
}

/// Adds a rollout. Of one config only one can be running; a refusal leaves the transaction unusable on PostgreSQL,
/// so it is to be dropped.
///
/// # Errors
/// [`AddRolloutError`].
pub async fn add(tx: &mut Tx, rollout: &Rollout) -> Result<(), AddRolloutError> {
    let added = query(
        "storing a rollout",
        "INSERT INTO rollouts (namespace, id, config, target, previous, strategy, forced, state, ended_at,
             abort_reason, created_by, created_at, message)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(&rollout.namespace)
    .bind(rollout.id.as_bytes().as_slice())
    .bind(rollout.config.as_str())
    .bind(revision(rollout.target))
    .bind(revision(rollout.previous))
    .bind(rollout.strategy.as_str())
    .bind(rollout.forced)
    .bind_all(state(&rollout.state).into())
    .bind(rollout.created_by.as_str())
    .bind(rollout.created_at)
    .bind(rollout.message.as_str())
    .run(tx)
    .await;
    match added {
        Ok(_) => Ok(()),
        Err(StoreError::Refused { .. }) => Err(AddRolloutError::Running {
            config: rollout.config.clone(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// The columns state, ended_at and abort_reason.
fn state(state: &RolloutState) -> [Value; 3] {
    let (ended_at, reason) = match state {
        RolloutState::Running => (None, None),
        RolloutState::Completed { at } => (Some(*at), None),
        RolloutState::Aborted { at, reason } => (Some(*at), Some(reason.as_str())),
    };
    [state.as_str().into(), ended_at.into(), reason.into()]
}

/// Stores the new state of a rollout that is stored as running; says whether it was.
///
/// # Errors
/// [`StoreError`].
pub async fn advance(tx: &mut Tx, rollout: &Rollout) -> Result<bool, StoreError> {
    let changed = query(
        "advancing a rollout",
        "UPDATE rollouts SET state = $3, ended_at = $4, abort_reason = $5
         WHERE namespace = $1 AND id = $2 AND state = 'running'",
    )
    .bind(&rollout.namespace)
    .bind(rollout.id.as_bytes().as_slice())
    .bind_all(state(&rollout.state).into())
    .run(tx)
    .await?;
    Ok(changed == 1)
}

pub(crate) fn read_rollout(row: &mut Columns<'_>) -> Result<Rollout, StoreError> {
    let corrupt = || StoreError::Corrupt { what: "rollout" };
    let number = |number: i64| RevisionNumber(number.cast_unsigned());
    let namespace = row.namespace()?;
    let id = RolloutId::from_slice(row.bytes()?).ok_or_else(corrupt)?;
    let config = row.parsed("config name")?;
    let (target, previous) = (row.opt_int()?.map(number), row.opt_int()?.map(number));
    let strategy = Strategy::parse(row.text()?).ok_or_else(corrupt)?;
    let forced = row.flag()?;
    let (state, ended_at, reason) = (row.text()?, row.opt_time()?, row.opt_text()?);
    let running = Rollout {
        id,
        namespace,
        config,
        target,
        previous,
        strategy,
        forced,
        state: RolloutState::Running,
        created_by: Actor::named(row.text()?),
        created_at: row.time()?,
        message: row.text()?.to_owned(),
    };
    let ended: Result<Rollout, InvalidTransition> = match (state, ended_at) {
        ("running", _) => Ok(running),
        ("completed", Some(at)) => running.complete(at),
        ("aborted", Some(at)) => running.abort(at, reason.unwrap_or_default().to_owned()),
        _ => return Err(corrupt()),
    };
    ended.map_err(|_| corrupt())
}

/// One rollout.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    conn: &mut Conn,
    ns: &Namespace,
    id: RolloutId,
) -> Result<Option<Rollout>, StoreError> {
    query_built(
        "reading a rollout",
        format!("SELECT {COLUMNS} FROM rollouts WHERE namespace = $1 AND id = $2"),
    )
    .bind(ns)
    .bind(id.as_bytes().as_slice())
    .read_one(conn, read_rollout)
    .await
}

/// The rollout of a config that is running.
///
/// # Errors
/// [`StoreError`].
pub async fn running(
    conn: &mut Conn,
    ns: &Namespace,
    config: &ConfigName,
) -> Result<Option<Rollout>, StoreError> {
    let text = format!(
        "SELECT {COLUMNS} FROM rollouts WHERE namespace = $1 AND config = $2 AND state = 'running'"
    );
    query_built("reading a running rollout", text)
        .bind(ns)
        .bind(config.as_str())
        .read_one(conn, read_rollout)
        .await
}

/// Rollouts of a namespace, or of one of its configs, newest first, before one if it is named.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    conn: &mut Conn,
    ns: &Namespace,
    config: Option<&ConfigName>,
    before: Option<RolloutId>,
    limit: u32,
) -> Result<Vec<Rollout>, StoreError> {
    let of_config = if config.is_some() {
        "config = $4 AND"
    } else {
        ""
    };
    let text = format!(
        "SELECT {COLUMNS} FROM rollouts WHERE namespace = $1 AND {of_config} id < $2 ORDER BY id DESC LIMIT $3"
    );
    let before = before.unwrap_or(RolloutId::from_bytes([0xff; 16]));
    let mut listed = query_built("listing rollouts", text)
        .bind(ns)
        .bind(before.as_bytes().as_slice())
        .bind(limit);
    if let Some(config) = config {
        listed = listed.bind(config.as_str());
    }
    listed.read(conn, read_rollout).await
}
