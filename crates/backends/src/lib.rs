//! The outside that the control plane stands on: where configs come from.
//!
//! [`documents::read`] makes configs of a source's files, wherever these were read.

pub mod documents;

mod source_file;

pub use source_file::{SourceContent, SourceFile};
