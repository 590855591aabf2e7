//! Use cases of the admin plane: what operators read and write, each write one durable transaction with its audit entry.
//!
//! Every function takes the [`Caller`] who asks and the time; rights are decided in [`access`], before anything else.
//! Reads go to the database (and to memory for what is fresher there), so that any node answers for all.

pub mod access;
pub mod agents;
pub mod audit;
pub mod configs;
pub mod events;
pub mod fleet;
mod idempotency;
pub(crate) mod let_in;
pub mod restored;
pub mod rollouts;
pub mod secrets;
pub mod source;
pub mod tokens;

pub use store::StoreError;
pub use trust::Secret;

pub use access::{AccessError, Caller, Operator, Reach};
pub use idempotency::{Created, Creation, KeyReused};

/// How often a use case tries again when another transaction got in its way.
const ATTEMPTS: usize = 5;

/// Entries a page has when the caller does not say.
pub const DEFAULT_PAGE: u32 = 100;
/// The most entries of a page.
pub const MAX_PAGE: u32 = 500;

/// One page of a list, and where the next begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paged<T, C> {
    /// The entries.
    pub items: Vec<T>,
    /// What the caller gives back to read on; `None` on the last page.
    pub next: Option<C>,
}

/// Where a page begins and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageOf<C> {
    /// The last entry of the page before.
    pub after: Option<C>,
    /// At most so many entries, 1 to [`MAX_PAGE`].
    pub limit: u32,
}

impl<C> PageOf<C> {
    /// One more than wanted, which tells whether there is a next page.
    fn probe(&self) -> u32 {
        self.limit.saturating_add(1)
    }

    /// Cuts what was read with [`Self::probe`] down to the page.
    fn cut<T>(&self, mut read: Vec<T>, cursor: impl FnOnce(&T) -> C) -> Paged<T, C> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = limit < read.len();
        read.truncate(limit);
        let next = if more { read.last().map(cursor) } else { None };
        Paged { items: read, next }
    }
}

/// Milliseconds since 1970, for ids that sort by time.
fn unix_ms(now: jiff::Timestamp) -> u64 {
    u64::try_from(now.as_millisecond()).unwrap_or(0)
}

/// Runs a use case again while another transaction got in its way, a few times.
macro_rules! retry_contended {
    ($work:expr) => {{
        let mut left = $crate::admin::ATTEMPTS;
        loop {
            left -= 1;
            match $work.await {
                Err(error) if error.is_contended() && 0 < left => {}
                done => break done,
            }
        }
    }};
}
pub(crate) use retry_contended;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_cursor_only_when_more_follows() {
        let page = PageOf {
            after: None,
            limit: 2,
        };
        assert_eq!(page.probe(), 3);
        assert_eq!(
            page.cut(vec![1, 2, 3], |last| *last),
            Paged {
                items: vec![1, 2],
                next: Some(2)
            }
        );
        assert_eq!(
            page.cut(vec![1, 2], |last| *last),
            Paged {
                items: vec![1, 2],
                next: None
            }
        );
        assert_eq!(
            page.cut(vec![], |last: &i32| *last),
            Paged {
                items: vec![],
                next: None
            }
        );
    }
}
