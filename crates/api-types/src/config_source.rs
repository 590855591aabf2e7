//! The config source: configs that stand in a Git repository.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of config source it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConfigSourceKind {
    /// A branch of a Git repository.
    Git,
}

/// Who releases what a commit changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceReleaseMode {
    /// A person, with `POST /configs/{config}/rollouts`.
    Manual,
    /// The source itself, to all agents at once.
    AllAtOnce,
}

/// Where the config source stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConfigSource {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ConfigSourceKind,
    /// The namespace of its configs.
    pub namespace: String,
    /// The repository, without credentials.
    pub repository: String,
    /// The branch that is followed.
    pub branch: String,
    /// The directory in the repository; empty: all of it.
    pub path: String,
    /// Who releases what a commit changes.
    pub release: SourceReleaseMode,
    /// How often it is looked at, in seconds.
    pub sync_interval_seconds: f64,
    /// Whether a webhook may ask for a look.
    pub webhook: bool,
    /// The last look at it since this server started; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fetch: Option<SourceFetch>,
    /// The commit that was applied last; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<AppliedCommit>,
    /// The commit that was refused after that; absent: none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedCommit>,
    /// Configs that wait for their release, by name.
    pub waiting: Vec<SourceWaiting>,
}

/// A look at the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceFetch {
    /// When it ended.
    pub at: Timestamp,
    /// Whether the branch was fetched and everything new in it looked at.
    pub success: bool,
    /// The commit where the branch was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Whether a force-push had moved the branch there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
    /// A stable word for why it failed: `unreachable`, `authentication`, `no_branch`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How many looks in a row have failed.
    pub failures: u32,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceCommit {
    /// Its id.
    pub id: String,
    /// Who wrote it: name and address.
    pub author: String,
    /// The first line of its message.
    pub message: String,
    /// When it was committed.
    pub time: Timestamp,
}

/// A commit that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppliedCommit {
    /// It.
    pub commit: SourceCommit,
    /// When it was applied.
    pub at: Timestamp,
    /// Whether a force-push had moved the branch there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
}

/// A commit that was refused whole: nothing of it was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedCommit {
    /// It.
    pub commit: SourceCommit,
    /// When it was refused.
    pub at: Timestamp,
    /// What is wrong with it, by file.
    pub findings: Vec<SourceFinding>,
    /// How many further findings there are.
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub more_findings: u64,
}

/// Something that is wrong with a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceFinding {
    /// The file below the source's directory; empty: the directory itself.
    pub file: String,
    /// The line, from 1, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The column, from 1, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// A stable word for the kind of fault.
    pub code: String,
    /// What is wrong and what to do.
    pub problem: String,
}

/// A config that waits for its release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceWaiting {
    /// It.
    pub config: String,
    /// Its newest revision.
    pub latest: u64,
    /// The revision in force; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<u64>,
    /// Whether the source has it no more: `DELETE /configs/{config}?agents=remove` takes it away from its agents.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
    /// Why the source could not release it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}
