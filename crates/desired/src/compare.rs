//! What differs between two bodies in the Collector's own terms.

use otelcol::{Difference, Document};

use crate::Limits;

/// What differs from one body to another; nothing where one of them cannot be read.
///
/// Bodies of revisions, and what they merge to, were read before they were stored; other texts, such as what an agent
/// says that it runs, may be anything.
pub fn difference_of(before: &[u8], after: &[u8], limits: &Limits) -> Option<Difference> {
    let limits = otelcol::Limits {
        bytes: limits.merged_bytes,
        ..otelcol::Limits::default()
    };
    let read = |body| Document::parse_within(body, &limits).ok();
    Some(Difference::of(&read(before)?, &read(after)?))
}
