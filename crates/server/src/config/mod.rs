//! Configuration of the server: the file, the checks beyond its types, and the settings that come out.
//!
//! Everything is checked before anything starts; an error names the key and its line. Start at [`Settings::load`].

mod admin_tls;
mod check;
pub mod file;
mod settings;
mod source;

use std::path::Path;

use runtime::config::{ConfigError, Environment, Loaded};

pub use self::file::ConfigFile;
pub use self::settings::{AdminTls, Database, DatabasePlace, Settings, SourceSettings};

impl Settings {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// The first thing that is wrong with it, by key and line.
    pub fn load(path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        check::check(&runtime::config::load::<ConfigFile>(path, environment)?)
    }

    /// Reads and checks `text`, which came from `file`.
    ///
    /// # Errors
    /// The first thing that is wrong with it, by key and line.
    pub fn parse(file: &str, text: &str, environment: &Environment) -> Result<Self, ConfigError> {
        check::check(&runtime::config::parse::<ConfigFile>(
            file,
            text,
            environment,
        )?)
    }

    /// The settings of a server without a file.
    ///
    /// # Errors
    /// None in practice: the defaults pass their own checks.
    pub fn embedded() -> Result<Self, ConfigError> {
        Self::parse("embedded defaults", "", &Environment::default())
    }
}

/// The file as it was loaded, for checks that name its lines.
type File = Loaded<ConfigFile>;

#[cfg(test)]
mod tests;
