//! Mirrors of repositories, each in a directory of its own.

use std::path::PathBuf;

use backends::git::{CommitId, Fetched, GitError, GitMirror, GitOptions, Interrupt};
use backends::{SourceContent, SourceFile};
use tempfile::TempDir;

/// A mirror in a directory of its own.
pub struct Mirror {
    pub mirror: GitMirror,
    pub directory: TempDir,
}

impl Mirror {
    pub fn of(options: GitOptions) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mirror = GitMirror::open(directory.path(), options).expect("a mirror");
        Self { mirror, directory }
    }

    pub fn fetch(&mut self) -> Result<Fetched, GitError> {
        self.mirror.fetch(&Interrupt::default())
    }

    /// A fetch that must succeed.
    pub fn fetched(&mut self) -> Fetched {
        self.fetch()
            .unwrap_or_else(|error| panic!("{error}: {error:?}"))
    }

    /// A fetch that must fail; its message.
    pub fn refused(&mut self) -> GitError {
        self.fetch()
            .map(|fetched| panic!("{fetched:?}"))
            .unwrap_or_else(|error| error)
    }

    /// The repository in the mirror's directory.
    pub fn repository(&self) -> PathBuf {
        self.directory.path().join("repository.git")
    }

    /// Paths and texts of the files at the mirror's head.
    pub fn texts(&self) -> Vec<(String, String)> {
        let head = self.mirror.head().expect("a head");
        let files = self
            .mirror
            .files(head)
            .unwrap_or_else(|error| panic!("{error}"));
        files
            .into_iter()
            .map(|file| (file.path.clone(), text_of(file)))
            .collect()
    }

    /// The messages of the commits between two.
    pub fn messages(&self, since: Option<CommitId>, head: CommitId) -> Vec<String> {
        let commits = self.mirror.commits(since, head).expect("commits");
        commits.into_iter().map(|commit| commit.message).collect()
    }
}

fn text_of(file: SourceFile) -> String {
    match file.content {
        SourceContent::File(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        other => format!("{other:?}"),
    }
}
