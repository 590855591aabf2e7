//! What the server's configuration file may say, and what is said of one that says something else.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::file::{AuthKind, SourceRelease};

fn environment() -> Environment {
    Environment::from_iter([("OPAMP_BOOTSTRAP_TOKEN", "a-long-enough-token")])
}

fn read(text: &str) -> Result<Settings, ConfigError> {
    Settings::parse("config.yaml", text, &environment())
}

fn settings(text: &str) -> Settings {
    read(text).expect("a good file")
}

fn refusal(text: &str) -> String {
    read(text).map(drop).expect_err("a bad file").to_string()
}

fn check_refused(text: &str, expected: &str) {
    let message = refusal(text);
    assert!(
        message.starts_with(expected),
        "{message}\ninstead of\n{expected}"
    );
}

#[test]
fn without_a_file_both_planes_stay_on_this_machine() {
    let settings = Settings::embedded().expect("good defaults");
    assert_eq!(settings.agent_address.to_string(), "127.0.0.1:4320");
    assert_eq!(settings.admin_address.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.auth, AuthKind::None);
    assert!(settings.agent_tls.is_none() && settings.admin_tls.is_none());
    assert!(
        matches!(&settings.database.place, DatabasePlace::Sqlite(path) if path == Path::new("./data/opamp.db"))
    );
    assert_eq!(settings.warnings, Vec::<String>::new());
}

#[test]
fn agents_need_a_token_where_others_reach_the_port() {
    let open = "server: { listen: { grpc: '0.0.0.0:4320' } }\n";
    assert_eq!(settings(open).auth, AuthKind::Token);
    assert_eq!(
        settings("server: { listen: { grpc: '[::1]:4320' } }\n").auth,
        AuthKind::None
    );
    let written_out = settings(&format!("{open}agents: {{ auth: none }}\n"));
    assert_eq!(written_out.auth, AuthKind::None);
    assert!(
        written_out
            .warnings
            .iter()
            .any(|warning| warning.starts_with("agents.auth: none"))
    );
    assert_eq!(settings("agents: { auth: token }\n").auth, AuthKind::Token);
    check_refused(
        "agents:\n  auth: jwt\n",
        "config.yaml:2: agents.auth: is not available in this version",
    );
    check_refused(
        "agents:\n  auth: mtls\n",
        "config.yaml:2: agents.auth: is not available in this version",
    );
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    check_refused(
        "server:\n  listen:\n    gprc: 0.0.0.0:4320\n",
        "config.yaml:3: unknown key server.listen.gprc; did you mean grpc? (known here: grpc, http)",
    );
    check_refused(
        "database:\n  typ: sqlite\n",
        "config.yaml:2: unknown key database.typ; did you mean type?",
    );
    check_refused(
        "databse: {}\n",
        "config.yaml:1: unknown key databse; did you mean database?",
    );
}

#[test]
fn an_address_that_is_none_is_refused_by_key() {
    check_refused(
        "server:\n  listen:\n    http: nowhere\n",
        "config.yaml:3: server.listen.http: \"nowhere\" is no address",
    );
    check_refused(
        "server: { listen: { grpc: '127.0.0.1:9', http: '127.0.0.1:9' } }\n",
        "config.yaml:1: server.listen.http: is the address of server.listen.grpc",
    );
    check_refused(
        "server:\n  public_url: opamp.example.com\n",
        "config.yaml:2: server.public_url: ",
    );
}

#[test]
fn tls_must_be_whole() {
    check_refused(
        "server:\n  tls:\n    cert_file: a.pem\n",
        "config.yaml: server.tls.enabled: is missing: say true or false",
    );
    for key in [
        "min_version: '1.3'",
        "cipher_suites: [TLS_AES_128_GCM_SHA256]",
    ] {
        check_refused(
            &format!("server:\n  tls: {{{key}}}\n"),
            "config.yaml: server.tls.enabled: is missing: say true or false",
        );
    }
    check_refused(
        "server:\n  tls:\n    enabled: true\n",
        "config.yaml: server.tls.cert_file: is needed",
    );
    check_refused(
        "server:\n  tls:\n    enabled: yes\n",
        "config.yaml:3: server.tls.enabled: ",
    );
    check_refused(
        "server:\n  tls: {enabled: true, cert_file: /none/a.pem, key_file: /none/b.pem}\n",
        "config.yaml:2: server.tls: reading certificates from /none/a.pem: ",
    );
    check_refused(
        "server:\n  tls: {enabled: true, cert_file: a, key_file: b, client_auth: require_and_verify}\n",
        "config.yaml: server.tls.client_ca_file: is needed",
    );
    check_refused(
        "server:\n  tls: {min_version: \"1.2\"}\n",
        "config.yaml:2: server.tls.min_version: \"1.2\" is not spoken here",
    );
    check_refused(
        "admin:\n  tls: {enabled: true, key_file: b}\n",
        "config.yaml: admin.tls.cert_file: is needed",
    );
    check_refused(
        "admin:\n  tls: {enabled: true, cert_file: /none/a, key_file: b}\n",
        "config.yaml:2: admin.tls: reading certificates",
    );
}

#[test]
fn the_database_is_named_in_a_way_that_can_work() {
    let place = |text: &str| settings(text).database.place;
    assert!(
        matches!(place("data_dir: /var/x\n"), DatabasePlace::Sqlite(path) if path == Path::new("/var/x/opamp.db"))
    );
    assert!(
        matches!(place("database: {dsn: 'sqlite:/a/b.db'}\n"), DatabasePlace::Sqlite(path) if path == Path::new("/a/b.db"))
    );
    let postgres = "database: { type: postgresql, dsn: 'postgres://u:hunter2@h/d' }\n";
    assert!(
        matches!(place(postgres), DatabasePlace::Postgres(dsn) if dsn.expose() == "postgres://u:hunter2@h/d")
    );
    assert!(!format!("{:?}", settings(postgres)).contains("hunter2"));
    check_refused(
        "database:\n  type: postgresql\n",
        "config.yaml: database.dsn: is needed for postgresql",
    );
    check_refused(
        "database:\n  type: mysql\n",
        "config.yaml:2: database.type: ",
    );
    check_refused(
        "database:\n  dsn: postgres://h/d\n",
        "config.yaml:2: database.dsn: is an address of PostgreSQL",
    );
    check_refused(
        "database:\n  max_connections: 5\n",
        "config.yaml: database.max_idle_connections: is more than",
    );
    check_refused(
        "database:\n  max_connections: 0\n",
        "config.yaml:2: database.max_connections: must be at least 1",
    );
}

#[test]
fn an_administrators_token_must_be_worth_the_name() {
    let token =
        settings("admin: { bootstrap_token: \"${OPAMP_BOOTSTRAP_TOKEN}\" }\n").bootstrap_token;
    assert_eq!(token.expect("a token").expose(), "a-long-enough-token");
    check_refused(
        "admin:\n  bootstrap_token: short\n",
        "config.yaml:2: admin.bootstrap_token: is too short",
    );
    check_refused(
        "admin:\n  bootstrap_token: opamp_agt_0123456789abcdefghijklmnop\n",
        "config.yaml:2: admin.bootstrap_token: has the form of an agent's token",
    );
    check_refused(
        "admin:\n  bootstrap_token: 'has spaces in its middle'\n",
        "config.yaml:2: admin.bootstrap_token: has a space",
    );
    check_refused(
        "admin:\n  bootstrap_token: ${NOPE}\n",
        "config.yaml:2: admin.bootstrap_token needs the environment variable NOPE",
    );
    assert!(
        settings("admin: { bootstrap_token: \"${NOPE:-}\" }\n")
            .bootstrap_token
            .is_none()
    );
}

#[test]
fn quantities_have_bounds() {
    check_refused(
        "limits:\n  message: 1KiB\n",
        "config.yaml:2: limits.message: 1KiB is too small; the least is 64KiB",
    );
    check_refused(
        "limits:\n  message: 4mb\n",
        "config.yaml:2: limits.message: \"4mb\" is no size",
    );
    check_refused(
        "limits:\n  agents: 0\n",
        "config.yaml:2: limits.agents: must be at least 1",
    );
    check_refused(
        "limits:\n  merged_config: 64KiB\n",
        "config.yaml:2: limits.merged_config: is less than limits.revision_body",
    );
    check_refused(
        "timing:\n  commit_interval: 1s\n",
        "config.yaml:2: timing.commit_interval: is more than 250ms",
    );
    check_refused(
        "timing:\n  liveness: 20s\n",
        "config.yaml:2: timing.liveness: must be longer than timing.ping_interval",
    );
    check_refused(
        "timing:\n  sweep: 0\n",
        "config.yaml:2: timing.sweep: must be longer than nothing",
    );
    check_refused(
        "timing:\n  sweep: 10\n",
        "config.yaml:2: timing.sweep: \"10\" is no duration",
    );
    check_refused("log:\n  level: loud=very\n", "config.yaml:2: log.level: ");
}

#[test]
fn a_config_source_is_one_that_can_work() {
    let source = |keys: &str| format!("config_source:\n  git:\n    {keys}\n");
    let made = settings(&source(
        "{repository: 'https://host/a', token: \"${OPAMP_BOOTSTRAP_TOKEN}\", path: './x/'}",
    ));
    let made = made.config_source.expect("a source");
    assert_eq!(
        (&*made.git.branch, &*made.git.path, made.namespace.as_str()),
        ("main", "x", "default")
    );
    assert_eq!(
        (made.interval, made.release),
        (Duration::from_secs(60), SourceRelease::Manual)
    );
    assert!(!format!("{made:?}").contains("a-long-enough-token"));
    let ssh = source(
        "{repository: 'git@host:a', ssh_key_file: k, known_hosts_file: h, release: all_at_once}",
    );
    let made = settings(&ssh).config_source.expect("a source");
    assert_eq!(made.release, SourceRelease::AllAtOnce);
    for local in ["127.0.0.1:81", "localhost", "[::1]:3000"] {
        let text = source(&format!("{{repository: 'http://{local}/a', token: t}}"));
        assert!(settings(&text).config_source.is_some(), "{local}");
    }
    for (keys, expected) in [
        ("branch: main", ".repository: is needed"),
        (
            "repository: relative/path",
            ".repository: is \"relative/path\": write the whole path",
        ),
        (
            "repository: 'https://u:hunter2@host/a'",
            ".repository: holds a user or password",
        ),
        (
            "{repository: /a, branch: refs/heads/x}",
            ".branch: is \"refs/heads/x\": write it without",
        ),
        ("{repository: /a, path: ../b}", ".path: is \"../b\""),
        (
            "{repository: /a, sync_interval: 100ms}",
            ".sync_interval: must be at least 1s",
        ),
        ("{repository: /a, namespace: No}", ".namespace: "),
        (
            "{repository: /a, webhook_secret: short}",
            ".webhook_secret: is too short",
        ),
        ("{repository: /a, release: later}", ".release: "),
        (
            "{repository: /a, token: t}",
            ": the login is given, and the repository is a directory",
        ),
        (
            "{repository: 'git@host:a'}",
            ": the login must be an SSH key",
        ),
        (
            "{repository: 'git@host:a', ssh_key_file: k, token: t}",
            ".token: stands beside ssh_key_file",
        ),
        (
            "{repository: 'git@host:a', ssh_key_file: k}",
            ".known_hosts_file: is needed",
        ),
        (
            "{repository: 'git@host:a', known_hosts_file: k}",
            ".ssh_key_file: is needed",
        ),
        (
            "{repository: 'https://host/a', username: u}",
            ".token: is needed beside username",
        ),
        (
            "{repository: 'http://host/a', token: t}",
            ".token: would travel readable",
        ),
        (
            "{repository: 'http://127.0.0.1.example.com/a', token: t}",
            ".token: would travel readable",
        ),
    ] {
        let message = refusal(&source(keys));
        let at = format!("config_source.git{expected}");
        assert!(message.contains(&at), "{message}\ninstead of\n{at}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    check_refused(
        &source("repo: x"),
        "config.yaml:3: unknown key config_source.git.repo",
    );
}

#[test]
fn what_waits_for_its_use_is_accepted_and_said() {
    let text = "redis: { addr: 'redis:6379' }\nstorage: { type: s3, s3: { bucket: b } }\n";
    let warnings = settings(text).warnings;
    assert_eq!(warnings.len(), 2);
    assert!(
        warnings
            .iter()
            .all(|warning| warning.ends_with("is accepted, without effect in this version"))
    );
}

#[test]
fn the_design_s_own_example_is_understood() {
    let text = "\
server:
  listen: { grpc: 0.0.0.0:4320, http: 0.0.0.0:8080 }
  tls: { enabled: false, cert_file: a, key_file: b, client_ca_file: c, client_auth: require_and_verify, min_version: \"1.3\", cipher_suites: [TLS_AES_128_GCM_SHA256] }
  public_url: wss://opamp.example.com:4320/v1/opamp
agents: { auth: token }
database: { type: sqlite, dsn: x.db, max_connections: 100, max_idle_connections: 10 }
redis: { addr: redis:6379, password: x, db: 0 }
storage: { type: filesystem }
data_dir: ./data
admin: { bootstrap_token: \"${OPAMP_BOOTSTRAP_TOKEN}\", tls: { enabled: false } }
config_source: { type: git, git: { repository: 'git@host:r', branch: main, sync_interval: 1m, ssh_key_file: k, known_hosts_file: h } }
";
    assert_eq!(
        settings(text).public_url.as_deref(),
        Some("wss://opamp.example.com:4320/v1/opamp")
    );
}

/// The sample file; lines that begin with `# ` are keys that are off by default, lines that begin with `## ` are remarks.
const SAMPLE: &str = include_str!("../../../../docs/config.sample.yaml");

fn sample_with_everything_on() -> String {
    let on = |line: &str| match line.trim_start().strip_prefix("# ") {
        Some(key) => format!("{}{key}\n", &line[..line.len() - line.trim_start().len()]),
        None => format!("{line}\n"),
    };
    SAMPLE.lines().map(on).collect()
}

#[test]
fn the_sample_file_as_it_is_states_the_defaults() {
    let sample = runtime::config::parse::<ConfigFile>("sample", SAMPLE, &Environment::default())
        .expect("a good file")
        .value;
    assert_eq!(
        format!("{sample:#?}"),
        format!("{:#?}", ConfigFile::default())
    );
    assert_eq!(
        settings(SAMPLE).timing.ping_interval,
        Duration::from_secs(30)
    );
}

#[test]
fn the_sample_file_has_every_key() {
    let text = sample_with_everything_on();
    let sample =
        runtime::config::parse::<ConfigFile>("sample", &text, &environment()).expect("a good file");
    let keys = keys_below("");
    assert!(60 < keys.len(), "{keys:?}");
    let missing: Vec<_> = keys
        .iter()
        .filter(|key| sample.line_of(key).is_none())
        .collect();
    assert!(
        missing.is_empty(),
        "docs/config.sample.yaml lacks {missing:?}"
    );
}

/// Every key below `section`: the loader lists a section's keys when it meets one that is not among them.
fn keys_below(section: &str) -> BTreeSet<String> {
    let mut text = String::new();
    let parts: Vec<&str> = section
        .split('.')
        .filter(|part| !part.is_empty())
        .chain(["no_such_key"])
        .collect();
    for (depth, part) in parts.iter().enumerate() {
        text.push_str(&format!("{}{part}:\n", "  ".repeat(depth)));
    }
    let text = format!("{} 1\n", text.trim_end());
    match runtime::config::parse::<ConfigFile>("probe", &text, &Environment::default()) {
        Err(ConfigError::UnknownKey { known, key, .. }) if key.ends_with("no_such_key") => known
            .iter()
            .map(|name| {
                if section.is_empty() {
                    name.clone()
                } else {
                    format!("{section}.{name}")
                }
            })
            .flat_map(|key| keys_below(&key).into_iter().chain([key]))
            .collect(),
        Ok(_) | Err(_) => BTreeSet::new(),
    }
}

#[test]
fn the_key_of_secrets_is_read_from_its_file() {
    let keys = tempfile::tempdir().expect("a directory");
    let key = keys.path().join("key");
    let text = format!("secrets:\n  key_file: '{}'\n", key.display());
    let refused = |why: &str| {
        check_refused(&text, "config.yaml:2: secrets.key_file: ");
        let message = refusal(&text);
        assert!(message.contains(why), "{message}");
    };
    refused("No such file");
    std::fs::write(&key, "5a").expect("written");
    refused("a sealing key has 64 hexadecimal digits");
    std::fs::write(&key, "5a".repeat(32)).expect("written");
    assert!(settings(&text).secrets_key.is_some());
    assert!(settings("").secrets_key.is_none());
}
