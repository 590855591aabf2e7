//! What can be wrong with a configuration file, said so that one can mend it.

use std::io;

use serde_saphyr::{Error as YamlError, MessageFormatter, UserMessageFormatter};
use thiserror::Error;

use super::environment::Substituted;
use super::keys::Keys;
use super::nearest::nearest;

/// Why a configuration file was refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("reading {file}")]
    Read {
        /// The file's path.
        file: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is too large to be a configuration.
    #[error("{file} has {bytes} bytes, more than the {max_bytes} that are read")]
    TooLarge {
        /// The file's path.
        file: String,
        /// The file's size in bytes.
        bytes: u64,
        /// The largest size that is read, in bytes.
        max_bytes: u64,
    },
    /// The text is no YAML.
    #[error("{file}:{line}:{column}: {problem}")]
    Syntax {
        /// The file's path.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// The column, counted from 1.
        column: u64,
        /// What the parser said.
        problem: String,
    },
    /// A key that no section has.
    #[error("{file}:{line}: unknown key {key}{}{}", meant(nearest.as_deref()), known_here(known))]
    UnknownKey {
        /// The file's path.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// The whole key, `server.lisen`.
        key: String,
        /// The key that was probably meant.
        nearest: Option<String>,
        /// The keys that this section has.
        known: Vec<String>,
    },
    /// A variable without a value.
    #[error("{file}:{line}: {key} needs the environment variable {variable}, which is not set")]
    UnsetVariable {
        /// The file's path.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// The key whose value names the variable.
        key: String,
        /// The variable's name.
        variable: String,
    },
    /// A value that the key cannot have.
    #[error("{file}{}: {key}: {problem}", line.map(|line| format!(":{line}")).unwrap_or_default())]
    Invalid {
        /// The file's path.
        file: String,
        /// The line, counted from 1, where the key is written.
        line: Option<u64>,
        /// The whole key.
        key: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

impl ConfigError {
    /// The whole key that the error is about, if it is about one.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::UnknownKey { key, .. }
            | Self::UnsetVariable { key, .. }
            | Self::Invalid { key, .. } => Some(key),
            Self::Read { .. } | Self::TooLarge { .. } | Self::Syntax { .. } => None,
        }
    }
}

fn meant(nearest: Option<&str>) -> String {
    nearest
        .map(|nearest| format!("; did you mean {nearest}?"))
        .unwrap_or_default()
}

fn known_here(known: &[String]) -> String {
    if known.is_empty() {
        String::new()
    } else {
        format!(" (known here: {})", known.join(", "))
    }
}

/// Turns the deserializer's error into ours: with the whole key, and without values that came from the environment.
pub(super) fn explain(
    file: &str,
    error: &YamlError,
    keys: &Keys,
    substituted: &Substituted,
) -> ConfigError {
    let error = error.without_snippet();
    let location = error.location().filter(|location| location.line() != 0);
    let (line, column) = location.map_or((1, 1), |location| (location.line(), location.column()));
    let here = keys.at(line, column);
    let file = file.to_owned();
    match error {
        YamlError::SerdeUnknownField {
            field, expected, ..
        } => {
            let nearest = nearest(field, expected).map(str::to_owned);
            let known = expected.iter().map(|&key| key.to_owned()).collect();
            let key = keys.key_at(line, column).unwrap_or(field).to_owned();
            ConfigError::UnknownKey {
                file,
                line,
                key,
                nearest,
                known,
            }
        }
        YamlError::SerdeMissingField { field, .. } => {
            let key = here.map_or_else(
                || (*field).to_owned(),
                |parent| keys.child(&parent, field, line, column),
            );
            ConfigError::Invalid {
                file,
                line: Some(line),
                key,
                problem: "is missing".to_owned(),
            }
        }
        other => {
            let problem = substituted.redact(&problem_of(other));
            match here {
                Some(key) => ConfigError::Invalid {
                    file,
                    line: Some(line),
                    key,
                    problem,
                },
                None => ConfigError::Syntax {
                    file,
                    line,
                    column,
                    problem,
                },
            }
        }
    }
}

fn problem_of(error: &YamlError) -> String {
    match error {
        YamlError::Unexpected {
            expected: "mapping start",
            ..
        } => "must be a map of keys; write {} for an empty one".to_owned(),
        YamlError::Unexpected {
            expected: "sequence start",
            ..
        } => "must be a list; write [] for an empty one".to_owned(),
        other => UserMessageFormatter.format_message(other).into_owned(),
    }
}
