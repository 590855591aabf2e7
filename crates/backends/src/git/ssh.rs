//! Git over SSH, through the `ssh` program: the given key and host keys, and nothing of the user's own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::error::quoted;
use super::location::SshLocation;
use super::process::ended;
use super::{Auth, GitError, GitOptions};

/// The longest that a connection may take to stand, where the fetch's own limit is not shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// The key and the host keys of a login over SSH.
#[derive(Debug, Clone, Copy)]
pub(super) struct SshLogin<'a> {
    key_file: &'a Path,
    known_hosts_file: &'a Path,
}

impl<'a> SshLogin<'a> {
    /// The login of a source's options; its files must be there.
    pub(super) fn of(auth: &'a Auth) -> Result<Self, GitError> {
        let Auth::SshKey {
            key_file,
            known_hosts_file,
        } = auth
        else {
            return Err(GitError::Options {
                option: "auth",
                problem: "names no key: SSH needs a private key and known hosts".to_owned(),
            });
        };
        for (what, file) in [
            ("the SSH key", key_file),
            ("the known hosts", known_hosts_file),
        ] {
            std::fs::File::open(file).map_err(|source| GitError::Missing {
                what: format!("{what} {}", file.display()),
                source,
            })?;
        }
        Ok(Self {
            key_file,
            known_hosts_file,
        })
    }
}

/// The process that asks the server for a repository.
pub(super) fn command(
    location: &SshLocation,
    login: SshLogin<'_>,
    options: &GitOptions,
) -> Command {
    let mut command = Command::new("ssh");
    // The user's agent and dialogs are none of ours.
    command
        .env_remove("SSH_AUTH_SOCK")
        .env_remove("SSH_ASKPASS")
        .env_remove("DISPLAY");
    command.args(["-F", "/dev/null", "-T", "-x"]);
    command.arg("-i").arg(login.key_file);
    let connect = CONNECT_TIMEOUT.min(options.limits.timeout).as_secs().max(1);
    let known_hosts = login.known_hosts_file.display().to_string();
    for option in [
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "PreferredAuthentications=publickey",
        "StrictHostKeyChecking=yes",
        "GlobalKnownHostsFile=/dev/null",
        "UpdateHostKeys=no",
        "ControlPath=none",
        "ServerAliveInterval=10",
        "ServerAliveCountMax=3",
        "LogLevel=ERROR",
        "SendEnv=GIT_PROTOCOL",
        &format!("ConnectTimeout={connect}"),
        &format!("UserKnownHostsFile=\"{}\"", known_hosts.replace('%', "%%")),
    ] {
        command.arg("-o").arg(option);
    }
    if let Some(port) = location.port {
        command.arg("-p").arg(port.to_string());
    }
    if let Some(user) = &location.user {
        command.arg("-l").arg(user);
    }
    command.arg("--").arg(&location.host);
    command.arg(format!("git-upload-pack {}", in_quotes(&location.path)));
    command
}

/// A text as one word of a shell.
fn in_quotes(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// What it means that `ssh` ended with these words.
pub(super) fn failure(remote: &str, host: &str, login: SshLogin<'_>, said: &str) -> GitError {
    let remote = remote.to_owned();
    let host = host.to_owned();
    let known_hosts_file = login.known_hosts_file.to_owned();
    let has = |words: &str| said.contains(words);
    let detail = quoted(said);
    if has("HOST IDENTIFICATION HAS CHANGED") {
        return GitError::HostKeyChanged {
            host,
            known_hosts_file,
        };
    }
    if has("Host key verification failed") || has("host key is known for") {
        return GitError::HostKeyUnknown {
            host,
            known_hosts_file,
        };
    }
    if has("UNPROTECTED PRIVATE KEY FILE") {
        let file = login.key_file.display();
        let detail = format!(
            "ssh does not use {file}, which others may read: take their rights (chmod 600)"
        );
        return GitError::AuthenticationRefused { remote, detail };
    }
    if has("Load key") {
        let detail = format!("{detail}; the key must be a private key without a passphrase");
        return GitError::AuthenticationRefused { remote, detail };
    }
    if has("Permission denied (") || has("Too many authentication failures") {
        let detail = format!("{detail}; the server must know the key's public half");
        return GitError::AuthenticationRefused { remote, detail };
    }
    let no_repository = [
        "does not appear to be a git repository",
        "epository not found",
        "could not be found",
        "not exist",
    ];
    if no_repository.iter().any(|words| has(words)) {
        return GitError::NoSuchRepository { remote, detail };
    }
    GitError::Unreachable {
        remote,
        detail: ended(detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_the_servers_shell() {
        assert_eq!(in_quotes("/a b/$(id)"), "'/a b/$(id)'");
        assert_eq!(in_quotes("a'; id; '"), "'a'\\''; id; '\\'''");
    }

    #[test]
    fn what_ssh_says_becomes_a_kind_of_failure() {
        let login = SshLogin {
            key_file: Path::new("/k"),
            known_hosts_file: Path::new("/h"),
        };
        for (said, expected) in [
            (
                "@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
                "host_key_changed",
            ),
            (
                "No ED25519 host key is known for [h]:22 and you have requested strict checking.\nHost key verification failed.",
                "host_key_unknown",
            ),
            ("git@h: Permission denied (publickey).", "authentication"),
            (
                "@ WARNING: UNPROTECTED PRIVATE KEY FILE! @\ngit@h: Permission denied (publickey).",
                "authentication",
            ),
            (
                "Load key \"/k\": error in libcrypto\ngit@h: Permission denied (publickey).",
                "authentication",
            ),
            (
                "fatal: '/a' does not appear to be a git repository",
                "no_repository",
            ),
            ("ERROR: Repository not found.", "no_repository"),
            (
                "ssh: connect to host h port 22: Connection refused",
                "unreachable",
            ),
            (
                "ssh: Could not resolve hostname h: Name or service not known",
                "unreachable",
            ),
            ("", "unreachable"),
        ] {
            assert_eq!(failure("r", "h", login, said).reason(), expected, "{said}");
        }
    }
}
