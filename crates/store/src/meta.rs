//! Facts about the database itself: its id, and what all nodes share.

use crate::{Conn, StoreError, Tx};

/// The key under which the database's id is kept.
pub const DATABASE_ID: &str = "database_id";
/// The key under which the SHA-256 of the first administrator's token is kept, in hexadecimal digits.
pub const ADMIN_TOKEN_HASH: &str = "admin_token_hash";

/// A fact.
///
/// # Errors
/// [`StoreError`].
pub async fn get(_conn: &mut Conn, _key: &str) -> Result<Option<String>, StoreError> {
    unimplemented!()
}

/// Stores a fact over an older one.
///
/// # Errors
/// [`StoreError`].
pub async fn set(_tx: &mut Tx, _key: &str, _value: &str) -> Result<(), StoreError> {
    unimplemented!()
}

/// Stores a fact unless there is one, and gives the one that stands: how several nodes agree on one value.
///
/// # Errors
/// [`StoreError`].
pub async fn get_or_set(_tx: &mut Tx, _key: &str, _value: &str) -> Result<String, StoreError> {
    unimplemented!()
}
