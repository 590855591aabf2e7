//! Secrets taken out of a text for display, structure and formatting left as they are.
//!
//! It works on the parser's events and not on the tree, so that it also covers what the tree drops
//! (values that yield to others, further documents), and falls back to looking at lines where the
//! text is no YAML: what is shown of a broken or foreign configuration must be safe, too.

mod lines;
mod walk;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

/// The text with its secrets replaced: whole values by `"[REDACTED]"`, parts of values by `***`.
///
/// Secret is what stands under a key that says so (`password`, `token`, `api_key`, …), header
/// values, private keys, bearer tokens and passwords in URLs. References such as `${env:TOKEN}`
/// stay, and so do booleans, nulls and empty texts.
///
/// ```
/// let shown = otelcol::redact("exporters:\n  otlp: {headers: {x-key: 'abc'}, endpoint: \"h:1\"} # ok\n");
/// assert_eq!(shown, "exporters:\n  otlp: {headers: {x-key: \"[REDACTED]\"}, endpoint: \"h:1\"} # ok\n");
/// ```
pub fn redact(text: &str) -> String {
    apply(text, &edits(text, Naming::Settings), |_| "")
}

/// [`redact`] for a map of variables by name: it is not known where they go, so their names count for more than those of
/// settings do.
///
/// ```
/// let shown = otelcol::redact_variables("honeycomb_key: abc\nport: 1\n");
/// assert_eq!(shown, "honeycomb_key: \"[REDACTED]\"\nport: 1\n");
/// ```
pub fn redact_variables(text: &str) -> String {
    apply(text, &edits(text, Naming::Variables), |_| "")
}

/// What the names of the outermost map are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    Settings,
    Variables,
}

/// Both texts with their secrets replaced, such that a secret that changed still differs.
///
/// A value that is another one in the second text is marked `(old)` in the first and `(new)` in
/// the second, so that a diff shows the change and not the secret.
pub fn redact_pair(before: &str, after: &str) -> (String, String) {
    pair(before, after, Naming::Settings)
}

/// [`redact_pair`] for maps of variables.
pub fn redact_variables_pair(before: &str, after: &str) -> (String, String) {
    pair(before, after, Naming::Variables)
}

fn pair(before: &str, after: &str, naming: Naming) -> (String, String) {
    let (old, new) = (edits(before, naming), edits(after, naming));
    let old_values = by_place(before, &old);
    let new_values = by_place(after, &new);
    let differs = |edit: &Edit| {
        let place = edit.place?;
        Some(old_values.get(&place)? != new_values.get(&place)?)
    };
    let mark = |edit: &Edit, mark| {
        if differs(edit) == Some(true) {
            mark
        } else {
            ""
        }
    };
    (
        apply(before, &old, |edit| mark(edit, " (old)")),
        apply(after, &new, |edit| mark(edit, " (new)")),
    )
}

/// The secrets that can be found again in another text; comments cannot.
fn by_place<'t>(text: &'t str, edits: &[Edit]) -> HashMap<Place, &'t str> {
    let placed = edits
        .iter()
        .filter_map(|edit| Some((edit.place?, &text[edit.range.clone()])));
    placed.collect()
}

/// Names a value by the way to it, the same in every text with the same structure.
///
/// It is a hash, since ways are long and most of them are never asked for; a collision would at
/// worst mark a secret as changed that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place(u64);

impl Place {
    const ROOT: Self = Self(0);

    fn step(self, step: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (self.0, step).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// A piece of the text to be replaced.
#[derive(Debug)]
struct Edit {
    range: Range<usize>,
    form: Form,
    /// None in a comment, which cannot be found again.
    place: Option<Place>,
}

/// What the replacement must look like to leave the text's structure alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A whole scalar on a line.
    Value,
    /// All lines of a block scalar.
    Block,
    /// A part of a scalar, a comment, or a line of something else.
    Part,
}

fn apply(text: &str, edits: &[Edit], mark: impl Fn(&Edit) -> &'static str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut copied = 0;
    for edit in edits {
        if edit.range.end <= copied {
            continue;
        }
        // Of edits that overlap, what is left of the second is still a secret.
        let form = if edit.range.start < copied {
            Form::Part
        } else {
            edit.form
        };
        shown.push_str(&text[copied..edit.range.start.max(copied)]);
        let mark = mark(edit);
        match form {
            Form::Value => shown.extend(["\"[REDACTED]", mark, "\""]),
            Form::Block => shown.extend(["[REDACTED]", mark, "\n"]),
            Form::Part => shown.extend(["***", mark]),
        }
        copied = edit.range.end;
    }
    shown.push_str(&text[copied..]);
    shown
}

/// All edits in the order of the text.
fn edits(text: &str, naming: Naming) -> Vec<Edit> {
    let mut edits = walk::edits(text, naming);
    edits.sort_by_key(|edit| (edit.range.start, usize::MAX - edit.range.end));
    edits
}
