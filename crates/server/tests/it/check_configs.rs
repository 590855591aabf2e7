//! `opamp-server check-configs`: what it says, in each format, and that the Git source says the same.

mod agrees;
mod builds;
mod formats;
mod sarif;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::FIRST;

const PROGRAM: &str = env!("CARGO_BIN_EXE_opamp-server");

/// What the program said.
struct Said {
    status: i32,
    out: String,
    error: String,
}

/// Runs the command in a directory.
fn run_in(here: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(PROGRAM)
        .arg("check-configs")
        .args(arguments)
        .current_dir(here)
        .env_remove("OPAMP_SERVER_CONFIG")
        .output()
        .expect("the program starts");
    Said {
        status: output.status.code().expect("an exit status"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        error: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// What the command says of a directory as JSON.
fn json_of(directory: &Path, more: &[&str]) -> Value {
    let said = run_in(directory, &[&[".", "--format", "json"], more].concat());
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.error))
}

/// A directory `collectors` with these files, in one that pipelines would work in.
fn source(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().expect("a directory");
    for (path, text) in files {
        write(&root.path().join("collectors"), path, text.as_bytes());
    }
    root
}

fn write(directory: &Path, path: &str, bytes: &[u8]) {
    let file = directory.join(path);
    std::fs::create_dir_all(file.parent().expect("a directory")).expect("made");
    std::fs::write(file, bytes).expect("written");
}

/// A config of which nothing is to be said.
const GOOD: (&str, &str) = ("edge/config.yaml", "name: edge\nfile: otel.yaml\n");
const GOOD_BODY: (&str, &str) = ("edge/otel.yaml", FIRST);
/// A config that lacks an exporter, which another may have.
const LACKING: (&str, &str) = (
    "extra.config.yaml",
    "name: extra\nselector: env=prod\npriority: 5\nbody: |\n  service:\n    pipelines:\n      traces: {exporters: [debug, otlp]}\n",
);
/// A template of an agent's labels, whose exporter has no TLS.
const TEMPLATE: (&str, &str) = (
    "region.config.yaml",
    "name: region\nselector: env=prod\ntemplate: jinja\nbody: |\n  exporters:\n    otlp:\n      endpoint: \"{{ agent.labels.region }}.example.com:4317\"\n      tls: {insecure: true}\n",
);

#[test]
fn a_good_directory_is_told_in_one_line() {
    let root = source(&[GOOD, GOOD_BODY]);
    let said = run_in(root.path(), &["collectors", "--deny-warnings"]);
    assert_eq!(said.status, 0, "{}", said.out);
    assert_eq!(
        said.out,
        "1 document, 0 sets of labels: 0 errors, 0 warnings, 0 advice\n"
    );
    assert_eq!(said.error, "");
}

#[test]
fn what_another_config_may_have_is_advice_until_labels_say_which_are_merged() {
    let root = source(&[GOOD, GOOD_BODY, LACKING]);
    let said = run_in(root.path(), &["collectors", "--deny-warnings"]);
    assert_eq!(said.status, 0, "{}", said.out);
    assert!(
        said.out.contains(
            "collectors/extra.config.yaml:7:35: advice[undefined-component] exporter otlp is not defined"
        ),
        "{}",
        said.out
    );
    let said = run_in(root.path(), &["collectors", "--labels", "env=prod"]);
    assert_eq!(said.status, 1, "{}", said.out);
    assert!(
        said.out.contains(
            "collectors/extra.config.yaml:7:35: error[undefined-component] exporter otlp is not defined"
        ) && said.out.contains("(for env=prod)\n"),
        "{}",
        said.out
    );
    // An agent that only the good one is for.
    let said = run_in(root.path(), &["collectors", "--labels", ""]);
    assert_eq!(said.status, 0, "{}", said.out);
}

#[test]
fn layers_are_rendered_merged_and_checked_for_each_set_of_labels() {
    let root = source(&[GOOD, GOOD_BODY, LACKING, TEMPLATE]);
    let labels = ["--labels", "env=prod,region=eu"];
    let arguments = [&["collectors"], &labels[..]].concat();
    let said = run_in(root.path(), &arguments);
    // The exporter that one lacks is the template's; it has a warning at its own line.
    assert_eq!(said.status, 0, "{}", said.out);
    assert!(
        said.out
            .contains("collectors/region.config.yaml:7:17: warning[insecure-transport]"),
        "{}",
        said.out
    );
    assert!(!said.out.contains("undefined-component"), "{}", said.out);
    let denied = [&arguments[..], &["--deny-warnings"]].concat();
    assert_eq!(run_in(root.path(), &denied).status, 1);

    let both = [&arguments[..], &["--labels", "env=prod"]].concat();
    let said = run_in(root.path(), &both);
    assert_eq!(said.status, 1, "{}", said.out);
    assert!(
        said.out.contains(
            "collectors/region.config.yaml:7:21: error[config-template] the template fails: `agent.labels.region` has no value"
        ),
        "{}",
        said.out
    );
    let alone = run_in(root.path(), &["collectors"]);
    assert!(
        alone
            .out
            .contains("region.config.yaml:1:1: advice[template-not-rendered]"),
        "{}",
        alone.out
    );
    let nobody = run_in(root.path(), &["collectors", "--labels", "env=prd"]);
    assert_eq!(nobody.status, 0, "{}", nobody.out);
    assert!(
        !nobody.out.contains("labels-match-nothing"),
        "{}",
        nobody.out
    );
}

#[test]
fn labels_that_no_config_is_for_are_told() {
    let root = source(&[LACKING]);
    let said = run_in(root.path(), &["collectors", "--labels", "env=prd"]);
    assert!(
        said.out
            .contains("collectors: warning[labels-match-nothing] ")
            && said.out.contains("(for env=prd)"),
        "{}",
        said.out
    );
    let said = run_in(root.path(), &["collectors", "--labels", "env"]);
    assert_eq!(said.status, 2);
    assert!(said.error.contains("key=value"), "{}", said.error);
}

#[test]
fn a_body_is_held_to_the_limits_of_the_configuration_that_is_named() {
    let body = format!("{FIRST}# {}\n", "x".repeat(1_024));
    let root = source(&[GOOD, ("edge/otel.yaml", &body)]);
    assert_eq!(run_in(root.path(), &["collectors"]).status, 0);
    for (config, status, part) in [
        (
            "limits: { revision_body: 1KiB }\n",
            1,
            "edge/otel.yaml:1:1: error[config-body] the body has ",
        ),
        (
            "limits: { body: 1KiB }\n",
            2,
            "server.yaml:1: unknown key limits.body",
        ),
    ] {
        write(root.path(), "server.yaml", config.as_bytes());
        let said = run_in(root.path(), &["collectors", "--config", "server.yaml"]);
        assert_eq!(said.status, status, "{}{}", said.out, said.error);
        let told = said.out + &said.error;
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn what_cannot_be_done_has_a_status_of_its_own() {
    let root = source(&[GOOD, GOOD_BODY]);
    for (arguments, part) in [
        (&["nowhere"][..], "nowhere is no directory"),
        (&["collectors/edge/otel.yaml"], "otel.yaml is no directory"),
        (&[], "<DIRECTORY>"),
        (&["collectors", "--format", "xml"], "xml"),
        (&["collectors", "--docs-url", "docs"], "write an address"),
    ] {
        let said = run_in(root.path(), arguments);
        assert_eq!((said.status, &*said.out), (2, ""), "{arguments:?}");
        assert!(said.error.contains(part), "{arguments:?}: {}", said.error);
    }
    let full = std::fs::File::options().write(true).open("/dev/full");
    let output = Command::new(PROGRAM)
        .args(["check-configs", "collectors"])
        .current_dir(root.path())
        .stdout(Stdio::from(full.expect("a device")))
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("writing the findings"), "{error}");
}
