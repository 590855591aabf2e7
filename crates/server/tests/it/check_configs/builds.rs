//! What builds cannot run: releases by their names, and files with what a Collector said.

use serde_json::{Value, json};

use super::{GOOD, GOOD_BODY, json_of, run_in, source, write};

/// Wants a component that core does not have, and one for a signal that it does not support.
const CONTRIB: (&str, &str) = (
    "tail.config.yaml",
    "name: tail\nbody: |\n  receivers: {filelog: {}, jaeger: {}}\n  exporters: {debug: {}}\n  service:\n    pipelines:\n      logs: {receivers: [filelog, jaeger], exporters: [debug]}\n",
);
const CORE: &str = "otelcol@0.149.0";
/// What a build of somebody's own prints.
const PRINTED: &str = "buildinfo: {command: ours, version: 7.1.0}\nreceivers:\n  - name: filelog\n    stability: {logs: Beta, traces: Undefined}\n";
const REFUSED: &str = "'receivers' unknown type: \"no\" for id: \"no\" (valid values: [filelog jaeger])\n'exporters' unknown type: \"no\" for id: \"no\" (valid values: [debug])\n'processors' unknown type: \"no\" for id: \"no\" (valid values: [])\n'connectors' unknown type: \"no\" for id: \"no\" (valid values: [])\n'extensions' unknown type: \"no\" for id: \"no\" (valid values: [])\n";

#[test]
fn what_a_release_lacks_is_an_error_where_it_is_wanted() {
    let root = source(&[CONTRIB]);
    let without = run_in(root.path(), &["collectors"]);
    assert_eq!(without.status, 0, "{}", without.out);
    for labels in [&[][..], &["--labels", "env=prod"]] {
        let arguments = [&["collectors", "--build", CORE][..], labels].concat();
        let said = run_in(root.path(), &arguments);
        assert_eq!(said.status, 1, "{}{}", said.out, said.error);
        let lacks = "collectors/tail.config.yaml:3:24: error[unknown-component] the build 0.149.0 has no receiver filelog: ";
        assert!(said.out.contains(lacks), "{}", said.out);
        let logs = "collectors/tail.config.yaml:7:35: error[unsupported-signal] receiver jaeger does not support logs: ";
        assert!(said.out.contains(logs), "{}", said.out);
        assert!(said.out.contains(", 1 build: 2 errors"), "{}", said.out);
        let audience = match labels {
            [] => "(in otelcol@0.149.0)\n",
            _ => "(for env=prod; in otelcol@0.149.0)\n",
        };
        assert_eq!(said.out.matches(audience).count(), 2, "{}", said.out);
    }
    let good = source(&[GOOD, GOOD_BODY]);
    let said = run_in(good.path(), &["collectors", "--build", CORE]);
    assert_eq!(said.status, 0, "{}", said.out);
}

#[test]
fn a_finding_names_the_builds_that_it_is_about() {
    let root = source(&[CONTRIB]);
    let collectors = root.path().join("collectors");
    write(root.path(), "ours.yaml", PRINTED.as_bytes());
    write(root.path(), "ours.txt", REFUSED.as_bytes());
    let told = json_of(
        &collectors,
        &["--build", CORE, "--build", "../ours.yaml,../ours.txt"],
    );
    assert_eq!(told["builds"][0]["name"], CORE);
    assert_eq!(
        told["builds"][1],
        json!({ "name": "../ours.yaml", "components": 3, "in_part": [] })
    );
    let found: Vec<&Value> = told["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .collect();
    let builds: Vec<_> = found
        .iter()
        .map(|found| (&found["code"], &found["builds"]))
        .collect();
    assert_eq!(
        builds,
        [
            (&json!("unknown-component"), &json!([CORE])),
            (&json!("unsupported-signal"), &json!([CORE])),
        ]
    );
    let said = run_in(
        root.path(),
        &["collectors", "--build", CORE, "--format", "sarif"],
    );
    let log: Value = serde_json::from_str(&said.out).expect("JSON");
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "unknown-component");
    let region = &result["locations"][0]["physicalLocation"]["region"];
    assert_eq!(region, &json!({ "startLine": 3, "startColumn": 24 }));
    let text = result["message"]["text"].as_str().expect("a text");
    assert!(text.ends_with(" (in otelcol@0.149.0)"), "{text}");
}

#[test]
fn of_a_build_that_lists_no_names_nothing_is_said_to_be_missing() {
    let root = source(&[CONTRIB]);
    write(root.path(), "ours.yaml", PRINTED.as_bytes());
    let said = run_in(root.path(), &["collectors", "--build", "ours.yaml"]);
    assert_eq!(said.status, 0, "{}", said.out);
    let advice = "collectors: advice[build-known-in-part] of ours.yaml not all receivers, processors, exporters, connectors, extensions are known";
    assert!(said.out.contains(advice), "{}", said.out);
}

#[test]
fn a_build_that_is_not_known_is_no_build() {
    let root = source(&[GOOD, GOOD_BODY]);
    write(root.path(), "empty.yaml", b"hello: 1\n");
    write(root.path(), "ours.yaml", PRINTED.as_bytes());
    for (build, part) in [
        ("otelcol@0.1.0", "known are otelcol@0.149.0"),
        ("nowhere.yaml", "there is no such file"),
        ("empty.yaml", "it names no component"),
        ("ours.yaml,nowhere.txt", "reading nowhere.txt"),
        ("ours.yaml,empty.yaml", "empty.yaml lists no components"),
    ] {
        let said = run_in(root.path(), &["collectors", "--build", build]);
        assert_eq!((said.status, &*said.out), (2, ""), "{build}");
        assert!(said.error.contains(part), "{build}: {}", said.error);
    }
}
