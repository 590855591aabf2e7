//! Files that are replaced as a whole: after a crash there is the old content or the new one, never a mixture.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Replaces the content of `path` byte for byte; returns once it is safely on disk.
///
/// A new file gets `mode`; a file that is replaced keeps the mode it had. A symbolic link stays one: its target is
/// replaced. Missing parent directories are made.
///
/// # Errors
/// When the file cannot be written; the old content then stands untouched.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let path = target_of(path)?;
    let directory = parent_of(&path);
    fs::create_dir_all(directory)?;
    let temporary = temporary_beside(&path);
    let mode = fs::metadata(&path).map_or(mode, |metadata| metadata.permissions().mode() & 0o7777);
    let written = write_new(&temporary, bytes, mode).and_then(|()| fs::rename(&temporary, &path));
    if written.is_err() {
        // The first error is the one to tell; a leftover is overwritten by the next try.
        drop(fs::remove_file(&temporary));
    }
    written?;
    sync_directory(directory)
}

/// Writes `bytes` to `path`, which no reader looks at yet, and waits until they are on disk.
///
/// # Errors
/// When the file cannot be written; what was written of it may be left behind.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes renames within `directory` survive a loss of power.
///
/// # Errors
/// When the directory cannot be opened or synced.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The directory that holds `path`.
pub fn parent_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn target_of(path: &Path) -> io::Result<PathBuf> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => fs::canonicalize(path),
        _ => Ok(path.to_owned()),
    }
}

fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_byte_for_byte_and_keeps_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("etc/config.yaml");
        replace(&path, b"one\r\n\xff", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one\r\n\xff");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, b"", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(
            fs::read_dir(directory.path().join("etc")).unwrap().count(),
            1,
            "nothing is left behind"
        );
    }

    #[test]
    fn a_symbolic_link_stays_one() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (
            directory.path().join("real.yaml"),
            directory.path().join("link.yaml"),
        );
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        replace(&link, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_failed_write_leaves_the_old_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        replace(&path, b"old", 0o600).unwrap();
        // A directory in the place of the temporary file makes every write fail, also for root.
        fs::create_dir(temporary_beside(&path)).unwrap();
        assert!(replace(&path, b"new", 0o600).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
