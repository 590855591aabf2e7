//! Following a branch over SSH, with a key and known hosts.

use std::net::TcpListener;
use std::path::PathBuf;

use backends::git::{Auth, GitError, GitMirror, GitOptions, Moved};
use testkit::git::{Repository, SshServer};

use crate::directory::follows;
use crate::limits::noise;
use crate::mirror::Mirror;
use crate::proxy::Proxy;

fn with_key(url: String, key_file: PathBuf, known_hosts_file: PathBuf) -> GitOptions {
    let auth = Auth::SshKey {
        key_file,
        known_hosts_file,
    };
    GitOptions {
        auth,
        ..GitOptions::new(url, "main")
    }
}

fn both() -> Option<(Repository, SshServer)> {
    Some((Repository::with_a_commit()?, SshServer::start()?))
}

#[test]
fn a_branch_is_followed_over_ssh() {
    let Some((repository, server)) = both() else {
        return;
    };
    let known = server.known_hosts("host", server.address);
    follows(
        &repository,
        with_key(server.url(&repository.address()), server.key("user"), known),
    );
}

#[test]
fn a_key_that_the_server_does_not_know_is_told() {
    let Some((repository, server)) = both() else {
        return;
    };
    let known = server.known_hosts("host", server.address);
    let options = with_key(
        server.url(&repository.address()),
        server.key("stranger"),
        known,
    );
    let error = Mirror::of(options).refused();
    assert!(
        matches!(error, GitError::AuthenticationRefused { .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("Permission denied (publickey)"),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .ends_with("the server must know the key's public half"),
        "{error}"
    );
}

#[test]
fn a_key_that_others_may_read_is_told() {
    let Some((repository, server)) = both() else {
        return;
    };
    server.publish("user");
    let known = server.known_hosts("host", server.address);
    let options = with_key(server.url(&repository.address()), server.key("user"), known);
    let error = Mirror::of(options).refused();
    assert!(
        error
            .to_string()
            .ends_with("which others may read: take their rights (chmod 600)"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_no_key_is_told() {
    let Some((repository, server)) = both() else {
        return;
    };
    let known = server.known_hosts("host", server.address);
    std::fs::write(server.key("user"), "no key\n").expect("written");
    let options = with_key(server.url(&repository.address()), server.key("user"), known);
    let error = Mirror::of(options).refused();
    assert_eq!(error.reason(), "authentication", "{error}");
    assert!(error.to_string().contains("Load key"), "{error}");
}

#[test]
fn a_host_key_that_nobody_knows_is_refused() {
    let Some((repository, server)) = both() else {
        return;
    };
    let known = server.no_known_hosts();
    let options = with_key(
        server.url(&repository.address()),
        server.key("user"),
        known.clone(),
    );
    let error = Mirror::of(options).refused();
    assert!(
        matches!(&error, GitError::HostKeyUnknown { host, .. } if host == "127.0.0.1"),
        "{error:?}"
    );
    // It was not learned either.
    assert_eq!(std::fs::read_to_string(known).expect("a file"), "");
}

#[test]
fn a_host_key_that_is_another_is_refused() {
    let Some((repository, server)) = both() else {
        return;
    };
    let known = server.known_hosts("other-host", server.address);
    let options = with_key(server.url(&repository.address()), server.key("user"), known);
    let error = Mirror::of(options).refused();
    assert!(
        matches!(error, GitError::HostKeyChanged { .. }),
        "{error:?}"
    );
}

#[test]
fn a_repository_that_the_server_does_not_have_is_told() {
    let Some((_, server)) = both() else { return };
    let known = server.known_hosts("host", server.address);
    let options = with_key(server.url("/nowhere/it's.git"), server.key("user"), known);
    let error = Mirror::of(options).refused();
    assert_eq!(error.reason(), "no_repository", "{error}");
    assert!(
        error
            .to_string()
            .contains("'/nowhere/it's.git' does not appear"),
        "{error}"
    );
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let Some((repository, server)) = both() else {
        return;
    };
    let nobody = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address");
    let known = server.known_hosts("host", nobody);
    let options = with_key(
        server.url_at(nobody, &repository.address()),
        server.key("user"),
        known,
    );
    let error = Mirror::of(options).refused();
    assert_eq!(error.reason(), "unreachable", "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[test]
fn a_silent_server_is_given_up() {
    let Some((repository, server)) = both() else {
        return;
    };
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let known = server.known_hosts("host", address);
    let mut options = with_key(
        server.url_at(address, &repository.address()),
        server.key("user"),
        known,
    );
    options.limits.timeout = std::time::Duration::from_millis(300);
    assert_eq!(Mirror::of(options).refused().reason(), "too_slow");
}

#[test]
fn files_that_are_not_there_are_told() {
    let Some((repository, server)) = both() else {
        return;
    };
    let known = server.known_hosts("host", server.address);
    let options = with_key(server.url(&repository.address()), server.key("none"), known);
    let error = Mirror::of(options).refused();
    assert_eq!(
        error.to_string(),
        format!("cannot use the SSH key {}", server.key("none").display())
    );
    let options = GitOptions::new(server.url(&repository.address()), "main");
    let directory = tempfile::tempdir().expect("a directory");
    assert!(matches!(
        GitMirror::open(directory.path(), options),
        Err(GitError::Options { option: "auth", .. })
    ));
}

#[test]
fn a_remote_that_dies_amid_a_fetch_leaves_the_last_state() {
    let Some((repository, server)) = both() else {
        return;
    };
    let proxy = Proxy::to(server.address, 100_000);
    let known = server.known_hosts("host", proxy.address);
    let url = server.url_at(proxy.address, &repository.address());
    let mut mirror = Mirror::of(with_key(url, server.key("user"), known));
    let head = mirror.fetched().head;
    repository.write("noise", noise(1 << 20));
    let noisy = repository.commit("noise");
    let error = mirror.refused();
    assert!(matches!(error, GitError::Unreachable { .. }), "{error:?}");
    assert_eq!(mirror.mirror.head(), Some(head));
    assert_eq!(mirror.texts().len(), 1);
    proxy.heal();
    let fetched = mirror.fetched();
    assert_eq!((fetched.head, fetched.moved), (noisy, Moved::Forward));
}
