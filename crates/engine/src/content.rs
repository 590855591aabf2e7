//! A desired content in memory: shared by all agents that should run it, encoded for the wire once.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use desired::Content;
use domain::{ContentHash, SecretName, SecretVersion, model::ConfigMap};

use crate::builds::Fitness;
use crate::delta::Deltas;

/// What some agents should run: files and the hash that they echo.
pub struct DesiredContent {
    /// `config_hash` of the offer.
    pub hash: ContentHash,
    /// The files, by name, with references in place of secrets: what is shown and compared.
    pub files: ConfigMap,
    secrets: Vec<Arc<SecretVersion>>,
    pub(crate) fitness: Fitness,
    encoded: OnceLock<Bytes>,
    pub(crate) deltas: Deltas,
}

impl DesiredContent {
    /// Takes a content that is committed.
    #[must_use]
    pub fn new(content: Content) -> Self {
        let Content {
            files,
            hash,
            secrets,
            needs,
        } = content;
        Self {
            hash,
            files,
            secrets,
            fitness: Fitness::new(needs),
            encoded: OnceLock::new(),
            deltas: Deltas::default(),
        }
    }

    /// The files as agents get them: with the values of secrets. They go nowhere else.
    ///
    /// # Panics
    /// Never: that the values fit was found when it was made.
    pub fn offered(&self) -> Cow<'_, ConfigMap> {
        if self.secrets.is_empty() {
            return Cow::Borrowed(&self.files);
        }
        let filled = desired::filled(&self.files, &self.secrets);
        Cow::Owned(filled.expect("it was filled when it was made"))
    }

    /// The secrets whose values are put in, and their versions.
    pub(crate) fn secrets(&self) -> Vec<(SecretName, u32)> {
        let secrets = self.secrets.iter();
        secrets
            .map(|secret| (secret.name.clone(), secret.version))
            .collect()
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
