//! The server's configuration file, `config.yaml`: one struct a section, each key with its unit and default.
//!
//! Every key exists since 0.1.0. `docs/config.sample.yaml` shows all of them; a test compares the two.

use std::path::PathBuf;
use std::time::Duration;

use runtime::config::{ByteSize, SecretText, duration};
use runtime::logging::LogConfig;
use serde::Deserialize;

/// The whole file. Every section may be left out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigFile {
    /// Where the server listens, and TLS of the agent plane.
    pub server: ServerSection,
    /// How agents prove who they are, and what becomes of unknown ones.
    pub agents: AgentsSection,
    /// The database.
    pub database: DatabaseSection,
    /// Redis, for several nodes. Accepted, without effect in this version.
    pub redis: Option<RedisSection>,
    /// Where packages are kept. Accepted, without effect in this version.
    pub storage: StorageSection,
    /// The directory of everything embedded: the SQLite file, keys, the administrator's first token. Default `./data`.
    pub data_dir: DataDir,
    /// The admin plane.
    pub admin: AdminSection,
    /// Secrets that configs refer to.
    pub secrets: SecretsSection,
    /// Where configs are read from beside the API.
    pub config_source: Option<ConfigSourceSection>,
    /// What peers may not exceed.
    pub limits: LimitsSection,
    /// Intervals and deadlines.
    pub timing: TimingSection,
    /// How long things are kept.
    pub retention: RetentionSection,
    /// Logs on stderr.
    pub log: LogConfig,
}

/// A directory, by default `./data`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DataDir(pub PathBuf);

impl Default for DataDir {
    fn default() -> Self {
        Self(PathBuf::from("./data"))
    }
}

/// `server`: where the server listens.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSection {
    /// The two ports.
    pub listen: ListenSection,
    /// TLS of the agent plane.
    pub tls: TlsSection,
    /// What agents are told to connect to, in offers and generated files, for example
    /// `wss://opamp.example.com:4320/v1/opamp`. Default: made from `listen.grpc` and this machine's name.
    pub public_url: Option<String>,
}

/// `server.listen`: the addresses of the two planes.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenSection {
    /// Agent plane: WebSocket, plain HTTP and gRPC on one port. Default `127.0.0.1:4320`.
    pub grpc: String,
    /// Admin plane: REST, events, metrics. Default `127.0.0.1:8080`.
    pub http: String,
}

impl Default for ListenSection {
    fn default() -> Self {
        Self {
            grpc: "127.0.0.1:4320".to_owned(),
            http: "127.0.0.1:8080".to_owned(),
        }
    }
}

/// `server.tls`: TLS 1.3 of the agent plane.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSection {
    /// Whether the agent plane speaks TLS. Default `false`; must be written once another key of the section is.
    pub enabled: Option<bool>,
    /// The server's certificate and its chain, PEM.
    pub cert_file: Option<PathBuf>,
    /// The certificate's private key, PEM.
    pub key_file: Option<PathBuf>,
    /// Authorities of client certificates, PEM.
    pub client_ca_file: Option<PathBuf>,
    /// `none`, `optional` or `require_and_verify`. Default `none`.
    pub client_auth: ClientAuthKind,
    /// The oldest version that is spoken; only `1.3` is. Default `1.3`.
    pub min_version: Option<String>,
    /// TLS 1.3 cipher suites by their IANA names. Default: all that the TLS library has.
    pub cipher_suites: Vec<String>,
}

/// What a client certificate is to the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthKind {
    /// None is asked for.
    #[default]
    None,
    /// One is verified when it comes.
    Optional,
    /// A request without one gets 401, but for `/health`.
    RequireAndVerify,
}

/// `agents`: who may connect.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentsSection {
    /// `none`, `token`, `jwt` or `mtls`; the last two are refused in this version.
    /// Default `none` where `server.listen.grpc` is loopback only, else `token`.
    pub auth: Option<AuthKind>,
    /// `automatic`: an unknown agent is offered what it matches at once; `manual`: it waits for an operator. Default `automatic`.
    pub approval: ApprovalKind,
    /// `true`: an agent that takes it is sent of a config what changed. `false`: every agent is sent the whole. Default
    /// `true`.
    pub config_deltas: bool,
}

impl Default for AgentsSection {
    fn default() -> Self {
        Self {
            auth: None,
            approval: ApprovalKind::default(),
            config_deltas: true,
        }
    }
}

/// How agents prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthKind {
    /// They need not.
    None,
    /// A token that this server made.
    Token,
    /// A signed token that another made.
    Jwt,
    /// A client certificate.
    Mtls,
}

/// What becomes of an agent that was never seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalKind {
    /// It is an agent like any other.
    #[default]
    Automatic,
    /// It waits for an operator.
    Manual,
}

/// `database`: where everything is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSection {
    /// `sqlite` or `postgresql`. Default `sqlite`.
    #[serde(rename = "type")]
    pub kind: DatabaseKind,
    /// SQLite: the file, by default `opamp.db` in `data_dir`. PostgreSQL: `postgres://user:password@host/database`.
    pub dsn: Option<SecretText>,
    /// The most connections at once. Default 100.
    pub max_connections: u32,
    /// The most connections kept while idle. Default 10.
    pub max_idle_connections: u32,
}

impl Default for DatabaseSection {
    fn default() -> Self {
        Self {
            kind: DatabaseKind::Sqlite,
            dsn: None,
            max_connections: 100,
            max_idle_connections: 10,
        }
    }
}

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseKind {
    /// One file, one process.
    Sqlite,
    /// A PostgreSQL server, several nodes.
    Postgresql,
}

/// `redis`: accepted, without effect in this version.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSection {
    /// Host and port.
    pub addr: String,
    /// Its password.
    pub password: Option<SecretText>,
    /// The number of its database. Default 0.
    pub db: u32,
}

/// `storage`: accepted, without effect in this version.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageSection {
    /// `filesystem` or `s3`. Default `filesystem`.
    #[serde(rename = "type")]
    pub kind: StorageKind,
    /// The bucket of `s3`.
    pub s3: Option<S3Section>,
}

/// Where packages are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageKind {
    /// In `data_dir`.
    #[default]
    Filesystem,
    /// In a bucket.
    S3,
}

/// `storage.s3`: accepted, without effect in this version.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Section {
    /// Its name.
    pub bucket: String,
    /// Its region.
    pub region: Option<String>,
    /// Another address than Amazon's.
    pub endpoint: Option<String>,
}

/// `admin`: the admin plane.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSection {
    /// An administrator's API token, for the first login and for scripts; at least 16 characters.
    /// Default: the server makes one and keeps it in `data_dir/admin-token`.
    pub bootstrap_token: Option<SecretText>,
    /// TLS of the admin plane.
    pub tls: AdminTlsSection,
}

/// `admin.tls`: TLS 1.3 of the admin plane.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminTlsSection {
    /// Whether the admin plane speaks TLS. Default `false`; must be written once another key of the section is.
    pub enabled: Option<bool>,
    /// The certificate and its chain, PEM.
    pub cert_file: Option<PathBuf>,
    /// The certificate's private key, PEM.
    pub key_file: Option<PathBuf>,
}

/// `secrets`: values that configs refer to as `${secret:NAME}`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretsSection {
    /// A file with the key that their values are sealed with in the database: 64 hexadecimal digits, the same for every node.
    /// Default with SQLite: the server makes one and keeps it in `data_dir/secrets-key`; with PostgreSQL: none, and no secret
    /// can be made.
    pub key_file: Option<PathBuf>,
}

/// `config_source`: configs that stand in a repository and are changed there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigSourceSection {
    /// Only `git`.
    #[serde(rename = "type")]
    pub kind: ConfigSourceKind,
    /// The repository.
    pub git: GitSection,
}

/// What kind of config source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigSourceKind {
    /// A Git repository.
    #[default]
    Git,
}

/// `config_source.git`: a branch of a Git repository.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GitSection {
    /// Its address: a path, or `file://`, `ssh://`, `http://`, `https://`, or `user@host:path`.
    pub repository: String,
    /// The branch that is followed. Default `main`.
    pub branch: String,
    /// The directory in the repository that is read. Default: all of it.
    pub path: String,
    /// How often it is looked at, at least `1s`. Default `1m`.
    #[serde(with = "duration")]
    pub sync_interval: Duration,
    /// The private key for SSH, without a passphrase.
    pub ssh_key_file: Option<PathBuf>,
    /// The host keys that are trusted, as `ssh-keyscan` writes them. Needed with `ssh_key_file`.
    pub known_hosts_file: Option<PathBuf>,
    /// The user that goes with `token`; most services take any. Default `git`.
    pub username: Option<String>,
    /// An access token for `https://`.
    pub token: Option<SecretText>,
    /// Certificates to trust for `https://` beside the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// `manual`: what a commit changes waits for a person; `all_at_once`: it is released to all agents. Default `manual`.
    pub release: SourceRelease,
    /// The namespace of its configs. Default `default`.
    pub namespace: String,
    /// What a webhook must prove to know, at least 16 characters. Default: there is no webhook.
    pub webhook_secret: Option<SecretText>,
}

/// Who releases what a commit changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceRelease {
    /// A person.
    #[default]
    Manual,
    /// The source itself, to all agents.
    AllAtOnce,
}

impl Default for GitSection {
    fn default() -> Self {
        Self {
            repository: String::new(),
            branch: "main".to_owned(),
            path: String::new(),
            sync_interval: Duration::from_secs(60),
            ssh_key_file: None,
            known_hosts_file: None,
            username: None,
            token: None,
            ca_file: None,
            release: SourceRelease::Manual,
            namespace: "default".to_owned(),
            webhook_secret: None,
        }
    }
}

/// `limits`: what peers may not exceed.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSection {
    /// One message of an agent, on the wire and again after decompression. Default `4MiB`.
    pub message: ByteSize,
    /// All files of one agent's effective config. Default `1MiB`.
    pub effective_config: ByteSize,
    /// One agent's description. Default `64KiB`.
    pub description: ByteSize,
    /// The body of one revision. Default `1MiB`.
    pub revision_body: ByteSize,
    /// All layers of one agent, merged. Default `4MiB`.
    pub merged_config: ByteSize,
    /// Agents, connected or not, that are kept; an unknown one beyond it is refused. Default 200000.
    pub agents: usize,
    /// Agents that share one connection. Default 256.
    pub agents_per_connection: usize,
    /// Session starts a second that are let in for good. Default 10000.
    pub sessions_per_second: u32,
    /// Session starts that may come at once. Default 20000.
    pub session_burst: u32,
    /// Connections that have not proved who they are. Default 20000.
    pub unproven_connections: usize,
    /// Agents with a report that is not committed yet; above it agents are told to come back later. Default 50000.
    pub pending_reports: usize,
    /// Bytes of reports that are not committed yet; above it agents are told to come back later. Default `256MiB`.
    pub pending_report_bytes: ByteSize,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            message: ByteSize::mib(4),
            effective_config: ByteSize::mib(1),
            description: ByteSize::kib(64),
            revision_body: ByteSize::mib(1),
            merged_config: ByteSize::mib(4),
            agents: 200_000,
            agents_per_connection: 256,
            sessions_per_second: 10_000,
            session_burst: 20_000,
            unproven_connections: 20_000,
            pending_reports: 50_000,
            pending_report_bytes: ByteSize::mib(256),
        }
    }
}

/// `timing`: intervals and deadlines.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimingSection {
    /// How long a connection is silent before the server pings it. Default `30s`.
    #[serde(with = "duration")]
    pub ping_interval: Duration,
    /// A connection, or a polling agent, that is silent for this long counts as gone. Default `90s`.
    #[serde(with = "duration")]
    pub liveness: Duration,
    /// A write that makes no progress for this long cuts its connection. Default `20s`.
    #[serde(with = "duration")]
    pub write_stall: Duration,
    /// From a connection to its TLS handshake's end. Default `30s`.
    #[serde(with = "duration")]
    pub tls_handshake: Duration,
    /// From a connection to its first request's head. Default `10s`.
    #[serde(with = "duration")]
    pub request_head: Duration,
    /// From a session's start to its first message. Default `30s`.
    #[serde(with = "duration")]
    pub first_message: Duration,
    /// Agents' reports are committed at most this much later. Default `200ms`, at most `250ms`.
    #[serde(with = "duration")]
    pub commit_interval: Duration,
    /// How often last-seen times and session states are stored. Default `60s`.
    #[serde(with = "duration")]
    pub liveness_flush: Duration,
    /// How often everything is compared anew although nothing said that it changed. Default `60s`.
    #[serde(with = "duration")]
    pub resync: Duration,
    /// How often what is too old is removed. Default `10m`.
    #[serde(with = "duration")]
    pub sweep: Duration,
    /// How long a stopping server waits for its connections to end. Default `10s`.
    #[serde(with = "duration")]
    pub drain: Duration,
}

impl Default for TimingSection {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            ping_interval: seconds(30),
            liveness: seconds(90),
            write_stall: seconds(20),
            tls_handshake: seconds(30),
            request_head: seconds(10),
            first_message: seconds(30),
            commit_interval: Duration::from_millis(200),
            liveness_flush: seconds(60),
            resync: seconds(60),
            sweep: seconds(600),
            drain: seconds(10),
        }
    }
}

/// `retention`: how long things are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSection {
    /// An agent that was away this long is forgotten. Default `30d`.
    #[serde(with = "duration")]
    pub offline_agents: Duration,
    /// Timed events are kept this long. Default `90d`.
    #[serde(with = "duration")]
    pub events: Duration,
    /// Revisions are kept this long, and longer if they are in use or could be returned to. Default `90d`.
    #[serde(with = "duration")]
    pub revisions: Duration,
    /// So many of the newest revisions of each config are kept, whatever their age. Default 100.
    pub revisions_per_config: u32,
}

impl Default for RetentionSection {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 24 * 3600);
        Self {
            offline_agents: days(30),
            events: days(90),
            revisions: days(90),
            revisions_per_config: 100,
        }
    }
}
