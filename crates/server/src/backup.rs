//! `opamp-server backup`: the whole database in one file, while servers go on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use engine::admin::restored;
use jiff::Timestamp;
use store::StoreError;
use store::backup::BackupError;
use thiserror::Error;

use crate::config::Database;
use crate::draft::Draft;
use crate::{digest, options};

/// The end of the name of a backup that is not whole yet.
const DRAFT_SUFFIX: &str = ".part";

/// What was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The file's size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
    /// The entries of the audit chain in it.
    pub audit_entries: u64,
    /// The hash of the last one that fits.
    pub audit_head: String,
    /// Where the chain breaks, and how.
    pub audit_broken: Option<String>,
}

/// Why nothing was saved.
#[derive(Debug, Error)]
pub enum SaveError {
    /// There is something already.
    #[error("{} is there already; choose another name, or give --force to replace it", file.display())]
    Exists {
        /// Where.
        file: PathBuf,
    },
    /// The file named is the database itself.
    #[error("{} is the database itself", file.display())]
    Itself {
        /// Which.
        file: PathBuf,
    },
    /// Another process writes the same backup.
    #[error("another backup to {} is under way", file.display())]
    UnderWay {
        /// Where to.
        file: PathBuf,
    },
    /// The file could not be written.
    #[error("writing {}", file.display())]
    Write {
        /// Which.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The database could not be saved.
    #[error("database: it was not saved")]
    Save(#[from] BackupError),
    /// What was saved could not be read.
    #[error("what was saved cannot be read")]
    Read(#[from] StoreError),
}

/// Saves the database into `file`, which is there whole or not at all.
///
/// # Errors
/// [`SaveError`]; then nothing is left behind, and what was there stays.
pub async fn save(
    database: &Database,
    file: &Path,
    replace: bool,
    now: Timestamp,
) -> Result<Saved, SaveError> {
    refuse_existing(database, file, replace)?;
    let failed = |source| SaveError::Write {
        file: file.to_path_buf(),
        source,
    };
    let draft = Draft::for_place(file, DRAFT_SUFFIX).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => SaveError::UnderWay {
            file: file.to_path_buf(),
        },
        _ => failed(source),
    })?;
    let location = options::database(database).location;
    store::backup::save(&location, draft.path(), now).await?;
    store::backup::check(draft.path()).await?;
    let copy = store::backup::read_copy(draft.path()).await?;
    let audit = restored::verify(&copy).await;
    copy.close().await;
    let audit = audit?;
    let (sha256, bytes) = digest::of_file(draft.path()).map_err(failed)?;
    draft
        .place(file, replace)
        .map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => SaveError::Exists {
                file: file.to_path_buf(),
            },
            _ => failed(source),
        })?;
    Ok(Saved {
        bytes,
        sha256,
        audit_entries: audit.entries,
        audit_head: audit.head.to_string(),
        audit_broken: audit
            .broken
            .map(|found| format!("entry {}: {}", found.sequence, found.reason)),
    })
}

fn refuse_existing(database: &Database, file: &Path, replace: bool) -> Result<(), SaveError> {
    if options::is_database(database, file) {
        return Err(SaveError::Itself {
            file: file.to_path_buf(),
        });
    }
    match fs::symlink_metadata(file) {
        Ok(_) if !replace => Err(SaveError::Exists {
            file: file.to_path_buf(),
        }),
        _ => Ok(()),
    }
}
