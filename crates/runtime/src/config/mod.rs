//! Configuration files: YAML into typed structs, with errors that name the key and its line.
//!
//! `${NAME}` and `${NAME:-default}` are replaced inside scalars after parsing, so that a value can never change the
//! file's structure; `$${NAME}` stands for the literal text. Unknown keys are errors. Booleans are `true` and `false`
//! alone. Durations are written `30s`, `1m`, `1h30m` ([`duration`]), sizes `4MiB` ([`ByteSize`]).
//!
//! ```
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct File { listen: String }
//!
//! let environment = runtime::Environment::from_iter([("PORT", "4320")]);
//! let file = runtime::config::parse::<File>("a.yaml", "listen: 127.0.0.1:${PORT}\n", &environment).unwrap();
//! assert_eq!(file.value.listen, "127.0.0.1:4320");
//!
//! let error = runtime::config::parse::<File>("a.yaml", "listne: x\n", &environment).map(drop).unwrap_err();
//! assert_eq!(error.to_string(), "a.yaml:1: unknown key listne; did you mean listen? (known here: listen)");
//! ```

mod environment;
mod error;
mod keys;
mod nearest;
mod secret;
mod units;

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_saphyr::Options;

pub use self::environment::Environment;
pub use self::error::ConfigError;
pub use self::nearest::nearest;
pub use self::secret::SecretText;
pub use self::units::{ByteSize, duration, optional_duration};

use self::keys::Keys;

/// The largest configuration file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A configuration file's content, and where each key of it stands.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The file's content.
    pub value: T,
    file: String,
    keys: Keys,
}

impl<T> Loaded<T> {
    /// The line of `key` (`server.tls.cert_file`), if the file has that key.
    pub fn line_of(&self, key: &str) -> Option<u64> {
        self.keys.line_of(key)
    }

    /// An error about `key` for a check beyond the types; it names the file and, where the key is written, its line.
    pub fn refuse(&self, key: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError::Invalid {
            file: self.file.clone(),
            line: self.line_of(key),
            key: key.to_owned(),
            problem: problem.into(),
        }
    }

    /// The same place with another value, for example after defaults were filled in.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Loaded<U> {
        Loaded {
            value: f(self.value),
            file: self.file,
            keys: self.keys,
        }
    }
}

/// Reads the file at `path`.
///
/// # Errors
/// When the file cannot be read, is no YAML, names an unset variable, or does not fit `T`.
pub fn load<T: DeserializeOwned>(
    path: &Path,
    environment: &Environment,
) -> Result<Loaded<T>, ConfigError> {
    let file = path.display().to_string();
    let read = |source| ConfigError::Read {
        file: file.clone(),
        source,
    };
    let bytes = std::fs::metadata(path).map_err(read)?.len();
    if MAX_FILE_BYTES < bytes {
        return Err(ConfigError::TooLarge {
            file,
            bytes,
            max_bytes: MAX_FILE_BYTES,
        });
    }
    let text = std::fs::read_to_string(path).map_err(read)?;
    parse(&file, &text, environment)
}

/// Reads `text`, which came from `file`.
///
/// # Errors
/// When the text is no YAML, names an unset variable, or does not fit `T`.
pub fn parse<T: DeserializeOwned>(
    file: &str,
    text: &str,
    environment: &Environment,
) -> Result<Loaded<T>, ConfigError> {
    let substituted = environment::substitute(file, text, environment)?;
    let keys = Keys::of(&substituted.text);
    match serde_saphyr::from_str_with_options(&substituted.text, options()) {
        Ok(value) => Ok(Loaded {
            value,
            file: file.to_owned(),
            keys,
        }),
        Err(error) => Err(error::explain(file, &error, &keys, &substituted)),
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        strict_booleans: true,
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

#[cfg(test)]
mod tests;
