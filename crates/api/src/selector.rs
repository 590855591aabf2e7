//! Selectors as callers write them.

use api_types::{ProblemKind, SelectorInput};
use engine::domain::labels::Labels;
use engine::domain::{Selector, SelectorError};

use crate::problem::{ApiError, ApiResult};

/// Reads a selector of a request body; `field` is where it stands.
pub(crate) fn read(input: Option<&SelectorInput>, field: &str) -> ApiResult<Selector> {
    match input {
        None => Ok(Selector::default()),
        Some(SelectorInput::Text(text)) => parse(text).map_err(|error| refuse(&error, field)),
        Some(SelectorInput::Map(map)) => {
            for (key, value) in map {
                Labels::check(key, value).map_err(|error| {
                    ApiError::new(ProblemKind::InvalidSelector)
                        .field(format!("{field}.{key}"))
                        .detail(error.to_string())
                })?;
            }
            Ok(Selector::from_map(
                map.iter()
                    .map(|(key, value)| (key.as_str(), value.as_str())),
            ))
        }
    }
}

/// Reads a selector of the query.
pub(crate) fn read_text(text: Option<&str>) -> ApiResult<Selector> {
    parse(text.unwrap_or_default()).map_err(|error| refuse(&error, "selector"))
}

fn parse(text: &str) -> Result<Selector, SelectorError> {
    if text.trim().is_empty() {
        return Ok(Selector::default());
    }
    text.parse()
}

fn refuse(error: &SelectorError, field: &str) -> ApiError {
    ApiError::new(ProblemKind::InvalidSelector)
        .field(field)
        .position(error.position)
        .detail(error.to_string())
}
