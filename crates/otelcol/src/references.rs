//! References of the form `${secret:NAME}`: finding them, and writing values in their place.
//!
//! The Collector knows nothing of them: whoever sends it a configuration puts in what they stand for.

use std::borrow::Cow;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, StrInput};

use crate::emit::double_quoted;
use crate::error::Position;
use crate::syntax;

/// What a reference to a secret begins with.
const OPENING: &str = "${secret:";
/// Deeper nesting than this is not read; parsing refuses it long before.
const DEPTH: usize = 1_000;

/// A reference to a secret in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretReference<'t> {
    /// The name in it, whatever stands there; nothing: the brace is not closed.
    pub name: Option<&'t str>,
    /// From the dollar sign to the brace, in bytes.
    pub range: Range<usize>,
}

/// All references to secrets in a text, wherever they stand. As for the Collector, `$$` is a dollar sign and begins none.
///
/// ```
/// let names: Vec<_> = otelcol::secret_references("a: ${secret:db}\nb: $${secret:no}\nc: $$${secret:x}")
///     .map(|reference| reference.name)
///     .collect();
/// assert_eq!(names, [Some("db"), Some("x")]);
/// ```
pub fn secret_references(text: &str) -> impl Iterator<Item = SecretReference<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + text.get(from..)?.find(OPENING)?;
            let before = &text[from..start];
            let dollars = before.len() - before.trim_end_matches('$').len();
            let inside = start + OPENING.len();
            from = inside;
            if dollars % 2 == 1 {
                continue;
            }
            let rest = &text[inside..];
            let end = rest.find(['}', '\n', '$', '{']);
            let end = end.filter(|end| rest[*end..].starts_with('}'));
            let Some(end) = end else {
                return Some(SecretReference {
                    name: None,
                    range: start..inside,
                });
            };
            from = inside + end + 1;
            return Some(SecretReference {
                name: Some(&rest[..end]),
                range: start..from,
            });
        }
    })
}

/// Why values could not be put in place of references.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {fault}")]
pub struct SecretFault {
    /// Where.
    pub at: Position,
    /// What is wrong there, and what to do.
    pub fault: SecretFaultKind,
}

/// What is wrong with a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretFaultKind {
    /// The brace is not closed, or something stands there that is no name.
    #[error(
        "a reference to a secret has no end: write ${{secret:NAME}}, or $${{ for these signs themselves"
    )]
    Unclosed,
    /// There is no such secret.
    #[error("there is no secret {name:?}: make it with PUT /secrets/{name}, or correct the name")]
    Unknown {
        /// The name that stands there.
        name: String,
    },
    /// It is in a key, which says where a value goes.
    #[error(
        "a reference to a secret stands in a key: only values can be secret, so write the name of the key out"
    )]
    InKey,
    /// Its value does not fit where it stands.
    #[error(
        "the value of a secret cannot be written here as it is: put the reference on a line of its own, in double quotes"
    )]
    DoesNotFit,
    /// The text is no YAML.
    #[error("the text cannot be read: correct it first")]
    Unreadable,
}

/// The text with values in place of its references to secrets; the rest of it stays byte for byte, but for the quotes of
/// values that have references. A value is always a text, and nothing in it means anything to YAML or to the Collector.
///
/// ```
/// let text = "user: x # ${secret:no}\npassword: ${secret:db}\n";
/// let filled = otelcol::fill_secrets(text, |name| (name == "db").then_some("a$b: \"c\"")).unwrap();
/// assert_eq!(filled, "user: x # ${secret:no}\npassword: \"a$$b: \\\"c\\\"\"\n");
/// ```
///
/// # Errors
/// [`SecretFault`]: a name without a value, a reference that is none or stands in a key, or a value that does not fit in a
/// block of lines.
pub fn fill_secrets<'v>(
    text: &str,
    value: impl Fn(&str) -> Option<&'v str>,
) -> Result<String, SecretFault> {
    if secret_references(text).next().is_none() {
        return Ok(text.to_owned());
    }
    let scalars = scalars(text)?;
    let mut expected = Vec::with_capacity(scalars.len());
    let mut filled = String::with_capacity(text.len());
    let mut copied = 0;
    for scalar in &scalars {
        let Cow::Owned(meant) = with_values(&scalar.text, &value, scalar.at)? else {
            expected.push(scalar.text.clone());
            continue;
        };
        if scalar.is_key {
            return Err(scalar.fault(SecretFaultKind::InKey));
        }
        filled.push_str(&text[copied..scalar.range.start]);
        if scalar.is_block {
            let lines = &text[scalar.range.clone()];
            filled.push_str(&with_values(lines, &value, scalar.at)?);
        } else {
            filled.push_str(&double_quoted(&meant));
        }
        copied = scalar.range.end;
        expected.push(meant);
    }
    filled.push_str(&text[copied..]);
    // Invariant: what the Collector reads is what was meant, whatever is in the values.
    let read = self::scalars(&filled).unwrap_or_default();
    let read = read.into_iter().map(|scalar| scalar.text);
    if read.eq(expected) {
        return Ok(filled);
    }
    // What is in double quotes always fits.
    let is_filled = |scalar: &&Scalar| secret_references(&scalar.text).next().is_some();
    let mut blocks = scalars.iter().filter(|scalar| scalar.is_block);
    let at = blocks.find(is_filled).map(|scalar| scalar.at);
    Err(SecretFault {
        at: at.unwrap_or_default(),
        fault: SecretFaultKind::DoesNotFit,
    })
}

struct Scalar {
    text: String,
    range: Range<usize>,
    at: Position,
    is_key: bool,
    is_block: bool,
}

impl Scalar {
    const fn fault(&self, fault: SecretFaultKind) -> SecretFault {
        SecretFault { at: self.at, fault }
    }
}

/// A text with its references replaced, where it has any. The Collector reads `$$` as one dollar sign.
fn with_values<'t, 'v>(
    text: &'t str,
    value: impl Fn(&str) -> Option<&'v str>,
    at: Position,
) -> Result<Cow<'t, str>, SecretFault> {
    let mut filled = Cow::Borrowed(text);
    let mut copied = 0;
    for reference in secret_references(text) {
        let fail = |fault| SecretFault { at, fault };
        let name = reference
            .name
            .ok_or_else(|| fail(SecretFaultKind::Unclosed))?;
        let unknown = || {
            fail(SecretFaultKind::Unknown {
                name: name.to_owned(),
            })
        };
        let value = value(name).ok_or_else(unknown)?;
        if copied == 0 {
            filled = Cow::Owned(String::with_capacity(text.len()));
        }
        let written = filled.to_mut();
        written.push_str(&text[copied..reference.range.start]);
        written.push_str(&value.replace('$', "$$"));
        copied = reference.range.end;
    }
    if 0 < copied {
        filled.to_mut().push_str(&text[copied..]);
    }
    Ok(filled)
}

/// What is being read.
enum Frame {
    List,
    Map { key_is_next: bool },
}

fn scalars(text: &str) -> Result<Vec<Scalar>, SecretFault> {
    let unreadable = |at| SecretFault {
        at,
        fault: SecretFaultKind::Unreadable,
    };
    let blanks = syntax::without_margin_tabs(text);
    let read = blanks.as_deref().unwrap_or(text);
    let options = syntax::options(DEPTH);
    let mut events: Parser<'_, StrInput<'_>> = Parser::new_from_str_with_options(read, options);
    let mut frames: Vec<Frame> = Vec::new();
    let mut scalars = Vec::new();
    while let Some(event) = events.next_event() {
        let (event, span) =
            event.map_err(|error| unreadable(syntax::error(&error, DEPTH).position))?;
        let is_key = matches!(frames.last(), Some(Frame::Map { key_is_next: true }));
        match event {
            Event::Scalar(text, style, ..) => {
                let at = syntax::position(&span.start);
                scalars.push(Scalar {
                    text: text.into_owned(),
                    range: span.byte_range().ok_or_else(|| unreadable(at))?,
                    at,
                    is_key,
                    is_block: matches!(style, ScalarStyle::Literal | ScalarStyle::Folded),
                });
                read_one(&mut frames);
            }
            Event::Alias(_) => read_one(&mut frames),
            Event::SequenceStart(..) => frames.push(Frame::List),
            Event::MappingStart(..) => frames.push(Frame::Map { key_is_next: true }),
            Event::SequenceEnd | Event::MappingEnd => {
                frames.pop();
                read_one(&mut frames);
            }
            _ => {}
        }
    }
    Ok(scalars)
}

fn read_one(frames: &mut [Frame]) {
    if let Some(Frame::Map { key_is_next }) = frames.last_mut() {
        *key_is_next = !*key_is_next;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fill(text: &str) -> Result<String, String> {
        let value = |name: &str| match name {
            "db" => Some("p: #\"'$x"),
            "lines" => Some("one\n two\n"),
            "plain" => Some("word"),
            "empty" => Some(""),
            _ => None,
        };
        fill_secrets(text, value).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_value_stands_in_double_quotes_whatever_is_in_it() {
        for (text, expected) in [
            ("a: 1\n", "a: 1\n"),
            ("a: ${secret:db}\n", "a: \"p: #\\\"'$$x\"\n"),
            ("a: x-${secret:plain}-y # c\n", "a: \"x-word-y\" # c\n"),
            (
                "a: '${secret:lines}'\nb: 2\n",
                "a: \"one\\n two\\n\"\nb: 2\n",
            ),
            (
                "{a: \"${secret:plain}:${secret:plain}\"}\n",
                "{a: \"word:word\"}\n",
            ),
            ("- ${secret:plain}\n- b\n", "- \"word\"\n- b\n"),
            ("a: ${secret:empty}\n", "a: \"\"\n"),
            ("a: $${secret:none}\n", "a: $${secret:none}\n"),
            ("a: $$${secret:plain}\n", "a: \"$$word\"\n"),
            ("a: ${env:X:-${secret:plain}}\n", "a: \"${env:X:-word}\"\n"),
            ("a: &x ${secret:plain}\nb: *x\n", "a: &x \"word\"\nb: *x\n"),
            (
                "a: |\n  k=${secret:plain}\n  z\nb: 1\n",
                "a: |\n  k=word\n  z\nb: 1\n",
            ),
            (
                "a: >-\n  k ${secret:plain}\n  z\n",
                "a: >-\n  k word\n  z\n",
            ),
            ("\ta: ${secret:plain}\n", "\ta: \"word\"\n"),
        ] {
            assert_eq!(fill(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_filled_says_where_and_what_to_do() {
        for (text, expected) in [
            (
                "a: 1\nb: ${secret:nope}\n",
                "line 2, column 4: there is no secret \"nope\"",
            ),
            (
                "a: '${secret:'\n",
                "line 1, column 4: a reference to a secret has no end",
            ),
            (
                "a: '${secret:a${env:B}}'\n",
                "line 1, column 4: a reference to a secret has no end",
            ),
            (
                "a: 1\n${secret:plain}: 1\n",
                "line 2, column 1: a reference to a secret stands in a key",
            ),
            (
                "a: |\n  k=${secret:lines}\n",
                "the value of a secret cannot be written here",
            ),
            ("a: [${secret:plain}\n", "cannot be read"),
        ] {
            let fault = fill(text).unwrap_err();
            assert!(fault.contains(expected), "{text}: {fault}");
        }
    }

    proptest! {
        /// Nothing in a value breaks out of its place.
        #[test]
        fn any_value_is_read_back(value in "[ -~\u{a0}-\u{ff}\n\t]{0,40}", style in 0..4usize) {
            let text = [
                "a: ${secret:v}\nb: 1\n",
                "a: 'x${secret:v}y'\nb: 1\n",
                "a: [\"${secret:v}\", b]\nb: 1\n",
                "a:\n  - k: ${secret:v}\nb: 1\n",
            ][style];
            let filled = fill_secrets(text, |_| Some(&value)).unwrap();
            let read: Vec<String> = scalars(&filled).unwrap().into_iter().map(|found| found.text).collect();
            let meant = scalars(text).unwrap().into_iter();
            let meant: Vec<String> = meant
                .map(|found| found.text.replace("${secret:v}", &value.replace('$', "$$")))
                .collect();
            prop_assert_eq!(read, meant);
        }
    }
}
