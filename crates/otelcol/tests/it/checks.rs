//! Static checks: each code on the smallest configuration that has the fault, and the real Collector as the judge of errors.

use std::collections::BTreeSet;

use otelcol::{Code, Document, Finding, Inventory, MOST_FINDINGS, Severity, Surroundings, check};

use crate::reference::Reference;

const COMPONENTS: &str = "
buildinfo: {version: 1.2.3}
receivers:
  - {name: otlp, stability: {logs: Stable, metrics: Stable, traces: Stable}}
  - {name: hostmetrics, stability: {logs: Development, metrics: Beta, traces: Undefined}}
processors:
  - {name: batch, stability: {logs: Beta, metrics: Beta, traces: Beta}}
  - {name: memory_limiter, stability: {logs: Beta, metrics: Beta, traces: Beta}}
exporters:
  - {name: debug, stability: {logs: Alpha, metrics: Alpha, traces: Alpha}}
connectors:
  - {name: count, stability: {traces-to-metrics: Alpha, logs-to-metrics: Alpha}}
  - {name: forward, stability: {traces-to-traces: Beta, metrics-to-metrics: Beta, logs-to-logs: Beta}}
extensions:
  - {name: health_check, stability: {extension: Alpha}}
";

/// How the Collector says which processors it has.
const REFUSED: &str =
    "'processors' unknown type: \"x\" for id: \"x\" (valid values: [memory_limiter batch])";

fn found(text: &str) -> Vec<Finding> {
    let mut inventory = Inventory::parse(COMPONENTS.as_bytes()).unwrap();
    inventory.complete(REFUSED);
    let variables = BTreeSet::from(["SET".to_owned()]);
    let around = Surroundings {
        inventory: Some(&inventory),
        variables: Some(&variables),
    };
    check(&Document::parse(text.as_bytes()).unwrap(), &around)
}

fn codes(text: &str) -> Vec<(Code, u32)> {
    found(text)
        .iter()
        .map(|finding| (finding.code, finding.origin.position.line))
        .collect()
}

/// A configuration that is well, with one line more or less in it.
fn with(section: &str, pipeline: &str) -> String {
    format!(
        "receivers: {{otlp: {{protocols: {{grpc: }}}}}}\nexporters: {{debug: }}\n{section}\nservice:\n  pipelines:\n    {pipeline}\n"
    )
}

const WELL: &str = "traces: {receivers: [otlp], exporters: [debug]}";

/// Each fault alone, where the finding is, and what it is.
fn faults() -> Vec<(Code, u32, String)> {
    let traces = |more: &str| format!("traces: {{receivers: [otlp], exporters: [debug]{more}}}");
    let two = |section: &str, a: &str, b: &str| with(section, &format!("{a}\n    {b}"));
    vec![
        (Code::UnknownKey, 3, with("reciever: {}", WELL)),
        (Code::UnknownKey, 6, with("", &traces(", exporter: [debug]"))),
        (Code::WrongKind, 3, with("processors: [batch]", WELL)),
        (Code::WrongKind, 3, with("processors: x", WELL)),
        (Code::WrongKind, 6, with("", "traces: {receivers: otlp, exporters: [debug]}")),
        (Code::WrongKind, 6, with("", "traces: {receivers: [otlp, {}], exporters: [debug]}")),
        (Code::BadId, 3, with("processors: {batch/: }", WELL)),
        (Code::BadId, 3, with("processors: {ba-tch: }", WELL)),
        (Code::BadId, 6, with("", "spans: {receivers: [otlp], exporters: [debug]}")),
        (Code::BadId, 6, with("", &traces(", processors: ['batch/a b']"))),
        (Code::LostSettings, 3, with("processors: {'batch ': {timeout: 1s}}", &traces(", processors: [batch]"))),
        (Code::EmptyPipeline, 6, with("", "traces: {receivers: [], exporters: [debug]}")),
        (Code::EmptyPipeline, 6, with("", "traces: {receivers: [otlp]}")),
        (Code::UndefinedComponent, 6, with("", &traces(", processors: [batch]"))),
        (Code::UndefinedComponent, 6, with("", "traces: {receivers: [otlp/2, otlp], exporters: [debug]}")),
        (Code::UndefinedComponent, 6, with("", "traces: {receivers: [otlp], exporters: [debug, otlp]}")),
        (
            Code::RepeatedProcessor,
            6,
            with("processors: {batch: }", &traces(", processors: [batch, batch]")),
        ),
        (Code::UnknownComponent, 3, with("processors: {bach: }", &traces(", processors: [bach]"))),
        (
            Code::UnsupportedSignal,
            6,
            "receivers: {hostmetrics: {scrapers: {cpu: }}}\nexporters: {debug: }\n\nservice:\n  pipelines:\n    traces: {receivers: [hostmetrics], exporters: [debug]}\n".to_owned(),
        ),
        (
            Code::LooseConnector,
            6,
            with("connectors: {count: }", "traces: {receivers: [otlp], exporters: [debug, count]}"),
        ),
        (
            Code::LooseConnector,
            6,
            with("connectors: {count: }", "metrics: {receivers: [otlp, count], exporters: [debug]}"),
        ),
        (
            Code::PipelineCycle,
            6,
            two(
                "connectors: {forward/a: , forward/b: }",
                "traces: {receivers: [otlp, forward/a], exporters: [forward/b]}",
                "traces/2: {receivers: [forward/b], exporters: [debug, forward/a]}",
            ),
        ),
        (Code::UnusedComponent, 3, with("processors: {batch: }", WELL)),
        (Code::UnusedComponent, 3, with("extensions: {health_check: }", WELL)),
        (Code::RepeatedComponent, 6, with("", "traces: {receivers: [otlp, otlp], exporters: [debug]}")),
        (
            Code::LateMemoryLimiter,
            6,
            with(
                "processors: {batch: , memory_limiter: {check_interval: 1s, limit_mib: 9}}",
                &traces(", processors: [batch, memory_limiter]"),
            ),
        ),
        (Code::GatedSignal, 6, with("", "profiles: {receivers: [otlp], exporters: [debug]}")),
    ]
}

#[test]
fn each_fault_is_found_where_it_stands() {
    assert_eq!(codes(&with("", WELL)), []);
    for (code, line, text) in faults() {
        let found = codes(&text);
        assert!(found.contains(&(code, line)), "{code}: {found:?}\n{text}");
    }
}

#[test]
fn an_error_never_comes_alone_with_the_wrong_severity() {
    for (code, _, text) in faults() {
        let worst = found(&text).iter().map(Finding::severity).max().unwrap();
        assert!(code.severity() <= worst, "{text}");
        if code.severity() == Severity::Error {
            assert_eq!(worst, Severity::Error, "{text}");
        }
    }
}

#[test]
fn what_may_have_been_left_out_of_an_inventory_may_be_there() {
    // Of exporters not all are known here.
    let text = with("processors: {bach: }", WELL).replace("debug", "debugger");
    assert_eq!(
        codes(&text),
        [(Code::UnknownComponent, 3), (Code::UnusedComponent, 3)]
    );
}

#[test]
fn nothing_to_run() {
    assert_eq!(
        codes("receivers: {otlp: }\n"),
        [
            (Code::NothingToRun, 0),
            (Code::NothingToRun, 0),
            (Code::UnusedComponent, 1)
        ]
    );
}

#[test]
fn an_id_of_a_connector_and_an_exporter_is_ambiguous() {
    let text = "receivers: {otlp: }\nexporters: {forward: }\nconnectors: {forward: }\nservice: {pipelines: {
      traces: {receivers: [otlp], exporters: [forward]}, traces/2: {receivers: [forward], exporters: [forward]}}}\n";
    assert!(codes(text).contains(&(Code::AmbiguousId, 3)));
}

#[test]
fn connectors_that_lead_on_are_well() {
    let text = with(
        "connectors: {count: , forward: }",
        "traces: {receivers: [otlp], exporters: [count, forward]}
    traces/b: {receivers: [forward], exporters: [debug]}
    metrics: {receivers: [count], exporters: [debug]}",
    );
    assert_eq!(codes(&text), []);
}

#[test]
fn a_circle_is_told_with_a_few_of_its_ways() {
    let exporters = "traces: {receivers: [otlp, forward], exporters: [debug, forward]}";
    let more: String = (0..3)
        .map(|number| {
            format!("    traces/{number}: {{receivers: [forward], exporters: [forward]}}\n")
        })
        .collect();
    let text = with(
        "connectors: {forward: , forward/on: }",
        &format!(
            "{exporters}\n{more}    traces/in: {{receivers: [otlp], exporters: [forward, forward/on]}}\n    traces/out: {{receivers: [forward, forward/on], exporters: [debug]}}"
        ),
    );
    let told: Vec<String> = found(&text).into_iter().map(|f| f.message).collect();
    assert_eq!(
        told,
        [
            "data goes round in a circle: forward brings it from traces to traces, traces to traces/0, traces to traces/1 and 13 ways more"
        ]
    );
}

#[test]
fn what_leads_from_one_circle_to_another_is_in_none() {
    let text = with(
        "connectors: {forward/a: , forward/b: , forward/on: }",
        "traces: {receivers: [otlp, forward/a], exporters: [forward/a, forward/on]}
    traces/2: {receivers: [forward/b, forward/on], exporters: [debug, forward/b]}",
    );
    assert_eq!(
        codes(&text),
        [(Code::PipelineCycle, 6), (Code::PipelineCycle, 7)]
    );
}

/// So many exporters that each have a password in the text, all of them used.
fn with_passwords(count: usize) -> String {
    let ids: Vec<String> = (0..count).map(|number| format!("debug/{number}")).collect();
    let defined: String = ids
        .iter()
        .map(|id| format!("  {id}: {{password: x}}\n"))
        .collect();
    format!(
        "receivers: {{otlp: }}\nexporters:\n{defined}service:\n  pipelines:\n    traces: {{receivers: [otlp], exporters: [{}]}}\n",
        ids.join(", ")
    )
}

#[test]
fn findings_are_cut_where_there_are_too_many_and_errors_are_told_all_the_same() {
    let all = codes(&with_passwords(MOST_FINDINGS));
    assert_eq!(all.len(), MOST_FINDINGS);
    assert!(
        all.iter()
            .zip(3..)
            .all(|(found, line)| *found == (Code::PlaintextSecret, line))
    );

    // The error stands behind all of them.
    for count in [MOST_FINDINGS, 5 * MOST_FINDINGS] {
        let text = with_passwords(count).replace("[otlp]", "[otlp, jaeger]");
        let cut = codes(&text);
        let line_of_error = u32::try_from(count).unwrap() + 5;
        let (end, told) = cut.split_at(MOST_FINDINGS - 1);
        assert!(
            end.iter()
                .zip(3..)
                .all(|(found, line)| *found == (Code::PlaintextSecret, line))
        );
        assert_eq!(
            told,
            [
                (Code::UndefinedComponent, line_of_error),
                (Code::MoreFindings, line_of_error)
            ]
        );
    }
}

#[test]
fn what_findings_quote_is_bounded_too() {
    let name = "x".repeat(1000);
    let pipelines: String = (0..900)
        .map(|number| format!("    traces/{name}{number}: {{receivers: [otlp/{name}{number}], exporters: [debug]}}\n"))
        .collect();
    let found = found(&with("", pipelines.trim()));
    let bytes: usize = found
        .iter()
        .map(|finding| finding.path.to_string().len() + finding.message.len())
        .sum();
    assert!(500_000 < bytes && bytes < 1_100_000, "{bytes}");
    assert_eq!(found.last().unwrap().code, Code::MoreFindings);
}

#[test]
fn what_stands_behind_a_reference_may_be_well() {
    let text = with(
        "processors: ${file:/etc/p.yaml}",
        "traces: {receivers: [otlp, '${env:SET}'], processors: [batch], exporters: [debug]}",
    );
    assert_eq!(codes(&text), []);
}

#[test]
fn settings_that_are_regretted() {
    let exporter = |settings: &str| {
        with("", WELL).replace(
            "exporters: {debug: }",
            &format!("exporters: {{debug: {settings}}}"),
        )
    };
    for (settings, code) in [
        (
            "{endpoint: 'a.example:4317', tls: {insecure: true}}",
            Code::InsecureTransport,
        ),
        (
            "{endpoint: 'http://a.example:4318'}",
            Code::InsecureTransport,
        ),
        ("{headers: {x-key: abc}}", Code::PlaintextSecret),
        (
            "{endpoints: ['http://localhost:1', 'http://a.example:1']}",
            Code::InsecureTransport,
        ),
        ("{hec_url: 'http://a.example'}", Code::InsecureTransport),
        ("{auth: {password: abc}}", Code::PlaintextSecret),
        ("{a: 'amqp://u:abc@a.example'}", Code::PlaintextSecret),
        (
            "{a: 'Endpoint=sb://a.example;SharedAccessKey=abc'}",
            Code::PlaintextSecret,
        ),
        ("{endpoint: '${env:NOWHERE}:1'}", Code::UnsetVariable),
    ] {
        assert_eq!(codes(&exporter(settings)), [(code, 2)], "{settings}");
    }
    for settings in [
        "{endpoint: 'localhost:4317', tls: {insecure: true}}",
        "{endpoint: 'https://a.example:4318'}",
        "{a: 'amqp://u:${env:SET}@a.example'}",
        "{doc_url: 'https://a.example?u=1&password=${env:SET}'}",
        "{headers: {x-key: '${env:SET}'}}",
        "{endpoint: '${env:NOWHERE:-a}:1'}",
    ] {
        assert_eq!(codes(&exporter(settings)), [], "{settings}");
    }
}

#[test]
fn the_same_codes_have_the_same_names_forever() {
    let names: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(distinct.len(), names.len());
    assert!(names.contains(&"undefined-component") && names.contains(&"pipeline-cycle"));
}

#[test]
fn the_collector_refuses_what_is_an_error_and_takes_the_rest() {
    let Some(collector) = Reference::find("checks") else {
        return;
    };
    let inventory = collector.inventory();
    let around = Surroundings {
        inventory: Some(&inventory),
        variables: None,
    };
    let mut judged = 0;
    for (code, _, text) in faults() {
        let findings = check(&Document::parse(text.as_bytes()).unwrap(), &around);
        let worst = findings.iter().map(Finding::severity).max();
        // Only with its feature gate.
        if code == Code::GatedSignal {
            continue;
        }
        let verdict = collector.validate(&text);
        assert_eq!(
            worst == Some(Severity::Error),
            verdict.is_err(),
            "{findings:#?}\n{verdict:?}\n{text}"
        );
        judged += 1;
    }
    assert!(20 < judged);
}
