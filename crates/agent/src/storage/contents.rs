//! Configurations on disk, each in a file named by the SHA-256 of its bytes, so that a damaged one is noticed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing::warn;

use super::atomic;

/// SHA-256 of a configuration's bytes, in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentId(String);

/// The directory of configurations.
#[derive(Debug, Clone)]
pub struct Contents {
    directory: PathBuf,
}

/// Why a configuration could not be kept or found.
#[derive(Debug, Error)]
pub enum ContentError {
    /// It could not be written.
    #[error("keeping the configuration {id}")]
    Write {
        /// Its SHA-256.
        id: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It could not be read.
    #[error("reading the configuration {id}")]
    Read {
        /// Its SHA-256.
        id: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file's bytes are not the ones that were kept.
    #[error("the kept configuration {id} was damaged on disk")]
    Damaged {
        /// The SHA-256 it should have.
        id: String,
    },
}

impl ContentId {
    /// The id of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(trust::hex(&trust::sha256(bytes)))
    }

    /// The id of the bytes with this SHA-256.
    pub fn from_sha256(sha256: &[u8; 32]) -> Self {
        Self(trust::hex(sha256))
    }

    /// The 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Contents {
    /// The configurations under `directory`.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Keeps `bytes`; returns once they are on disk.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep(&self, bytes: &[u8]) -> Result<ContentId, ContentError> {
        let id = ContentId::of(bytes);
        if self.get(&id).is_ok() {
            return Ok(id);
        }
        atomic::replace(&self.path_of(&id), bytes, 0o600).map_err(|source| {
            ContentError::Write {
                id: id.0.clone(),
                source,
            }
        })?;
        Ok(id)
    }

    /// The bytes with this id.
    ///
    /// # Errors
    /// When they are not there, or are not what was kept.
    pub fn get(&self, id: &ContentId) -> Result<Vec<u8>, ContentError> {
        let bytes = fs::read(self.path_of(id)).map_err(|source| ContentError::Read {
            id: id.0.clone(),
            source,
        })?;
        if ContentId::of(&bytes) != *id {
            return Err(ContentError::Damaged { id: id.0.clone() });
        }
        Ok(bytes)
    }

    /// Removes all but `wanted`.
    pub fn sweep(&self, wanted: &[&ContentId]) {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if wanted.iter().any(|id| path == self.path_of(id)) {
                continue;
            }
            if let Err(error) = fs::remove_file(&path) {
                warn!(event = "sweep_failed", file = %path.display(), error = %error, "an old configuration could not be removed");
            }
        }
    }

    fn path_of(&self, id: &ContentId) -> PathBuf {
        self.directory.join(Path::new(&id.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_found_until_swept() {
        let directory = tempfile::tempdir().unwrap();
        let contents = Contents::new(directory.path().join("contents"));
        let (one, two) = (
            contents.keep(b"one").unwrap(),
            contents.keep(b"two").unwrap(),
        );
        assert_eq!(contents.get(&one).unwrap(), b"one");
        contents.sweep(&[&two]);
        assert!(contents.get(&one).is_err());
        assert_eq!(contents.get(&two).unwrap(), b"two");
    }

    #[test]
    fn damage_is_noticed_and_mended_by_keeping_again() {
        let directory = tempfile::tempdir().unwrap();
        let contents = Contents::new(directory.path().join("contents"));
        let id = contents.keep(b"exporters: {}").unwrap();
        fs::write(contents.path_of(&id), b"exporters: {").unwrap();
        assert!(matches!(
            contents.get(&id),
            Err(ContentError::Damaged { .. })
        ));
        contents.keep(b"exporters: {}").unwrap();
        assert_eq!(contents.get(&id).unwrap(), b"exporters: {}");
    }
}
