//! What a configuration file may say, and what is said of one that says something else.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    server: Server,
    auth: Option<Auth>,
    names: Vec<String>,
    map: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Server {
    listen: String,
    port: u16,
    enabled: bool,
    token: SecretText,
    #[serde(with = "duration")]
    interval: Duration,
    #[serde(with = "optional_duration")]
    window: Option<Duration>,
    max_message: ByteSize,
    tls: Option<Tls>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    cert_file: String,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Auth {
    None,
    Token,
}

fn environment() -> Environment {
    Environment::from_iter([
        ("PORT", "4320"),
        ("HOST", "edge-1"),
        ("EMPTY", ""),
        ("SECRET", "hunter2: {x"),
        ("NULL", "null"),
        ("FLAG", "true"),
    ])
}

fn read(text: &str) -> Result<Loaded<File>, ConfigError> {
    parse("c.yaml", text, &environment())
}

fn value(text: &str) -> File {
    read(text).expect("a good file").value
}

fn refusal(text: &str) -> String {
    read(text).map(drop).expect_err("a bad file").to_string()
}

#[test]
fn an_empty_file_is_all_defaults() {
    assert_eq!(value("").server.port, 0);
    assert_eq!(value("# only a remark\n").server.port, 0);
}

#[test]
fn typed_values_are_read() {
    let text = "server: { listen: '0.0.0.0:1', port: 17, enabled: true, interval: 1m, window: 30s, max_message: 4MiB }\n\
                auth: token\nnames: [a, b]\nmap: {x: y}\n";
    let file = value(text);
    assert_eq!(file.server.listen, "0.0.0.0:1");
    assert_eq!(file.server.port, 17);
    assert!(file.server.enabled);
    assert_eq!(file.server.interval, Duration::from_secs(60));
    assert_eq!(file.server.window, Some(Duration::from_secs(30)));
    assert_eq!(file.server.max_message, ByteSize::mib(4));
    assert_eq!(file.auth, Some(Auth::Token));
    assert_eq!(
        value("server: {tls: {cert_file: x}}")
            .server
            .tls
            .map(|tls| tls.cert_file)
            .as_deref(),
        Some("x")
    );
    assert_eq!(file.names, ["a", "b"]);
    assert_eq!(file.map["x"], "y");
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_one() {
    assert_eq!(
        refusal("server:\n  port: 1\n  lisen: x\n"),
        "c.yaml:3: unknown key server.lisen; did you mean listen? \
         (known here: listen, port, enabled, token, interval, window, max_message, tls)"
    );
    assert_eq!(
        refusal("server:\n  tls: {cert: x}\n"),
        "c.yaml:2: unknown key server.tls.cert (known here: cert_file)"
    );
    assert!(
        refusal("server:\n  tls:\n    cert: x\n")
            .starts_with("c.yaml:3: unknown key server.tls.cert ")
    );
    assert_eq!(
        refusal("# note\nsevrer: {}\n"),
        "c.yaml:2: unknown key sevrer; did you mean server? (known here: server, auth, names, map)"
    );
}

#[test]
fn a_missing_key_is_named() {
    assert_eq!(
        refusal("server:\n  port: 1\n  tls: {}\n"),
        "c.yaml:3: server.tls.cert_file: is missing"
    );
}

#[test]
fn a_wrong_type_is_named_with_key_and_line() {
    let check = |text: &str, head: &str, part: &str| {
        let message = refusal(text);
        assert!(
            message.starts_with(head) && message.contains(part),
            "{message}"
        );
    };
    check("server:\n  port: many\n", "c.yaml:2: server.port: ", "");
    check(
        "server:\n  enabled: yes\n",
        "c.yaml:2: server.enabled: ",
        "",
    );
    check(
        "server:\n  interval: 30\n",
        "c.yaml:2: server.interval: ",
        "write it as 500ms, 30s",
    );
    check(
        "server:\n  max_message: big\n",
        "c.yaml:2: server.max_message: ",
        "is no size",
    );
    check("server:\n  port: 70000\n", "c.yaml:2: server.port: ", "");
    check("auth: tokn\n", "c.yaml:1: auth: ", "token");
    check("names: x\n", "c.yaml:1: names: ", "must be a list");
    check("server: [1]\n", "c.yaml:1: server", "");
    check(
        "server:\n",
        "c.yaml:1: server: ",
        "must be a map of keys; write {} for an empty one",
    );
}

#[test]
fn text_that_is_no_yaml_is_refused_with_line_and_column() {
    let message = refusal("server:\n  port: 1\n bad\n: [\n");
    assert!(
        message.starts_with("c.yaml:3:") || message.starts_with("c.yaml:4:"),
        "{message}"
    );
    assert!(refusal("a: b: c\n").starts_with("c.yaml:1:"));
}

#[test]
fn a_key_given_twice_is_refused() {
    let message = refusal("server:\n  port: 1\n  port: 2\n");
    assert!(
        message.starts_with("c.yaml:3: server.port: ") && message.contains("duplicate"),
        "{message}"
    );
}

#[test]
fn variables_are_replaced_in_every_kind_of_scalar() {
    assert_eq!(
        value("server: {listen: \"${HOST}:${PORT}\"}\n")
            .server
            .listen,
        "edge-1:4320"
    );
    assert_eq!(
        value("server:\n  listen: '${HOST}'\n").server.listen,
        "edge-1"
    );
    assert_eq!(
        value("server:\n  listen: http://${HOST}:${PORT}/x # note\n")
            .server
            .listen,
        "http://edge-1:4320/x"
    );
    assert_eq!(
        value("server:\n  listen: |\n    one ${HOST}\n    two\n  port: 7\n")
            .server
            .listen,
        "one edge-1\ntwo\n"
    );
    assert_eq!(
        value("server:\n  listen: >-\n    one ${HOST}\n    two\n  port: 7\n")
            .server
            .listen,
        "one edge-1 two"
    );
    assert_eq!(value("names:\n  - ${HOST}\n  - b\n").names, ["edge-1", "b"]);
    assert_eq!(value("server:\n  port: ${PORT}\n").server.port, 4320);
    assert_eq!(value("server:\n  port: \"${PORT}\"\n").server.port, 4320);
    assert!(value("server:\n  enabled: ${FLAG}\n").server.enabled);
    assert_eq!(
        value("server:\n  interval: ${WAIT:-30s}\n").server.interval,
        Duration::from_secs(30)
    );
}

#[test]
fn a_default_stands_in_for_an_unset_or_empty_variable() {
    assert_eq!(
        value("server:\n  listen: ${UNSET:-fallback}\n")
            .server
            .listen,
        "fallback"
    );
    assert_eq!(
        value("server:\n  listen: \"${EMPTY:-fallback}\"\n")
            .server
            .listen,
        "fallback"
    );
    assert_eq!(
        value("server:\n  listen: ${HOST:-fallback}\n")
            .server
            .listen,
        "edge-1"
    );
    assert_eq!(value("server:\n  listen: ${UNSET:-}\n").server.listen, "");
    assert_eq!(value("server:\n  listen: ${EMPTY}\n").server.listen, "");
    assert_eq!(value("server:\n  listen: ${NULL}\n").server.listen, "null");
}

#[test]
fn an_unset_variable_is_named_with_key_and_line() {
    assert_eq!(
        refusal("server:\n  port: 1\n  token: \"${OPAMP_TOKEN}\"\n"),
        "c.yaml:3: server.token needs the environment variable OPAMP_TOKEN, which is not set"
    );
    assert_eq!(
        refusal("names:\n  - a\n  - ${NOPE}\n"),
        "c.yaml:3: names[1] needs the environment variable NOPE, which is not set"
    );
}

#[test]
fn what_is_no_reference_is_refused_and_can_be_escaped() {
    assert!(
        refusal("names: ['${env:X}']\n")
            .starts_with("c.yaml:1: names[0]: ${env:X} is no reference")
    );
    assert!(refusal("names: ['${HOST']\n").contains("is no reference"));
    assert_eq!(
        value("names: ['$${env:X}', '$HOST', '$$', 'a$b']\n").names,
        ["${env:X}", "$HOST", "$$", "a$b"]
    );
}

#[test]
fn a_value_cannot_change_the_structure_or_show_itself() {
    assert_eq!(
        value("server:\n  listen: ${SECRET}\n  port: 3\n")
            .server
            .listen,
        "hunter2: {x"
    );
    let message = refusal("server:\n  port: ${SECRET}\n");
    assert!(
        message.starts_with("c.yaml:2: server.port: ") && !message.contains("hunter2"),
        "{message}"
    );
    let file = value("server:\n  token: ${SECRET}\n");
    assert_eq!(file.server.token.expose(), "hunter2: {x");
    assert!(!format!("{file:?}").contains("hunter2"));
}

#[test]
fn keys_and_remarks_are_left_alone() {
    assert_eq!(
        value("map: {'${HOST}': x} # ${UNSET}\n").map["${HOST}"],
        "x"
    );
}

#[test]
fn lines_stay_true_after_a_replacement() {
    let text = "server:\n  listen: |\n    ${HOST}\n    two\n\n  port: 1\n  bad: 1\n";
    assert!(
        refusal(text).starts_with("c.yaml:7: unknown key server.bad"),
        "{}",
        refusal(text)
    );
    let text = "server:\n  listen: \"${HOST}\n    two\"\n  bad: 1\n";
    assert!(
        refusal(text).starts_with("c.yaml:4: unknown key server.bad"),
        "{}",
        refusal(text)
    );
}

#[test]
fn a_check_beyond_the_types_names_the_line_too() {
    let file = read("server:\n  port: 1\n  listen: nowhere\n").expect("a good file");
    assert_eq!(file.line_of("server.listen"), Some(3));
    assert_eq!(
        file.refuse("server.listen", "is no address").to_string(),
        "c.yaml:3: server.listen: is no address"
    );
    assert_eq!(
        file.refuse("auth", "is needed").to_string(),
        "c.yaml: auth: is needed"
    );
}

#[test]
fn a_missing_file_and_a_huge_one_are_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("none.yaml");
    let error = load::<File>(&path, &environment())
        .map(drop)
        .expect_err("missing");
    assert_eq!(error.to_string(), format!("reading {}", path.display()));
    let path = directory.path().join("huge.yaml");
    std::fs::write(&path, vec![b'#'; MAX_FILE_BYTES as usize + 1]).expect("written");
    assert!(
        load::<File>(&path, &environment())
            .map(drop)
            .expect_err("huge")
            .to_string()
            .contains("more than")
    );
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    let text = format!("server: {}", "[".repeat(100_000));
    assert!(read(&text).is_err());
}

proptest! {
    #[test]
    fn any_value_arrives_as_it_is(secret in "\\PC*|(?s).{0,40}", template in 0..6_usize) {
        let secret = secret.replace('\0', "");
        let environment = Environment::from_iter([("V", secret.as_str())]);
        let text = ["server:\n  listen: ${V}\n  port: 9\n", "server:\n  listen: \"${V}\"\n  port: 9\n", "server: {listen: '${V}', port: 9}\n",
            "server:\n  listen: >-\n    ${V}\n\n  port: 9\n", "server:\n  listen: |-\n    ${V}\n  port: 9\n", "server:\n  listen: '${V}\n\n    '\n  port: 9\n"][template];
        let file = parse::<File>("c.yaml", text, &environment).expect("a good file").value;
        if template != 5 { prop_assert_eq!(&file.server.listen, &secret); }
        prop_assert_eq!(file.server.port, 9);
    }

    #[test]
    fn no_text_panics(text in "(?s).{0,200}") {
        let outcome = read(&text);
        prop_assert!(outcome.is_ok() || !outcome.map(drop).expect_err("refused").to_string().is_empty());
    }
}
