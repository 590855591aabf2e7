//! Idempotency keys: the answer that a request with a key got, so that a repetition gets it again.

use domain::{ContentHash, Namespace};
use jiff::Timestamp;

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
    _conn: &mut Conn,
    _ns: &Namespace,
    _key: &str,
) -> Result<Option<SavedAnswer>, StoreError> {
    unimplemented!()
}

/// Saves an answer in the transaction of the write it tells of; says whether the key was free.
///
/// # Errors
/// [`StoreError`].
pub async fn save(
    _tx: &mut Tx,
    _ns: &Namespace,
    _key: &str,
    _answer: &SavedAnswer,
    _at: Timestamp,
) -> Result<bool, StoreError> {
    unimplemented!()
}
