//! Builds on the command line: a release by its name, or files with what a Collector said of itself.

use std::io;
use std::path::{Path, PathBuf};

use engine::admin::source::CheckedBuild;
use engine::{Build, ReadBuildError, Released};
use thiserror::Error;

use super::CheckConfigsError;

/// The most bytes that are read of a file; a Collector with everything prints 0.1 MiB.
const MOST_BYTES: u64 = 4 << 20;

/// A build as it was given.
#[derive(Debug, Clone)]
pub(super) enum Given {
    /// A release of which it is known what it has.
    Released(Released),
    /// What `components` printed, and what `validate` said.
    Files(PathBuf, Option<PathBuf>),
}

/// Why a build is not known.
#[derive(Debug, Error)]
pub enum BuildError {
    /// A file cannot be read.
    #[error("reading {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It is not what a Collector prints.
    #[error(transparent)]
    NotPrinted(#[from] ReadBuildError),
    /// It lists no names.
    #[error("{} lists no components: give what `otelcol validate` says of a configuration with types that do not exist", path.display())]
    NoNames {
        /// Which.
        path: PathBuf,
    },
}

/// Reads the name of a release, or of a file; what could be both is the file.
pub(super) fn parse(text: &str) -> Result<Given, String> {
    if let (Some(released), false) = (Released::named(text), Path::new(text).exists()) {
        return Ok(Given::Released(released));
    }
    let (components, names) = match text.split_once(',') {
        Some((components, names)) => (Path::new(components), Some(PathBuf::from(names))),
        None => (Path::new(text), None),
    };
    if components.exists() {
        return Ok(Given::Files(components.to_owned(), names));
    }
    let known: Vec<String> = Released::all().map(|known| known.to_string()).collect();
    Err(format!(
        "there is no such file, and no such release is known: known are {}; for another give a file with what `otelcol components` prints",
        known.join(", ")
    ))
}

impl Given {
    pub(super) fn read(&self) -> Result<CheckedBuild, CheckConfigsError> {
        let (name, build) = match self {
            Self::Released(released) => (released.to_string(), Ok(released.build())),
            Self::Files(components, names) => (
                components.display().to_string(),
                of_files(components, names.as_deref()),
            ),
        };
        match build {
            Ok(build) => Ok(CheckedBuild { name, build }),
            Err(source) => Err(CheckConfigsError::Build { name, source }),
        }
    }
}

fn of_files(components: &Path, names: Option<&Path>) -> Result<Build, BuildError> {
    let printed = text_of(components)?;
    let alone = Build::read(printed.as_bytes(), "")?;
    let Some(names) = names else {
        return Ok(alone);
    };
    let build = Build::read(printed.as_bytes(), &text_of(names)?)?;
    if build == alone {
        let path = names.to_owned();
        return Err(BuildError::NoNames { path });
    }
    Ok(build)
}

fn text_of(path: &Path) -> Result<String, BuildError> {
    let read = || {
        if MOST_BYTES < std::fs::metadata(path)?.len() {
            return Err(io::Error::other("it has more than 4 MiB"));
        }
        std::fs::read_to_string(path)
    };
    read().map_err(|source| BuildError::File {
        path: path.to_owned(),
        source,
    })
}
