//! Holds: the emergency brakes that are on.

use domain::{Hold, HoldScope};

use crate::{Conn, StoreError, Tx};

/// Puts a hold on; one of the same scope is replaced.
///
/// # Errors
/// [`StoreError`].
pub async fn set(_tx: &mut Tx, _hold: &Hold) -> Result<(), StoreError> {
    unimplemented!()
}

/// Lifts a hold; says whether it was on.
///
/// # Errors
/// [`StoreError`].
pub async fn lift(_tx: &mut Tx, _scope: &HoldScope) -> Result<bool, StoreError> {
    unimplemented!()
}

/// Every hold that is on, in all namespaces.
///
/// # Errors
/// [`StoreError`].
pub async fn load_all(_conn: &mut Conn) -> Result<Vec<Hold>, StoreError> {
    unimplemented!()
}
