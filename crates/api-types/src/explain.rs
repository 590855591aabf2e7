//! Why an agent has a line in its configuration.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which values are explained.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// The way to a value, or to a part of the configuration: `exporters::otlp`. Absent: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Why an agent has what it should run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The agent's id.
    pub agent: String,
    /// The hash of what it should run.
    pub hash: String,
    /// Whether this server would make the very same of these revisions today; where not, what it should run was made by
    /// an earlier version, and single lines may be written otherwise.
    pub exact: bool,
    /// The values, in the order of the configuration.
    pub values: Vec<ExplainedValue>,
    /// How many further values there are: ask for a narrower path.
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub more: u64,
}

/// A value and why it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedValue {
    /// The way to it: `exporters::otlp::endpoint`.
    pub path: String,
    /// The value as text, secrets redacted; an empty list is `[]`, an empty map `{}`.
    pub value: String,
    /// Who set it.
    #[serde(flatten)]
    pub source: ValueSource,
    /// What that replaced, the latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrode: Vec<ValueSource>,
}

/// A place in a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValueSource {
    /// The config.
    pub config: String,
    /// Its revision.
    pub revision: u64,
    /// The line in its body, from 1.
    pub line: u64,
    /// The column, in characters from 1.
    pub column: u64,
}
