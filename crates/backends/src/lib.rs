//! The outside that the control plane stands on: where configs come from.
//!
//! [`git::GitMirror`] keeps a copy of one branch of a repository in a local directory and says what is new in it;
//! [`documents::read`] makes configs of the files that it finds. Between the two stands [`SourceFile`], so that the
//! same layout is read from a commit and from a plain directory.
//!
//! Everything here blocks: callers run it where blocking is allowed. Nothing here knows the fleet, decides what a
//! commit changes, or keeps time.
//!
//! Start at [`git::GitMirror::fetch`].

pub mod directory;
pub mod documents;
pub mod git;

mod limits;
mod source_file;

pub use limits::{LimitBroken, SourceLimits};
pub use source_file::{SourceContent, SourceFile};
