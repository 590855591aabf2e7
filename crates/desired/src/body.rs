//! The check that a body passes before it can become a revision.

use otelcol::{Document, ParseError, Position};

use crate::Limits;

/// Why a body cannot become a revision. The message says where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than allowed.
    #[error(
        "the body has {bytes} bytes, allowed are {limit}: split it into several configs, or raise the limit"
    )]
    TooLarge {
        /// Size of the body.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Nothing but blanks and comments.
    #[error("the body is empty: write at least one section, or delete the config instead")]
    Empty,
    /// A second document, which the Collector does not read.
    #[error(
        "{at}: a second document begins here, which the Collector ignores: make it a config of its own, or remove it"
    )]
    Further {
        /// Where it begins.
        at: Position,
    },
    /// Not a Collector configuration.
    #[error(transparent)]
    Yaml(#[from] ParseError),
}

impl BodyError {
    /// Line and column, counted from 1, where there is a place to point at.
    pub const fn line_and_column(&self) -> Option<(u32, u32)> {
        match self {
            Self::Yaml(error) => Some((error.position.line, error.position.column)),
            Self::Further { at } => Some((at.line, at.column)),
            Self::TooLarge { .. } | Self::Empty => None,
        }
    }
}

/// Checks the body of a config of kind `collector` against the default limits.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check_body(body: &[u8]) -> Result<(), BodyError> {
    check_body_within(body, &Limits::default())
}

/// Checks the body of a config of kind `collector`.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check_body_within(body: &[u8], limits: &Limits) -> Result<(), BodyError> {
    // Bodies that were taken before are read on without their second document.
    match parse(body, limits)?.ignored_from() {
        Some(at) => Err(BodyError::Further { at }),
        None => Ok(()),
    }
}

pub(crate) fn parse(body: &[u8], limits: &Limits) -> Result<Document, BodyError> {
    if limits.body_bytes < body.len() {
        return Err(BodyError::TooLarge {
            bytes: body.len(),
            limit: limits.body_bytes,
        });
    }
    let document = Document::parse_within(body, &limits.of_a_body())?;
    if document.root().is_empty() {
        return Err(BodyError::Empty);
    }
    Ok(document)
}

impl Limits {
    fn of_a_body(&self) -> otelcol::Limits {
        otelcol::Limits {
            bytes: self.body_bytes,
            ..otelcol::Limits::default()
        }
    }
}
