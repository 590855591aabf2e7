//! `${NAME}` and `${NAME:-default}` inside scalars.
//!
//! The file is parsed first; only then is each scalar that holds a reference written anew, as one YAML scalar on as many
//! lines as before. A value therefore cannot add keys or change the structure, and line numbers stay true.

use std::collections::HashMap;
use std::ops::Range;

use serde_saphyr::granit_parser::{ScalarStyle, Span};

use super::error::ConfigError;
use super::keys::{Kind, walk};

/// The variables that a file may name.
#[derive(Clone, Default)]
pub struct Environment(HashMap<String, String>);

impl Environment {
    /// The variables of this process; those that are no UTF-8 are left out.
    pub fn of_process() -> Self {
        let pairs = std::env::vars_os();
        Self(
            pairs
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        )
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl std::fmt::Debug for Environment {
    /// Says how many variables there are; their values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

/// A file's text after replacement, and the values that must not be shown.
pub(super) struct Substituted {
    pub(super) text: String,
    /// (value, name of its variable).
    values: Vec<(String, String)>,
}

impl Substituted {
    /// `message` without the values that came from the environment.
    pub(super) fn redact(&self, message: &str) -> String {
        let mut message = message.to_owned();
        for (value, name) in &self.values {
            message = message.replace(value.as_str(), &format!("${{{name}}}"));
        }
        message
    }
}

/// Replaces the references in the scalars of `text`.
pub(super) fn substitute(
    file: &str,
    text: &str,
    environment: &Environment,
) -> Result<Substituted, ConfigError> {
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut values = Vec::new();
    let mut problem = None;
    let mut previous_end = 0;
    walk(text, |path, kind, span, event| {
        let after = std::mem::replace(
            &mut previous_end,
            span.byte_range().map_or(0, |range| range.end),
        );
        let Some((value, style)) = event
            .scalar()
            .filter(|(value, _)| kind == Kind::Value && value.contains("${"))
        else {
            return;
        };
        match expand(value, environment, &mut values) {
            Ok(expanded) => edits.extend(source_range(text, after, span, style).map(|range| {
                let scalar = rewrite(&text[range.clone()], &expanded, span.start.col());
                (range, scalar)
            })),
            Err(reason) => {
                problem
                    .get_or_insert_with(|| reason.into_error(file, span.start.line() as u64, path));
            }
        }
    });
    if let Some(problem) = problem {
        return Err(problem);
    }
    // The longest first: a value that holds another one is replaced as a whole.
    values.sort_by_key(|(value, _): &(String, String)| std::cmp::Reverse(value.len()));
    Ok(Substituted {
        text: apply(text, &edits),
        values,
    })
}

/// The bytes of a scalar, which follows the node that ended at `after`; of a block scalar with its header.
fn source_range(text: &str, after: usize, span: &Span, style: ScalarStyle) -> Option<Range<usize>> {
    let content = span.byte_range()?;
    if !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
        return Some(content);
    }
    // The span begins after the header and its blank lines, and ends with the next line's indentation.
    let header_end = text[..content.start].trim_end().len();
    let line_start = text[..header_end]
        .rfind('\n')
        .map_or(0, |at| at + 1)
        .max(after.min(header_end));
    let header = &text[line_start..header_end];
    let start = header
        .char_indices()
        .map(|(at, _)| at)
        .find(|&at| is_block_header(header, at))?;
    let end = content.start + text[content.clone()].trim_end_matches([' ', '\t']).len();
    Some(line_start + start..end)
}

/// Whether a block scalar's header (`|`, `>-`, `|2 # remark`) begins at `at` and fills the rest of the line.
fn is_block_header(line: &str, at: usize) -> bool {
    let stands_apart = line[..at]
        .chars()
        .next_back()
        .is_none_or(|c| c.is_whitespace() || c == ':');
    let Some(rest) = line[at..].strip_prefix(['|', '>']).filter(|_| stands_apart) else {
        return false;
    };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '+' || c == '-');
    rest.is_empty() || (rest.starts_with(char::is_whitespace) && rest.trim_start().starts_with('#'))
}

fn apply(text: &str, edits: &[(Range<usize>, String)]) -> String {
    let mut result = String::with_capacity(text.len());
    let mut end = 0;
    for (range, replacement) in edits {
        result.push_str(&text[end..range.start]);
        result.push_str(replacement);
        end = range.end;
    }
    result.push_str(&text[end..]);
    result
}

/// `value` as one scalar that takes as many lines as `source`, whose text stood at `column`.
fn rewrite(source: &str, value: &str, column: usize) -> String {
    let ends_line = source.ends_with('\n');
    let inner_breaks = source.matches('\n').count() - usize::from(ends_line);
    let mut scalar = if inner_breaks == 0 && is_safe_plain(value) {
        value.to_owned()
    } else {
        quote(value)
    };
    if 0 < inner_breaks {
        scalar.pop();
        // An escaped line break is no part of the text; lines must be indented deeper than the key.
        let line_break = format!("\\\n{}", " ".repeat(column + 1));
        scalar.push_str(&line_break.repeat(inner_breaks));
        scalar.push('"');
    }
    if ends_line {
        scalar.push('\n');
    }
    scalar
}

/// Whether `value` reads back as itself without quotes, in every context; numbers and booleans may then be typed.
fn is_safe_plain(value: &str) -> bool {
    let mut chars = value.chars();
    let starts_well = chars.next().is_some_and(|c| c.is_ascii_alphanumeric());
    let goes_on_well =
        chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/'));
    starts_well && goes_on_well && !value.eq_ignore_ascii_case("null")
}

/// `value` as a double-quoted scalar in printable ASCII.
fn quote(value: &str) -> String {
    let mut scalar = String::with_capacity(value.len() + 2);
    scalar.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => scalar.extend(['\\', c]),
            ' '..='~' => scalar.push(c),
            _ => scalar.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    scalar.push('"');
    scalar
}

enum Refusal {
    Unset(String),
    NoReference(String),
}

impl Refusal {
    fn into_error(self, file: &str, line: u64, key: &str) -> ConfigError {
        let (file, key) = (file.to_owned(), key.to_owned());
        match self {
            Self::Unset(variable) => ConfigError::UnsetVariable {
                file,
                line,
                key,
                variable,
            },
            Self::NoReference(text) => ConfigError::Invalid {
                file,
                line: Some(line),
                key,
                problem: format!(
                    "{text} is no reference; write ${{NAME}} or ${{NAME:-default}}, or $${{ for the text ${{ itself"
                ),
            },
        }
    }
}

/// `value` with each reference replaced; what came from the environment is added to `used`.
fn expand(
    value: &str,
    environment: &Environment,
    used: &mut Vec<(String, String)>,
) -> Result<String, Refusal> {
    let mut result = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(start) = rest.find("${") {
        let before = &rest[..start];
        if let Some(literal) = before.strip_suffix('$') {
            result.push_str(literal);
            result.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        result.push_str(before);
        let body = &rest[start + 2..];
        let end = body
            .find('}')
            .ok_or_else(|| Refusal::NoReference(rest[start..].to_owned()))?;
        let whole = &rest[start..start + 2 + end + 1];
        let reference =
            Reference::parse(&body[..end]).ok_or_else(|| Refusal::NoReference(whole.to_owned()))?;
        result.push_str(&reference.resolve(environment, used)?);
        rest = &body[end + 1..];
    }
    result.push_str(rest);
    Ok(result)
}

struct Reference<'a> {
    name: &'a str,
    default: Option<&'a str>,
}

impl<'a> Reference<'a> {
    fn parse(body: &'a str) -> Option<Self> {
        let (name, default) = match body.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (body, None),
        };
        let starts_well = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
        let is_name = starts_well && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
        is_name.then_some(Self { name, default })
    }

    /// As in a shell, the default stands in for an unset and for an empty variable.
    fn resolve(
        &self,
        environment: &Environment,
        used: &mut Vec<(String, String)>,
    ) -> Result<String, Refusal> {
        let value = environment.get(self.name);
        match (value, self.default) {
            (Some(""), Some(default)) => Ok(default.to_owned()),
            (Some(value), _) => {
                if !value.is_empty() {
                    used.push((value.to_owned(), self.name.to_owned()));
                }
                Ok(value.to_owned())
            }
            (None, Some(default)) => Ok(default.to_owned()),
            (None, None) => Err(Refusal::Unset(self.name.to_owned())),
        }
    }
}
