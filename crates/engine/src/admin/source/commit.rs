//! A commit that is to be taken.

use backends::documents::SourceConfig;
use backends::git::{CommitId, CommitInfo};
use domain::Actor;
use jiff::Timestamp;
use store::sources::{CommitRecord, SourceFinding};

use crate::admin::configs::put::MESSAGE_MAX_BYTES;

/// The longest name of an author, in bytes.
const AUTHOR_MAX_BYTES: usize = 256;

/// A commit of the source, and what was read of it.
#[derive(Debug, Clone)]
pub struct NewCommit {
    /// It.
    pub info: CommitInfo,
    /// Whether a force-push brought the branch here.
    pub forced: bool,
    /// Its configs, or everything that is wrong with its files.
    pub documents: Result<Vec<SourceConfig>, Vec<SourceFinding>>,
}

impl NewCommit {
    pub(super) const fn id(&self) -> CommitId {
        self.info.id
    }

    /// As it is kept and shown.
    pub(super) fn record(&self) -> CommitRecord {
        CommitRecord {
            id: self.info.id.to_string(),
            author: author(&self.info),
            message: subject(&self.info.message),
            // What is stored has microseconds; a time before 1970 may be what somebody's clock said.
            time: Timestamp::from_second(self.info.time.as_second()).unwrap_or(self.info.time),
        }
    }

    /// Who wrote it, as the author of revisions.
    pub(super) fn actor(&self) -> Actor {
        Actor::named(&author(&self.info))
    }
}

/// `Ada Lovelace <ada@example.com>`, as Git shows it.
fn author(info: &CommitInfo) -> String {
    let text = format!("{} <{}>", info.author_name, info.author_email);
    shortened(&printable(&text), AUTHOR_MAX_BYTES).to_owned()
}

/// The first line of a message.
fn subject(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    shortened(&printable(first), MESSAGE_MAX_BYTES).to_owned()
}

/// A text without what moves the cursor of a terminal, or what databases do not store.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn shortened(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_and_a_subject_are_one_bounded_printable_line() {
        let info = CommitInfo {
            id: "0123456789abcdef0123456789abcdef01234567"
                .parse()
                .expect("an id"),
            author_name: "Ada\0 \u{1b}[31mLovelace".to_owned(),
            author_email: "ä".repeat(400),
            time: Timestamp::UNIX_EPOCH,
            message: "why\n\nand how".to_owned(),
        };
        let author = author(&info);
        assert!(author.starts_with("Ada [31mLovelace <ää"), "{author}");
        assert!(author.len() <= AUTHOR_MAX_BYTES);
        assert_eq!(subject(&info.message), "why");
        assert_eq!(subject(""), "");
    }
}
