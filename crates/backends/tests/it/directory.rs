//! Following a branch of a repository in a directory.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use backends::git::{CommitId, GitError, GitMirror, GitOptions, Moved};
use testkit::git::{Repository, run};

use crate::mirror::Mirror;

fn options(repository: &Repository) -> GitOptions {
    GitOptions::new(repository.address(), "main")
}

/// First, same, forward, forced: what every way to a repository must do.
pub fn follows(repository: &Repository, options: GitOptions) {
    let mut mirror = Mirror::of(options);
    assert_eq!(mirror.mirror.head(), None);
    let first = mirror.fetched();
    assert_eq!((first.head, first.moved), (repository.head(), Moved::First));
    let texts = [(
        "config.yaml".to_owned(),
        "name: edge\nbody: 'a: 1'\n".to_owned(),
    )];
    assert_eq!(mirror.texts(), texts);

    let same = mirror.fetched();
    assert_eq!((same.head, same.moved), (first.head, Moved::Same));

    repository.write("dir/b.yaml", "b: 2\n");
    repository.commit("second");
    repository.write("dir/b.yaml", "b: 3\n");
    repository.commit("third");
    let forward = mirror.fetched();
    assert_eq!(
        (forward.head, forward.moved),
        (repository.head(), Moved::Forward)
    );
    assert_eq!(
        mirror.texts()[1],
        ("dir/b.yaml".to_owned(), "b: 3\n".to_owned())
    );
    assert_eq!(
        mirror.messages(Some(first.head), forward.head),
        ["second", "third"]
    );

    repository.git(&["reset", "-q", "--hard", &first.head.to_string()]);
    repository.write("c.yaml", "c: 1\n");
    repository.commit("another second");
    let forced = mirror.fetched();
    assert_eq!(
        (forced.head, forced.moved),
        (repository.head(), Moved::Forced)
    );
    assert_eq!(
        mirror.messages(Some(forward.head), forced.head),
        ["another second"]
    );
    assert_eq!(mirror.mirror.head(), Some(forced.head));
    assert_eq!(mirror.texts().len(), 2);
}

#[test]
fn a_branch_is_followed() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    follows(&repository, options(&repository));
}

#[test]
fn an_address_with_file_is_a_directory() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let address = format!("file://{}", repository.address());
    follows(&repository, GitOptions::new(address, "main"));
}

#[test]
fn a_working_copy_is_a_repository_too() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let address = repository.work().display().to_string();
    let mut mirror = Mirror::of(GitOptions::new(address, "main"));
    assert_eq!(mirror.fetched().head, repository.head());
}

#[test]
fn commits_tell_author_time_and_message() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let mut mirror = Mirror::of(options(&repository));
    let head = mirror.fetched().head;
    let [commit] = &mirror.mirror.commits(None, head).expect("commits")[..] else {
        panic!("one")
    };
    assert_eq!(commit.id, head);
    assert_eq!(commit.author_name, "Ada Lovelace");
    assert_eq!(commit.author_email, "ada@example.com");
    assert_eq!(commit.time.to_string(), "2024-01-01T00:00:00Z");
    assert_eq!(commit.message, "first");
    assert_eq!(mirror.messages(Some(head), head), [""; 0]);
}

#[test]
fn commits_go_along_first_parents() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let mut mirror = Mirror::of(options(&repository));
    let first = mirror.fetched().head;
    repository.git(&["checkout", "-q", "-b", "side"]);
    let side = repository.commit("on the side");
    repository.git(&["checkout", "-q", "main"]);
    repository.commit("second");
    repository.git(&["merge", "-q", "--no-ff", "-m", "merged", "side"]);
    repository.publish();
    let merged = mirror.fetched();
    assert_eq!(merged.moved, Moved::Forward);
    assert_eq!(
        mirror.messages(Some(first), merged.head),
        ["second", "merged"]
    );
    // The side was never this branch's head: nothing says what came after it.
    assert_eq!(mirror.messages(Some(side), merged.head), ["merged"]);
    assert_eq!(mirror.messages(None, merged.head), ["merged"]);
}

#[test]
fn a_mirror_is_reused_after_a_restart() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let mut mirror = Mirror::of(options(&repository));
    let head = mirror.fetched().head;
    let mut again = GitMirror::open(mirror.directory.path(), options(&repository)).expect("opens");
    assert_eq!(again.head(), Some(head));
    assert_eq!(
        again
            .fetch(&backends::git::Interrupt::default())
            .expect("fetched")
            .moved,
        Moved::Same
    );
}

#[test]
fn a_deleted_branch_is_told_and_the_last_state_stays() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let mut mirror = Mirror::of(options(&repository));
    let head = mirror.fetched().head;
    repository.git(&["checkout", "-q", "-b", "other"]);
    repository.git(&["branch", "-q", "-D", "main"]);
    repository.publish();
    let error = mirror.refused();
    assert!(
        matches!(&error, GitError::NoSuchBranch { branch, default: None, .. } if branch == "main"),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        format!("{} has no branch main", repository.address())
    );
    assert_eq!(mirror.mirror.head(), Some(head));
    assert_eq!(mirror.texts().len(), 1);
}

#[test]
fn a_renamed_branch_is_told_by_its_new_name() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let mut mirror = Mirror::of(options(&repository));
    mirror.fetched();
    repository.git(&["branch", "-q", "-m", "main", "trunk"]);
    repository.publish();
    repository.set_default_branch("trunk");
    assert_eq!(
        mirror.refused().to_string(),
        format!(
            "{} has no branch main; its default branch is trunk",
            repository.address()
        )
    );
    // It comes back, and nothing was lost.
    repository.git(&["branch", "-q", "-m", "trunk", "main"]);
    repository.publish();
    assert_eq!(mirror.fetched().moved, Moved::Same);
}

#[test]
fn a_repository_without_commits_has_no_branch() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let mut mirror = Mirror::of(options(&repository));
    assert_eq!(mirror.refused().reason(), "no_branch");
    repository.write("config.yaml", "name: a\nbody: x\n");
    repository.commit("first");
    assert_eq!(mirror.fetched().moved, Moved::First);
}

#[test]
fn a_branch_may_have_any_name_that_git_has() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    repository.git(&["checkout", "-q", "-b", "feature/ü-1"]);
    let head = repository.commit("on a branch");
    let mut mirror = Mirror::of(GitOptions::new(repository.address(), "feature/ü-1"));
    assert_eq!(mirror.fetched().head, head);
}

#[test]
fn a_directory_that_is_no_repository_is_told() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    for address in [repository.root().join("none"), repository.root().to_owned()] {
        let mut mirror = Mirror::of(GitOptions::new(address.display().to_string(), "main"));
        let error = mirror.refused();
        assert_eq!(error.reason(), "no_repository", "{error}");
        assert!(
            error
                .to_string()
                .contains("does not appear to be a git repository"),
            "{error}"
        );
    }
}

#[test]
fn a_repository_that_is_gone_leaves_the_last_state() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let mut mirror = Mirror::of(options(&repository));
    let head = mirror.fetched().head;
    let (here, away) = (
        repository.address(),
        format!("{}.away", repository.address()),
    );
    std::fs::rename(&here, &away).expect("moved away");
    assert_eq!(mirror.refused().reason(), "no_repository");
    assert_eq!(mirror.mirror.head(), Some(head));
    std::fs::rename(&away, &here).expect("moved back");
    assert_eq!(mirror.fetched().moved, Moved::Same);
}

#[test]
fn the_source_may_be_a_directory_of_the_repository() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    repository.write("fleet/edge/config.yaml", "name: a\nbody: x\n");
    repository.write("fleetwood.txt", "no\n");
    let head = repository.commit("second");
    let with_path = |path: &str| {
        Mirror::of(GitOptions {
            path: path.to_owned(),
            ..options(&repository)
        })
    };
    for path in ["fleet", "/fleet/", "./fleet"] {
        let mut mirror = with_path(path);
        mirror.fetched();
        assert_eq!(
            mirror.texts(),
            [(
                "edge/config.yaml".to_owned(),
                "name: a\nbody: x\n".to_owned()
            )]
        );
    }
    for path in ["nowhere", "fleetwood.txt", "fleet/nowhere"] {
        let mut mirror = with_path(path);
        mirror.fetched();
        let error = mirror.mirror.files(head).expect_err("no directory");
        assert_eq!(
            error.to_string(),
            format!("commit {head} has no directory {path}")
        );
    }
}

#[test]
fn links_and_submodules_are_named_and_not_followed() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    std::os::unix::fs::symlink("/etc/passwd", repository.work().join("link.yaml")).expect("a link");
    std::os::unix::fs::symlink("..", repository.work().join("up")).expect("a link");
    let head = repository.head().to_string();
    repository.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("160000,{head},module"),
    ]);
    repository.git(&["add", "link.yaml", "up"]);
    repository.git(&["commit", "-q", "-m", "links"]);
    repository.publish();
    let mut mirror = Mirror::of(options(&repository));
    mirror.fetched();
    let named: Vec<_> = mirror.texts().into_iter().skip(1).collect();
    let expected = [
        ("link.yaml", "Link"),
        ("module", "Submodule"),
        ("up", "Link"),
    ];
    assert_eq!(
        named,
        expected.map(|(path, what)| (path.to_owned(), what.to_owned()))
    );
}

#[test]
fn an_unknown_commit_is_an_error_and_not_a_crash() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let mut mirror = Mirror::of(options(&repository));
    let nobody: CommitId = "0123456789abcdef0123456789abcdef01234567"
        .parse()
        .expect("an id");
    assert_eq!(
        mirror
            .mirror
            .files(nobody)
            .expect_err("nothing yet")
            .reason(),
        "damaged"
    );
    let head = mirror.fetched().head;
    assert_eq!(
        mirror.mirror.files(nobody).expect_err("no commit").reason(),
        "no_commit"
    );
    let commits = mirror.mirror.commits(None, nobody);
    assert_eq!(commits.expect_err("no commit").reason(), "no_commit");
    assert_eq!(mirror.messages(Some(nobody), head), ["first"]);
}

#[test]
fn a_file_that_is_damaged_is_told_and_mended_by_the_next_fetch() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    repository.write("noise", crate::limits::noise(100_000));
    let head = repository.commit("noise");
    let mut mirror = Mirror::of(options(&repository));
    mirror.fetched();
    for pack in packs(&mirror.repository()) {
        let mut bytes = std::fs::read(&pack).expect("a pack");
        let middle = bytes.len() / 2;
        bytes[middle..middle + 1_000].fill(0xff);
        overwrite(&pack, &bytes);
    }
    let error = mirror.mirror.files(head).expect_err("damaged");
    assert_eq!(error.reason(), "damaged", "{error}");
    assert_eq!(mirror.fetched().head, head);
    assert_eq!(mirror.texts().len(), 2);
}

/// The packs of a repository, without their indices.
fn packs(repository: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository.join("objects/pack")).expect("packs");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "pack")
        })
        .collect()
}

/// Packs are made unwritable.
fn overwrite(pack: &Path, bytes: &[u8]) {
    std::fs::set_permissions(pack, PermissionsExt::from_mode(0o644)).expect("writable");
    std::fs::write(pack, bytes).expect("written");
}

/// What can happen to a repository on a disk: in words, and to the one at a path.
type Damage = (&'static str, fn(&Path));

fn damages() -> Vec<Damage> {
    vec![
        ("no packs", |repository| {
            for file in packs(repository) {
                std::fs::remove_file(file).expect("removed");
            }
        }),
        ("truncated packs", |repository| {
            for file in packs(repository) {
                overwrite(&file, b"PACK");
            }
        }),
        ("no objects", |repository| {
            std::fs::remove_dir_all(repository.join("objects")).expect("removed");
        }),
        ("no HEAD", |repository| {
            std::fs::remove_file(repository.join("HEAD")).expect("removed")
        }),
        ("no configuration that parses", |repository| {
            std::fs::write(repository.join("config"), "[[[").expect("written");
        }),
        ("a reference to nothing", |repository| {
            let file = repository.join("refs/remotes/origin/main");
            std::fs::write(file, "0123456789abcdef0123456789abcdef01234567\n").expect("written");
        }),
        ("a file in its place", |repository| {
            std::fs::remove_dir_all(repository).expect("removed");
            std::fs::write(repository, "").expect("written");
        }),
        ("nothing in its place", |repository| {
            std::fs::remove_dir_all(repository).expect("removed")
        }),
        ("a lock that nobody holds", |repository| {
            std::fs::write(repository.join("refs/remotes/origin/main.lock"), "").expect("written");
            std::fs::write(repository.join("shallow.lock"), "").expect("written");
        }),
    ]
}

#[test]
fn a_damaged_mirror_is_made_anew() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    for (damage, apply) in damages() {
        let mut mirror = Mirror::of(options(&repository));
        mirror.fetched();
        apply(&mirror.repository());
        let message = format!("after {damage}");
        repository.write("n.txt", &message);
        let head = repository.commit(&message);
        let opened = GitMirror::open(mirror.directory.path(), options(&repository));
        mirror.mirror = opened.unwrap_or_else(|error| panic!("{damage}: {error}"));
        let fetched = mirror
            .fetch()
            .unwrap_or_else(|error| panic!("{damage}: {error}"));
        assert_eq!(fetched.head, head, "{damage}");
        assert_eq!(mirror.texts()[1].1, message, "{damage}");
        assert_eq!(mirror.fetched().moved, Moved::Same, "{damage}");
    }
}

#[test]
fn a_mirror_of_another_repository_makes_way() {
    let (Some(one), Some(other)) = (Repository::with_a_commit(), Repository::with_a_commit())
    else {
        return;
    };
    other.write("other.txt", "x");
    let head = other.commit("other");
    let mut mirror = Mirror::of(options(&one));
    mirror.fetched();
    mirror.mirror = GitMirror::open(mirror.directory.path(), options(&other)).expect("opens");
    assert_eq!(mirror.mirror.head(), None);
    let fetched = mirror.fetched();
    assert_eq!((fetched.head, fetched.moved), (head, Moved::First));
}

#[test]
fn a_crash_while_one_repository_replaces_another_loses_none() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let mut mirror = Mirror::of(options(&repository));
    let head = mirror.fetched().head;
    let at = |name| mirror.directory.path().join(name);
    std::fs::rename(at("repository.git"), at("repository.old")).expect("moved");
    std::fs::create_dir(at("repository.new")).expect("made");
    let again = GitMirror::open(mirror.directory.path(), options(&repository)).expect("opens");
    assert_eq!(again.head(), Some(head));
    assert!(!at("repository.new").exists());
}

#[test]
fn a_directory_that_cannot_be_made_is_told() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let opened = GitMirror::open(&file.path().join("mirror"), GitOptions::new("/a", "main"));
    let error = opened.map(drop).expect_err("no directory");
    assert!(matches!(error, GitError::Disk { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains(&file.path().display().to_string()),
        "{error}"
    );
}

#[test]
fn what_else_stands_in_the_directory_is_left_alone() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("mine"), "mine").expect("written");
    let mut mirror = GitMirror::open(directory.path(), options(&repository)).expect("opens");
    mirror
        .fetch(&backends::git::Interrupt::default())
        .expect("fetched");
    let mut names: Vec<_> = std::fs::read_dir(directory.path())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["mine", "repository.git"]);
}

#[test]
fn a_repository_that_another_owns_is_told_with_what_git_says() {
    let Some(repository) = Repository::with_a_commit() else {
        return;
    };
    // Only root can give a file away, and a machine may be told not to care.
    let config = Command::new("git")
        .args(["config", "--get-all", "safe.directory"])
        .output();
    if config.is_ok_and(|output| output.stdout.contains(&b'*')) {
        return;
    }
    let given = Command::new("chown")
        .args(["-R", "12345"])
        .arg(repository.address())
        .status();
    if !given.is_ok_and(|status| status.success()) {
        return;
    }
    let error = Mirror::of(options(&repository)).refused();
    assert_eq!(error.reason(), "unreachable", "{error}");
    assert!(error.to_string().contains("dubious ownership"), "{error}");
    run(Command::new("chown")
        .args(["-R", "0"])
        .arg(repository.address()));
}
