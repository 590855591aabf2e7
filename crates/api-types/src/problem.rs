//! Errors as RFC 9457 problem details.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::checks::Finding;
use crate::dry_runs::DryRun;

/// What kind of problem it is: the stable part of an error, for programs to match on.
///
/// On the wire it is the last part of `type`: `urn:opamp-server:problem:<kind>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// No token, or one that is unknown, expired or revoked. 401
    Unauthorized,
    /// The token does not reach this. 403
    Forbidden,
    /// Nothing of that name or id. 404
    NotFound,
    /// No such path. 404
    UnknownRoute,
    /// The path does not have that method. 405
    MethodNotAllowed,
    /// The body is not JSON, or not of the expected shape. 400
    InvalidBody,
    /// A field that does not exist. 400
    UnknownField,
    /// The body is not declared as `application/json`. 415
    UnsupportedMediaType,
    /// The body is larger than the limit. 413
    BodyTooLarge,
    /// A query parameter is unknown or has a bad value. 400
    InvalidQuery,
    /// A part of the path has a bad value. 400
    InvalidPath,
    /// A header has a bad value. 400
    InvalidHeader,
    /// A field has a value that cannot be. 422
    InvalidField,
    /// A selector does not parse; `position` tells where. 422
    InvalidSelector,
    /// A config body is not acceptable YAML; `line` and `column` tell where. 422
    InvalidConfigBody,
    /// A config kind that this version does not have. 422
    UnsupportedKind,
    /// A rollout strategy that this version does not have. 422
    UnsupportedStrategy,
    /// Layers that apply to the same agents do not merge. 422
    MergeFailed,
    /// A template fails for some agent, or makes no configuration; `line` and `column` tell where. 422
    TemplateFailed,
    /// A value cannot be put in for a secret that some agent's config refers to. 422
    SecretFailed,
    /// Some agent would get what its Collector refuses; `findings` tell what. 422
    CheckFailed,
    /// Agents' own Collectors refused in the dry run what they would get; `dry_runs` tell why. 422
    RefusedByAgent,
    /// The thing is not in a state that allows this. 409
    Conflict,
    /// The config is in force; deleting it takes `?agents=remove`. 409
    ConfigInForce,
    /// The config comes from a config source, which alone changes it. 409
    ReadOnlyConfig,
    /// Changes what more than one agent runs: not possible here. 409
    AffectsOtherAgents,
    /// The agent has no connection that could carry it. 409
    AgentNotConnected,
    /// The agent did not announce the capability. 409
    CapabilityMissing,
    /// The agent has too much waiting already. 409
    AgentBusy,
    /// `If-Match` or `If-None-Match` does not hold. 412
    PreconditionFailed,
    /// The `Idempotency-Key` was used with another request. 422
    IdempotencyKeyReused,
    /// Too many requests of this kind. 429
    TooManyRequests,
    /// The database cannot be used now. 503
    DatabaseUnavailable,
    /// The server starts or drains. 503
    Unavailable,
    /// A fault of the server; its log knows more. 500
    Internal,
}

/// An error, as RFC 9457 `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:opamp-server:problem:<kind>`: stable, see [`ProblemKind`].
    #[serde(rename = "type")]
    pub type_uri: String,
    /// The kind in words; the same for every problem of this kind.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The field, query parameter or header at fault, as a path: `rollout.strategy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// For selectors: the byte where the text stops making sense, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// For JSON and YAML: the line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// For JSON and YAML: the column, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// The errors that checks found, the most widespread first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// What the first 20 agents say that refused in a dry run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dry_runs: Vec<DryRun>,
}

/// What precedes the kind in [`Problem::type_uri`].
const TYPE_PREFIX: &str = "urn:opamp-server:problem:";

impl ProblemKind {
    /// The kind as it stands in the type: `not-found`.
    #[must_use]
    pub fn slug(self) -> &'static str {
        self.row().0
    }

    /// The kind in words.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.row().2
    }

    /// The HTTP status of this kind.
    #[must_use]
    pub fn status(self) -> u16 {
        self.row().1
    }

    fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::Unauthorized => ("unauthorized", 401, "A valid admin token is required"),
            Self::Forbidden => ("forbidden", 403, "The token does not reach this"),
            Self::NotFound => ("not-found", 404, "There is nothing of that name"),
            Self::UnknownRoute => ("unknown-route", 404, "There is no such path"),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                405,
                "The path does not have that method",
            ),
            Self::InvalidBody => ("invalid-body", 400, "The request body cannot be read"),
            Self::UnknownField => (
                "unknown-field",
                400,
                "The request body has a field that does not exist",
            ),
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                415,
                "The request body must be application/json",
            ),
            Self::BodyTooLarge => ("body-too-large", 413, "The request body is too large"),
            Self::InvalidQuery => ("invalid-query", 400, "A query parameter cannot be read"),
            Self::InvalidPath => ("invalid-path", 400, "A part of the path cannot be read"),
            Self::InvalidHeader => ("invalid-header", 400, "A header cannot be read"),
            Self::InvalidField => ("invalid-field", 422, "A field has an impossible value"),
            Self::InvalidSelector => ("invalid-selector", 422, "The selector does not parse"),
            Self::InvalidConfigBody => (
                "invalid-config-body",
                422,
                "The config body is not acceptable",
            ),
            Self::UnsupportedKind => (
                "unsupported-kind",
                422,
                "This kind of config does not exist yet",
            ),
            Self::UnsupportedStrategy => (
                "unsupported-strategy",
                422,
                "This rollout strategy does not exist yet",
            ),
            Self::MergeFailed => ("merge-failed", 422, "The configs of an agent do not merge"),
            Self::SecretFailed => (
                "secret-failed",
                422,
                "The value of a secret cannot be put into a config",
            ),
            Self::TemplateFailed => ("template-failed", 422, "The template of a config fails"),
            Self::CheckFailed => (
                "check-failed",
                422,
                "A Collector would refuse what agents would get",
            ),
            Self::RefusedByAgent => (
                "refused-by-agent",
                422,
                "An agent refused what it would get",
            ),
            Self::Conflict => ("conflict", 409, "The present state does not allow this"),
            Self::ConfigInForce => ("config-in-force", 409, "The config is in force"),
            Self::ReadOnlyConfig => (
                "read-only-config",
                409,
                "The config is changed in its repository",
            ),
            Self::AffectsOtherAgents => (
                "affects-other-agents",
                409,
                "This would change other agents",
            ),
            Self::AgentNotConnected => ("agent-not-connected", 409, "The agent is not connected"),
            Self::CapabilityMissing => (
                "capability-missing",
                409,
                "The agent did not announce the capability",
            ),
            Self::AgentBusy => ("agent-busy", 409, "The agent has too much waiting"),
            Self::PreconditionFailed => (
                "precondition-failed",
                412,
                "It has changed since it was read",
            ),
            Self::IdempotencyKeyReused => (
                "idempotency-key-reused",
                422,
                "The idempotency key belongs to another request",
            ),
            Self::TooManyRequests => ("too-many-requests", 429, "Too many requests"),
            Self::DatabaseUnavailable => (
                "database-unavailable",
                503,
                "The database cannot be used now",
            ),
            Self::Unavailable => ("unavailable", 503, "The server cannot answer now"),
            Self::Internal => ("internal", 500, "The server failed"),
        }
    }
}

impl Problem {
    /// A problem of a kind, with nothing but the kind's own words.
    #[must_use]
    pub fn new(kind: ProblemKind) -> Self {
        Self {
            type_uri: format!("{TYPE_PREFIX}{}", kind.slug()),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: None,
            field: None,
            position: None,
            line: None,
            column: None,
            findings: Vec::new(),
            dry_runs: Vec::new(),
        }
    }

    /// The kind's name, as in the type: `not-found`; the whole type where the prefix is not ours.
    #[must_use]
    pub fn slug(&self) -> &str {
        self.type_uri
            .strip_prefix(TYPE_PREFIX)
            .unwrap_or(&self.type_uri)
    }

    /// Whether the problem is of this kind.
    #[must_use]
    pub fn is(&self, kind: ProblemKind) -> bool {
        self.slug() == kind.slug()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slug_of_a_kind_is_its_json_name() {
        let kinds: Vec<ProblemKind> = [
            "not-found",
            "config-in-force",
            "read-only-config",
            "idempotency-key-reused",
            "invalid-selector",
            "internal",
        ]
        .iter()
        .map(|name| serde_json::from_value((*name).into()).expect("kebab-case name"))
        .collect();
        for kind in kinds {
            assert_eq!(serde_json::to_value(kind).expect("serializes"), kind.slug());
            assert!(Problem::new(kind).is(kind));
        }
    }
}
