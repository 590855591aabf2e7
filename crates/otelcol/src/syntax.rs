//! The edge to the YAML parser: what it is given, and its errors in words that help.

use granit_parser::{ErrorKind, Marker, Options, ScanError, options};

use crate::error::{Fault, ParseError, Position};
use crate::parse::fault;

/// The text of a document, if it is one that YAML allows.
pub(crate) fn text(bytes: &[u8], limit: usize) -> Result<&str, ParseError> {
    if limit < bytes.len() || u32::try_from(bytes.len()).is_err() {
        return Err(fault(
            Position {
                offset: 0,
                line: 1,
                column: 1,
            },
            Fault::TooLarge {
                bytes: bytes.len(),
                limit,
            },
        ));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            return Err(fault(position_after(&before), Fault::NotUtf8));
        }
    };
    let is_common = |byte: u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
    if bytes.iter().copied().all(is_common) {
        return Ok(text);
    }
    let content = text.strip_prefix('\u{feff}').unwrap_or(text);
    let unfit = |(offset, character)| Some((offset, unfit(character)?));
    match content.char_indices().find_map(unfit) {
        Some((offset, found)) => Err(fault(position_after(&content[..offset]), found)),
        None => Ok(text),
    }
}

/// Why a character may not stand in a document, if it may not.
const fn unfit(character: char) -> Option<Fault> {
    match character {
        '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => Some(Fault::Invisible { character }),
        '\t' | '\n' | '\r' | ' '..='~' => None,
        '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => None,
        _ => Some(Fault::ForbiddenCharacter { character }),
    }
}

/// The place after a text, counted as an editor counts.
fn position_after(text: &str) -> Position {
    let lines = text.bytes().filter(|byte| *byte == b'\n').count();
    let last = text.rsplit('\n').next().unwrap_or_default();
    Position {
        offset: clamp(text.len()),
        line: clamp(lines + 1),
        column: clamp(last.chars().count() + 1),
    }
}

/// What to do about a tab.
pub(crate) const TAB_ADVICE: &str = "indent with spaces, not with tabs";

pub(crate) fn is_about_tabs(error: &ParseError) -> bool {
    matches!(
        error.fault,
        Fault::Syntax {
            advice: TAB_ADVICE,
            ..
        }
    )
}

/// The text with a blank for each tab before the first other character of a line, if there is one.
pub(crate) fn without_margin_tabs(text: &str) -> Option<String> {
    let mut found = false;
    let mut at_margin = true;
    let blank = |character| {
        let is_tab = at_margin && character == '\t';
        found |= is_tab;
        at_margin = character == '\n' || (at_margin && matches!(character, ' ' | '\t'));
        if is_tab { ' ' } else { character }
    };
    let blanks = text.chars().map(blank).collect();
    found.then_some(blanks)
}

pub(crate) fn options(depth: usize) -> Options {
    let mut options = options! {
        // As libyaml does, from which the Collector's parser was made.
        block_scalar_eof_without_line_feed: true,
        bom_inside_document_as_content: true,
        flow_nesting_limit: depth,
        block_nesting_limit: depth,
    };
    options.set_emit_comments(false);
    options
}

pub(crate) fn position(marker: &Marker) -> Position {
    Position {
        offset: clamp(marker.byte_offset().unwrap_or(0)),
        line: clamp(marker.line()),
        column: clamp(marker.col() + 1),
    }
}

/// Texts of more than 4 GiB are refused long before.
fn clamp(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(crate) fn error(error: &ScanError, depth: usize) -> ParseError {
    let found = match error.kind() {
        ErrorKind::RecursionLimitExceeded => Fault::TooDeep { limit: depth },
        kind => Fault::Syntax {
            message: kind.to_string(),
            advice: advice(kind),
        },
    };
    fault(position(error.marker()), found)
}

const fn advice(kind: &ErrorKind) -> &'static str {
    use ErrorKind as E;
    match kind {
        E::TabNotAllowed
        | E::TabInBlockIndentation
        | E::TabInIndentation
        | E::TabAtBlockScalarStart
        | E::TabInPlainScalar => TAB_ADVICE,
        E::UnexpectedEofFlowSequence
        | E::ExpectedFlowSequenceSeparator
        | E::UnexpectedEofFlowMapping
        | E::UnexpectedEofImplicitFlowMapping
        | E::ExpectedFlowMappingSeparator
        | E::UnclosedFlowCollection { .. }
        | E::MismatchedFlowCollectionEnd { .. }
        | E::MisplacedFlowCollectionEnd => {
            "check that every [ and { is closed, and that commas stand between entries"
        }
        E::UnclosedQuotedScalar | E::DocumentIndicatorInQuotedScalar => "close the quote",
        E::InvalidTrailingSingleQuotedScalar | E::InvalidTrailingDoubleQuotedScalar => {
            "quote the whole value, and a quote inside of it as '' or \\\""
        }
        E::UnknownQuotedScalarEscape | E::InvalidQuotedScalarHexEscape => {
            "write a backslash as \\\\ in double quotes, or use single quotes"
        }
        E::UnexpectedCharacter { .. } => "quote the value",
        E::MappingValueNotAllowed => {
            "quote a value that has \": \" in it, or check the indentation"
        }
        E::SimpleKeyExpected | E::InvalidSimpleKey | E::ExpectedBlockMappingKey => {
            "write \"key: value\", and give all keys of a map the same indentation"
        }
        E::InvalidIndentation
        | E::InvalidFlowScalarIndent
        | E::InvalidQuotedScalarIndent
        | E::InvalidBlockScalarIndent => "check the indentation",
        E::BlockSequenceEntryNotAllowed | E::ExpectedBlockSequenceEntry => {
            "start the list on its own line, and give all its entries the same indentation"
        }
        E::UnknownAnchor => {
            "define the anchor with & before this line, or quote a value that begins with *"
        }
        E::UndeclaredTagHandle | E::InvalidTagTerminator => "quote a value that begins with !",
        E::CommentNotSeparated => "put a space before #, or quote the value",
        _ => "",
    }
}
