//! From a commit's files to its configs, or to what is wrong with them.

use backends::documents::{SourceConfig, read};
use backends::git::GitError;
use backends::{LimitBroken, SourceFile};
use store::sources::SourceFinding;

use super::finding::{self, of_document, of_source};

/// Reads the files of a commit; takes a while. A directory that is not there, holds no config, or breaks a limit is a
/// fault of the commit: an empty source would delete every config.
///
/// # Errors
/// What is no fault of the commit.
pub fn read_documents(
    files: Result<Vec<SourceFile>, GitError>,
) -> Result<Result<Vec<SourceConfig>, Vec<SourceFinding>>, GitError> {
    let files = match files {
        Ok(files) => Ok(files),
        Err(GitError::TooLarge(broken)) => Err(broken),
        Err(error @ GitError::NoSuchPath { .. }) => {
            let finding = of_source(finding::NO_PATH, error.to_string());
            return Ok(Err(vec![finding]));
        }
        Err(error) => return Err(error),
    };
    Ok(documents_of(files))
}

/// The configs of a source's files.
///
/// # Errors
/// Everything that is wrong with the files.
pub(super) fn documents_of(
    files: Result<Vec<SourceFile>, LimitBroken>,
) -> Result<Vec<SourceConfig>, Vec<SourceFinding>> {
    let files = files.map_err(|broken| {
        let problem = format!("the source is too large: {broken}");
        vec![of_source(finding::TOO_LARGE, problem)]
    })?;
    match read(&files) {
        Ok(configs) if configs.is_empty() => Err(vec![of_source(
            finding::EMPTY,
            "there is no document (config.yaml, *.config.yaml) in the source, which would delete every config of it: if that is meant, delete them all but one, or remove config_source from the server's configuration".to_owned(),
        )]),
        Ok(configs) => Ok(configs),
        Err(faults) => Err(faults.into_iter().map(of_document).collect()),
    }
}
