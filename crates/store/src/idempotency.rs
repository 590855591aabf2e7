//! Idempotency keys: the answer that a request with a key got, so that a repetition gets it again.

use domain::{ContentHash, Namespace};
use jiff::Timestamp;

use crate::sql::query;
use crate::{Conn, StoreError, Tx};

/// The answer a request got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedAnswer {
    /// The hash of the request; another request under the same key is a mistake of the caller.
    pub request: ContentHash,
    /// The answer's HTTP status.
    pub status: u16,
    /// The answer's body.
    pub body: Vec<u8>,
}

/// The answer that was saved under a key.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    conn: &mut Conn,
    ns: &Namespace,
    key: &str,
) -> Result<Option<SavedAnswer>, StoreError> {
    let text =
        "SELECT request, status, body FROM idempotency_keys WHERE namespace = $1 AND key = $2";
    query("reading a saved answer", text)
        .bind(ns)
        .bind(key)
        .read_one(conn, |row| {
            Ok(SavedAnswer {
                request: row.hash()?,
                status: u16::try_from(row.int()?).map_err(|_| StoreError::Corrupt {
                    what: "saved answer",
                })?,
                body: row.bytes()?.to_vec(),
            })
        })
        .await
}

/// Saves an answer in the transaction of the write it tells of; says whether the key was free. On PostgreSQL two
/// requests with one key wait for each other here: the second finds the key taken.
///
/// # Errors
/// [`StoreError`].
pub async fn save(
    tx: &mut Tx,
    ns: &Namespace,
    key: &str,
    answer: &SavedAnswer,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let saved = query(
        "saving an answer",
        "INSERT INTO idempotency_keys (namespace, key, request, status, body, created_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(ns)
    .bind(key)
    .bind(&answer.request)
    .bind(u64::from(answer.status))
    .bind(answer.body.as_slice())
    .bind(at)
    .run(tx)
    .await?;
    Ok(saved == 1)
}
