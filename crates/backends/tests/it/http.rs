//! Following a branch over HTTP, with a token.

use std::net::TcpListener;
use std::path::Path;

use backends::git::{Auth, GitError, GitOptions, GitToken, Moved};
use testkit::git::{HttpServer, Manners, Repository};

use crate::directory::follows;
use crate::limits::noise;
use crate::mirror::Mirror;
use crate::proxy::Proxy;

const TOKEN: &str = "glpat-hunter2";

fn guarded() -> Manners {
    Manners::guarded("bob", TOKEN)
}

fn with_token(url: impl Into<String>, token: &str) -> GitOptions {
    let auth = Auth::Token {
        username: "bob".to_owned(),
        token: GitToken::new(token),
    };
    GitOptions {
        auth,
        ..GitOptions::new(url, "main")
    }
}

fn always(head: &str, body: &str) -> Manners {
    Manners {
        always: Some((head.to_owned(), body.to_owned())),
        ..Manners::default()
    }
}

#[test]
fn a_branch_is_followed_over_http() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let server = HttpServer::start(&repository, guarded());
    follows(&repository, with_token(server.url(), TOKEN));
}

#[test]
fn a_public_repository_needs_no_token() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let server = HttpServer::start(&repository, Manners::default());
    let mut mirror = Mirror::of(GitOptions::new(server.url(), "main"));
    assert_eq!(mirror.fetched().moved, Moved::First);
    let before = server.requests();
    assert_eq!(mirror.fetched().moved, Moved::Same);
    // What a look costs the server when nothing is new.
    assert_eq!(server.requests() - before, 2);
}

#[test]
fn a_wrong_or_missing_token_is_told() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let server = HttpServer::start(&repository, guarded());
    assert_eq!(
        Mirror::of(with_token(server.url(), "wrong-hunter3"))
            .refused()
            .to_string(),
        format!(
            "{} refuses the login: the server answers 401 Unauthorized; check user and token, their expiry and rights",
            server.url()
        )
    );
    assert_eq!(
        Mirror::of(GitOptions::new(server.url(), "main"))
            .refused()
            .to_string(),
        format!(
            "{} refuses the login: the server answers 401 Unauthorized; it wants a user and a token",
            server.url()
        )
    );
}

#[test]
fn a_token_shows_nowhere() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let server = HttpServer::start(&repository, guarded());
    let mut mirror = Mirror::of(with_token(server.url(), TOKEN));
    mirror.fetched();
    let login = guarded().authorization.expect("a login");
    let encoded = login.trim_start_matches("Basic ");
    let shown = format!("{:?}", mirror.mirror);
    assert!(shown.contains("[REDACTED]"), "{shown}");
    assert!(
        !shown.contains("hunter2") && !shown.contains(encoded),
        "{shown}"
    );
    let mut wrong = Mirror::of(with_token(server.url(), "glpat-hunter3"));
    let error = wrong.refused();
    assert!(
        !format!("{error}{error:?}").contains("hunter3"),
        "{error:?}"
    );
    assert!(
        0 < search(
            mirror.directory.path(),
            &[TOKEN.as_bytes(), encoded.as_bytes()]
        )
    );
}

/// Looks into every file below a directory for what must not be there, and says how many there are.
fn search(directory: &Path, secrets: &[&[u8]]) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files += search(&path, secrets);
            continue;
        }
        files += 1;
        let bytes = std::fs::read(&path).expect("a file");
        for secret in secrets {
            let is_there = bytes.windows(secret.len()).any(|window| window == *secret);
            assert!(!is_there, "{} holds the token", path.display());
        }
    }
    files
}

#[test]
fn a_repository_that_is_not_there_is_told() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let server = HttpServer::start(&repository, Manners::default());
    let url = format!("http://{}/none.git", server.address);
    assert_eq!(
        Mirror::of(GitOptions::new(&url, "main"))
            .refused()
            .to_string(),
        format!(
            "there is no repository {url}, or this login may not see it: the server answers 404 Not Found"
        )
    );
}

#[test]
fn an_unreachable_server_is_told_and_the_last_state_stays() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let server = HttpServer::start(&repository, Manners::default());
    let proxy = Proxy::to(server.address, usize::MAX);
    let mut mirror = Mirror::of(GitOptions::new(
        format!("http://{}/origin.git", proxy.address),
        "main",
    ));
    mirror.fetched();
    let nobody = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address");
    let url = format!("http://{nobody}/origin.git");
    let error = Mirror::of(GitOptions::new(&url, "main")).refused();
    assert_eq!(error.reason(), "unreachable");
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot reach {url}: Connection refused")),
        "{error}"
    );
    let error = Mirror::of(GitOptions::new("http://nobody.invalid/a", "main")).refused();
    assert_eq!(error.reason(), "unreachable", "{error}");
}

#[test]
fn a_server_in_trouble_is_told_with_its_status() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    for (head, reason) in [
        ("503 Service Unavailable", "unreachable"),
        ("429 Too Many Requests", "unreachable"),
        ("403 Forbidden", "authentication"),
        ("418 I'm a teapot", "protocol"),
    ] {
        let server = HttpServer::start(&repository, always(head, ""));
        let error = Mirror::of(GitOptions::new(server.url(), "main")).refused();
        assert_eq!(error.reason(), reason, "{error}");
        assert!(error.to_string().contains(&head[..3]), "{error}");
    }
}

#[test]
fn a_page_for_people_is_no_repository() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let server = HttpServer::start(
        &repository,
        always("200 OK\r\nContent-Type: text/html", "<h1>Log in</h1>"),
    );
    let error = Mirror::of(GitOptions::new(server.url(), "main")).refused();
    assert_eq!(error.reason(), "protocol");
    assert!(
        error
            .to_string()
            .contains("application/x-git-upload-pack-advertisement"),
        "{error}"
    );
}

#[test]
fn a_repository_that_moved_on_its_server_is_followed() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let manners = Manners {
        moved_to: Some("/origin.git".to_owned()),
        ..guarded()
    };
    let server = HttpServer::start(&repository, manners);
    let url = format!("http://{}/old.git", server.address);
    follows(&repository, with_token(url, TOKEN));
}

#[test]
fn a_login_does_not_follow_to_another_server() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let other = HttpServer::start(&repository, Manners::default());
    let manners = Manners {
        moved_to: Some(other.url()),
        ..guarded()
    };
    let server = HttpServer::start(&repository, manners);
    let url = format!("http://{}/old.git", server.address);
    let error = Mirror::of(with_token(&url, TOKEN)).refused();
    assert_eq!(
        error.to_string(),
        format!(
            "{url} has moved to {}: if that is right, make it the Git source's repository",
            other.url()
        )
    );
    assert_eq!(other.requests(), 0);
}

#[test]
fn a_redirect_in_a_circle_ends() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let manners = Manners {
        moved_to: Some("/old.git".to_owned()),
        ..Manners::default()
    };
    let server = HttpServer::start(&repository, manners);
    let url = format!("http://{}/old.git", server.address);
    let error = Mirror::of(GitOptions::new(&url, "main")).refused();
    assert!(error.to_string().contains("too many redirects"), "{error}");
    let login = always("302 Found\r\nLocation: /users/sign_in", "");
    let server = HttpServer::start(&repository, login);
    let error = Mirror::of(GitOptions::new(server.url(), "main")).refused();
    assert!(
        error.to_string().contains("perhaps a login page"),
        "{error}"
    );
}

#[test]
fn a_remote_that_dies_amid_a_fetch_leaves_the_last_state() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let server = HttpServer::start(&repository, Manners::default());
    let proxy = Proxy::to(server.address, 50_000);
    let mut mirror = Mirror::of(GitOptions::new(
        format!("http://{}/origin.git", proxy.address),
        "main",
    ));
    let head = mirror.fetched().head;
    let packs = mirror.repository().join("objects/pack");
    let before = names(&packs);
    repository.write("noise", noise(1 << 20));
    let noisy = repository.commit("noise");
    let error = mirror.refused();
    assert!(matches!(error, GitError::Unreachable { .. }), "{error:?}");
    assert_eq!(mirror.mirror.head(), Some(head));
    assert_eq!(mirror.texts().len(), 1);
    assert_eq!(names(mirror.directory.path()), ["repository.git"]);
    assert_eq!(names(&packs), before, "of the half that came nothing stays");
    proxy.heal();
    let fetched = mirror.fetched();
    assert_eq!((fetched.head, fetched.moved), (noisy, Moved::Forward));
    assert_eq!(mirror.texts().len(), 2);
}

/// What stands in a directory.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_branch_is_followed_over_tls_with_a_certificate_of_ones_own() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let server = HttpServer::start_tls(&repository, guarded());
    let ca_file = repository.root().join("ca.pem");
    std::fs::write(
        &ca_file,
        server.certificate.as_deref().expect("a certificate"),
    )
    .expect("written");
    let trusting = GitOptions {
        ca_file: Some(ca_file),
        ..with_token(server.url(), TOKEN)
    };
    follows(&repository, trusting);

    let error = Mirror::of(with_token(server.url(), TOKEN)).refused();
    assert_eq!(error.reason(), "unreachable", "{error}");
    assert!(
        error.to_string().contains("invalid peer certificate"),
        "{error}"
    );
}

#[test]
fn certificates_that_are_not_there_are_told() {
    let nobody = GitOptions {
        ca_file: Some("/nowhere/ca.pem".into()),
        ..GitOptions::new("https://127.0.0.1/a", "main")
    };
    let error = Mirror::of(nobody).refused();
    assert_eq!(
        error.to_string(),
        "cannot use the certificates in /nowhere/ca.pem"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_runs_where_an_asynchronous_program_may_block() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let server = HttpServer::start(&repository, guarded());
    let mut mirror = Mirror::of(with_token(server.url(), TOKEN));
    let fetched = tokio::task::spawn_blocking(move || mirror.fetched()).await;
    assert_eq!(fetched.expect("no panic").head, repository.head());
}
