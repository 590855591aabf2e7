//! Paging: from query parameters to what the engine reads, and back.

use std::fmt::Display;
use std::str::FromStr;

use api_types::{Page, ProblemKind};
use engine::admin::{DEFAULT_PAGE, MAX_PAGE, PageOf, Paged};

use crate::problem::{ApiError, ApiResult};

/// Where a list's page begins and how long it is. Cursors are the last entry's key as text.
pub(crate) fn page_of<C: FromStr>(
    limit: Option<u32>,
    cursor: Option<&str>,
) -> ApiResult<PageOf<C>> {
    let after = cursor
        .map(|text| {
            text.parse()
                .map_err(|_| bad("cursor", "give a next_cursor of the page before".to_owned()))
        })
        .transpose()?;
    Ok(PageOf {
        after,
        limit: limit_of(limit)?,
    })
}

/// The length of a page.
pub(crate) fn limit_of(limit: Option<u32>) -> ApiResult<u32> {
    match limit.unwrap_or(DEFAULT_PAGE) {
        limit @ 1..=MAX_PAGE => Ok(limit),
        _ => Err(bad("limit", format!("must be 1 to {MAX_PAGE}"))),
    }
}

fn bad(field: &str, detail: String) -> ApiError {
    ApiError::new(ProblemKind::InvalidQuery)
        .field(field)
        .detail(detail)
}

/// A page as it is answered.
pub(crate) fn to_page<T, U, C: Display>(
    paged: Paged<T, C>,
    convert: impl FnMut(T) -> U,
) -> Page<U> {
    Page {
        items: paged.items.into_iter().map(convert).collect(),
        next_cursor: paged.next.map(|cursor| cursor.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_bounds() {
        assert_eq!(
            page_of::<u64>(None, None).unwrap(),
            PageOf {
                after: None,
                limit: 100
            }
        );
        assert_eq!(
            page_of::<u64>(Some(500), Some("7")).unwrap(),
            PageOf {
                after: Some(7),
                limit: 500
            }
        );
        for (limit, cursor) in [(Some(0), None), (Some(501), None), (None, Some("x"))] {
            assert!(
                page_of::<u64>(limit, cursor).is_err(),
                "{limit:?} {cursor:?}"
            );
        }
    }
}
