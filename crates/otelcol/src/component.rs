//! What components are called: kinds, ids and signals, by the Collector's own rules.

use std::fmt;

/// What a component does, and so in which section it is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Takes data in.
    Receiver,
    /// Changes or drops data.
    Processor,
    /// Sends data on.
    Exporter,
    /// The exporter of some pipelines and the receiver of others.
    Connector,
    /// Works beside the pipelines.
    Extension,
}

impl Kind {
    /// All of them, in the order in which data meets them.
    pub const ALL: [Self; 5] = [
        Self::Receiver,
        Self::Processor,
        Self::Exporter,
        Self::Connector,
        Self::Extension,
    ];

    /// The section of a configuration that defines components of this kind: `receivers`.
    pub const fn section(self) -> &'static str {
        match self {
            Self::Receiver => "receivers",
            Self::Processor => "processors",
            Self::Exporter => "exporters",
            Self::Connector => "connectors",
            Self::Extension => "extensions",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.section().trim_end_matches('s'))
    }
}

/// What a pipeline carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metric points.
    Metrics,
    /// Log records.
    Logs,
    /// Profiles, which the Collector carries only behind a feature gate.
    Profiles,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Traces, Self::Metrics, Self::Logs, Self::Profiles];

    /// The signal of a name such as `traces`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.name() == name)
    }

    /// Its name in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
            Self::Profiles => "profiles",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Names a component within its kind: `otlp` or `otlp/backend`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentId {
    component_type: Box<str>,
    name: Box<str>,
}

/// Names a pipeline: `traces` or `traces/internal`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipelineId {
    signal: Signal,
    name: Box<str>,
}

/// Why a text names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing before the `/`, or nothing at all.
    #[error("there is no type in it")]
    NoType,
    /// A `/` and nothing after it.
    #[error("there is no name after the /")]
    NoName,
    /// The type is not a letter followed by letters, digits and underscores, 63 at most.
    #[error(
        "the type \"{0}\" has characters other than letters, digits and _, or does not begin with a letter"
    )]
    BadType(String),
    /// The name has blanks, symbols or control characters, or more than 1,024 bytes.
    #[error("the name \"{0}\" has blanks, symbols or control characters, or is too long")]
    BadName(String),
    /// A pipeline of a signal that there is not.
    #[error("there is no signal \"{0}\": traces, metrics, logs and profiles are there")]
    NoSignal(String),
}

/// The most bytes of a component's type and of a name.
const MOST_TYPE_BYTES: usize = 63;
const MOST_NAME_BYTES: usize = 1024;

impl ComponentId {
    /// Reads an id as the Collector does, blanks around its parts left out.
    ///
    /// # Errors
    /// What the Collector refuses, too.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let (component_type, name) = parts(text)?;
        let mut bytes = component_type.bytes();
        let fits = bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && component_type.len() <= MOST_TYPE_BYTES;
        if !fits {
            return Err(IdError::BadType(component_type.to_owned()));
        }
        Ok(Self {
            component_type: component_type.into(),
            name: name.into(),
        })
    }

    /// Which implementation it is: `otlp`.
    pub fn component_type(&self) -> &str {
        &self.component_type
    }

    /// What tells it from others of its type; often empty.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl PipelineId {
    /// Reads an id as the Collector does, blanks around its parts left out.
    ///
    /// # Errors
    /// What the Collector refuses, too.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let (signal, name) = parts(text)?;
        let signal = Signal::named(signal).ok_or_else(|| IdError::NoSignal(signal.to_owned()))?;
        Ok(Self {
            signal,
            name: name.into(),
        })
    }

    /// What it carries.
    pub const fn signal(&self) -> Signal {
        self.signal
    }
}

/// What stands before and after the first `/`.
fn parts(text: &str) -> Result<(&str, &str), IdError> {
    let (first, name) = match text.split_once('/') {
        None => (text, None),
        Some((first, name)) => (first, Some(name.trim())),
    };
    match (first.trim(), name) {
        ("", _) => Err(IdError::NoType),
        (_, Some("")) => Err(IdError::NoName),
        (_, Some(name)) if MOST_NAME_BYTES < name.len() || !name.chars().all(may_name) => {
            Err(IdError::BadName(name.to_owned()))
        }
        (first, name) => Ok((first, name.unwrap_or_default())),
    }
}

/// Not a separator, control character or symbol; of symbols beyond ASCII only the common blocks are known here, and what is
/// not known may be in a name.
fn may_name(character: char) -> bool {
    let is_symbol = matches!(
        character,
        '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~'
            | '\u{a2}'..='\u{a6}' | '\u{a8}' | '\u{a9}' | '\u{ac}' | '\u{ae}'..='\u{b1}' | '\u{b4}' | '\u{b8}'
            | '\u{d7}' | '\u{f7}' | '\u{20a0}'..='\u{20c0}' | '\u{2190}'..='\u{23ff}' | '\u{2500}'..='\u{2767}'
            | '\u{1f300}'..='\u{1faff}'
    );
    !is_symbol && !character.is_whitespace() && !character.is_control()
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_id(f, &self.component_type, &self.name)
    }
}

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_id(f, self.signal.name(), &self.name)
    }
}

fn write_id(f: &mut fmt::Formatter<'_>, first: &str, name: &str) -> fmt::Result {
    match name {
        "" => f.write_str(first),
        name => write!(f, "{first}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_the_collector_reads_them() {
        for (text, read) in [
            ("otlp", "otlp"),
            ("otlp/a", "otlp/a"),
            (" otlp / a/b ", "otlp/a/b"),
            ("k8s_cluster/ü-1.2", "k8s_cluster/ü-1.2"),
        ] {
            assert_eq!(ComponentId::parse(text).unwrap().to_string(), read);
        }
        let long = format!("a{}", "b".repeat(63));
        for (text, error) in [
            ("", IdError::NoType),
            (" /a", IdError::NoType),
            ("otlp/", IdError::NoName),
            ("otlp/ ", IdError::NoName),
            ("1a", IdError::BadType("1a".to_owned())),
            ("ot-lp", IdError::BadType("ot-lp".to_owned())),
            (&long, IdError::BadType(long.clone())),
            ("otlp/a b", IdError::BadName("a b".to_owned())),
            ("otlp/a=b", IdError::BadName("a=b".to_owned())),
        ] {
            assert_eq!(ComponentId::parse(text), Err(error), "{text}");
        }
        assert_eq!(PipelineId::parse("logs/x").unwrap().signal(), Signal::Logs);
        assert_eq!(
            PipelineId::parse("spans"),
            Err(IdError::NoSignal("spans".to_owned()))
        );
    }
}
