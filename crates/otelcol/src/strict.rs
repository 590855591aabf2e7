//! What our YAML parser would let pass and the Collector's refuses, or reads as something else.
//!
//! Ours follows YAML 1.2, the Collector's is libyaml in Go. A difference here would be a config that
//! passes every check and stops the agent that gets it.

use crate::error::{Fault, ParseError, Position};
use crate::parse::fault;
use crate::tree::{Scalar, Style};

const TAB: &str = "indent with spaces, not with tabs";

/// Checks what stands between two tokens outside of brackets: a tab may not begin anything there.
///
/// Not even a line that is otherwise blank or a comment; only right behind a plain scalar a tab
/// that is not at the margin counts as a blank.
pub(crate) fn gap(gap: &str, start: Position, after_plain: bool) -> Result<(), ParseError> {
    let mut may_begin = start.column == 1;
    let mut after_plain = after_plain;
    let mut column = start.column;
    let mut line = start.line;
    let mut previous = '\n';
    let mut in_comment = false;
    for (offset, character) in gap.char_indices() {
        match character {
            '\n' => (may_begin, in_comment, column, line) = (true, false, 0, line + 1),
            _ if in_comment => {}
            '\t' if may_begin && (!after_plain || column == 1) => {
                // A document has less than 4 GiB.
                let offset = start.offset + u32::try_from(offset).unwrap_or(u32::MAX);
                return Err(syntax(
                    Position {
                        offset,
                        line,
                        column,
                    },
                    "a tab where a space is expected",
                    TAB,
                ));
            }
            ' ' | '\t' | '\r' => {}
            '#' => (in_comment, after_plain) = (true, false),
            // `---` begins a document, not an item.
            '-' | '?' => (may_begin, after_plain) = (previous != '-', false),
            _ => (may_begin, after_plain) = (false, false),
        }
        column += 1;
        previous = character;
    }
    Ok(())
}

/// Checks a plain scalar of several lines: the Collector accepts no tab at the margin.
pub(crate) fn plain_lines(slice: &str, start: Position) -> Result<(), ParseError> {
    let Some(at) = slice.find("\n\t") else {
        return Ok(());
    };
    let offset = start.offset + u32::try_from(at + 1).unwrap_or(u32::MAX);
    let lines = slice[..=at].bytes().filter(|byte| *byte == b'\n').count();
    let line = start.line + u32::try_from(lines).unwrap_or(u32::MAX);
    Err(syntax(
        Position {
            offset,
            line,
            column: 1,
        },
        "a tab where a space is expected",
        TAB,
    ))
}

/// Checks a plain scalar inside of brackets, which a `?` ends for the Collector.
pub(crate) fn in_flow(scalar: &Scalar, start: Position) -> Result<(), ParseError> {
    if scalar.style == Style::Plain && scalar.text.contains('?') {
        return Err(syntax(
            start,
            "a \"?\" inside of brackets or braces begins a key",
            "quote the value",
        ));
    }
    Ok(())
}

/// Checks a key: it is written, and on one line.
pub(crate) fn key(scalar: &Scalar, in_flow: bool, start: Position) -> Result<(), ParseError> {
    let is_missing = scalar.style == Style::Plain && scalar.text.is_empty() && scalar.tag.is_none();
    if is_missing && !in_flow {
        return Err(syntax(
            start,
            "the key before \":\" is missing",
            "write \"key: value\"",
        ));
    }
    if scalar.raw.as_ref().is_some_and(|raw| raw.contains('\n')) {
        return Err(syntax(
            start,
            "a key goes over several lines",
            "write it on one line",
        ));
    }
    Ok(())
}

fn syntax(position: Position, message: &str, advice: &'static str) -> ParseError {
    fault(
        position,
        Fault::Syntax {
            message: message.to_owned(),
            advice,
        },
    )
}
