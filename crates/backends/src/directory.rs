//! A plain directory as a config source: what a commit of it would say.

use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::limits::Tally;
use crate::{LimitBroken, SourceContent, SourceFile, SourceLimits};

/// Where Git keeps what is its own; no commit has it.
const GIT: &str = ".git";

/// Why the files of a directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It is not there, or something else.
    #[error("{} is no directory", directory.display())]
    NotADirectory {
        /// What was named.
        directory: PathBuf,
    },
    /// Something in it, or itself, cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A limit is broken.
    #[error("the source is too large: {0}")]
    TooLarge(#[from] LimitBroken),
}

/// Every file below a directory that a commit of it could have, by path: without `.git` and without what is neither file
/// nor link. A directory with a `.git` of its own is a submodule. What Git is told to ignore is not left out.
///
/// # Errors
/// [`DirectoryError`].
pub fn files(directory: &Path, limits: &SourceLimits) -> Result<Vec<SourceFile>, DirectoryError> {
    if !directory.is_dir() {
        let directory = directory.to_owned();
        return Err(DirectoryError::NotADirectory { directory });
    }
    let mut walk = Walk {
        tally: Tally::new(*limits),
        files: Vec::new(),
    };
    let mut left = vec![(String::new(), directory.to_owned())];
    while let Some((prefix, directory)) = left.pop() {
        left.extend(walk.directory(&prefix, &directory)?);
    }
    walk.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(walk.files)
}

struct Walk {
    tally: Tally,
    files: Vec<SourceFile>,
}

/// An entry of a directory.
struct Found {
    /// Its name, as the paths of commits are read.
    name: String,
    path: PathBuf,
    kind: FileType,
}

impl Walk {
    /// Takes a directory's files in and names the directories below it.
    fn directory(
        &mut self,
        prefix: &str,
        directory: &Path,
    ) -> Result<Vec<(String, PathBuf)>, DirectoryError> {
        let mut below = Vec::new();
        for found in entries(directory).map_err(|source| unreadable(directory, source))? {
            let path = match prefix {
                "" => found.name,
                prefix => format!("{prefix}/{}", found.name),
            };
            let content = if found.kind.is_symlink() {
                self.tally.entry(&path)?;
                SourceContent::Link
            } else if found.kind.is_file() {
                self.tally.entry(&path)?;
                SourceContent::File(self.read(&path, &found.path)?)
            } else if !found.kind.is_dir() {
                // Git does not take it, and reading it may never end.
                continue;
            } else {
                self.tally.entry(&path)?;
                if fs::symlink_metadata(found.path.join(GIT)).is_err() {
                    below.push((path, found.path));
                    continue;
                }
                SourceContent::Submodule
            };
            self.files.push(SourceFile { path, content });
        }
        Ok(below)
    }

    /// A file's bytes; how many it has is looked at before it is read.
    fn read(&mut self, path: &str, file: &Path) -> Result<Vec<u8>, DirectoryError> {
        let failed = |source| unreadable(file, source);
        let mut opened = File::open(file).map_err(failed)?;
        let bytes = opened.metadata().map_err(failed)?.len();
        self.tally.file(path, bytes)?;
        let mut read = Vec::new();
        // It may grow meanwhile.
        let taken = opened.by_ref().take(bytes).read_to_end(&mut read);
        taken.map_err(failed)?;
        Ok(read)
    }
}

/// What stands in a directory, in the order of Git's trees, so that the same entry is the first beyond a limit.
fn entries(directory: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name() != GIT {
            found.push(Found {
                name: entry.file_name().to_string_lossy().into_owned(),
                path: entry.path(),
                kind: entry.file_type()?,
            });
        }
    }
    let order = |found: &Found| match found.kind.is_dir() {
        true => format!("{}/", found.name),
        false => found.name.clone(),
    };
    found.sort_by_cached_key(order);
    Ok(found)
}

fn unreadable(path: &Path, source: io::Error) -> DirectoryError {
    DirectoryError::Unreadable {
        path: path.to_owned(),
        source,
    }
}
