//! A plain directory says what a commit of it says.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use backends::directory::{DirectoryError, files};
use backends::git::{GitError, GitOptions};
use backends::{LimitBroken, SourceContent, SourceLimits};
use tempfile::TempDir;
use testkit::git::Repository;

use crate::mirror::Mirror;

fn write(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().expect("a directory")).expect("made");
    fs::write(file, bytes).expect("written");
}

#[test]
fn a_working_copy_reads_as_its_commit_within_the_same_limits() {
    let Some(repository) = Repository::new() else {
        return;
    };
    repository.write("a/config.yaml", "name: a\n");
    repository.write("a-b.yaml", "x");
    repository.write("a.config.yaml", [0xff, b'\n']);
    repository.write("z/y/x/deep", "");
    for (link, to) in [("a/link", "config.yaml"), ("up", "a"), ("dangling", "no")] {
        symlink(to, repository.work().join(link)).expect("a link");
    }
    repository.commit("all");
    for most in [3, 5, 8, 9, 10, 11, 10_000] {
        let limits = SourceLimits {
            files: most,
            ..SourceLimits::default()
        };
        let mut options = GitOptions::new(repository.address(), "main");
        options.limits.source = limits;
        let mut mirror = Mirror::of(options);
        let head = mirror.fetched().head;
        let of_commit = mirror.mirror.files(head).map_err(|error| match error {
            GitError::TooLarge(broken) => broken,
            error => panic!("{error}"),
        });
        let of_directory = files(&repository.work(), &limits).map_err(broken);
        assert_eq!(of_directory, of_commit, "{most}");
        assert_eq!(of_commit.is_ok(), 11 <= most, "{most}");
    }
}

fn broken(error: DirectoryError) -> LimitBroken {
    match error {
        DirectoryError::TooLarge(broken) => broken,
        error => panic!("{error}"),
    }
}

#[test]
fn what_no_commit_has_is_left_out_and_a_repository_inside_is_a_submodule() {
    let root = TempDir::new().expect("a directory");
    write(root.path(), ".git/config", "[core]\n");
    write(root.path(), "config.yaml", "name: a\n");
    write(root.path(), "inner/.git", "gitdir: ../.git/modules/inner\n");
    write(root.path(), "inner/config.yaml", "name: b\n");
    symlink("..", root.path().join("up")).expect("a link");
    let _socket = UnixListener::bind(root.path().join("socket")).expect("a socket");
    let read = files(root.path(), &SourceLimits::default()).expect("read");
    let told: Vec<_> = read
        .iter()
        .map(|file| (&*file.path, matches!(file.content, SourceContent::File(_))))
        .collect();
    assert_eq!(
        told,
        [("config.yaml", true), ("inner", false), ("up", false)]
    );
    assert_eq!(read[1].content, SourceContent::Submodule);
    assert_eq!(read[2].content, SourceContent::Link);
}

#[test]
fn limits_are_kept() {
    let root = TempDir::new().expect("a directory");
    write(root.path(), "a", [b'x'; 100]);
    write(root.path(), "b", [b'x'; 100]);
    let refused = |file_bytes, total_bytes| {
        let limits = SourceLimits {
            file_bytes,
            total_bytes,
            ..SourceLimits::default()
        };
        files(root.path(), &limits).map_err(broken).err()
    };
    assert_eq!(refused(100, 200), None);
    let (path, bytes, most) = ("a".to_owned(), 100, 99);
    assert_eq!(
        refused(99, 200),
        Some(LimitBroken::File { path, bytes, most })
    );
    let (path, most) = ("b".to_owned(), 199);
    assert_eq!(refused(100, 199), Some(LimitBroken::Total { path, most }));
}

#[test]
fn what_is_no_directory_is_named() {
    let root = TempDir::new().expect("a directory");
    write(root.path(), "file", "");
    for name in ["file", "missing"] {
        let error = files(&root.path().join(name), &SourceLimits::default()).unwrap_err();
        assert!(
            matches!(error, DirectoryError::NotADirectory { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(name), "{error}");
    }
}
