//! SARIF as the standard has it: what is not in these types, or of another kind, fails.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{GOOD, GOOD_BODY, LACKING, TEMPLATE, run_in, source};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    #[serde(rename = "$schema")]
    schema: String,
    version: String,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Run {
    tool: Tool,
    column_kind: String,
    results: Vec<Outcome>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tool {
    driver: Driver,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Driver {
    name: String,
    version: String,
    information_uri: Option<String>,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Rule {
    id: String,
    short_description: Text,
    full_description: Text,
    help: Text,
    help_uri: String,
    default_configuration: Configuration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Configuration {
    level: Level,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    text: String,
}

#[derive(Deserialize, Debug, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "camelCase")]
enum Level {
    Note,
    Warning,
    Error,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Outcome {
    rule_id: String,
    rule_index: usize,
    level: Level,
    message: Text,
    locations: Vec<Location>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Location {
    physical_location: Physical,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Physical {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Artifact {
    uri: String,
}

#[derive(Deserialize, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Region {
    start_line: u64,
    start_column: Option<u64>,
}

/// Reads a log and checks what holds of every one.
fn read(text: &str) -> Run {
    let mut log: Log = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(log.version, "2.1.0");
    assert!(log.schema.ends_with("/sarif-schema-2.1.0.json"));
    let run = log.runs.pop().expect("a run");
    assert!(log.runs.is_empty());
    assert_eq!(run.column_kind, "unicodeCodePoints");
    let driver = &run.tool.driver;
    assert_eq!(driver.name, "opamp-server");
    assert!(!driver.version.is_empty());
    let ids: BTreeSet<&str> = driver.rules.iter().map(|rule| &*rule.id).collect();
    assert_eq!(ids.len(), driver.rules.len());
    for rule in &driver.rules {
        // An absolute URI.
        let (scheme, rest) = rule.help_uri.split_once(':').expect("a scheme");
        assert!(["urn", "https"].contains(&scheme) && !rest.is_empty());
        for text in [&rule.short_description, &rule.full_description, &rule.help] {
            assert!(!text.text.is_empty(), "{}", rule.id);
        }
    }
    for found in &run.results {
        assert_eq!(driver.rules[found.rule_index].id, found.rule_id);
        assert!(!found.message.text.is_empty());
        assert_eq!(found.locations.len(), 1);
        let place = &found.locations[0].physical_location;
        let uri = &place.artifact_location.uri;
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._~/%".contains(c);
        assert!(uri.chars().all(fits) && !uri.starts_with('/'), "{uri}");
        let region = &place.region;
        assert!(1 <= region.start_line && region.start_column != Some(0));
    }
    run
}

fn sarif(root: &std::path::Path, more: &[&str]) -> Run {
    read(&run_in(root, &[&["--format", "sarif"], more].concat()).out)
}

#[test]
fn findings_are_results_at_their_lines() {
    let root = source(&[GOOD, GOOD_BODY, LACKING, TEMPLATE]);
    let labels = ["--labels", "env=prod,region=eu", "--labels", "env=prod"];
    let run = sarif(root.path(), &[&["./collectors/"], &labels[..]].concat());
    let found: Vec<_> = run
        .results
        .iter()
        .map(|found| {
            let place = &found.locations[0].physical_location;
            let region = &place.region;
            let column = region.start_column.expect("a column");
            let uri = place.artifact_location.uri.as_str();
            (&*found.rule_id, found.level, uri, region.start_line, column)
        })
        .collect();
    let region = "collectors/region.config.yaml";
    assert_eq!(
        found,
        [
            ("insecure-transport", Level::Warning, region, 7, 17),
            ("config-template", Level::Error, region, 7, 21),
        ]
    );
}

#[test]
fn rules_say_how_bad_they_are_and_link_their_pages() {
    let root = source(&[("a b/ä.config.yaml", "name: x\n")]);
    let run = sarif(
        root.path(),
        &["collectors", "--docs-url", "https://git.example.com/docs"],
    );
    let driver = &run.tool.driver;
    let docs = Some("https://git.example.com/docs");
    assert_eq!(driver.information_uri.as_deref(), docs);
    let found = &run.results[0];
    let place = &found.locations[0].physical_location;
    assert_eq!(
        place.artifact_location.uri,
        "collectors/a%20b/%C3%A4.config.yaml"
    );
    for (id, level, page) in [
        ("document-syntax", Level::Error, "check-configs.md#codes"),
        ("early-batch", Level::Note, "findings/early-batch.md"),
        (
            "unused-component",
            Level::Warning,
            "findings/unused-component.md",
        ),
    ] {
        let rules = &run.tool.driver.rules;
        let rule = rules.iter().find(|rule| rule.id == id).expect("a rule");
        assert_eq!(rule.default_configuration.level, level);
        assert_eq!(
            rule.help_uri,
            format!("https://git.example.com/docs/{page}")
        );
    }
}

#[test]
fn a_finding_without_a_file_stands_at_the_directory() {
    let root = source(&[("README.md", "")]);
    let uri = |arguments: &[&str]| {
        let run = sarif(root.path(), arguments);
        let place = &run.results[0].locations[0].physical_location;
        assert_eq!(
            (place.region.start_line, place.region.start_column),
            (1, None)
        );
        place.artifact_location.uri.clone()
    };
    assert_eq!(uri(&["collectors"]), "collectors/");
    assert_eq!(uri(&["."]), "./");
}
