//! Small states on disk: JSON under a checksum, with the generation before kept beside it.

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tracing::{error, warn};

use super::atomic;

const HEAD: &str = "opamp-agent record 1 ";
const MODE: u32 = 0o600;

/// A state in a file of its own.
#[derive(Debug)]
pub struct Record<T> {
    path: PathBuf,
    content: PhantomData<fn() -> T>,
}

/// Why a state could not be saved; the generation that stood before still stands.
#[derive(Debug, Error)]
#[error("saving {}", path.display())]
pub struct SaveError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Why a file is no whole record.
#[derive(Debug, Error)]
enum Damage {
    #[error("the file cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("the file does not begin as a record")]
    Head,
    #[error("the checksum does not match: the file is torn or was edited")]
    Checksum,
    #[error("the content is of another form")]
    Form(#[source] serde_json::Error),
}

impl<T: Serialize + DeserializeOwned> Record<T> {
    /// The record `name` in `directory`.
    pub fn new(directory: &Path, name: &str) -> Self {
        Self {
            path: directory.join(format!("{name}.json")),
            content: PhantomData,
        }
    }

    /// The newest whole generation. A damaged file is set aside as `….corrupt` and logged; it never stops the agent.
    pub fn load(&self) -> Option<T> {
        match read(&self.path) {
            Ok(Some(content)) => return Some(content),
            Ok(None) => {}
            Err(damage) => self.set_aside(&damage),
        }
        let previous = self.beside("prev");
        match read(&previous) {
            Ok(Some(content)) => {
                warn!(event = "state_recovered", file = %previous.display(), "went back to the previous generation of a state file");
                Some(content)
            }
            Ok(None) => None,
            Err(damage) => {
                error!(event = "state_lost", file = %previous.display(), error = &damage as &(dyn std::error::Error + 'static), "both generations of a state file are damaged");
                None
            }
        }
    }

    /// Saves a new generation and keeps the one before.
    ///
    /// # Errors
    /// When it cannot be written: the old generation stands.
    pub fn save(&self, content: &T) -> Result<(), SaveError> {
        self.try_save(content).map_err(|source| SaveError {
            path: self.path.clone(),
            source,
        })
    }

    /// Saves `content` as both generations, for what is written only once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_twice(&self, content: &T) -> Result<(), SaveError> {
        self.save(content)?;
        self.save(content)
    }

    /// Removes all generations.
    ///
    /// # Errors
    /// When a file stands that cannot be removed.
    pub fn clear(&self) -> Result<(), SaveError> {
        for path in [&self.path, &self.beside("prev")] {
            match fs::remove_file(path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(SaveError {
                        path: path.clone(),
                        source,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn try_save(&self, content: &T) -> io::Result<()> {
        let body = serde_json::to_vec_pretty(content)?;
        let mut bytes = format!("{HEAD}{}\n", trust::hex(&trust::sha256(&body))).into_bytes();
        bytes.extend_from_slice(&body);
        if let Ok(Some(_)) = read::<T>(&self.path) {
            // A second name for the whole old generation; at no moment is there neither.
            let (link, previous) = (self.beside("prev.new"), self.beside("prev"));
            drop(fs::remove_file(&link));
            fs::hard_link(&self.path, &link)?;
            fs::rename(&link, &previous)?;
        }
        atomic::replace(&self.path, &bytes, MODE)
    }

    fn set_aside(&self, damage: &Damage) {
        let aside = self.beside("corrupt");
        let moved = fs::rename(&self.path, &aside).is_ok();
        error!(event = "state_corrupt", file = %self.path.display(), moved, error = damage as &(dyn std::error::Error + 'static), "a state file is damaged");
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(suffix);
        name.into()
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Damage> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Damage::Unreadable(error)),
    };
    let rest = bytes.strip_prefix(HEAD.as_bytes()).ok_or(Damage::Head)?;
    let (checksum, body) = rest.split_at_checked(64).ok_or(Damage::Head)?;
    let body = body.strip_prefix(b"\n").ok_or(Damage::Head)?;
    if checksum != trust::hex(&trust::sha256(body)).as_bytes() {
        return Err(Damage::Checksum);
    }
    serde_json::from_slice(body).map(Some).map_err(Damage::Form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(directory: &Path) -> Record<Vec<String>> {
        Record::new(directory, "state")
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn what_was_saved_last_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let record = record(directory.path());
        assert_eq!(record.load(), None);
        record.save(&words(&["one"])).unwrap();
        record.save(&words(&["two"])).unwrap();
        assert_eq!(record.load(), Some(words(&["two"])));
        record.clear().unwrap();
        assert_eq!(record.load(), None);
    }

    #[test]
    fn cut_at_any_length_the_previous_generation_stands() {
        let directory = tempfile::tempdir().unwrap();
        let record = record(directory.path());
        record.save(&words(&["old"])).unwrap();
        record.save(&words(&["new"])).unwrap();
        let whole = fs::read(&record.path).unwrap();
        for length in 0..whole.len() {
            fs::write(&record.path, &whole[..length]).unwrap();
            assert_eq!(record.load(), Some(words(&["old"])), "cut at {length}");
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed_and_the_file_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let record = record(directory.path());
        record.save_twice(&words(&["kept"])).unwrap();
        let mut bytes = fs::read(&record.path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::remove_file(&record.path).unwrap();
        fs::write(&record.path, bytes).unwrap();
        assert_eq!(record.load(), Some(words(&["kept"])));
        assert!(record.beside("corrupt").exists());
        assert!(!record.path.exists());
    }

    #[test]
    fn a_damaged_file_never_becomes_the_previous_generation() {
        let directory = tempfile::tempdir().unwrap();
        let record = record(directory.path());
        record.save(&words(&["one"])).unwrap();
        record.save(&words(&["two"])).unwrap();
        fs::write(&record.path, "garbage").unwrap();
        record.save(&words(&["three"])).unwrap();
        fs::write(&record.path, "garbage").unwrap();
        assert_eq!(record.load(), Some(words(&["one"])));
    }
}
