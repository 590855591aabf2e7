//! Repositories made with the `git` program.

use std::path::{Path, PathBuf};
use std::process::Command;

use backends::git::CommitId;
use tempfile::TempDir;

use crate::needs;

/// A bare repository and a working copy that is pushed to it.
pub struct Repository {
    directory: TempDir,
}

impl Repository {
    /// One without commits; `None` where there is no `git`.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new() -> Option<Self> {
        needs::find("git")?;
        let directory = tempfile::tempdir().expect("a directory");
        let repository = Self { directory };
        for name in ["origin.git", "work"] {
            let bare: &[&str] = if name == "work" { &[] } else { &["--bare"] };
            let path = repository.directory.path().join(name);
            let arguments = ["init", "-q", "-b", "main"].iter().chain(bare);
            run(Command::new("git").args(arguments).arg(path));
        }
        let bare = repository.address();
        let deletable = ["config", "receive.denyDeleteCurrent", "ignore"];
        run(Command::new("git").arg("-C").arg(&bare).args(deletable));
        repository.git(&["remote", "add", "origin", &repository.address()]);
        Some(repository)
    }

    /// One whose branch `main` has one commit with a file.
    pub fn with_a_commit() -> Option<Self> {
        let repository = Self::new()?;
        repository.write("config.yaml", "name: edge\nbody: 'a: 1'\n");
        repository.commit("first");
        Some(repository)
    }

    /// The directory in which both stand.
    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// The bare repository's path.
    pub fn address(&self) -> String {
        self.directory
            .path()
            .join("origin.git")
            .display()
            .to_string()
    }

    /// The working copy's path.
    pub fn work(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    /// Writes a file of the working copy, with the directories above it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let file = self.work().join(path);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
        std::fs::write(file, text).expect("written");
    }

    /// Runs `git` in the working copy.
    pub fn git(&self, arguments: &[&str]) -> String {
        run(Command::new("git")
            .arg("-C")
            .arg(self.work())
            .args(arguments))
    }

    /// Commits what there is, pushes every branch, and says the commit's id.
    pub fn commit(&self, message: &str) -> CommitId {
        self.git(&["add", "--all"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.publish();
        self.head()
    }

    /// Makes the bare repository's branches those of the working copy.
    pub fn publish(&self) {
        self.git(&[
            "push",
            "-q",
            "--force",
            "--prune",
            "origin",
            "refs/heads/*:refs/heads/*",
        ]);
    }

    /// The working copy's commit.
    ///
    /// # Panics
    /// When there is none.
    pub fn head(&self) -> CommitId {
        self.git(&["rev-parse", "HEAD"]).parse().expect("an id")
    }

    /// Sets the branch that the bare repository gives out unasked.
    pub fn set_default_branch(&self, branch: &str) {
        let reference = format!("refs/heads/{branch}");
        run(Command::new("git").arg("-C").arg(self.address()).args([
            "symbolic-ref",
            "HEAD",
            &reference,
        ]));
    }
}

/// Runs a program that must succeed, and gives its output. Commits that it makes are those of Ada Lovelace, whatever this
/// machine has configured.
///
/// # Panics
/// When it cannot be started, or fails.
pub fn run(command: &mut Command) -> String {
    let output = command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Ada Lovelace")
        .env("GIT_AUTHOR_EMAIL", "ada@example.com")
        .env("GIT_COMMITTER_NAME", "Cora")
        .env("GIT_COMMITTER_EMAIL", "cora@example.com")
        .env("GIT_COMMITTER_DATE", "2024-01-01T00:00:00+00:00")
        .output()
        .expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout)
        .expect("a text")
        .trim()
        .to_owned()
}
