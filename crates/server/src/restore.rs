//! `opamp-server restore`: a backup in the place of the database, with the fleet on hold.
//!
//! What is restored is made ready beside its place. Renaming it to `….restoring` decides: what is left to do after that, the
//! next start does, too ([`finish`]). The database that was there is kept.

use std::fs::{self, File};
use std::io::{self, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use engine::Secret;
use engine::admin::audit::{Break, Verification};
use engine::admin::restored::{self, Restored};
use jiff::Timestamp;
use store::backup::BackupError;
use store::{Db, OpenError, StoreError};
use thiserror::Error;

use crate::config::{DatabasePlace, Settings};
use crate::data_dir::{DataDir, DataDirError};
use crate::digest;
use crate::draft::{Draft, SIDE_FILES, sync_directory_of, with_suffix};
use crate::options;

/// The end of the name of what is being made ready.
const DRAFT_SUFFIX: &str = ".restore-draft";
/// The end of the name of what is ready and belongs in the database's place.
const READY_SUFFIX: &str = ".restoring";
/// Where a backup for PostgreSQL is made ready.
const DRAFT_NAME: &str = "restore";

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The database that was there, where one was.
    pub replaced: Option<PathBuf>,
    /// The entries of the audit chain in the backup.
    pub audit_entries: u64,
    /// The hash of the last one that fits.
    pub audit_head: String,
    /// The reason of the hold.
    pub hold: String,
    /// Whether the administrator's token that this server has fits; `None`: it has none.
    pub admin_token_fits: Option<bool>,
}

/// Why nothing was restored. The database that is there stays.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The data directory, or the database, is in use or cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The backup could not be read.
    #[error("reading the backup {}", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file named is the database itself.
    #[error("{} is the database itself", file.display())]
    Itself {
        /// Which.
        file: PathBuf,
    },
    /// The file is one that a server works on, or worked on when it was killed.
    #[error(
        "{} is no backup: it has a log beside it ({}), as a database has that a server worked on; make a backup of it with `opamp-server backup`",
        file.display(),
        log.display()
    )]
    HasLog {
        /// Which.
        file: PathBuf,
        /// Its log.
        log: PathBuf,
    },
    /// The file is not a good backup.
    #[error("the backup {} cannot be restored", file.display())]
    NotRestorable {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: Box<BackupError>,
    },
    /// The copy of the backup could not be opened or migrated.
    #[error("the backup {} cannot be restored", file.display())]
    Migrate {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// The audit chain in the backup is not what was written.
    #[error(
        "the audit chain of the backup {} is broken at entry {sequence}: {reason}; somebody has changed it. Restore another backup, or give --force to restore this one all the same",
        file.display()
    )]
    ChainBroken {
        /// Which.
        file: PathBuf,
        /// Where the chain breaks.
        sequence: u64,
        /// How.
        reason: String,
    },
    /// The copy could not be written.
    #[error("writing {}", file.display())]
    Write {
        /// Which.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The copy could not be put on hold.
    #[error("preparing what was in the backup")]
    Prepare(#[from] StoreError),
    /// It could not be loaded into the database server.
    #[error("database: nothing was restored")]
    Load(#[source] BackupError),
}

/// Puts a backup in the place of the database, with the fleet on hold. `accept_broken_chain` lets one through whose audit
/// chain does not verify.
///
/// # Errors
/// [`RestoreError`].
pub async fn restore(
    settings: &Settings,
    file: &Path,
    accept_broken_chain: bool,
    now: Timestamp,
) -> Result<Outcome, RestoreError> {
    refuse_live(settings, file)?;
    match &settings.database.place {
        DatabasePlace::Sqlite(place) => {
            let data_dir = DataDir::hold(&settings.data_dir)?.hold_database(place)?;
            let place = place.canonicalize().unwrap_or_else(|_| place.clone());
            let failed = |source| writing(&place, source);
            finish(&place).map_err(failed)?;
            let restore = Restore {
                file,
                data_dir: &data_dir,
                accept_broken_chain,
                now,
            };
            let (draft, mut outcome) = restore.prepare(&place).await?;
            give_to_owner_of(&place, draft.path()).map_err(failed)?;
            draft
                .place(&with_suffix(&place, READY_SUFFIX), true)
                .map_err(failed)?;
            outcome.replaced = finish(&place).map_err(failed)?;
            Ok(outcome)
        }
        DatabasePlace::Postgres(url) => {
            let data_dir = DataDir::share(&settings.data_dir);
            fs::create_dir_all(data_dir.path())
                .map_err(|source| writing(data_dir.path(), source))?;
            let restore = Restore {
                file,
                data_dir: &data_dir,
                accept_broken_chain,
                now,
            };
            let (draft, outcome) = restore.prepare(&data_dir.path().join(DRAFT_NAME)).await?;
            store::backup::load(draft.path(), url.expose(), now)
                .await
                .map_err(RestoreError::Load)?;
            Ok(outcome)
        }
    }
}

/// Ends a restore that was decided: moves the database aside and what was restored into its place. Does nothing where none
/// was. Gives where the database is now that was there before.
///
/// # Errors
/// What the system said; the next call goes on where this one ended.
pub fn finish(place: &Path) -> io::Result<Option<PathBuf>> {
    let ready = with_suffix(place, READY_SUFFIX);
    let made = match fs::metadata(&ready) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    // The same name however often this is begun.
    let at = Timestamp::from_second(made.mtime()).unwrap_or(Timestamp::UNIX_EPOCH);
    let suffix = format!(
        ".replaced-{}.{:09}",
        at.strftime("%Y%m%dT%H%M%S"),
        made.mtime_nsec()
    );
    let replaced = with_suffix(place, &suffix);
    // A log belongs to its file: it goes first, so that it is never beside another one.
    for side in SIDE_FILES {
        move_if_there(&with_suffix(place, side), &with_suffix(&replaced, side))?;
    }
    move_if_there(place, &replaced)?;
    sync_directory_of(place)?;
    fs::rename(&ready, place)?;
    sync_directory_of(place)?;
    Ok(replaced.exists().then_some(replaced))
}

fn move_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn refuse_live(settings: &Settings, file: &Path) -> Result<(), RestoreError> {
    if options::is_database(&settings.database, file) {
        return Err(RestoreError::Itself {
            file: file.to_path_buf(),
        });
    }
    let log = with_suffix(file, SIDE_FILES[0]);
    if fs::metadata(&log).is_ok_and(|log| 0 < log.len()) {
        return Err(RestoreError::HasLog {
            file: file.to_path_buf(),
            log,
        });
    }
    Ok(())
}

/// As root, what is put in place belongs to whom the place belongs to.
fn give_to_owner_of(place: &Path, draft: &Path) -> io::Result<()> {
    let parent = place.parent().unwrap_or(place);
    let owner = fs::metadata(place).or_else(|_| fs::metadata(parent))?;
    let own = fs::metadata(draft)?;
    if (own.uid(), own.gid()) == (owner.uid(), owner.gid()) {
        return Ok(());
    }
    match std::os::unix::fs::chown(draft, Some(owner.uid()), Some(owner.gid())) {
        // Only root gives files away; whoever restores under another name can read what they restore.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

fn writing(path: &Path, source: io::Error) -> RestoreError {
    RestoreError::Write {
        file: path.to_path_buf(),
        source,
    }
}

/// One backup on its way.
struct Restore<'a> {
    file: &'a Path,
    data_dir: &'a DataDir,
    accept_broken_chain: bool,
    now: Timestamp,
}

impl Restore<'_> {
    /// Copies the backup beside a place, checks the copy, and makes it what a server may start with.
    async fn prepare(&self, place: &Path) -> Result<(Draft, Outcome), RestoreError> {
        let mut draft =
            Draft::for_place(place, DRAFT_SUFFIX).map_err(|source| writing(place, source))?;
        let sha256 = self.copy_to(&mut draft)?;
        let checked = store::backup::check(draft.path()).await;
        checked.map_err(|source| self.not_restorable(&draft, source))?;
        let opened = store::backup::open_copy(draft.path(), self.now).await;
        let db = opened.map_err(|source| RestoreError::Migrate {
            file: self.file.to_path_buf(),
            source,
        })?;
        let prepared = self.take_over(&db, sha256).await;
        // The last connection to close writes the log into the file.
        db.close().await;
        Ok((draft, prepared?))
    }

    fn copy_to(&self, draft: &mut Draft) -> Result<String, RestoreError> {
        let reading = |source| RestoreError::Read {
            file: self.file.to_path_buf(),
            source,
        };
        let mut backup = File::open(self.file).map_err(reading)?;
        if !backup.metadata().map_err(reading)?.is_file() {
            return Err(reading(io::Error::other("it is no file")));
        }
        // Read once to the end: an error below is then one of writing.
        let (expected, _) = digest::copy(&mut backup, &mut io::sink()).map_err(reading)?;
        backup.rewind().map_err(reading)?;
        let path = draft.path().to_path_buf();
        let (sha256, _) =
            digest::copy(&mut backup, draft.file()).map_err(|source| writing(&path, source))?;
        if sha256 != expected {
            return Err(reading(io::Error::other("it changes while it is read")));
        }
        Ok(sha256)
    }

    async fn take_over(&self, db: &Db, sha256: String) -> Result<Outcome, RestoreError> {
        let audited = restored::verify(db).await?;
        self.refuse_broken(&audited)?;
        let from = Restored {
            from: self.file.display().to_string(),
            sha256,
        };
        let hold = restored::take_over(db, &from, &audited, self.now).await?;
        let admin_token_fits = match self.data_dir.read_token()? {
            None => None,
            Some(token) => {
                Some(restored::knows_admin_token(db, &Secret::new(token.expose())).await?)
            }
        };
        Ok(Outcome {
            replaced: None,
            audit_entries: audited.entries,
            audit_head: audited.head.to_string(),
            hold,
            admin_token_fits,
        })
    }

    fn refuse_broken(&self, audited: &Verification) -> Result<(), RestoreError> {
        match &audited.broken {
            Some(Break { sequence, reason }) if !self.accept_broken_chain => {
                Err(RestoreError::ChainBroken {
                    file: self.file.to_path_buf(),
                    sequence: *sequence,
                    reason: reason.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    /// What is wrong is said of the backup, and not of its copy.
    fn not_restorable(&self, draft: &Draft, source: BackupError) -> RestoreError {
        let file = self.file.to_path_buf();
        let own = |path: &Path| {
            if path == draft.path() {
                file.clone()
            } else {
                path.to_path_buf()
            }
        };
        let source = match source {
            BackupError::NoDatabase { file } => BackupError::NoDatabase { file: own(&file) },
            BackupError::Damaged { file, finding } => BackupError::Damaged {
                file: own(&file),
                finding,
            },
            BackupError::NotOurs { .. } => BackupError::NotOurs {
                location: file.display().to_string(),
            },
            other => other,
        };
        RestoreError::NotRestorable {
            file,
            source: Box::new(source),
        }
    }
}
