//! A mirror of one branch of a repository.
//!
//! [`GitMirror`] holds a bare, shallow copy in a directory of its own and follows the branch: [`fetch`](GitMirror::fetch)
//! says where its head is and how it got there, [`commits`](GitMirror::commits) what was made of it, and
//! [`files`](GitMirror::files) what a commit says. A fetch that fails, whenever it does, leaves what was there.
//!
//! Repositories in directories are read through the `git` program, those over SSH through `ssh`; HTTP needs neither.
//! `ssh` uses nothing of the user's configuration, keys or agent, and nothing ever asks a question.

mod error;
mod fetch;
mod history;
mod http;
mod location;
mod mirror;
mod options;
mod process;
mod ssh;
mod store;
mod tls;
mod tree;
mod watch;

pub use self::error::GitError;
pub use self::history::CommitInfo;
pub use self::mirror::{CommitId, Fetched, GitMirror, InvalidCommitId, Moved};
pub use self::options::{Auth, GitLimits, GitOptions, GitToken};
pub use self::watch::Interrupt;
