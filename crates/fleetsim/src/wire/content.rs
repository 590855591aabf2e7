//! Offered configurations, held once however many agents run them.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::answer::Malformed;

/// One configuration as it was offered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// The `AgentConfigMap` as it came, ready to be reported as the effective one.
    encoded: Box<[u8]>,
}

impl Content {
    /// The `AgentConfigMap`, encoded.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }
}

/// The files of a config: name, body, content type, sorted by name.
pub(crate) type Files<'a> = Vec<(&'a str, &'a [u8], &'a str)>;

/// The contents that some agent of the fleet holds.
#[derive(Debug, Default)]
pub(crate) struct Contents(Mutex<HashMap<[u8; 32], Weak<Content>>>);

impl Contents {
    /// Hashes an encoded config map and shares it; says whether `hash` is the one it should have.
    pub(crate) fn take(
        &self,
        hash: &[u8],
        map: &[u8],
        files: fn(&[u8]) -> Result<Files<'_>, Malformed>,
    ) -> Result<(Arc<Content>, bool), Malformed> {
        let computed = content_hash(&files(map)?);
        let matches = hash == computed;
        Ok((self.share(computed, map), matches))
    }

    fn share(&self, key: [u8; 32], map: &[u8]) -> Arc<Content> {
        let mut held = self.0.lock();
        if let Some(content) = held.get(&key).and_then(Weak::upgrade) {
            return content;
        }
        held.retain(|_, content| 0 < content.strong_count());
        let content = Arc::new(Content {
            encoded: map.into(),
        });
        held.insert(key, Arc::downgrade(&content));
        content
    }
}

/// The hash that this control plane gives a content.
///
/// One file called `config.yaml`: SHA-256 of its body. Otherwise SHA-256 over the files sorted by
/// name, each as length and name, length and content type, length of the body, SHA-256 of the
/// body; lengths are 8 bytes, big-endian. Written anew here and not borrowed from the server, so
/// that it is a check.
fn content_hash(files: &Files<'_>) -> [u8; 32] {
    if let [("config.yaml", body, _)] = files.as_slice() {
        return Sha256::digest(body).into();
    }
    let mut hasher = Sha256::new();
    for (name, body, content_type) in files {
        for text in [name, content_type] {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text);
        }
        hasher.update((body.len() as u64).to_be_bytes());
        hasher.update(Sha256::digest(body));
    }
    hasher.finalize().into()
}
