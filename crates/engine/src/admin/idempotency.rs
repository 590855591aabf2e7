//! Idempotency keys: a creation that is sent again makes nothing new.

use domain::{ContentHash, Namespace};
use jiff::Timestamp;
use store::idempotency::{self, SavedAnswer};
use store::{Conn, StoreError, Tx};

/// What a creation carries to be safe to send again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Creation {
    /// The caller's key.
    pub key: Option<String>,
    /// What identifies the request: method, path and body. The same key with another request is a mistake.
    pub request: Vec<u8>,
}

/// What a creation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created<T> {
    /// It was made now.
    New(T),
    /// An earlier request with the same key made it.
    Earlier(T),
}

/// The key belongs to another request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the idempotency key was used for another request")]
pub struct KeyReused;

impl Creation {
    /// The reference that an earlier request with this key left, if there was one.
    pub(super) async fn earlier(
        &self,
        conn: &mut Conn,
        namespace: &Namespace,
    ) -> Result<Result<Option<String>, KeyReused>, StoreError> {
        let Some(key) = &self.key else {
            return Ok(Ok(None));
        };
        let Some(saved) = idempotency::find(conn, namespace, key).await? else {
            return Ok(Ok(None));
        };
        if saved.request != self.request_hash() {
            return Ok(Err(KeyReused));
        }
        let reference = String::from_utf8(saved.body).map_err(|_| StoreError::Corrupt {
            what: "saved answer",
        })?;
        Ok(Ok(Some(reference)))
    }

    /// Leaves a reference to what is made in this transaction; `false`: another request with this key was faster.
    pub(super) async fn save(
        &self,
        tx: &mut Tx,
        namespace: &Namespace,
        reference: String,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(key) = &self.key else {
            return Ok(true);
        };
        let answer = SavedAnswer {
            request: self.request_hash(),
            status: 201,
            body: reference.into_bytes(),
        };
        idempotency::save(tx, namespace, key, &answer, at).await
    }

    fn request_hash(&self) -> ContentHash {
        ContentHash::from_bytes(trust::sha256(&self.request))
    }
}
