//! The directory of everything embedded: held by one process at a time, with the administrator's first token in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use engine::{SealingKey, hex};
use runtime::config::SecretText;
use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

/// The file that is locked; it names the process that holds the directory.
const LOCK_FILE: &str = "lock";
/// The lock of a database's file has its name and this.
const DATABASE_LOCK_SUFFIX: &str = ".lock";
/// The file with the administrator's token.
const TOKEN_FILE: &str = "admin-token";
/// The file with the key that secrets are sealed with.
const SECRETS_KEY_FILE: &str = "secrets-key";
/// The longest token file that is read, in bytes.
const MAX_TOKEN_BYTES: u64 = 4096;

/// A data directory.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Locked until they are dropped; none where several nodes may share the directory.
    _locks: Vec<File>,
}

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// It could not be made or opened.
    #[error("data_dir: opening {}", path.display())]
    Open {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process holds it.
    #[error("data_dir: {} is in use by another opamp-server{holder}; stop it, or give this one a data_dir of its own", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// ` (process 17)`, where it is known.
        holder: String,
    },
    /// The lock beside the database's file could not be made or opened.
    #[error("database: opening {}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process has the database's file open.
    #[error("database: {} is in use by another opamp-server{holder}; stop it, or give this one a database of its own", path.display())]
    DatabaseInUse {
        /// The database's file.
        path: PathBuf,
        /// ` (process 17)`, where it is known.
        holder: String,
    },
    /// The key of secrets could not be read or written.
    #[error("data_dir: the key of secrets in {}", path.display())]
    SecretsKey {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// The token file could not be read or written.
    #[error("data_dir: the administrator's token in {}", path.display())]
    Token {
        /// The token file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl DataDir {
    /// Makes the directory where it is missing, readable by its user alone, and takes hold of it.
    ///
    /// # Errors
    /// When it cannot be written, or another process holds it.
    pub fn hold(path: &Path) -> Result<Self, DataDirError> {
        let open = |at: &Path| {
            let path = at.to_path_buf();
            move |source| DataDirError::Open { path, source }
        };
        make(path).map_err(open(path))?;
        let lock_path = path.join(LOCK_FILE);
        match lock(&lock_path).map_err(open(&lock_path))? {
            Lock::Taken(lock) => Ok(Self {
                path: path.to_path_buf(),
                _locks: vec![lock],
            }),
            Lock::Held { by } => Err(DataDirError::InUse {
                path: path.to_path_buf(),
                holder: by,
            }),
        }
    }

    /// Takes hold of a database's file as well, which may be elsewhere: another directory's server could be given it too.
    ///
    /// # Errors
    /// When the lock beside the file cannot be written, or another process holds it.
    pub fn hold_database(mut self, file: &Path) -> Result<Self, DataDirError> {
        // By whatever link it is named, the lock is beside the file itself.
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_path_buf());
        let mut name = file.clone().into_os_string();
        name.push(DATABASE_LOCK_SUFFIX);
        let path = PathBuf::from(name);
        match lock(&path) {
            Ok(Lock::Taken(lock)) => {
                self._locks.push(lock);
                Ok(self)
            }
            Ok(Lock::Held { by }) => Err(DataDirError::DatabaseInUse {
                path: file,
                holder: by,
            }),
            Err(source) => Err(DataDirError::Lock { path, source }),
        }
    }

    /// The directory without a hold on it: for a server whose database is elsewhere. It is made when it is first needed.
    pub fn share(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            _locks: Vec::new(),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the administrator's token is kept.
    pub fn token_file(&self) -> PathBuf {
        self.path.join(TOKEN_FILE)
    }

    /// The administrator's token, if one was made.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read_token(&self) -> Result<Option<SecretText>, DataDirError> {
        let path = self.token_file();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(DataDirError::Token { path, source }),
        };
        let mut text = String::new();
        match file.take(MAX_TOKEN_BYTES).read_to_string(&mut text) {
            Ok(_) => Ok(Some(text.trim().to_owned())
                .filter(|text| !text.is_empty())
                .map(SecretText::new)),
            Err(source) => Err(DataDirError::Token { path, source }),
        }
    }

    /// Keeps the administrator's token, readable by its user alone, written whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_token(&self, token: &str) -> Result<(), DataDirError> {
        let path = self.token_file();
        self.write(&path, token)
            .map_err(|source| DataDirError::Token { path, source })
    }

    /// The key that secrets are sealed with, made where there is none from 32 random bytes.
    ///
    /// # Errors
    /// When it cannot be read or written, or is none.
    pub fn sealing_key(&self, random: &[u8; 32]) -> Result<SealingKey, DataDirError> {
        let path = self.path.join(SECRETS_KEY_FILE);
        let failed = |source| DataDirError::SecretsKey {
            path: path.clone(),
            source,
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = hex(random);
                self.write(&path, &made).map_err(failed)?;
                made
            }
            Err(error) => return Err(failed(error)),
        };
        SealingKey::from_hex(&text)
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))
    }

    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        let draft = path.with_extension("new");
        let write = || {
            make(&self.path)?;
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&draft)?;
            writeln!(file, "{text}")?;
            file.sync_all()?;
            fs::rename(&draft, path)?;
            File::open(&self.path)?.sync_all()
        };
        write()
    }

    /// Removes the token file, whose token opens nothing.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_token(&self) -> Result<(), DataDirError> {
        let path = self.token_file();
        fs::remove_file(&path).map_err(|source| DataDirError::Token { path, source })
    }
}

fn make(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

enum Lock {
    Taken(File),
    Held { by: String },
}

fn lock(path: &Path) -> io::Result<Lock> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let mut lock = options.open(path)?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        let by = holder(&mut lock);
        return Ok(Lock::Held { by });
    }
    write_holder(&mut lock)?;
    Ok(Lock::Taken(lock))
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    match lock.take(20).read_to_string(&mut text) {
        Ok(_) if text.trim().parse::<u32>().is_ok() => format!(" (process {})", text.trim()),
        Ok(_) | Err(_) => String::new(),
    }
}

fn write_holder(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_process_is_refused_and_told_who_holds_it() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("data");
        let held = DataDir::hold(&path).expect("held");
        let error = DataDir::hold(&path).expect_err("refused").to_string();
        assert!(
            error.contains("is in use by another opamp-server"),
            "{error}"
        );
        assert!(
            error.contains(&format!("(process {})", std::process::id())),
            "{error}"
        );
        drop(held);
        DataDir::hold(&path).expect("free again");
    }

    #[test]
    fn a_database_of_another_directory_is_held_too() {
        let temp = tempfile::tempdir().expect("a directory");
        let (file, link) = (temp.path().join("opamp.db"), temp.path().join("link.db"));
        fs::write(&file, "").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        let hold = |name: &str, file: &Path| {
            DataDir::hold(&temp.path().join(name))
                .expect("held")
                .hold_database(file)
        };
        let first = hold("one", &file).expect("held");
        for name in [&file, &link] {
            let error = hold("two", name).expect_err("refused").to_string();
            assert!(
                error.starts_with("database: ")
                    && error.contains(&format!("(process {})", std::process::id())),
                "{error}"
            );
        }
        drop(first);
        hold("two", &file).expect("free again");
    }

    #[test]
    fn the_token_is_kept_for_its_user_alone() {
        let temp = tempfile::tempdir().expect("a directory");
        let held = DataDir::hold(&temp.path().join("data")).expect("held");
        assert!(held.read_token().expect("readable").is_none());
        held.write_token("opamp_adm_x").expect("written");
        assert_eq!(
            held.read_token()
                .expect("readable")
                .expect("a token")
                .expose(),
            "opamp_adm_x"
        );
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&held.token_file()), 0o600);
        assert_eq!(mode(held.path()), 0o700);
    }

    #[test]
    fn a_shared_directory_is_held_by_nobody() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("data");
        let (one, two) = (DataDir::share(&path), DataDir::share(&path));
        assert!(!path.exists());
        one.write_token("opamp_adm_x").expect("written");
        assert!(two.read_token().expect("readable").is_some());
        two.remove_token().expect("removed");
        assert!(one.read_token().expect("readable").is_none());
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("file");
        fs::write(&path, "x").expect("written");
        let error = DataDir::hold(&path.join("data"))
            .expect_err("refused")
            .to_string();
        assert!(
            error.starts_with("data_dir: opening ") && error.contains("file/data"),
            "{error}"
        );
    }

    #[test]
    fn the_key_of_secrets_is_made_once_and_only_for_its_user() {
        let temp = tempfile::tempdir().expect("a directory");
        let held = DataDir::hold(temp.path()).expect("held");
        let made = held.sealing_key(&[1; 32]).expect("a key");
        let again = held.sealing_key(&[2; 32]).expect("a key");
        assert_eq!(made.id(), again.id());
        let file = temp.path().join(SECRETS_KEY_FILE);
        let mode = fs::metadata(&file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&file, "nonsense").expect("written");
        let error = held.sealing_key(&[3; 32]).expect_err("refused");
        assert!(error.to_string().contains("secrets-key"), "{error}");
        assert_eq!(fs::read_to_string(&file).expect("kept"), "nonsense");
    }
}
