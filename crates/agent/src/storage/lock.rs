//! One agent a directory: a lock that the kernel gives back however its holder ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;
use tracing::warn;

/// Holds the storage directory for as long as it lives.
#[derive(Debug)]
pub struct StorageLock {
    // Never read: what it holds is the kernel's lock on the open file.
    _file: File,
}

/// Why the storage directory could not be taken.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another agent runs on it.
    #[error("{} is in use by {holder}; two agents must not share a storage directory", directory.display())]
    Held {
        /// The storage directory.
        directory: PathBuf,
        /// Who holds it, as far as it said.
        holder: String,
    },
    /// The directory or the lock file in it cannot be used.
    #[error("taking the storage directory {}", directory.display())]
    Unusable {
        /// The storage directory.
        directory: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl StorageLock {
    /// Makes `directory` where it is missing and takes it.
    ///
    /// # Errors
    /// When another process holds it (and which), or it cannot be used.
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let unusable = |source| LockError::Unusable {
            directory: directory.to_owned(),
            source,
        };
        std::fs::create_dir_all(directory).map_err(unusable)?;
        let path = directory.join("lock");
        // The lock is on the file and not its name: the file is never removed or replaced.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(unusable)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(LockError::Held {
                    directory: directory.to_owned(),
                    holder: holder_of(&mut file),
                });
            }
            Err(errno) => return Err(unusable(errno.into())),
        }
        // The lock is had all the same; only its name goes unsaid.
        if let Err(error) = sign(&mut file) {
            warn!(event = "lock_not_signed", file = %path.display(), error = %error, "the lock file does not say who holds it");
        }
        Ok(Self { _file: file })
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "opamp-agent, process {}", std::process::id())
}

fn holder_of(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(200).read_to_string(&mut text);
    match read {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "another process that did not say its name".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_and_told_who_the_first_is() {
        let directory = tempfile::tempdir().unwrap();
        let first = StorageLock::take(directory.path()).unwrap();
        let refused = StorageLock::take(directory.path()).unwrap_err();
        let expected = format!("in use by opamp-agent, process {};", std::process::id());
        assert!(refused.to_string().contains(&expected), "{refused}");
        drop(first);
        StorageLock::take(directory.path()).unwrap();
    }

    #[test]
    fn a_lock_that_cannot_be_signed_is_had_all_the_same() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let directory = tempfile::tempdir().unwrap();
        // A pipe can be locked, but not cut to length.
        let path = directory.path().join("lock");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        StorageLock::take(directory.path()).unwrap();
    }
}
