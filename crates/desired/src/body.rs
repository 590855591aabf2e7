//! The check that a body passes before it can become a revision.

use domain::{Uses, Variables};
use otelcol::{Document, ParseError, Position};

use crate::Limits;
use crate::template::{self, Compiled, TemplateError};

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
    /// A set of variables without any.
    #[error("the set is empty: write at least one variable and its value, or delete the config instead")]
    EmptySet,
    /// A variable of a set that cannot be.
    #[error("{at}: {reason}")]
    Variable {
        /// Where it stands.
        at: Position,
        /// What is wrong, and what to do.
        reason: String,
    },
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
    /// Not a Collector configuration, but it looks like a template.
    #[error(
        "{0}; the body looks like a template: say so with \"template\": \"jinja\", or quote the text with the braces"
    )]
    LooksLikeTemplate(#[source] ParseError),
    /// Bytes of a template that are not UTF-8.
    #[error("the template is not UTF-8 from byte {from} on: save the file with UTF-8 encoding")]
    NotUtf8 {
        /// The first that is not.
        from: usize,
    },
    /// A template that cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl BodyError {
    /// Line and column, counted from 1, where there is a place to point at.
    pub fn line_and_column(&self) -> Option<(u32, u32)> {
        self.position().map(|at| (at.line, at.column))
    }

    /// The place to point at, where there is one.
    pub(crate) const fn position(&self) -> Option<Position> {
        match self {
            Self::Yaml(error) | Self::LooksLikeTemplate(error) => Some(error.position),
            Self::Template(error) => Some(error.at),
            Self::Further { at } | Self::Variable { at, .. } => Some(*at),
            Self::TooLarge { .. } | Self::Empty | Self::EmptySet | Self::NotUtf8 { .. } => None,
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
    let document = parse(body, limits).map_err(|error| match error {
        BodyError::Yaml(error) if looks_like_template(body) => BodyError::LooksLikeTemplate(error),
        error => error,
    })?;
    // Bodies that were taken before are read on without their second document.
    match document.ignored_from() {
        Some(at) => Err(BodyError::Further { at }),
        None => Ok(()),
    }
}

fn looks_like_template(body: &[u8]) -> bool {
    let has = |mark: &[u8; 2]| body.windows(2).any(|pair| pair == mark);
    has(b"{{") && has(b"}}") || has(b"{%") && has(b"%}")
}

/// Checks the body of a config of kind `collector` that is a template, whose variables have the values of one of these
/// sets, and says which names it uses. What it makes is checked for each agent.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check_template_within<'v>(
    body: &[u8],
    sets: impl IntoIterator<Item = &'v Variables>,
    limits: &Limits,
) -> Result<Uses, BodyError> {
    check_size(body, limits)?;
    let text = std::str::from_utf8(body).map_err(|error| BodyError::NotUtf8 {
        from: error.valid_up_to(),
    })?;
    if text.trim().is_empty() {
        return Err(BodyError::Empty);
    }
    let uses = template::uses_with(text, sets)?;
    Compiled::of(text)?;
    Ok(uses)
}

pub(crate) fn parse(body: &[u8], limits: &Limits) -> Result<Document, BodyError> {
    check_size(body, limits)?;
    let document = Document::parse_within(body, &limits.of_a_body())?;
    if document.root().is_empty() {
        return Err(BodyError::Empty);
    }
    Ok(document)
}

const fn check_size(body: &[u8], limits: &Limits) -> Result<(), BodyError> {
    if limits.body_bytes < body.len() {
        return Err(BodyError::TooLarge {
            bytes: body.len(),
            limit: limits.body_bytes,
        });
    }
    Ok(())
}

impl Limits {
    fn of_a_body(&self) -> otelcol::Limits {
        otelcol::Limits {
            bytes: self.body_bytes,
            ..otelcol::Limits::default()
        }
    }
}
