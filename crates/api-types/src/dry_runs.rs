//! Dry runs: agents have their own Collector check what a plan would give them, and apply nothing of it.

use std::fmt;

use jiff::Timestamp;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// Whether agents are asked, and how: `true`, or an object. `false` is as if it were not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum DryRunInput {
    /// Nobody is asked, or agents are asked as it is usual.
    Plain(bool),
    /// Agents are asked like this.
    With(DryRunOptions),
}

/// How agents are asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DryRunOptions {
    /// How many agents of each group that would change: 1 to 5, 1 when absent. All groups together: at most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents_per_group: Option<u64>,
    /// How long their answers are waited for: 1 to 60 seconds, 10 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
}

/// What one agent says of what it would be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DryRun {
    /// The agent's id.
    pub agent: String,
    /// What came of it.
    pub outcome: DryRunOutcome,
    /// Why: the Collector's own words where it refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long it took, in milliseconds; 0 where the agent was not asked.
    pub millis: u64,
}

/// How many agents said what in a dry run, and how many nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DryRunCounts {
    /// Agents that were sent the question.
    pub asked: u64,
    /// Those of them whose Collector would take it.
    pub accepted: u64,
    /// Those whose Collector refuses it.
    pub refused: u64,
    /// Those that could not check it.
    pub failed: u64,
    /// Those that did not answer in time, or lost their connection.
    pub no_answer: u64,
    /// Of all agents that would be given something else: those without a connection.
    pub offline: u64,
    /// Of all agents that would be given something else: those that are connected and cannot be asked. They are not
    /// approved, are connected to another node, or do not announce that they take dry runs.
    pub not_capable: u64,
    /// Groups of agents of which none was asked, since 100 agents of larger ones were.
    pub groups_not_asked: u64,
}

/// What came of asking an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DryRunOutcome {
    /// Its Collector would take it.
    Accepted,
    /// Its Collector refuses it.
    Refused,
    /// It was not checked.
    Failed,
    /// It did not answer in time, or its connection was lost.
    NoAnswer,
    /// It cannot be asked: it is not connected to this node, or does not announce that it takes dry runs.
    NotCapable,
}

impl DryRunInput {
    /// How agents are asked; nothing where nobody is.
    #[must_use]
    pub fn options(self) -> Option<DryRunOptions> {
        match self {
            Self::Plain(false) => None,
            Self::Plain(true) => Some(DryRunOptions::default()),
            Self::With(options) => Some(options),
        }
    }
}

impl<'de> Deserialize<'de> for DryRunInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainOrOptions)
    }
}

struct PlainOrOptions;

impl<'de> Visitor<'de> for PlainOrOptions {
    type Value = DryRunInput;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("true, or an object like {\"agents_per_group\": 2}")
    }

    fn visit_bool<E>(self, plain: bool) -> Result<DryRunInput, E> {
        Ok(DryRunInput::Plain(plain))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<DryRunInput, A::Error> {
        DryRunOptions::deserialize(MapAccessDeserializer::new(entries)).map(DryRunInput::With)
    }
}

/// That a Collector refused a configuration in an earlier dry run, for which agents were left out of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KnownRefusal {
    /// The agent that refused.
    pub agent: String,
    /// What its Collector says, without secrets.
    pub reason: String,
    /// When it was left out for it.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<DryRunInput, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn plain_and_options_are_both_taken() {
        let options = |json: &str| {
            let input = parse(json)?;
            assert_eq!(parse(&serde_json::to_string(&input).unwrap()), Ok(input));
            Ok::<_, String>(input.options())
        };
        assert_eq!(options("true"), Ok(Some(DryRunOptions::default())));
        assert_eq!(options("{}"), Ok(Some(DryRunOptions::default())));
        assert_eq!(options("false"), Ok(None));
        let given = DryRunOptions {
            agents_per_group: Some(2),
            timeout_seconds: None,
        };
        assert_eq!(options(r#"{"agents_per_group": 2}"#), Ok(Some(given)));
    }

    #[test]
    fn anything_else_is_refused() {
        assert!(parse("7").expect_err("a number").contains("true, or an"));
        let unknown = parse(r#"{"agents": 2}"#).expect_err("an unknown field");
        assert!(unknown.contains("unknown field `agents`"), "{unknown}");
    }
}
