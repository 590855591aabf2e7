//! How much of a repository is taken, and for how long.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use backends::LimitBroken;
use backends::git::{GitError, GitLimits, GitOptions, Interrupt, Moved};
use testkit::git::Repository;

use crate::mirror::Mirror;

fn limited(repository: &Repository, change: impl FnOnce(&mut GitLimits)) -> Mirror {
    let mut options = GitOptions::new(repository.address(), "main");
    change(&mut options.limits);
    Mirror::of(options)
}

fn files_refused(mirror: &mut Mirror) -> LimitBroken {
    let head = mirror.fetched().head;
    match mirror.mirror.files(head) {
        Err(GitError::TooLarge(broken)) => broken,
        other => panic!("{other:?}"),
    }
}

#[test]
fn too_many_files_are_refused_by_name() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    repository.write("a/1", "");
    repository.write("a/2", "");
    repository.commit("more");
    // The directory counts, too.
    assert_eq!(
        files_refused(&mut limited(&repository, |limits| limits.source.files = 3)),
        LimitBroken::Files {
            most: 3,
            path: "a/2".to_owned()
        }
    );
    let mut fits = limited(&repository, |limits| limits.source.files = 4);
    fits.fetched();
    assert_eq!(fits.texts().len(), 3);
}

#[test]
fn a_few_objects_cannot_describe_files_without_end() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    // Ten directories in each of ten, eight deep: a hundred million, of nine objects.
    let mut tree = repository.git(&["rev-parse", "HEAD:"]);
    for _ in 0..8 {
        let lines: String = (0..10)
            .map(|name| format!("040000 tree {tree}\t{name}\n"))
            .collect();
        repository.write("../lines", lines);
        let script = "git mktree < ../lines";
        let mut command = std::process::Command::new("sh");
        tree = testkit::git::run(command.args(["-c", script]).current_dir(repository.work()));
    }
    let commit = repository.git(&["commit-tree", "-m", "bomb", &tree]);
    repository.git(&["update-ref", "refs/heads/main", &commit]);
    repository.publish();
    let mut mirror = limited(&repository, |_| {});
    assert!(matches!(
        files_refused(&mut mirror),
        LimitBroken::Files { most: 10_000, .. }
    ));
}

#[test]
fn too_large_files_are_refused_by_name() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    repository.write("big", vec![0; 5_000]);
    repository.write("bigger", vec![0; 6_000]);
    repository.commit("more");
    assert_eq!(
        files_refused(&mut limited(&repository, |limits| limits
            .source
            .file_bytes = 5_000)),
        LimitBroken::File {
            path: "bigger".to_owned(),
            bytes: 6_000,
            most: 5_000
        }
    );
    let broken = files_refused(&mut limited(&repository, |limits| {
        limits.source.total_bytes = 10_000
    }));
    assert_eq!(
        broken,
        LimitBroken::Total {
            path: "bigger".to_owned(),
            most: 10_000
        }
    );
    assert_eq!(
        broken.to_string(),
        "its files have more than 10000 bytes, bigger among them"
    );
}

#[test]
fn what_is_outside_of_the_source_counts_for_nothing() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    repository.write("big", vec![0; 50_000]);
    repository.write("fleet/config.yaml", "name: a\nbody: x\n");
    repository.commit("more");
    let mut options = GitOptions::new(repository.address(), "main");
    options.path = "fleet".to_owned();
    options.limits.source.total_bytes = 1_000;
    let mut mirror = Mirror::of(options);
    mirror.fetched();
    assert_eq!(mirror.texts().len(), 1);
}

#[test]
fn a_huge_repository_is_cut_off_and_the_last_state_stays() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let mut mirror = limited(&repository, |limits| limits.fetch_bytes = 100_000);
    let head = mirror.fetched().head;
    repository.write("noise", noise(1 << 20));
    repository.commit("noise");
    let error = mirror.refused();
    assert!(
        matches!(
            error,
            GitError::TooLarge(LimitBroken::Fetch { most: 100_000 })
        ),
        "{error:?}"
    );
    assert_eq!(mirror.mirror.head(), Some(head));
    assert_eq!(mirror.texts().len(), 1);
}

#[test]
fn one_object_cannot_take_all_memory() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    // Sixteen MiB of nothing are 16 KiB in a pack.
    repository.write("bomb", vec![0; 16 << 20]);
    repository.commit("bomb");
    let mut mirror = limited(&repository, |limits| limits.fetch_bytes = 1 << 20);
    let error = mirror.refused();
    assert!(matches!(error, GitError::Protocol { .. }), "{error:?}");
    assert_eq!(mirror.mirror.head(), None);
}

#[test]
fn history_is_taken_as_far_as_the_limit_says() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    for number in 0..9 {
        repository.commit(&format!("before {number}"));
    }
    let mut mirror = limited(&repository, |limits| limits.commits = 3);
    let first = mirror.fetched().head;
    let count = || {
        let log = std::process::Command::new("git")
            .arg("-C")
            .arg(mirror.repository())
            .args(["rev-list", "--count", "refs/remotes/origin/main"])
            .output();
        String::from_utf8_lossy(&log.expect("git runs").stdout)
            .trim()
            .to_owned()
    };
    assert_eq!(count(), "3");
    repository.commit("one");
    repository.commit("two");
    let two = mirror.fetched();
    assert_eq!(two.moved, Moved::Forward);
    assert_eq!(mirror.messages(Some(first), two.head), ["one", "two"]);
    for number in 0..5 {
        repository.commit(&format!("after {number}"));
    }
    let five = mirror.fetched();
    // As documented: more at once than is fetched looks like a force-push.
    assert_eq!(five.moved, Moved::Forced);
    assert_eq!(mirror.messages(Some(two.head), five.head), ["after 4"]);
}

#[test]
fn a_message_without_end_is_cut() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    repository.write("../message", "ä".repeat(50_000));
    repository.git(&["commit", "-q", "--allow-empty", "-F", "../message"]);
    repository.publish();
    let mut mirror = limited(&repository, |_| {});
    let head = mirror.fetched().head;
    let [message] = &mirror.messages(None, head)[..] else {
        panic!("one commit")
    };
    assert_eq!(message.len(), 16 * 1024);
}

#[test]
fn many_fetches_do_not_pile_up_packs() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let mut mirror = limited(&repository, |limits| limits.commits = 10);
    let mut before = mirror.fetched().head;
    for number in 0..60 {
        repository.write("n", number.to_string());
        repository.commit(&number.to_string());
        let fetched = mirror.fetched();
        assert_eq!(fetched.moved, Moved::Forward, "{number}");
        assert_eq!(
            mirror.messages(Some(before), fetched.head),
            [number.to_string()]
        );
        before = fetched.head;
    }
    let packs = std::fs::read_dir(mirror.repository().join("objects/pack"))
        .expect("packs")
        .count();
    assert!(packs < 100, "{packs} files");
}

/// An address where somebody takes connections and says nothing.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!(
        "http://{}/a.git",
        listener.local_addr().expect("an address")
    );
    (listener, address)
}

#[test]
fn a_remote_that_says_nothing_is_given_up() {
    let (_listener, address) = silent();
    let mut options = GitOptions::new(&address, "main");
    options.limits.timeout = Duration::from_millis(300);
    let error = Mirror::of(options).refused();
    assert_eq!(
        error.to_string(),
        format!("fetching {address} took longer than 0.3 s")
    );
}

#[test]
fn a_fetch_ends_when_it_is_told_to() {
    let (_listener, address) = silent();
    let mut mirror = Mirror::of(GitOptions::new(&address, "main"));
    let interrupt = Interrupt::default();
    let started = Instant::now();
    let error = std::thread::scope(|scope| {
        let fetch = scope.spawn(|| mirror.mirror.fetch(&interrupt));
        interrupt.raise();
        fetch.join().expect("no panic").expect_err("interrupted")
    });
    assert_eq!(error.reason(), "interrupted", "{error}");
    assert!(started.elapsed() < Duration::from_secs(30));
}

/// Bytes that no compression makes fewer.
pub fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..bytes).map(|_| next()).collect()
}
