//! What a mirror is told: which repository and branch, how to log in, and how much is too much.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::SourceLimits;

/// A branch of a repository, and how to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitOptions {
    /// The repository: a path, or `file://`, `ssh://`, `http://`, `https://`, or `user@host:path`. It holds no password.
    pub repository: String,
    /// The branch, without `refs/heads/`.
    pub branch: String,
    /// The directory inside of the repository that is the source; empty: all of it.
    pub path: String,
    /// How to log in.
    pub auth: Auth,
    /// Certificates to trust for `https://` beside the system's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// How much is too much.
    pub limits: GitLimits,
}

impl GitOptions {
    /// A branch of a repository that needs no login, within the default limits.
    pub fn new(repository: impl Into<String>, branch: impl Into<String>) -> Self {
        Self {
            repository: repository.into(),
            branch: branch.into(),
            path: String::new(),
            auth: Auth::None,
            ca_file: None,
            limits: GitLimits::default(),
        }
    }
}

/// How to log in to a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    None,
    /// A private key, for SSH. The server must show a host key that is known.
    SshKey {
        /// The private key, without a passphrase, readable by its user alone.
        key_file: PathBuf,
        /// The host keys that are trusted, as `ssh-keyscan` writes them.
        known_hosts_file: PathBuf,
    },
    /// A token, for HTTP. Over `http://` it travels readable for anyone on the way.
    Token {
        /// The user; services that only look at the token take any name.
        username: String,
        /// The token, sent as a password.
        token: GitToken,
    },
}

/// A token. It shows itself to the remote alone.
#[derive(Clone, PartialEq, Eq)]
pub struct GitToken(String);

impl GitToken {
    /// Takes a token.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for GitToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GitToken([REDACTED])")
    }
}

/// How much of a repository is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GitLimits {
    /// How much of a commit's files.
    pub source: SourceLimits,
    /// The most commits that are fetched of the branch's history; fewer than 2 are 2, since a push could not be told
    /// from a force-push.
    pub commits: u32,
    /// The most bytes that the remote may send in one fetch.
    pub fetch_bytes: u64,
    /// The longest a fetch may take.
    pub timeout: Duration,
}

impl Default for GitLimits {
    /// 100 commits, 256 MiB and 60 s a fetch.
    fn default() -> Self {
        Self {
            source: SourceLimits::default(),
            commits: 100,
            fetch_bytes: 256 << 20,
            timeout: Duration::from_secs(60),
        }
    }
}
