//! What the server is told to do: checked, with every default filled in.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backends::git::GitOptions;
use engine::SealingKey;
use engine::domain::Namespace;
use gateway::Tls;
use runtime::config::SecretText;
use runtime::logging::LogConfig;

use super::file::{
    ApprovalKind, AuthKind, LimitsSection, RetentionSection, SourceRelease, TimingSection,
};

/// A server's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the agent plane listens.
    pub agent_address: SocketAddr,
    /// Where the admin plane listens.
    pub admin_address: SocketAddr,
    /// TLS of the agent plane.
    pub agent_tls: Option<Tls>,
    /// TLS of the admin plane.
    pub admin_tls: Option<AdminTls>,
    /// What agents are told to connect to; none until the port is known.
    pub public_url: Option<String>,
    /// How agents prove who they are: `None` or `Token`.
    pub auth: AuthKind,
    /// What becomes of unknown agents.
    pub approval: ApprovalKind,
    /// Whether agents that take it are sent of a config what changed.
    pub config_deltas: bool,
    /// The database.
    pub database: Database,
    /// The directory of everything embedded.
    pub data_dir: PathBuf,
    /// The key of secrets, if its file is given.
    pub secrets_key: Option<Arc<SealingKey>>,
    /// The config source, if there is one.
    pub config_source: Option<SourceSettings>,
    /// The administrator's token, if it was given.
    pub bootstrap_token: Option<SecretText>,
    /// What peers may not exceed.
    pub limits: LimitsSection,
    /// Intervals and deadlines.
    pub timing: TimingSection,
    /// How long things are kept.
    pub retention: RetentionSection,
    /// Logs.
    pub log: LogConfig,
    /// What is worth a person's attention although the file is good.
    pub warnings: Vec<String>,
}

/// A config source.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// The branch, and how to get it.
    pub git: GitOptions,
    /// Where its configs are.
    pub namespace: Namespace,
    /// Who releases what a commit changes.
    pub release: SourceRelease,
    /// How often it is looked at.
    pub interval: Duration,
    /// What a webhook must prove to know.
    pub webhook_secret: Option<SecretText>,
}

/// Where the database is.
#[derive(Debug, Clone)]
pub struct Database {
    /// A file of SQLite, or the address of PostgreSQL.
    pub place: DatabasePlace,
    /// The most connections at once.
    pub max_connections: u32,
    /// The most connections kept while idle.
    pub max_idle_connections: u32,
}

/// A file or an address.
#[derive(Debug, Clone)]
pub enum DatabasePlace {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// The address of a PostgreSQL database, which may hold a password.
    Postgres(SecretText),
}

/// Certificate and key of the admin plane, read and found to fit each other.
#[derive(Clone)]
pub struct AdminTls(pub(crate) std::sync::Arc<rustls::ServerConfig>);

impl std::fmt::Debug for AdminTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminTls")
    }
}
