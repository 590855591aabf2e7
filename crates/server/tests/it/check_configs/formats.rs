//! The shape of the JSON, and the documentation of the codes.

use std::path::Path;

use engine::admin::source::all_codes;
use serde_json::json;

use super::{GOOD, GOOD_BODY, LACKING, json_of, run_in, source};

#[test]
fn json_has_the_shape_that_is_documented() {
    let root = source(&[GOOD, GOOD_BODY, LACKING]);
    let told = json_of(
        &root.path().join("collectors"),
        &["--labels", "team=a,env=prod", "--labels", ""],
    );
    let message = "exporter otlp is not defined: otlp is a receiver: name it where it belongs";
    let found = told["findings"].as_array().expect("findings");
    let undefined = found
        .iter()
        .find(|found| found["code"] == "undefined-component");
    assert_eq!(
        undefined,
        Some(&json!({
            "code": "undefined-component", "severity": "error", "message": message,
            "file": "extra.config.yaml", "line": 7, "column": 35,
            "page": "docs/findings/undefined-component.md",
            "refuses": false, "labels": ["env=prod,team=a"], "builds": [],
        }))
    );
    let mut rest = told.clone();
    rest["findings"] = json!([]);
    assert_eq!(
        rest,
        json!({
            "version": 1, "directory": ".", "refused": false, "documents": 2,
            "errors": 1, "warnings": 0, "advice": 0, "left_out": 0,
            "agents": [
                { "labels": "env=prod,team=a", "configs": ["edge", "extra"] },
                { "labels": "", "configs": ["edge"] },
            ],
            "builds": [],
            "findings": [],
        })
    );
}

#[test]
fn what_is_about_the_source_as_a_whole_names_no_file() {
    let root = source(&[("README.md", "nothing")]);
    let told = json_of(&root.path().join("collectors"), &["--labels", "env=prod"]);
    assert_eq!(
        (&told["refused"], &told["documents"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(
        told["agents"],
        json!([{ "labels": "env=prod", "configs": [] }])
    );
    let found = &told["findings"][0];
    assert_eq!(found["code"], "source-empty");
    assert_eq!(
        (&found["file"], &found["line"], &found["refuses"]),
        (&json!(null), &json!(null), &json!(true))
    );
}

#[test]
fn pages_are_linked_where_it_is_said_where_they_are() {
    let root = source(&[LACKING]);
    let more = ["--docs-url", "https://git.example.com/opamp/docs/"];
    let told = json_of(&root.path().join("collectors"), &more);
    let found = told["findings"].as_array().expect("findings").iter();
    let pages: Vec<_> = found.filter_map(|found| found["page"].as_str()).collect();
    let expected = "https://git.example.com/opamp/docs/findings/undefined-component.md";
    assert!(pages.contains(&expected), "{pages:?}");
}

#[test]
fn names_of_files_do_not_steer_a_terminal() {
    let root = source(&[("a\u{1b}[31m\n.config.yaml", "nope")]);
    let said = run_in(root.path(), &["collectors"]);
    assert_eq!(said.status, 1);
    assert_eq!(said.out.lines().count(), 2, "{}", said.out);
    assert!(!said.out.contains('\u{1b}'), "{}", said.out);
}

#[test]
fn every_code_without_a_page_stands_in_the_documentation() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let page = std::fs::read_to_string(docs.join("check-configs.md")).expect("the page");
    for code in all_codes() {
        if code.has_page {
            let page = docs.join(format!("findings/{}.md", code.name));
            assert!(page.is_file(), "{}", page.display());
        } else {
            let severity = code.severity.name();
            let row = format!("| `{}` | {severity} | {} |", code.name, code.summary);
            assert!(page.contains(&row), "docs/check-configs.md lacks: {row}");
        }
    }
}
