//! Selectors: Kubernetes label selectors over agents' labels.

mod parse;

use std::fmt;
use std::str::FromStr;

use crate::labels::Labels;

/// A set of requirements that an agent's labels must all meet; without any it matches every agent.
///
/// ```
/// use domain::{Labels, Selector};
///
/// let selector: Selector = "env=prod,region in (us-west,us-east),!legacy".parse().unwrap();
/// assert!(selector.matches(&Labels::from_iter([("env", "prod"), ("region", "us-east")])));
/// assert!(!selector.matches(&Labels::from_iter([("env", "prod")])));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Selector {
    // Invariant: sorted, without duplicates; that is what makes equal selectors equal and `Display` canonical.
    requirements: Box<[Requirement]>,
}

/// One condition on one label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// The label's key.
    pub key: Box<str>,
    /// The condition.
    pub operator: Operator,
}

/// What a requirement asks of its label. Values are sorted, without duplicates, and at least one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// The label is there with one of these values (`=`, `==`, `in`).
    In(Box<[Box<str>]>),
    /// The label is absent or has none of these values (`!=`, `notin`).
    NotIn(Box<[Box<str>]>),
    /// The label is there (`key`).
    Exists,
    /// The label is absent (`!key`).
    Absent,
}

/// A selector's text that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {position}")]
pub struct SelectorError {
    /// The byte where the problem begins, counted from 0.
    pub position: usize,
    /// What is wrong there.
    pub problem: SelectorProblem,
}

/// What is wrong with a selector's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorProblem {
    /// Something else should stand here.
    #[error("expected {wanted}, found {found}")]
    Unexpected {
        /// What should stand here.
        wanted: &'static str,
        /// What stands here.
        found: String,
    },
    /// A quoted text has no end.
    #[error("this quote is never closed")]
    UnclosedQuote,
    /// A backslash stands before something other than a quote or a backslash.
    #[error("a backslash may only stand before '\"' and '\\'")]
    BadEscape,
    /// A key or value breaks a limit of labels.
    #[error("{0}")]
    Label(crate::labels::InvalidLabel),
    /// The text has more requirements or values than are allowed.
    #[error("more than {} requirements or values", Selector::MAX_PARTS)]
    TooLarge,
    /// The text is longer than allowed.
    #[error("longer than {} bytes", Selector::MAX_BYTES)]
    TooLong,
}

impl Selector {
    /// The longest text, in bytes.
    pub const MAX_BYTES: usize = 16 * 1024;
    /// The most requirements and values together.
    pub const MAX_PARTS: usize = 256;

    /// The selector that asks each key of a plain map for its value, as in `{env: prod}`.
    #[must_use]
    pub fn from_map<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        entries
            .into_iter()
            .map(|(key, value)| Requirement {
                key: key.into(),
                operator: Operator::In(Box::new([value.into()])),
            })
            .collect()
    }

    /// Whether labels meet every requirement.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements
            .iter()
            .all(|requirement| requirement.is_met_by(labels.get(&requirement.key)))
    }

    /// The requirements, in canonical order.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether it asks for nothing and so matches every agent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
}

impl Requirement {
    fn is_met_by(&self, value: Option<&str>) -> bool {
        match (&self.operator, value) {
            (Operator::In(wanted), Some(value)) => wanted.iter().any(|w| **w == *value),
            (Operator::NotIn(refused), Some(value)) => !refused.iter().any(|r| **r == *value),
            (Operator::Exists, value) => value.is_some(),
            (Operator::Absent, value) => value.is_none(),
            (Operator::In(_), None) => false,
            (Operator::NotIn(_), None) => true,
        }
    }
}

impl FromIterator<Requirement> for Selector {
    fn from_iter<I: IntoIterator<Item = Requirement>>(requirements: I) -> Self {
        let mut requirements: Vec<Requirement> = requirements.into_iter().collect();
        for requirement in &mut requirements {
            if let Operator::In(values) | Operator::NotIn(values) = &mut requirement.operator {
                let mut sorted = std::mem::take(values).into_vec();
                sorted.sort_unstable();
                sorted.dedup();
                *values = sorted.into_boxed_slice();
            }
        }
        requirements.sort_unstable();
        requirements.dedup();
        Self {
            requirements: requirements.into_boxed_slice(),
        }
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse::selector(text)
    }
}

impl fmt::Display for Selector {
    /// Writes the canonical text: equal selectors have equal texts, and it parses to the same selector.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if 0 < index {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = Word(&self.key);
        match &self.operator {
            Operator::In(values) => write_values(f, &key, values, "=", " in "),
            Operator::NotIn(values) => write_values(f, &key, values, "!=", " notin "),
            Operator::Exists => key.fmt(f),
            Operator::Absent => write!(f, "!{key}"),
        }
    }
}

fn write_values(
    f: &mut fmt::Formatter<'_>,
    key: &Word<'_>,
    values: &[Box<str>],
    one: &str,
    several: &str,
) -> fmt::Result {
    if let [value] = values {
        return write!(f, "{key}{one}{}", Word(value));
    }
    write!(f, "{key}{several}(")?;
    for (index, value) in values.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(f, "{comma}{}", Word(value))?;
    }
    f.write_str(")")
}

/// A key or value as the syntax writes it: bare where it can be, else quoted.
struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_empty() && self.0.bytes().all(parse::is_bare) {
            return f.write_str(self.0);
        }
        write!(
            f,
            "\"{}\"",
            self.0.replace('\\', "\\\\").replace('"', "\\\"")
        )
    }
}

#[cfg(test)]
mod tests;
