//! The mirror: what its users see of it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::fetch::Source;
use super::history::{self, CommitInfo};
use super::location::Location;
use super::store::{self, Store};
use super::watch::{Interrupt, Watch, Watchdog};
use super::{Auth, GitError, GitOptions, tree};
use crate::SourceFile;

/// A commit's id, as Git writes it in hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId([u8; 20]);

/// A text that is no commit's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a commit's id has 40 hexadecimal digits")]
pub struct InvalidCommitId;

impl CommitId {
    pub(super) fn to_object(self) -> gix::ObjectId {
        gix::ObjectId::Sha1(self.0)
    }
}

impl From<gix::ObjectId> for CommitId {
    fn from(id: gix::ObjectId) -> Self {
        let mut bytes = [0; 20];
        bytes.copy_from_slice(&id.as_slice()[..20]);
        Self(bytes)
    }
}

impl FromStr for CommitId {
    type Err = InvalidCommitId;

    fn from_str(text: &str) -> Result<Self, InvalidCommitId> {
        let id = gix::ObjectId::from_hex(text.as_bytes()).map_err(|_| InvalidCommitId)?;
        match id.as_slice().len() {
            20 => Ok(id.into()),
            _ => Err(InvalidCommitId),
        }
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommitId({self})")
    }
}

/// What a fetch found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// Where the branch is.
    pub head: CommitId,
    /// How it got there.
    pub moved: Moved,
}

/// How a branch got from where it was to where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moved {
    /// The mirror had not seen it before, or had to be made anew.
    First,
    /// Not at all.
    Same,
    /// By new commits.
    Forward,
    /// By a force-push: where it was is not in its history. So, too, where more commits came at once than are fetched.
    Forced,
}

/// A mirror of one branch. Its methods block for as long as the disk and the remote take.
#[derive(Debug)]
pub struct GitMirror {
    options: GitOptions,
    location: Location,
    store: Store,
    /// Set where something was found broken that a fetch would not look at.
    is_damaged: AtomicBool,
}

impl GitMirror {
    /// Opens the mirror in a directory that is its own, or begins one: nothing is fetched yet. What is damaged, or
    /// mirrors another repository, makes way at the first fetch.
    ///
    /// # Errors
    /// [`GitError::Options`] for options that cannot work, [`GitError::Disk`].
    pub fn open(directory: &Path, mut options: GitOptions) -> Result<Self, GitError> {
        let location = options.checked()?;
        let store = Store::new(directory, &options.repository, &options.limits)?;
        Ok(Self {
            options,
            location,
            store,
            is_damaged: AtomicBool::new(false),
        })
    }

    /// Asks the remote where the branch is and takes what is new, within the limits of time and size.
    ///
    /// # Errors
    /// [`GitError`] says what is wrong; the mirror then holds what it held before.
    pub fn fetch(&mut self, interrupt: &Interrupt) -> Result<Fetched, GitError> {
        let watch = Watch::begin(&self.options.repository, &self.options.limits, interrupt);
        let _dog = Watchdog::over(&watch).map_err(|source| GitError::Missing {
            what: "a thread that watches the fetch".to_owned(),
            source,
        })?;
        let source = Source {
            location: &self.location,
            options: &self.options,
            store: &self.store,
        };
        let current = self.store.open();
        let before = current
            .as_ref()
            .and_then(|repository| self.head_in(repository));
        let is_damaged = self.is_damaged.load(Ordering::Relaxed);
        let is_fit = before.is_some() && !is_damaged && !self.store.is_scattered();
        if let Some(repository) = current.filter(|_| is_fit) {
            match source.fetch(&repository, &watch) {
                Ok(head) => return Ok(self.fetched(&repository, before, head)),
                // A new repository may do where this one is broken.
                Err(GitError::Damaged { .. } | GitError::Protocol { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let fetched = source.fetch(&self.store.begin()?, &watch);
        let head = fetched.inspect_err(|_| self.store.abandon())?;
        let repository = self.store.replace()?;
        self.is_damaged.store(false, Ordering::Relaxed);
        Ok(self.fetched(&repository, before, head))
    }

    /// Where the branch was when it was last fetched.
    #[must_use]
    pub fn head(&self) -> Option<CommitId> {
        let repository = self.store.open()?;
        self.head_in(&repository).map(CommitId::from)
    }

    /// The commits after `since` up to `head`, along first parents, oldest first. Just the head where `since` is
    /// nothing, is not among the head's first parents, or is further back than the mirror's history goes.
    ///
    /// # Errors
    /// [`GitError::NoSuchCommit`] where the mirror does not have `head`, [`GitError::Damaged`] where a commit cannot be
    /// read.
    pub fn commits(
        &self,
        since: Option<CommitId>,
        head: CommitId,
    ) -> Result<Vec<CommitInfo>, GitError> {
        let repository = self.opened()?;
        let since = since.map(CommitId::to_object);
        let most = self.options.limits.commits;
        match history::commits(&repository, since, head.to_object(), most) {
            Ok(commits) if commits.is_empty() && since != Some(head.to_object()) => {
                Err(GitError::NoSuchCommit { commit: head })
            }
            Ok(commits) => Ok(commits),
            Err(error) => Err(self.local(&error)),
        }
    }

    /// Every file below the source's directory at a commit, in the order of their paths. Links and submodules are
    /// named, never followed.
    ///
    /// # Errors
    /// [`GitError::NoSuchCommit`], [`GitError::NoSuchPath`] where there is no such directory, [`GitError::TooLarge`] with
    /// the file that breaks a limit, [`GitError::Damaged`].
    pub fn files(&self, commit: CommitId) -> Result<Vec<SourceFile>, GitError> {
        let repository = self.opened()?;
        let read = tree::files(&repository, commit, &self.options);
        read.map_err(|error| match error {
            tree::TreeError::Git(error) => error,
            tree::TreeError::Store(error) => self.local(&error),
        })
    }

    fn opened(&self) -> Result<gix::Repository, GitError> {
        self.store.open().ok_or_else(|| GitError::Damaged {
            detail: "there is no repository yet".to_owned(),
        })
    }

    fn local(&self, error: &gix::Error) -> GitError {
        let error = self.store.local(error);
        if matches!(error, GitError::Damaged { .. }) {
            self.is_damaged.store(true, Ordering::Relaxed);
        }
        error
    }

    fn head_in(&self, repository: &gix::Repository) -> Option<gix::ObjectId> {
        store::head(repository, &self.options.branch)
    }

    fn fetched(
        &self,
        repository: &gix::Repository,
        before: Option<gix::ObjectId>,
        head: gix::ObjectId,
    ) -> Fetched {
        let moved = match before {
            None => Moved::First,
            Some(before) if before == head => Moved::Same,
            Some(before) if history::is_ancestor(repository, before, head) => Moved::Forward,
            Some(_) => Moved::Forced,
        };
        Fetched {
            head: head.into(),
            moved,
        }
    }
}

impl GitOptions {
    /// Refuses options that cannot work, without a look at the disk or the remote. The path loses its needless parts.
    ///
    /// # Errors
    /// [`GitError::Options`].
    pub fn check(&mut self) -> Result<(), GitError> {
        self.checked().map(drop)
    }

    fn checked(&mut self) -> Result<Location, GitError> {
        let location = Location::parse(&self.repository)?;
        self.path = checked_path(&self.path)?;
        check_branch(&self.branch)?;
        check_auth(&self.auth, &location)?;
        Ok(location)
    }
}

/// The source's directory without needless slashes and dots.
fn checked_path(path: &str) -> Result<String, GitError> {
    let names: Vec<&str> = path
        .split('/')
        .filter(|name| !name.is_empty() && *name != ".")
        .collect();
    if names.contains(&"..") {
        return Err(GitError::Options {
            option: "path",
            problem: format!("is {path:?}: it begins at the repository's root and holds no .."),
        });
    }
    Ok(names.join("/"))
}

fn check_branch(branch: &str) -> Result<(), GitError> {
    let name = format!("refs/heads/{branch}");
    let problem = if branch.starts_with("refs/") {
        format!("is {branch:?}: write it without refs/heads/")
    } else if gix::refs::FullName::try_from(name.as_str()).is_err() {
        format!("is {branch:?}, which is no branch's name")
    } else {
        return Ok(());
    };
    Err(GitError::Options {
        option: "branch",
        problem,
    })
}

/// A login that the repository's address has no use for would be a mistake: it is told.
fn check_auth(auth: &Auth, location: &Location) -> Result<(), GitError> {
    let problem = match (location, auth) {
        (Location::Directory(_) | Location::Http(_), Auth::None)
        | (Location::Http(_), Auth::Token { .. })
        | (Location::Ssh(_), Auth::SshKey { .. }) => return Ok(()),
        (Location::Ssh(_), _) => {
            "must be an SSH key and known hosts: the repository is reached over SSH"
        }
        (Location::Http(_), Auth::SshKey { .. }) => {
            "is an SSH key, and the repository is reached over HTTP"
        }
        (Location::Directory(_), _) => {
            "is given, and the repository is a directory, which needs none"
        }
    };
    Err(GitError::Options {
        option: "auth",
        problem: problem.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_their_own_text() {
        let text = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(
            text.parse::<CommitId>().map(|id| id.to_string()),
            Ok(text.to_owned())
        );
        for bad in ["", "0123", &"g".repeat(40), &"0".repeat(64)] {
            assert_eq!(bad.parse::<CommitId>(), Err(InvalidCommitId), "{bad}");
        }
    }

    #[test]
    fn options_that_cannot_work_are_refused_at_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let refusal = |options: GitOptions| {
            let opened = GitMirror::open(directory.path(), options);
            opened.map(drop).expect_err("refused").to_string()
        };
        let token = Auth::Token {
            username: "bob".to_owned(),
            token: super::super::GitToken::new("hunter2"),
        };
        let new = GitOptions::new;
        assert_eq!(
            refusal(new("/a", "refs/heads/main")),
            "the Git source's branch is \"refs/heads/main\": write it without refs/heads/"
        );
        assert_eq!(
            refusal(new("/a", "a..b")),
            "the Git source's branch is \"a..b\", which is no branch's name"
        );
        assert_eq!(
            refusal(GitOptions {
                path: "a/../b".to_owned(),
                ..new("/a", "main")
            }),
            "the Git source's path is \"a/../b\": it begins at the repository's root and holds no .."
        );
        assert_eq!(
            refusal(GitOptions {
                auth: token.clone(),
                ..new("/a", "main")
            }),
            "the Git source's auth is given, and the repository is a directory, which needs none"
        );
        assert_eq!(
            refusal(new("git@host:a", "main")),
            "the Git source's auth must be an SSH key and known hosts: the repository is reached over SSH"
        );
        assert!(!format!("{token:?}").contains("hunter2"));
    }
}
