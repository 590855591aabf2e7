//! A desired content in memory: shared by all agents that should run it, encoded for the wire once.

use std::{fmt, sync::OnceLock};

use bytes::Bytes;
use desired::Needs;
use domain::{ContentHash, model::ConfigMap};

use crate::builds::Fitness;
use crate::delta::Deltas;

/// What some agents should run: files and the hash that they echo.
pub struct DesiredContent {
    /// `config_hash` of the offer.
    pub hash: ContentHash,
    /// The files, by name.
    pub files: ConfigMap,
    pub(crate) fitness: Fitness,
    encoded: OnceLock<Bytes>,
    pub(crate) deltas: Deltas,
}

impl DesiredContent {
    /// Takes a content that is committed.
    #[must_use]
    pub fn new(hash: ContentHash, files: ConfigMap, needs: Needs) -> Self {
        Self {
            hash,
            files,
            fitness: Fitness::new(needs),
            encoded: OnceLock::new(),
            deltas: Deltas::default(),
        }
    }

    /// Bytes of all files together.
    pub(crate) fn body_bytes(&self) -> usize {
        self.files.values().map(|file| file.body.len()).sum()
    }

    /// The bytes of the offer; `encode` runs for the first caller only.
    pub fn encoded(&self, encode: impl FnOnce(&Self) -> Bytes) -> &Bytes {
        self.encoded.get_or_init(|| encode(self))
    }
}

impl fmt::Debug for DesiredContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DesiredContent")
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}
