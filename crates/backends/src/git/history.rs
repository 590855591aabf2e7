//! What was made of a branch: its commits.

use std::collections::HashSet;

use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice};
use jiff::Timestamp;

use super::CommitId;

/// The most of a commit's message that is taken, in bytes.
const MOST_MESSAGE_BYTES: usize = 16 * 1024;
/// The most commits that are looked through for one.
const MOST_ANCESTORS: usize = 100_000;

/// A commit as it is told on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its id.
    pub id: CommitId,
    /// Who wrote it.
    pub author_name: String,
    /// The author's address for mail.
    pub author_email: String,
    /// When it was committed.
    pub time: Timestamp,
    /// Its message, at most 16 KiB of it.
    pub message: String,
}

/// The commits after `since`, along first parents, oldest first; just the head where `since` is not among them.
pub(super) fn commits(
    repository: &gix::Repository,
    since: Option<ObjectId>,
    head: ObjectId,
    most: u32,
) -> gix::Result<Vec<CommitInfo>> {
    if since == Some(head) {
        return Ok(Vec::new());
    }
    let shallow = shallow_of(repository)?;
    let mut found = Vec::new();
    let mut next = Some(head);
    while let Some(id) = next.filter(|id| since != Some(*id)) {
        if found.len() == most as usize {
            break;
        }
        let Some(commit) = commit_of(repository, id)? else {
            break;
        };
        found.push(info(&commit)?);
        let parent = commit.parent_ids().next().map(gix::Id::detach);
        next = parent.filter(|_| !shallow.contains(&id));
    }
    if since.is_none() || next != since {
        found.truncate(1);
    }
    found.reverse();
    Ok(found)
}

/// Whether `old` is in the history of `new`, as far as the mirror has it.
pub(super) fn is_ancestor(repository: &gix::Repository, old: ObjectId, new: ObjectId) -> bool {
    let Ok(shallow) = shallow_of(repository) else {
        return false;
    };
    let mut seen = HashSet::from([new]);
    let mut left = vec![new];
    while let Some(id) = left.pop() {
        if id == old {
            return true;
        }
        if shallow.contains(&id) || MOST_ANCESTORS < seen.len() {
            continue;
        }
        let Ok(Some(commit)) = commit_of(repository, id) else {
            continue;
        };
        left.extend(
            commit
                .parent_ids()
                .map(gix::Id::detach)
                .filter(|parent| seen.insert(*parent)),
        );
    }
    false
}

/// The commits whose parents were left out.
fn shallow_of(repository: &gix::Repository) -> gix::Result<HashSet<ObjectId>> {
    let commits = repository.shallow_commits()?;
    Ok(commits.map_or_else(HashSet::new, |commits| commits.iter().copied().collect()))
}

/// A commit, if the mirror has it.
pub(super) fn commit_of(
    repository: &gix::Repository,
    id: ObjectId,
) -> gix::Result<Option<gix::Commit<'_>>> {
    let object = repository.try_find_object(id)?;
    Ok(object.and_then(|object| object.try_into_commit().ok()))
}

fn info(commit: &gix::Commit<'_>) -> gix::Result<CommitInfo> {
    let author = commit.author()?;
    let seconds = commit.time()?.seconds;
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(CommitInfo {
        id: commit.id().detach().into(),
        author_name: author.name.to_str_lossy().into_owned(),
        author_email: author.email.to_str_lossy().into_owned(),
        time,
        message: message(commit.message_raw()?),
    })
}

fn message(raw: &BStr) -> String {
    let cut = &raw[..raw.len().min(MOST_MESSAGE_BYTES)];
    cut.to_str_lossy().trim().to_owned()
}
