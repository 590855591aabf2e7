//! A source checked without a server: each document alone, and what agents with made-up labels would get.

use std::collections::BTreeSet;

use backends::{LimitBroken, SourceFile};
use domain::Labels;
use engine::Severity;
use engine::admin::source::{CheckFinding, CheckOptions, SourceCheck, all_codes, check_source};

const BASE: &str = "name: base\nbody: |\n  receivers: {otlp: {}}\n  exporters: {debug: {}}\n";
const PIPELINE: &str = "name: traces\nselector: env in (prod, staging)\npriority: 10\nbody: |\n  service:\n    pipelines:\n      traces: {receivers: [otlp], exporters: [debug]}\n";

fn check(files: &[(&str, &str)], agents: &[&[(&str, &str)]]) -> SourceCheck {
    let files = files.iter();
    let files = files.map(|(path, text)| SourceFile::new(*path, *text));
    let labels = |labels: &&[(&str, &str)]| labels.iter().copied().collect::<Labels>();
    let options = CheckOptions {
        agents: agents.iter().map(labels).collect(),
        ..CheckOptions::default()
    };
    check_source(Ok(files.collect()), &options)
}

fn told(check: &SourceCheck) -> Vec<(Severity, &'static str, String)> {
    let told = |found: &CheckFinding| (found.severity, found.code.name, found.place.to_string());
    check.findings.iter().map(told).collect()
}

#[test]
fn codes_are_told_apart() {
    let names: BTreeSet<_> = all_codes().map(|code| code.name).collect();
    assert_eq!(names.len(), all_codes().count());
    for code in all_codes() {
        assert!(code.summary.ends_with('.'), "{}", code.name);
        assert!(!code.summary.starts_with(' '), "{}", code.name);
    }
}

#[test]
fn a_part_lacks_nothing_in_the_whole() {
    let files = [("a.config.yaml", BASE), ("b.config.yaml", PIPELINE)];
    let alone = check(&files, &[]);
    assert!(!alone.is_refused);
    assert_eq!(alone.count(Severity::Error), 0, "{alone:#?}");
    assert_eq!(alone.count(Severity::Warning), 0, "{alone:#?}");
    let place = "b.config.yaml:7:28".to_owned();
    let lack = (Severity::Advice, "undefined-component", place);
    assert!(told(&alone).contains(&lack), "{alone:#?}");

    let prod: &[(&str, &str)] = &[("env", "prod")];
    let whole = check(&files, &[prod]);
    assert_eq!(told(&whole), []);
    let names: Vec<_> = whole.agents[0].iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["base", "traces"]);

    // The base alone is nothing to run, for an agent that no other config is for.
    let other = check(&files, &[prod, &[]]);
    assert_eq!(other.agents[1].len(), 1);
    let errors: Vec<_> = other.findings.iter().collect();
    assert!(!errors.is_empty());
    for found in errors {
        assert!(["nothing-to-run", "unused-component"].contains(&found.code.name));
        assert_eq!(found.agents, BTreeSet::from([1]));
        assert_eq!(found.place.file, "a.config.yaml");
    }
}

#[test]
fn the_only_document_is_the_whole() {
    let only = check(&[("config.yaml", BASE)], &[]);
    assert_eq!(only.count(Severity::Error), 1, "{only:#?}");
    assert_eq!(only.findings[0].code.name, "nothing-to-run");
    assert!(!only.findings[0].refuses && !only.is_refused);
}

#[test]
fn the_same_finding_of_several_agents_is_one() {
    let secret = "name: secret\nbody: |\n  exporters:\n    otlp: {headers: {api-key: hunter2}}\n";
    let files = [("a.config.yaml", secret), ("b.config.yaml", PIPELINE)];
    let agents: [&[(&str, &str)]; 3] = [&[("env", "prod")], &[], &[("env", "staging")]];
    let found = check(&files, &agents);
    let secrets = found.findings.iter();
    let secrets: Vec<_> = secrets
        .filter(|found| found.code.name == "plaintext-secret")
        .collect();
    assert_eq!(secrets.len(), 1, "{found:#?}");
    assert_eq!(secrets[0].agents, BTreeSet::from([0, 1, 2]));
    assert!(!format!("{found:?}").contains("hunter2"));
}

#[test]
fn a_template_that_is_the_same_for_every_agent_is_checked_alone() {
    let body = "body: |\n  exporters: {debug: {verbosity: {{ vars.level }}}}\n";
    let fixed = format!("name: t\ntemplate: jinja\nvars: {{level: 'a: b: c'}}\n{body}");
    let found = check(&[("t.config.yaml", &fixed)], &[]);
    let place = "t.config.yaml:5:37".to_owned();
    assert_eq!(told(&found), [(Severity::Error, "config-template", place)]);
    assert!(!found.is_refused, "a commit is not refused for it");

    let over = "overrides: [{selector: a=b, vars: {level: basic}}]\n";
    let varied = format!("name: t\ntemplate: jinja\nvars: {{level: normal}}\n{over}{body}");
    let found = check(&[("t.config.yaml", &varied)], &[]);
    let place = "t.config.yaml:1:1".to_owned();
    assert_eq!(
        told(&found),
        [(Severity::Advice, "template-not-rendered", place)]
    );
}

#[test]
fn nothing_is_merged_of_what_would_be_refused_but_the_rest_is_checked_alone() {
    let secret = "name: s\nbody: |\n  exporters: {otlp: {headers: {api-key: hunter2}}}\n";
    let files = [
        ("a.config.yaml", "name: a\nbody: 'a: ['\n"),
        ("s.config.yaml", secret),
    ];
    let found = check(&files, &[&[]]);
    assert!(found.is_refused && found.agents.is_empty());
    let codes: Vec<_> = found.findings.iter().map(|found| found.code.name).collect();
    assert!(codes.contains(&"config-body"), "{found:#?}");
    assert!(codes.contains(&"plaintext-secret"), "{found:#?}");
    let refusing = found.findings.iter().filter(|found| found.refuses);
    assert_eq!(refusing.count(), 1);
}

#[test]
fn layers_that_merge_to_too_much_are_told() {
    let files = [("a.config.yaml", BASE), ("b.config.yaml", PIPELINE)];
    let files = files.map(|(path, text)| SourceFile::new(path, text));
    let mut options = CheckOptions {
        agents: vec![Labels::from_iter([("env", "prod")])],
        ..CheckOptions::default()
    };
    options.limits.merged_bytes = 50;
    let found = check_source(Ok(files.to_vec()), &options);
    let merged = found
        .findings
        .iter()
        .find(|found| found.code.name == "configs-not-merged");
    let merged = merged.unwrap();
    assert!(merged.message.contains("allowed are 50"), "{merged:?}");
    assert_eq!(merged.agents, BTreeSet::from([0]));
}

#[test]
fn of_very_many_findings_the_worst_are_told_and_all_are_counted() {
    let headers: String = (0..1_000).map(|n| format!("h{n}: x, ")).collect();
    let body = |name: &str| {
        format!(
            "name: {name}\nbody: |\n  exporters: {{otlp: {{headers: {{{headers}}}}}}}\n  nope: 1\n"
        )
    };
    let names = (0..12).map(|n| format!("c{n}"));
    let files: Vec<_> = names
        .map(|name| SourceFile::new(format!("{name}.config.yaml"), body(&name)))
        .collect();
    let found = check_source(Ok(files), &CheckOptions::default());
    assert_eq!(found.findings.len(), 10_000);
    assert!(0 < found.left_out());
    let errors = found.findings.iter();
    let errors = errors.filter(|found| found.severity == Severity::Error);
    assert_eq!(errors.count(), found.count(Severity::Error));
}

#[test]
fn a_source_beyond_a_limit_is_refused() {
    let (path, most) = ("z".to_owned(), 10_000);
    let broken = LimitBroken::Files { most, path };
    let found = check_source(Err(broken), &CheckOptions::default());
    assert!(found.is_refused);
    assert_eq!(found.findings[0].code.name, "source-too-large");
}

#[test]
fn sets_of_variables_are_given_to_templates_and_are_nothing_alone() {
    let set = "name: shared\nkind: variables\nselector: env=prod\nbody: |\n  verbosity: basic\n";
    let template = "name: base\ntemplate: jinja\nbody: |\n  receivers: {otlp: {}}\n  exporters: {debug: {verbosity: {{ vars.verbosity }}}}\n  service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n";
    let files = [("a.config.yaml", template), ("b.config.yaml", set)];
    let prod: &[(&str, &str)] = &[("env", "prod")];
    let whole = check(&files, &[prod]);
    assert_eq!(told(&whole), []);
    let names: Vec<_> = whole.agents[0].iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["base"], "a set is no layer");
    let alone = check(&files, &[]);
    let codes: Vec<_> = alone.findings.iter().map(|found| found.code.name).collect();
    assert_eq!(codes, ["template-not-rendered"], "{alone:#?}");
    let lacking = check(&files, &[&[]]);
    let [found] = &lacking.findings[..] else {
        panic!("{lacking:#?}")
    };
    assert_eq!(found.place.to_string(), "a.config.yaml:5:37");
    assert!(
        found.message.ends_with("no set of variables matches it"),
        "{found:?}"
    );
}
