//! What a commit says: the files below the source's directory.

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice};
use gix::object::tree::EntryKind;

use super::{CommitId, GitError, GitOptions, history};
use crate::limits::Tally;
use crate::{LimitBroken, SourceContent, SourceFile};

/// Why the files of a commit cannot be had.
pub(super) enum TreeError {
    Git(GitError),
    Store(gix::Error),
}

impl From<gix::Error> for TreeError {
    fn from(error: gix::Error) -> Self {
        Self::Store(error)
    }
}

impl From<LimitBroken> for TreeError {
    fn from(broken: LimitBroken) -> Self {
        Self::Git(GitError::TooLarge(broken))
    }
}

/// Every file below the source's directory.
pub(super) fn files(
    repository: &gix::Repository,
    commit: CommitId,
    options: &GitOptions,
) -> Result<Vec<SourceFile>, TreeError> {
    let mut walk = Walk {
        repository,
        tally: Tally::new(options.limits.source),
        files: Vec::new(),
    };
    let root = source_tree(repository, commit, &options.path)?;
    let mut left = vec![(String::new(), root)];
    while let Some((prefix, tree)) = left.pop() {
        left.extend(walk.directory(&prefix, tree)?);
    }
    walk.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(walk.files)
}

/// The tree of the source's directory.
fn source_tree(
    repository: &gix::Repository,
    commit: CommitId,
    path: &str,
) -> Result<ObjectId, TreeError> {
    let Some(found) = history::commit_of(repository, commit.to_object())? else {
        return Err(TreeError::Git(GitError::NoSuchCommit { commit }));
    };
    let root = found.tree()?;
    if path.is_empty() {
        return Ok(root.id);
    }
    match root.lookup_entry_by_path(path)? {
        Some(entry) if entry.mode().is_tree() => Ok(entry.object_id()),
        _ => Err(TreeError::Git(GitError::NoSuchPath {
            commit,
            path: path.to_owned(),
        })),
    }
}

struct Walk<'a> {
    repository: &'a gix::Repository,
    tally: Tally,
    files: Vec<SourceFile>,
}

impl Walk<'_> {
    /// Takes a directory's files in and names the directories below it.
    fn directory(
        &mut self,
        prefix: &str,
        tree: ObjectId,
    ) -> Result<Vec<(String, ObjectId)>, TreeError> {
        let tree = self.repository.find_tree(tree)?;
        let mut below = Vec::new();
        for entry in tree.iter() {
            let entry = entry?;
            let path = joined(prefix, entry.filename());
            self.tally.entry(&path)?;
            let content = match entry.kind() {
                EntryKind::Tree => {
                    below.push((path, entry.object_id()));
                    continue;
                }
                EntryKind::Blob | EntryKind::BlobExecutable => {
                    SourceContent::File(self.read(&path, entry.object_id())?)
                }
                EntryKind::Link => SourceContent::Link,
                EntryKind::Commit => SourceContent::Submodule,
            };
            self.files.push(SourceFile { path, content });
        }
        Ok(below)
    }

    /// A file's bytes; how many it has is known before it is read.
    fn read(&mut self, path: &str, id: ObjectId) -> Result<Vec<u8>, TreeError> {
        let bytes = self.repository.find_header(id)?.size();
        self.tally.file(path, bytes)?;
        Ok(self.repository.find_blob(id)?.take_data())
    }
}

fn joined(prefix: &str, name: &BStr) -> String {
    let name = name.to_str_lossy();
    if prefix.is_empty() {
        name.into_owned()
    } else {
        format!("{prefix}/{name}")
    }
}
