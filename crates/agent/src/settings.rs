//! `opamp.yaml`: what the operator of the machine tells the agent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::logging::LogConfig;
use runtime::{ConfigError, Environment, Loaded, SecretText};
use serde::Deserialize;

/// The most labels an agent may say of itself; the server accepts no more.
pub const MAX_LABELS: usize = 128;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The server, this agent's name towards it, and what it may do here.
    pub opamp: OpampSettings,
    /// The collector that the agent runs.
    pub collector: CollectorSettings,
    /// Where the agent keeps its state.
    #[serde(default)]
    pub storage: StorageSettings,
    /// How the agent itself logs.
    #[serde(default)]
    pub log: LogConfig,
}

/// The section `opamp`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpampSettings {
    /// How to reach the server.
    pub server: ServerSettings,
    /// Who this agent is.
    #[serde(default)]
    pub agent: AgentSettings,
    /// What the server may do, and what it is told.
    #[serde(default)]
    pub capabilities: CapabilitySettings,
    /// How health is reported.
    #[serde(default)]
    pub health: HealthSettings,
}

/// The section `opamp.server`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Where the server listens: `ws://`, `wss://`, `http://`, `https://`, `grpc://` or `grpcs://`, usually with the
    /// path `/v1/opamp`.
    pub endpoint: String,
    /// Certificates for a TLS endpoint.
    #[serde(default)]
    pub tls: TlsSettings,
    /// Headers sent with every connection or request, such as `authorization`.
    #[serde(default)]
    pub headers: BTreeMap<String, SecretText>,
    /// Time between polls over plain HTTP, unless the server asks for another. Default `30s`.
    #[serde(default = "thirty_seconds", with = "runtime::config::duration")]
    pub polling_interval: Duration,
}

/// The section `opamp.server.tls`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// Do not check the server's certificate. Anyone on the way can then read and change everything: for tests alone.
    /// Default `false`.
    pub insecure: bool,
    /// This agent's certificate chain, PEM. Needs `key_file`.
    pub cert_file: Option<PathBuf>,
    /// The private key of `cert_file`, PEM.
    pub key_file: Option<PathBuf>,
    /// Certificates of the authorities that sign the server's certificate, PEM. Default: those of the system.
    pub ca_file: Option<PathBuf>,
}

/// The section `opamp.agent`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentSettings {
    /// A name of this agent that stays the same. A UUID is used as it is; any other text becomes `service.instance.id`,
    /// and the uid is derived from it and the machine's id. Default: a uid is made once and kept.
    pub instance_id: Option<String>,
    /// What selectors of configurations match, such as `env: prod`.
    pub labels: BTreeMap<String, String>,
}

/// The section `opamp.capabilities`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CapabilitySettings {
    /// Let the server set the collector's configuration. Default `false`: that is the operator's choice to make.
    pub accepts_remote_config: bool,
    /// Let the server send of a configuration what changed, if it can; it counts with `accepts_remote_config` alone.
    /// Default `true`.
    pub accepts_config_deltas: bool,
    /// Tell the server what the collector really runs. Default `true`.
    pub reports_effective_config: bool,
    /// Tell the server how the collector is. Default `true`.
    pub reports_health: bool,
    /// Tell the server which components the collector was built with. Default `true`.
    pub reports_available_components: bool,
    /// Let the server install packages. Not there yet: the key is accepted, the capability stays off. Default `false`.
    pub accepts_packages: bool,
    /// Let the server restart the collector. Default `false`.
    pub accepts_restart_command: bool,
}

/// The section `opamp.health`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthSettings {
    /// Longest time between two looks at the collector's health; changes are reported at once. Default `30s`.
    #[serde(with = "runtime::config::duration")]
    pub report_interval: Duration,
}

/// The section `collector`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectorSettings {
    /// The collector's program.
    pub executable: PathBuf,
    /// Arguments that it always gets, before the configurations (`--feature-gates=…`, `--set=…`).
    #[serde(default)]
    pub args: Vec<String>,
    /// Variables that it gets beside those of the agent.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Local configurations that come before the one of the server; the later wins, as with several `--config`.
    #[serde(default)]
    pub config_files: Vec<PathBuf>,
    /// Where the server's configuration is written, byte for byte. A file that stands there when the first one comes is
    /// kept, and is what runs when the server's is taken away.
    pub config_path: PathBuf,
    /// `auto`: a new configuration is taken over by the running process on SIGHUP; `never`: the process is restarted.
    /// Default `auto`.
    #[serde(default)]
    pub reload: ReloadMode,
    /// What becomes of the collector when the agent is stopped: `stop` it too, or `leave` it running for the next agent
    /// to take over. (After a crash of the agent it is always left running.) Default `stop`.
    #[serde(default)]
    pub on_agent_exit: OnAgentExit,
    /// How long a start or reload may take until the collector says that it is ready. Default `30s`.
    #[serde(default = "thirty_seconds", with = "runtime::config::duration")]
    pub start_timeout: Duration,
    /// How long a clean stop may take; after it the whole process group is killed. Default `30s`, since exporters whose
    /// backend hangs take that long.
    #[serde(default = "thirty_seconds", with = "runtime::config::duration")]
    pub stop_timeout: Duration,
    /// How long `validate` and `components` may take. Default `30s`.
    #[serde(default = "thirty_seconds", with = "runtime::config::duration")]
    pub command_timeout: Duration,
    /// How long a new configuration must run before it counts as good; a crash within that time brings the last good
    /// one back. Default `10m`.
    #[serde(default = "ten_minutes", with = "runtime::config::duration")]
    pub probation: Duration,
}

/// How a running collector takes over a new configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadMode {
    /// By SIGHUP in the same process.
    #[default]
    Auto,
    /// By a stop and a start.
    Never,
}

/// What becomes of the collector when the agent is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnAgentExit {
    /// It is stopped too.
    #[default]
    Stop,
    /// It runs on, and the next agent takes it over.
    Leave,
}

/// The section `storage`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageSettings {
    /// The agent's own directory; two agents must not share one. Default `/var/lib/opamp-agent`.
    pub directory: PathBuf,
}

impl Default for CapabilitySettings {
    fn default() -> Self {
        Self {
            accepts_remote_config: false,
            accepts_config_deltas: true,
            reports_effective_config: true,
            reports_health: true,
            reports_available_components: true,
            accepts_packages: false,
            accepts_restart_command: false,
        }
    }
}

impl CapabilitySettings {
    /// Whether the server is told that this agent takes deltas.
    pub fn takes_deltas(&self) -> bool {
        self.accepts_remote_config && self.accepts_config_deltas
    }
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            report_interval: thirty_seconds(),
        }
    }
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("/var/lib/opamp-agent"),
        }
    }
}

impl Settings {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// A sentence with file, line and key for the first thing that is wrong.
    pub fn load(path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        runtime::config::load(path, environment).and_then(check)
    }

    /// Reads and checks `text`, which came from `file`.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn parse(file: &str, text: &str, environment: &Environment) -> Result<Self, ConfigError> {
        runtime::config::parse(file, text, environment).and_then(check)
    }
}

fn check(file: Loaded<Settings>) -> Result<Settings, ConfigError> {
    let settings = &file.value;
    let tls = &settings.opamp.server.tls;
    let is_set = |path: &Path| !path.as_os_str().is_empty();
    let problem = if !has_known_scheme(&settings.opamp.server.endpoint) {
        Some((
            "opamp.server.endpoint",
            "must begin with ws://, wss://, http://, https://, grpc:// or grpcs://".to_owned(),
        ))
    } else if tls.cert_file.is_some() != tls.key_file.is_some() {
        Some((
            "opamp.server.tls",
            "cert_file and key_file belong together: one of them is missing".to_owned(),
        ))
    } else if MAX_LABELS < settings.opamp.agent.labels.len() {
        Some((
            "opamp.agent.labels",
            format!("has more than {MAX_LABELS} labels"),
        ))
    } else if settings.opamp.agent.labels.contains_key("") {
        Some(("opamp.agent.labels", "a label needs a name".to_owned()))
    } else if !is_set(&settings.collector.executable) {
        Some(("collector.executable", "is empty".to_owned()))
    } else if !is_set(&settings.collector.config_path) {
        Some(("collector.config_path", "is empty".to_owned()))
    } else if settings
        .collector
        .config_files
        .contains(&settings.collector.config_path)
    {
        Some((
            "collector.config_files",
            "holds config_path, which the agent overwrites".to_owned(),
        ))
    } else if !is_set(&settings.storage.directory) {
        Some(("storage.directory", "is empty".to_owned()))
    } else if settings.opamp.health.report_interval < Duration::from_secs(1) {
        Some((
            "opamp.health.report_interval",
            "must be at least 1s".to_owned(),
        ))
    } else {
        settings
            .log
            .check()
            .err()
            .map(|error| ("log.level", error.to_string()))
    };
    match problem {
        Some((key, problem)) => Err(file.refuse(key, problem)),
        None => Ok(file.value),
    }
}

fn has_known_scheme(endpoint: &str) -> bool {
    let known = ["ws", "wss", "http", "https", "grpc", "grpcs"];
    endpoint
        .split_once("://")
        .is_some_and(|(scheme, rest)| known.contains(&scheme) && !rest.is_empty())
}

fn thirty_seconds() -> Duration {
    Duration::from_secs(30)
}

fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../opamp.sample.yaml");

    fn environment() -> Environment {
        [
            ("HOSTNAME", "edge-1"),
            ("ENV", "prod"),
            ("REGION", "us-west"),
            ("OPAMP_TOKEN", "opamp_agt_x"),
        ]
        .into_iter()
        .collect()
    }

    fn refusal(from: &str, to: &str) -> String {
        assert!(SAMPLE.contains(from), "{from}");
        Settings::parse("opamp.yaml", &SAMPLE.replacen(from, to, 1), &environment())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_sample_file_is_read() {
        let settings = Settings::parse("opamp.yaml", SAMPLE, &environment()).unwrap();
        assert_eq!(settings.opamp.agent.instance_id.as_deref(), Some("edge-1"));
        assert_eq!(settings.opamp.agent.labels["env"], "prod");
        assert_eq!(
            settings.opamp.server.headers["authorization"].expose(),
            "Bearer opamp_agt_x"
        );
        assert!(settings.opamp.capabilities.accepts_remote_config);
        assert_eq!(settings.collector.probation, Duration::from_secs(600));
        assert!(!format!("{settings:?}").contains("opamp_agt_x"));
    }

    #[test]
    fn se_03_the_shortest_file_has_safe_defaults() {
        let text = "opamp: { server: { endpoint: 'ws://h:4320/v1/opamp' } }\ncollector: { executable: /c, config_path: /p }\n";
        let settings = Settings::parse("opamp.yaml", text, &environment()).unwrap();
        assert!(!settings.opamp.capabilities.accepts_remote_config);
        assert!(!settings.opamp.capabilities.accepts_restart_command);
        assert!(settings.opamp.capabilities.reports_health);
        assert_eq!(
            settings.storage.directory,
            Path::new("/var/lib/opamp-agent")
        );
        assert_eq!(
            settings.opamp.health.report_interval,
            Duration::from_secs(30)
        );
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let message = refusal("config_path:", "config_pth:");
        assert!(
            message.contains("unknown key collector.config_pth")
                && message.contains("did you mean config_path?"),
            "{message}"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_key_and_line() {
        let message = refusal("endpoint: ws://localhost", "endpoint: tcp://localhost");
        assert!(
            message.contains("opamp.server.endpoint: must begin with ws://"),
            "{message}"
        );
        let message = refusal("insecure: false", "insecure: false, cert_file: /c.pem");
        assert!(
            message.contains("cert_file and key_file belong together"),
            "{message}"
        );
        let message = refusal("report_interval: 30s", "report_interval: 10ms");
        assert!(
            message.contains("opamp.health.report_interval: must be at least 1s"),
            "{message}"
        );
        let message = refusal(
            "config_files: []",
            "config_files: [/etc/otelcol/config.yaml]",
        );
        assert!(
            message.contains("collector.config_files: holds config_path"),
            "{message}"
        );
        let message = refusal("level: info", "level: =loud=");
        assert!(message.contains("log.level"), "{message}");
    }

    #[test]
    fn too_many_labels_are_refused() {
        let many: Vec<String> = (0..=MAX_LABELS).map(|n| format!("l{n}: x")).collect();
        let message = refusal("region: \"${REGION:-}\"", &many.join(", "));
        assert!(
            message.contains("opamp.agent.labels: has more than 128 labels"),
            "{message}"
        );
    }
}
