//! Dry runs: agents have their own Collector check what a plan would give them, and apply nothing of it.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// Whether agents are asked, and how: `true`, or an object. `false` is as if it were not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// It did not answer in time.
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

impl Serialize for DryRunInput {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(plain) => plain.serialize(serializer),
            Self::With(options) => options.serialize(serializer),
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

impl ToSchema for DryRunInput {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((DryRunOptions::name().into_owned(), DryRunOptions::schema()));
        DryRunOptions::schemas(schemas);
    }
}

impl PartialSchema for DryRunInput {
    fn schema() -> RefOr<Schema> {
        let plain = ObjectBuilder::new()
            .schema_type(Type::Boolean)
            .description(Some("`true`: agents are asked as it is usual"));
        OneOfBuilder::new()
            .item(plain)
            .item(DryRunOptions::schema())
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<DryRunInput, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn plain_and_options_are_both_taken() {
        let options = |json: &str| parse(json).map(DryRunInput::options);
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
