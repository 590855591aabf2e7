//! What can go wrong with a mirror, said so that an operator knows what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::LimitBroken;

/// Why a mirror cannot be used, or its branch not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// An option that no repository can be found with.
    #[error("the Git source's {option} {problem}")]
    Options {
        /// Which option.
        option: &'static str,
        /// What is wrong with it and what would be right.
        problem: String,
    },
    /// Nothing answers, or it stopped to.
    #[error("cannot reach {remote}: {detail}")]
    Unreachable {
        /// The repository.
        remote: String,
        /// What happened.
        detail: String,
    },
    /// The remote does not take the key or token.
    #[error("{remote} refuses the login: {detail}")]
    AuthenticationRefused {
        /// The repository.
        remote: String,
        /// What it said, and what to do.
        detail: String,
    },
    /// The server's host key is in no line of the known hosts.
    #[error(
        "the host key of {host} is not in {}: check it with the server's owner and add it, for example with ssh-keyscan",
        known_hosts_file.display()
    )]
    HostKeyUnknown {
        /// The server.
        host: String,
        /// The file that was searched.
        known_hosts_file: PathBuf,
    },
    /// The server shows another host key than the known one.
    #[error(
        "the host key of {host} is another than in {}: the server was set up anew, or somebody stands in between; check with its owner before replacing the line",
        known_hosts_file.display()
    )]
    HostKeyChanged {
        /// The server.
        host: String,
        /// The file with the other key.
        known_hosts_file: PathBuf,
    },
    /// The server has no such repository, or not for this login.
    #[error("there is no repository {remote}, or this login may not see it: {detail}")]
    NoSuchRepository {
        /// The repository.
        remote: String,
        /// What the server said.
        detail: String,
    },
    /// The repository has no such branch.
    #[error("{remote} has no branch {branch}{}", default_is(default.as_deref()))]
    NoSuchBranch {
        /// The repository.
        remote: String,
        /// The branch.
        branch: String,
        /// The branch that is its default.
        default: Option<String>,
    },
    /// The mirror has no such commit.
    #[error("the mirror has no commit {commit}")]
    NoSuchCommit {
        /// The commit.
        commit: super::CommitId,
    },
    /// The commit has no such directory.
    #[error("commit {commit} has no directory {path}")]
    NoSuchPath {
        /// The commit.
        commit: super::CommitId,
        /// The source's directory.
        path: String,
    },
    /// The repository has moved, and its login must not be sent elsewhere unasked.
    #[error("{remote} has moved to {to}: if that is right, make it the Git source's repository")]
    Moved {
        /// The repository.
        remote: String,
        /// Where the server says it is.
        to: String,
    },
    /// The remote took too long.
    #[error("fetching {remote} took longer than {} s", after.as_secs_f64())]
    TooSlow {
        /// The repository.
        remote: String,
        /// The limit.
        after: Duration,
    },
    /// The fetch was told to stop.
    #[error("fetching {remote} was interrupted")]
    Interrupted {
        /// The repository.
        remote: String,
    },
    /// A limit is broken.
    #[error("the Git source is too large: {0}")]
    TooLarge(LimitBroken),
    /// A program or file that is needed cannot be used.
    #[error("cannot use {what}")]
    Missing {
        /// The program or file, and what it is for.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The mirror cannot be written or read.
    #[error("cannot use the mirror's directory {}: {doing}", directory.display())]
    Disk {
        /// The directory.
        directory: PathBuf,
        /// What was done.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The remote answered something that is not Git, or not complete.
    #[error("{remote} gave an answer that cannot be used: {detail}")]
    Protocol {
        /// The repository.
        remote: String,
        /// What was wrong with it.
        detail: String,
    },
    /// The mirror lacks an object or has a broken one.
    #[error("the mirror is damaged: {detail}; the next fetch makes it anew")]
    Damaged {
        /// What was found.
        detail: String,
    },
}

impl GitError {
    /// A stable word for the kind of failure, for metrics and events.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Options { .. } => "options",
            Self::Unreachable { .. } => "unreachable",
            Self::AuthenticationRefused { .. } => "authentication",
            Self::HostKeyUnknown { .. } => "host_key_unknown",
            Self::HostKeyChanged { .. } => "host_key_changed",
            Self::NoSuchRepository { .. } => "no_repository",
            Self::NoSuchBranch { .. } => "no_branch",
            Self::NoSuchCommit { .. } => "no_commit",
            Self::NoSuchPath { .. } => "no_path",
            Self::Moved { .. } => "moved",
            Self::TooSlow { .. } => "too_slow",
            Self::Interrupted { .. } => "interrupted",
            Self::TooLarge(_) => "too_large",
            Self::Missing { .. } => "missing",
            Self::Disk { .. } => "disk",
            Self::Protocol { .. } => "protocol",
            Self::Damaged { .. } => "damaged",
        }
    }
}

fn default_is(default: Option<&str>) -> String {
    default
        .map(|branch| format!("; its default branch is {branch}"))
        .unwrap_or_default()
}

/// What a remote said, made fit for one line of a log: bounded, without control characters.
pub(super) fn quoted(said: &str) -> String {
    const MOST_CHARS: usize = 400;
    let words: Vec<&str> = said
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let line = words.join(" ");
    match line.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// An error and all its causes in one line, each once.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    joined(causes.map(ToString::to_string))
}

/// Messages in one line, without those that the one before has told already.
pub(super) fn joined(messages: impl Iterator<Item = String>) -> String {
    let mut line = String::new();
    for message in messages.filter(|message| !message.is_empty()) {
        if line.is_empty() {
            line = message;
        } else if !line.ends_with(&message) {
            line = format!("{line}: {message}");
        }
    }
    quoted(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_remote_says_is_one_short_line() {
        assert_eq!(
            quoted("fatal: no\r\n\x1b[31m  such\tthing\n"),
            "fatal: no [31m such thing"
        );
        let long = quoted(&"ä".repeat(1_000));
        assert_eq!(long.chars().count(), 401);
    }
}
