//! Configs and their revisions: what an operator writes and what of it is in force.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::ids::{Actor, AgentId, ConfigName, ContentHash, Namespace, RevisionNumber, RolloutId};
use crate::selector::Selector;
use crate::template::{Template, Variables};

/// What a config's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// YAML for an OpenTelemetry Collector.
    Collector,
    /// A YAML map of values by name, which templates of other configs see as their `vars`. It is no layer: no agent is sent it.
    Variables,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Collector, Self::Variables];

    /// The stable text form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Collector => "collector",
            Self::Variables => "variables",
        }
    }

    /// Reads the text form; `None` for kinds that do not exist yet.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "collector" => Some(Self::Collector),
            "variables" => Some(Self::Variables),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A config: a name and its revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigRecord {
    /// The namespace it belongs to.
    pub namespace: Namespace,
    /// Its name.
    pub name: ConfigName,
    /// The number of its newest revision.
    pub latest: RevisionNumber,
    /// Grows with every change of the config (a revision, a deletion); what `If-Match` compares.
    pub version: u64,
    /// When its first revision was made.
    pub created_at: Timestamp,
    /// When it was deleted, if it is; its revisions stay for the agents that could return to them.
    pub deleted_at: Option<Timestamp>,
    /// The config source that it comes from, if it comes from one: that alone changes it.
    pub source: Option<SourceOwner>,
}

/// The config source that a config comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceOwner {
    /// The repository.
    pub repository: String,
    /// Since when the source has the config no more, where it is still in force.
    pub gone_at: Option<Timestamp>,
}

/// One immutable version of a config. Making one changes no agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The namespace of its config.
    pub namespace: Namespace,
    /// Its config.
    pub config: ConfigName,
    /// Its number.
    pub number: RevisionNumber,
    /// Its semantic version, for example `v1.2.3`.
    pub version: String,
    /// What the body is.
    pub kind: Kind,
    /// The agents it is for.
    pub selector: Selector,
    /// Its place among the layers of an agent: the higher merges later and wins.
    pub priority: i64,
    /// What makes its body a template; nothing: it is sent as it is.
    pub template: Option<Template>,
    /// What its body says, if it is a set of variables. Read when the revision was made and never again, so that a newer
    /// reader of YAML makes nothing else of what stands.
    pub variables: Option<Arc<Variables>>,
    /// The body, byte for byte as written.
    pub body: Arc<[u8]>,
    /// The SHA-256 of the body.
    pub sha256: ContentHash,
    /// Who made it.
    pub author: Actor,
    /// Why, in the author's words.
    pub message: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where it came from: `api`, or the commit of a config source.
    pub origin: String,
}

/// The revision of a config that its last completed rollout left in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineRecord {
    /// The namespace of the config.
    pub namespace: Namespace,
    /// The config.
    pub config: ConfigName,
    /// The revision in force.
    pub revision: RevisionNumber,
    /// The rollout that put it in force.
    pub rollout: RolloutId,
    /// Since when.
    pub set_at: Timestamp,
}

/// Why an agent goes its own way for one config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExceptionReason {
    /// An operator pinned it.
    Pin,
    /// A rollout returned it to its last known good.
    Rollback,
}

impl ExceptionReason {
    /// The stable text form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Rollback => "rollback",
        }
    }

    /// Reads the text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "pin" => Some(Self::Pin),
            "rollback" => Some(Self::Rollback),
            _ => None,
        }
    }
}

/// One agent's own answer to which revision of a config it should run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// The namespace of the agent.
    pub namespace: Namespace,
    /// The agent.
    pub agent: AgentId,
    /// The config.
    pub config: ConfigName,
    /// The revision it should run; `None`: nothing of this config.
    pub revision: Option<RevisionNumber>,
    /// Why.
    pub reason: ExceptionReason,
    /// Who made it.
    pub set_by: Actor,
    /// Since when.
    pub set_at: Timestamp,
}
