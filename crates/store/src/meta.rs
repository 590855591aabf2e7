//! Facts about the database itself: its id, and what all nodes share.

use crate::sql::query;
use crate::{Conn, StoreError, Tx};

/// The key under which the database's id is kept.
pub const DATABASE_ID: &str = "database_id";
/// The key under which the SHA-256 of the first administrator's token is kept, in hexadecimal digits.
pub const ADMIN_TOKEN_HASH: &str = "admin_token_hash";

/// A fact.
///
/// # Errors
/// [`StoreError`].
pub async fn get(conn: &mut Conn, key: &str) -> Result<Option<String>, StoreError> {
    query("reading a fact", "SELECT value FROM meta WHERE key = $1")
        .bind(key)
        .read_one(conn, |row| Ok(row.text()?.to_owned()))
        .await
}

/// Stores a fact over an older one.
///
/// # Errors
/// [`StoreError`].
pub async fn set(tx: &mut Tx, key: &str, value: &str) -> Result<(), StoreError> {
    let text = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    query("storing a fact", text)
        .bind(key)
        .bind(value)
        .run(tx)
        .await
        .map(drop)
}

/// Stores a fact unless there is one, and gives the one that stands: how several nodes agree on one value.
///
/// # Errors
/// [`StoreError`].
pub async fn get_or_set(tx: &mut Tx, key: &str, value: &str) -> Result<String, StoreError> {
    let text = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    query("storing a fact", text)
        .bind(key)
        .bind(value)
        .run(tx)
        .await?;
    get(tx, key).await?.ok_or(StoreError::Corrupt {
        what: "fact (it is missing)",
    })
}
