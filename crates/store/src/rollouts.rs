//! Rollouts.

use domain::{ConfigName, Namespace, Rollout, RolloutId};

use crate::{Conn, StoreError, Tx};

/// Adds a rollout. Of one config only one can be running: [`StoreError::Refused`] otherwise.
///
/// # Errors
/// [`StoreError`].
pub async fn add(_tx: &mut Tx, _rollout: &Rollout) -> Result<(), StoreError> {
    unimplemented!()
}

/// Stores the new state of a rollout that is stored as running; says whether it was.
///
/// # Errors
/// [`StoreError`].
pub async fn advance(_tx: &mut Tx, _rollout: &Rollout) -> Result<bool, StoreError> {
    unimplemented!()
}

/// One rollout.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    _conn: &mut Conn,
    _ns: &Namespace,
    _id: RolloutId,
) -> Result<Option<Rollout>, StoreError> {
    unimplemented!()
}

/// The rollout of a config that is running.
///
/// # Errors
/// [`StoreError`].
pub async fn running(
    _conn: &mut Conn,
    _ns: &Namespace,
    _config: &ConfigName,
) -> Result<Option<Rollout>, StoreError> {
    unimplemented!()
}

/// Rollouts of a namespace, or of one of its configs, newest first, before one if it is named.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    _conn: &mut Conn,
    _ns: &Namespace,
    _config: Option<&ConfigName>,
    _before: Option<RolloutId>,
    _limit: u32,
) -> Result<Vec<Rollout>, StoreError> {
    unimplemented!()
}
