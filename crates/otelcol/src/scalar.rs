//! How a scalar was written, kept so that it can be written again in another place.

use granit_parser::ScalarStyle;

use crate::resolve::{self, Typed};
use crate::tree::{Content, Node, Origin, Scalar, Style};

/// A scalar without a tag from its text, its style and its source.
pub(crate) fn read(text: &str, style: ScalarStyle, slice: &str, indentation: usize) -> Scalar {
    match style {
        ScalarStyle::Plain => plain(text, slice),
        ScalarStyle::SingleQuoted => quoted(text, Style::SingleQuoted, slice),
        ScalarStyle::DoubleQuoted => quoted(text, Style::DoubleQuoted, slice),
        ScalarStyle::Literal => written(text, Style::Literal, None),
        ScalarStyle::Folded => written(text, Style::Folded, Some(dedented(slice, indentation))),
    }
}

/// A text on one line that is written as it is.
pub(crate) fn of_line(text: &str, style: Style) -> Scalar {
    written(text, style, None)
}

/// Null that nobody wrote.
pub(crate) fn null() -> Node {
    let scalar = written("", Style::Plain, None);
    Node {
        content: Content::Scalar(Scalar {
            typed: Typed::Null,
            ..scalar
        }),
        origin: Origin::default(),
        in_flow: false,
    }
}

fn plain(text: &str, slice: &str) -> Scalar {
    // The parser calls a value that is not there `~`.
    let text = if slice.is_empty() { "" } else { text };
    let raw = slice.contains(['\n', '\r']).then(|| joined(slice));
    Scalar {
        typed: resolve::plain(text),
        ..written(text, Style::Plain, raw)
    }
}

fn quoted(text: &str, style: Style, slice: &str) -> Scalar {
    let inner = slice.get(1..slice.len().saturating_sub(1));
    let is_plain = inner == Some(text) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    written(text, style, (!is_plain).then(|| joined(slice)))
}

fn written(text: &str, style: Style, raw: Option<Box<str>>) -> Scalar {
    Scalar {
        text: text.into(),
        raw,
        style,
        typed: Typed::Str,
        tag: None,
    }
}

/// The lines of a flow scalar; the blanks before a continuation line mean nothing.
fn joined(slice: &str) -> Box<str> {
    let mut lines = lines(slice);
    let mut raw = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        raw.push('\n');
        raw.push_str(line.trim_start_matches([' ', '\t']));
    }
    raw.into()
}

/// The lines of a block scalar without its indentation, which the first of them lost already.
fn dedented(slice: &str, indentation: usize) -> Box<str> {
    let mut raw = String::with_capacity(slice.len());
    for (index, line) in lines(slice).enumerate() {
        let indent = line
            .bytes()
            .take(indentation)
            .take_while(|byte| *byte == b' ')
            .count();
        if 0 < index {
            raw.push('\n');
        }
        raw.push_str(if index == 0 { line } else { &line[indent..] });
    }
    // What chomping makes of the end is known from the text.
    let content = raw.trim_end_matches('\n').len();
    raw.truncate(content);
    raw.into()
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    // `\r\n` is one break and a sole `\r` is one, too.
    text.split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .flat_map(|line| line.split('\r'))
}

/// A text that nobody wrote, as plain as it can be written.
pub(crate) fn text(text: &str) -> Scalar {
    let style = if crate::emit::is_safe_plain(text) {
        Style::Plain
    } else {
        Style::DoubleQuoted
    };
    written(text, style, None)
}
