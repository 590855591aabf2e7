//! The hash that an offer carries and an agent answers with.

use domain::ContentHash;
use domain::model::ConfigMap;
use sha2::{Digest, Sha256};

use crate::CONFIG_FILE;

/// The hash of a configuration, such that equal content always has an equal hash.
///
/// With the one entry `config.yaml` it is the SHA-256 of its body, so `sha256sum` of the agent's
/// file shows it. With anything else it is the SHA-256 over the entries sorted by name, each as
/// `length ‖ name ‖ length ‖ content type ‖ length of body ‖ SHA-256 of body`, lengths as 8 bytes
/// in big-endian order.
pub fn content_hash(files: &ConfigMap) -> ContentHash {
    if let (Some(file), 1) = (files.get(CONFIG_FILE), files.len()) {
        return sha256(&file.body);
    }
    let mut hasher = Sha256::new();
    for (name, file) in files {
        for text in [name, &file.content_type] {
            hasher.update(length(text.len()));
            hasher.update(text);
        }
        hasher.update(length(file.body.len()));
        hasher.update(Sha256::digest(&file.body));
    }
    ContentHash::from_bytes(hasher.finalize().into())
}

pub(crate) fn sha256(bytes: &[u8]) -> ContentHash {
    ContentHash::from_bytes(Sha256::digest(bytes).into())
}

/// A length in the form that is hashed; usize has at most 64 bits on every platform there is.
fn length(count: usize) -> [u8; 8] {
    (count as u64).to_be_bytes()
}
