//! The checks beyond a file's types, each of which names the key and its line.

use std::fs;
use std::io::{self, Read};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::SealingKey;
use gateway::{ClientAuth, Tls, TlsFiles};
use runtime::config::{ByteSize, ConfigError};
use runtime::logging::error_chain;

use super::file::{AuthKind, ClientAuthKind, DatabaseKind, StorageKind};
use super::settings::{AdminTls, Database, DatabasePlace, Settings};
use super::{File, admin_tls, source};

/// The name of the SQLite file in `data_dir`.
const SQLITE_FILE: &str = "opamp.db";
/// The longest that a report may wait for its commit.
const MAX_COMMIT_INTERVAL: Duration = Duration::from_millis(250);
/// The shortest administrator's token.
pub(super) const MIN_TOKEN_CHARS: usize = 16;
/// How agents' tokens begin.
const AGENT_TOKEN_PREFIX: &str = "opamp_agt_";

/// The settings that `file` stands for.
pub(super) fn check(file: &File) -> Result<Settings, ConfigError> {
    let mut warnings = Vec::new();
    let agent_address = address(file, "server.listen.grpc", &file.value.server.listen.grpc)?;
    let admin_address = address(file, "server.listen.http", &file.value.server.listen.http)?;
    if agent_address == admin_address && agent_address.port() != 0 {
        return Err(file.refuse("server.listen.http", "is the address of server.listen.grpc"));
    }
    limits(file)?;
    timing(file)?;
    file.value
        .log
        .check()
        .map_err(|error| file.refuse("log.level", error.to_string()))?;
    without_effect(file, &mut warnings);
    let agent_tls = agent_tls(file)?;
    let admin_tls = admin_tls(file)?;
    if admin_tls.is_none() && !admin_address.ip().is_loopback() {
        warnings.push(
            "server.listen.http: the admin plane is open to the network without TLS (admin.tls)"
                .to_owned(),
        );
    }
    Ok(Settings {
        auth: auth(file, agent_address, &mut warnings)?,
        agent_address,
        admin_address,
        agent_tls,
        admin_tls,
        public_url: public_url(file)?,
        approval: file.value.agents.approval,
        config_deltas: file.value.agents.config_deltas,
        database: database(file)?,
        data_dir: file.value.data_dir.0.clone(),
        secrets_key: secrets_key(file)?,
        config_source: source::check(file)?,
        bootstrap_token: bootstrap_token(file)?,
        limits: file.value.limits.clone(),
        timing: file.value.timing.clone(),
        retention: file.value.retention.clone(),
        log: file.value.log.clone(),
        warnings,
    })
}

/// The key of secrets, where its file is named.
fn secrets_key(file: &File) -> Result<Option<Arc<SealingKey>>, ConfigError> {
    let Some(path) = &file.value.secrets.key_file else {
        return Ok(None);
    };
    let refuse = |why: String| {
        let problem = format!("{}: {why}", path.display());
        file.refuse("secrets.key_file", problem)
    };
    let text = read_key(path).map_err(|error| refuse(error.to_string()))?;
    let key = SealingKey::from_hex(&text).map_err(|error| refuse(error.to_string()))?;
    Ok(Some(Arc::new(key)))
}

/// A file that is longer than any key is not read to its end.
fn read_key(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(4096).read_to_string(&mut text)?;
    Ok(text)
}

fn address(file: &File, key: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    let wrong = |reason: String| {
        file.refuse(
            key,
            format!("{text:?} is no address to listen on ({reason}); write it as 0.0.0.0:4320"),
        )
    };
    let found = text
        .to_socket_addrs()
        .map_err(|error| wrong(error.to_string()))?
        .next();
    found.ok_or_else(|| wrong("the name has no address".to_owned()))
}

/// `none` is the default on loopback alone; elsewhere it must be written out, and is still worth a warning.
fn auth(
    file: &File,
    listen: SocketAddr,
    warnings: &mut Vec<String>,
) -> Result<AuthKind, ConfigError> {
    let loopback = listen.ip().is_loopback();
    let auth = file.value.agents.auth.unwrap_or(if loopback {
        AuthKind::None
    } else {
        AuthKind::Token
    });
    match auth {
        AuthKind::Jwt | AuthKind::Mtls => {
            Err(file.refuse("agents.auth", "is not available in this version; use token"))
        }
        AuthKind::None if !loopback => {
            warnings.push(
                "agents.auth: none on an address that others reach: anybody can be an agent"
                    .to_owned(),
            );
            Ok(auth)
        }
        AuthKind::Token if !loopback && file.value.server.tls.enabled != Some(true) => {
            warnings.push("server.tls: agents send their tokens without encryption".to_owned());
            Ok(auth)
        }
        AuthKind::None | AuthKind::Token => Ok(auth),
    }
}

fn agent_tls(file: &File) -> Result<Option<Tls>, ConfigError> {
    let section = &file.value.server.tls;
    let written = section.cert_file.is_some()
        || section.key_file.is_some()
        || section.client_ca_file.is_some()
        || section.client_auth != ClientAuthKind::None
        || section.min_version.is_some()
        || !section.cipher_suites.is_empty();
    if let Some(version) = section
        .min_version
        .as_deref()
        .filter(|version| *version != "1.3")
    {
        return Err(file.refuse(
            "server.tls.min_version",
            format!("{version:?} is not spoken here; only \"1.3\" is"),
        ));
    }
    if !enabled(file, "server.tls.enabled", section.enabled, written)? {
        return Ok(None);
    }
    let client_auth = match section.client_auth {
        ClientAuthKind::None => ClientAuth::None,
        ClientAuthKind::Optional => ClientAuth::Optional,
        ClientAuthKind::RequireAndVerify => ClientAuth::RequireAndVerify,
    };
    if client_auth != ClientAuth::None && section.client_ca_file.is_none() {
        return Err(file.refuse(
            "server.tls.client_ca_file",
            "is needed: it says who signs the clients' certificates",
        ));
    }
    let files = TlsFiles {
        cert_file: needed(file, "server.tls.cert_file", section.cert_file.as_ref())?,
        key_file: needed(file, "server.tls.key_file", section.key_file.as_ref())?,
        client_ca_file: section.client_ca_file.clone(),
        client_auth,
        cipher_suites: section.cipher_suites.clone(),
    };
    let tls =
        Tls::from_files(&files).map_err(|error| file.refuse("server.tls", error_chain(&error)))?;
    Ok(Some(tls))
}

fn admin_tls(file: &File) -> Result<Option<AdminTls>, ConfigError> {
    let section = &file.value.admin.tls;
    let written = section.cert_file.is_some() || section.key_file.is_some();
    if !enabled(file, "admin.tls.enabled", section.enabled, written)? {
        return Ok(None);
    }
    let cert_file = needed(file, "admin.tls.cert_file", section.cert_file.as_ref())?;
    let key_file = needed(file, "admin.tls.key_file", section.key_file.as_ref())?;
    let config = admin_tls::load(&cert_file, &key_file)
        .map_err(|error| file.refuse("admin.tls", format!("{error:#}")))?;
    Ok(Some(AdminTls(config)))
}

/// A section that has files but does not say whether it counts would be a server without the TLS that somebody wanted.
fn enabled(
    file: &File,
    key: &str,
    enabled: Option<bool>,
    written: bool,
) -> Result<bool, ConfigError> {
    match enabled {
        Some(enabled) => Ok(enabled),
        None if written => Err(file.refuse(
            key,
            "is missing: say true or false beside the section's other keys",
        )),
        None => Ok(false),
    }
}

fn needed(file: &File, key: &str, value: Option<&PathBuf>) -> Result<PathBuf, ConfigError> {
    value
        .cloned()
        .ok_or_else(|| file.refuse(key, "is needed where enabled is true"))
}

fn public_url(file: &File) -> Result<Option<String>, ConfigError> {
    const SCHEMES: [&str; 6] = [
        "ws://", "wss://", "http://", "https://", "grpc://", "grpcs://",
    ];
    let Some(url) = &file.value.server.public_url else {
        return Ok(None);
    };
    let has_host = SCHEMES
        .iter()
        .filter_map(|scheme| url.strip_prefix(scheme))
        .any(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if has_host {
        return Ok(Some(url.clone()));
    }
    let problem = format!(
        "{url:?} is no URL of an OpAMP server; write it as wss://opamp.example.com:4320/v1/opamp"
    );
    Err(file.refuse("server.public_url", problem))
}

fn database(file: &File) -> Result<Database, ConfigError> {
    let section = &file.value.database;
    if section.max_connections == 0 {
        return Err(file.refuse("database.max_connections", "must be at least 1"));
    }
    if section.max_connections < section.max_idle_connections {
        return Err(file.refuse(
            "database.max_idle_connections",
            "is more than database.max_connections",
        ));
    }
    let dsn = section.dsn.as_ref().filter(|dsn| !dsn.is_empty());
    let is_url = |dsn: &str| dsn.starts_with("postgres://") || dsn.starts_with("postgresql://");
    let place = match (section.kind, dsn) {
        (DatabaseKind::Sqlite, None) => {
            DatabasePlace::Sqlite(file.value.data_dir.0.join(SQLITE_FILE))
        }
        (DatabaseKind::Sqlite, Some(dsn)) if is_url(dsn.expose()) => {
            return Err(file.refuse(
                "database.dsn",
                "is an address of PostgreSQL, but database.type is sqlite",
            ));
        }
        (DatabaseKind::Sqlite, Some(dsn)) => {
            let text = dsn.expose();
            DatabasePlace::Sqlite(PathBuf::from(text.strip_prefix("sqlite:").unwrap_or(text)))
        }
        (DatabaseKind::Postgresql, Some(dsn)) if is_url(dsn.expose()) => {
            DatabasePlace::Postgres(dsn.clone())
        }
        (DatabaseKind::Postgresql, _) => {
            let problem =
                "is needed for postgresql; write it as postgres://user:password@host/database";
            return Err(file.refuse("database.dsn", problem));
        }
    };
    let (max_connections, max_idle_connections) =
        (section.max_connections, section.max_idle_connections);
    Ok(Database {
        place,
        max_connections,
        max_idle_connections,
    })
}

fn bootstrap_token(file: &File) -> Result<Option<runtime::SecretText>, ConfigError> {
    let token = file
        .value
        .admin
        .bootstrap_token
        .clone()
        .filter(|token| !token.is_empty());
    let Some(token) = token else { return Ok(None) };
    let text = token.expose();
    if text.chars().count() < MIN_TOKEN_CHARS {
        let problem = format!(
            "is too short; an administrator's token has at least {MIN_TOKEN_CHARS} characters"
        );
        return Err(file.refuse("admin.bootstrap_token", problem));
    }
    if text.starts_with(AGENT_TOKEN_PREFIX) {
        let problem = "has the form of an agent's token, which opens nothing here; make one with: openssl rand -hex 32";
        return Err(file.refuse("admin.bootstrap_token", problem));
    }
    if !text.chars().all(|c| c.is_ascii_graphic()) {
        let problem = "has a space or a character that no HTTP header carries; use ASCII letters, digits and signs";
        return Err(file.refuse("admin.bootstrap_token", problem));
    }
    Ok(Some(token))
}

fn limits(file: &File) -> Result<(), ConfigError> {
    let limits = &file.value.limits;
    let sizes = [
        ("limits.message", limits.message, ByteSize::kib(64)),
        (
            "limits.effective_config",
            limits.effective_config,
            ByteSize::kib(1),
        ),
        ("limits.description", limits.description, ByteSize::kib(1)),
        (
            "limits.revision_body",
            limits.revision_body,
            ByteSize::kib(1),
        ),
        (
            "limits.merged_config",
            limits.merged_config,
            ByteSize::kib(1),
        ),
        (
            "limits.pending_report_bytes",
            limits.pending_report_bytes,
            ByteSize::mib(1),
        ),
    ];
    if let Some((key, size, least)) = sizes.iter().find(|(_, size, least)| size < least) {
        return Err(file.refuse(key, format!("{size} is too small; the least is {least}")));
    }
    if limits.merged_config < limits.revision_body {
        return Err(file.refuse("limits.merged_config", "is less than limits.revision_body"));
    }
    let counts = [
        ("limits.agents", limits.agents),
        ("limits.agents_per_connection", limits.agents_per_connection),
        (
            "limits.sessions_per_second",
            limits.sessions_per_second as usize,
        ),
        ("limits.session_burst", limits.session_burst as usize),
        ("limits.unproven_connections", limits.unproven_connections),
        ("limits.pending_reports", limits.pending_reports),
    ];
    match counts.iter().find(|(_, count)| *count == 0) {
        Some((key, _)) => Err(file.refuse(key, "must be at least 1")),
        None => Ok(()),
    }
}

fn timing(file: &File) -> Result<(), ConfigError> {
    let (timing, retention) = (&file.value.timing, &file.value.retention);
    let durations = [
        ("timing.ping_interval", timing.ping_interval),
        ("timing.liveness", timing.liveness),
        ("timing.write_stall", timing.write_stall),
        ("timing.tls_handshake", timing.tls_handshake),
        ("timing.request_head", timing.request_head),
        ("timing.first_message", timing.first_message),
        ("timing.commit_interval", timing.commit_interval),
        ("timing.liveness_flush", timing.liveness_flush),
        ("timing.resync", timing.resync),
        ("timing.sweep", timing.sweep),
        ("retention.offline_agents", retention.offline_agents),
        ("retention.events", retention.events),
        ("retention.revisions", retention.revisions),
    ];
    if let Some((key, _)) = durations.iter().find(|(_, duration)| duration.is_zero()) {
        return Err(file.refuse(key, "must be longer than nothing"));
    }
    if retention.revisions_per_config == 0 {
        return Err(file.refuse("retention.revisions_per_config", "must be at least 1"));
    }
    if MAX_COMMIT_INTERVAL < timing.commit_interval {
        return Err(file.refuse("timing.commit_interval", "is more than 250ms"));
    }
    if timing.liveness <= timing.ping_interval {
        return Err(file.refuse(
            "timing.liveness",
            "must be longer than timing.ping_interval",
        ));
    }
    Ok(())
}

/// Keys that are understood and wait for what they are for.
fn without_effect(file: &File, warnings: &mut Vec<String>) {
    let sections = [
        ("redis", file.value.redis.is_some()),
        ("storage", file.value.storage.kind == StorageKind::S3),
    ];
    let unused = sections.iter().filter(|(_, written)| *written);
    warnings.extend(
        unused.map(|(key, _)| format!("{key}: is accepted, without effect in this version")),
    );
}
