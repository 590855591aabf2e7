//! A file that is written beside its place and put there whole, or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

/// What SQLite puts beside a database while it is open.
pub(crate) const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A file in the making, for its user alone. Dropped without [`Draft::place`] it is removed.
#[derive(Debug)]
pub(crate) struct Draft {
    path: PathBuf,
    /// Locked, so that two do not write one draft.
    file: File,
    placed: bool,
}

/// The path with something at the end of its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes what was renamed or removed in a file's directory last.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

impl Draft {
    /// An empty draft for a place; what an earlier one left there is overwritten.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where another process writes it just now.
    pub(crate) fn for_place(place: &Path, suffix: &str) -> io::Result<Self> {
        let path = with_suffix(place, suffix);
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let file = options.open(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        remove_side_files(&path);
        file.set_len(0)?;
        Ok(Self {
            path,
            file,
            placed: false,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts the draft in its place, on disk when this returns; what is there is kept unless `replace` is set.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where something is there.
    pub(crate) fn place(mut self, place: &Path, replace: bool) -> io::Result<()> {
        // By its path: SQLite wrote it through a file of its own.
        File::open(&self.path)?.sync_all()?;
        if replace {
            fs::rename(&self.path, place)?;
        } else {
            rename_to_new(&self.path, place)?;
        }
        self.placed = true;
        sync_directory_of(place)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        remove_side_files(&self.path);
        if !self.placed {
            // Nothing more can be done about one that cannot be removed; the next draft overwrites it.
            drop(fs::remove_file(&self.path));
        }
    }
}

fn remove_side_files(path: &Path) {
    for side in SIDE_FILES {
        // Mostly there is none.
        drop(fs::remove_file(with_suffix(path, side)));
    }
}

fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // A file system that cannot: nobody else makes this file but by hand.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if !to.exists() => fs::rename(from, to),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Err(Errno::EXIST.into()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_draft_is_there_whole_or_not_at_all() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path().join("copy");
        let names = || -> Vec<_> {
            let entries = fs::read_dir(directory.path()).expect("a directory");
            entries
                .map(|entry| entry.expect("an entry").file_name())
                .collect()
        };
        let mut draft = Draft::for_place(&place, ".part").expect("a draft");
        draft.file().write_all(b"half").expect("written");
        fs::write(with_suffix(draft.path(), "-wal"), "log").expect("written");
        let again = Draft::for_place(&place, ".part").expect_err("in use");
        assert_eq!(again.kind(), io::ErrorKind::WouldBlock);
        drop(draft);
        assert!(names().is_empty(), "{:?}", names());

        let mut draft = Draft::for_place(&place, ".part").expect("a draft");
        draft.file().write_all(b"whole").expect("written");
        draft.place(&place, false).expect("placed");
        assert_eq!(fs::read(&place).expect("read"), b"whole");
        assert_eq!(
            fs::metadata(&place).expect("there").permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(names().len(), 1);

        let draft = Draft::for_place(&place, ".part").expect("a draft");
        let kept = draft.place(&place, false).expect_err("kept");
        assert_eq!(kept.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&place).expect("read"), b"whole");
        let draft = Draft::for_place(&place, ".part").expect("a draft");
        draft.place(&place, true).expect("replaced");
        assert_eq!(fs::read(&place).expect("read"), b"");
        assert_eq!(names().len(), 1);
    }
}
