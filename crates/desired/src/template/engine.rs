//! The template engine, and what it may do.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use domain::Variables;
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use super::rendered::Rendered;
use super::{Lines, TemplateError, text};
use crate::values::Values;

/// What rendering once may cost: a step costs one, and so do 64 bytes that are made. It bounds time and memory.
const FUEL: u64 = 100_000;
/// How far `range` counts.
pub(super) const MOST_TURNS: u64 = 10_000;
/// Calls of macros within each other.
const MOST_CALLS: usize = 64;
/// The name of the only template that there is.
const NAME: &str = "template";

/// Filters of the engine that are for HTML, for looking into the engine, and that nest what they are given.
const REMOVED: [&str; 11] = [
    "attr", "batch", "chain", "e", "escape", "format", "groupby", "pprint", "safe", "slice", "zip",
];

/// The filters that there are, in order.
pub(super) const FILTERS: &[&str] = &[
    "abs",
    "bool",
    "capitalize",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "quote",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "trim",
    "unique",
    "upper",
    "yaml",
];

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_syntax(syntax());
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_fuel(Some(FUEL));
    engine.set_recursion_limit(MOST_CALLS);
    // Errors know their places.
    engine.set_debug(true);
    engine.set_formatter(text::write);
    engine.add_filter("yaml", text::yaml);
    engine.add_filter("quote", text::quote);
    for filter in REMOVED {
        engine.remove_filter(filter);
    }
    engine.add_function("range", range);
    for global in ["debug", "namespace"] {
        engine.remove_global(global);
    }
    engine
});

/// `range(stop)`, `range(start, stop)`, `range(start, stop, step)`.
fn range(lower: i64, upper: Option<i64>, step: Option<i64>) -> Result<Vec<i64>, Error> {
    let (start, stop) = upper.map_or((0, lower), |upper| (lower, upper));
    let step = step.unwrap_or(1);
    let refuse = |why: String| Err(Error::new(ErrorKind::InvalidOperation, why));
    if step == 0 {
        return refuse("a range needs a step that is not 0".to_owned());
    }
    let (distance, stride) = (i128::from(stop) - i128::from(start), i128::from(step));
    let count = if (distance < 0) == (stride < 0) {
        distance / stride
    } else {
        0
    };
    if i128::from(MOST_TURNS) <= count {
        return refuse(format!("a range has at most {MOST_TURNS} numbers"));
    }
    let numbers = std::iter::successors(Some(start), |number| number.checked_add(step));
    let goes_on = |number: &i64| {
        if 0 < step {
            *number < stop
        } else {
            stop < *number
        }
    };
    Ok(numbers.take_while(goes_on).collect())
}

/// Lines that hold nothing but a statement leave nothing behind.
pub(super) fn syntax() -> SyntaxConfig {
    SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build()
        .unwrap_or_default()
}

/// A template that is ready to be rendered.
#[derive(Debug)]
pub(crate) struct Compiled {
    engine: Environment<'static>,
    source: Arc<str>,
}

impl Compiled {
    /// Compiles a text that [`super::uses`] has taken.
    pub(crate) fn of(source: &str) -> Result<Self, TemplateError> {
        let mut engine = ENGINE.clone();
        engine
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| told(&error, source))?;
        Ok(Self {
            engine,
            source: Arc::from(source),
        })
    }

    /// What the template makes of these values.
    pub(crate) fn render(&self, values: &Values) -> Result<Rendered, TemplateError> {
        let made = self
            .engine
            .get_template(NAME)
            .and_then(|template| template.render_with_spans(values.context()));
        let (text, spans) = made.map_err(|error| told(&error, &self.source))?;
        Ok(Rendered::new(text, &spans, Arc::clone(&self.source)))
    }

    /// Checks what rendering with these variables may cost, as [`super::uses_with`] does with those that were known to it.
    pub(crate) fn check(&self, variables: &Variables) -> Result<(), TemplateError> {
        super::check_values(&self.source, variables)
    }

    /// How long its text is, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.source.len()
    }
}

/// An error of the engine in terms of the template.
pub(super) fn told(error: &Error, source: &str) -> TemplateError {
    let lines = Lines::of(source);
    let range = error.range().filter(|range| range.end <= source.len());
    let range = range.map(|range| match error.kind() {
        ErrorKind::UndefinedError => what_is_undefined(source, range),
        _ => from_its_name(source, range),
    });
    let offset = range.as_ref().map_or_else(
        || {
            let line = error.line().unwrap_or(1).saturating_sub(1);
            lines.starts.get(line).copied().unwrap_or_default()
        },
        |range| range.start,
    );
    let what = range
        .and_then(|range| source.get(range))
        .unwrap_or_default();
    TemplateError {
        at: lines.position(offset),
        message: message(error, what),
        lacks_variable: error.kind() == ErrorKind::UndefinedError
            && (what.is_empty() || what.contains("vars")),
    }
}

/// A filter that is given nothing points at its own name.
fn what_is_undefined(source: &str, range: Range<usize>) -> Range<usize> {
    let before = source.get(..range.start).unwrap_or_default();
    let Some(given) = before.trim_end().strip_suffix('|') else {
        return from_its_name(source, range);
    };
    let given = given.trim_end();
    let name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    match given.trim_end_matches(name).len() {
        // What ends in a bracket is told without its text.
        start if start == given.len() => range.start..range.start,
        start => start..given.len(),
    }
}

/// The engine points at `.b` of `a.b` where `a` has no such thing.
fn from_its_name(source: &str, range: Range<usize>) -> Range<usize> {
    let is_lookup = source
        .get(range.clone())
        .unwrap_or_default()
        .starts_with(['.', '[']);
    let before = source.get(..range.start).filter(|_| is_lookup);
    let name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let start = before.map_or(range.start, |before| before.trim_end_matches(name).len());
    start..range.end
}

fn message(error: &Error, what: &str) -> String {
    let detail = error.detail().unwrap_or_default();
    match error.kind() {
        ErrorKind::UndefinedError if what.is_empty() => {
            "something here has no value for this agent: give it one, or say what else with `| default(…)`".to_owned()
        }
        ErrorKind::UndefinedError => {
            let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
            let part = if what.chars().all(is_name) { "" } else { "something in " };
            format!(
                "{part}`{}` has no value for this agent: give it one, or say what else with `| default(…)`",
                shortened(what)
            )
        }
        ErrorKind::OutOfFuel => format!(
            "rendering takes more than {FUEL} steps, or makes more than {} MiB of text: shorten its loops",
            (FUEL * 64) >> 20
        ),
        ErrorKind::SyntaxError if !detail.is_empty() => format!("this is no template: {}", shortened(detail)),
        kind if detail.is_empty() => format!("{kind}: look at `{}`", shortened(what)),
        kind => format!("{kind}: {}", shortened(detail)),
    }
}

/// At most as much of a text as fits in a message.
pub(crate) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(200).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
