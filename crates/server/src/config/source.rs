//! The checks of `config_source`.

use std::net::IpAddr;
use std::time::Duration;

use backends::git::{Auth, GitError, GitOptions, GitToken};
use engine::domain::Namespace;
use runtime::config::ConfigError;

use super::File;
use super::check::MIN_TOKEN_CHARS;
use super::file::GitSection;
use super::settings::SourceSettings;

/// The shortest interval: each look asks the remote.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// The user that goes with a token, where none is named.
const ANY_USER: &str = "git";

/// The settings of the config source, if there is one.
pub(super) fn check(file: &File) -> Result<Option<SourceSettings>, ConfigError> {
    let Some(section) = &file.value.config_source else {
        return Ok(None);
    };
    let git = &section.git;
    let refuse =
        |key: &str, problem: String| file.refuse(&format!("config_source.git.{key}"), problem);
    if git.repository.is_empty() {
        let problem = "is needed; write it as git@example.com:team/collectors.git";
        return Err(refuse("repository", problem.to_owned()));
    }
    if git.sync_interval < MIN_INTERVAL {
        return Err(refuse("sync_interval", "must be at least 1s".to_owned()));
    }
    let namespace =
        Namespace::new(&git.namespace).map_err(|error| refuse("namespace", error.to_string()))?;
    let webhook_secret = git
        .webhook_secret
        .clone()
        .filter(|secret| !secret.is_empty());
    let is_short = |secret: &runtime::SecretText| secret.expose().chars().count() < MIN_TOKEN_CHARS;
    if webhook_secret.as_ref().is_some_and(is_short) {
        let problem = format!(
            "is too short; it has at least {MIN_TOKEN_CHARS} characters, for example from: openssl rand -hex 32"
        );
        return Err(refuse("webhook_secret", problem));
    }
    let auth = auth(git).map_err(|(key, problem)| refuse(key, problem.to_owned()))?;
    if matches!(auth, Auth::Token { .. }) && is_readable_on_the_way(&git.repository) {
        let problem =
            "would travel readable for anyone on the way to an http:// repository; use https://";
        return Err(refuse("token", problem.to_owned()));
    }
    let mut options = GitOptions {
        path: git.path.clone(),
        auth,
        ca_file: git.ca_file.clone(),
        ..GitOptions::new(git.repository.clone(), git.branch.clone())
    };
    options.check().map_err(|error| match error {
        GitError::Options {
            option: "auth",
            problem,
        } => file.refuse("config_source.git", format!("the login {problem}")),
        GitError::Options { option, problem } => refuse(option, problem),
        other => refuse("repository", other.to_string()),
    })?;
    Ok(Some(SourceSettings {
        git: options,
        namespace,
        release: git.release,
        interval: git.sync_interval,
        webhook_secret,
    }))
}

/// How to log in, or the key that is at fault.
fn auth(git: &GitSection) -> Result<Auth, (&'static str, &'static str)> {
    let token = git.token.as_ref().filter(|token| !token.is_empty());
    match (&git.ssh_key_file, &git.known_hosts_file, token) {
        (Some(_), _, Some(_)) => Err((
            "token",
            "stands beside ssh_key_file; a repository is reached over SSH with a key, or over HTTPS with a token",
        )),
        (Some(_), None, None) => Err((
            "known_hosts_file",
            "is needed beside ssh_key_file: it says which server is the right one; make it with ssh-keyscan, and compare",
        )),
        (None, Some(_), _) => Err(("ssh_key_file", "is needed beside known_hosts_file")),
        (Some(key_file), Some(known_hosts_file), None) => Ok(Auth::SshKey {
            key_file: key_file.clone(),
            known_hosts_file: known_hosts_file.clone(),
        }),
        (None, None, Some(token)) => Ok(Auth::Token {
            username: git.username.clone().unwrap_or_else(|| ANY_USER.to_owned()),
            token: GitToken::new(token.expose()),
        }),
        (None, None, None) if git.username.is_some() => Err(("token", "is needed beside username")),
        (None, None, None) => Ok(Auth::None),
    }
}

/// Whether a repository is reached without encryption, over more than this machine's own loopback.
fn is_readable_on_the_way(repository: &str) -> bool {
    let Some(rest) = repository.strip_prefix("http://") else {
        return false;
    };
    let server = rest.split('/').next().unwrap_or_default();
    let host = match server
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((host, _)) => host,
        None => server.split(':').next().unwrap_or_default(),
    };
    let is_loopback = host
        .parse::<IpAddr>()
        .map_or(host == "localhost", |address| address.is_loopback());
    !is_loopback
}
