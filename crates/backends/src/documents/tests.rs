use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::SourceContent;

fn one(text: &str) -> SourceConfig {
    let files = [SourceFile::new("config.yaml", text)];
    let mut configs = read(&files).expect("a good document");
    assert_eq!(configs.len(), 1);
    configs.remove(0)
}

fn faults_of(files: &[SourceFile]) -> Vec<String> {
    let faults = read(files).map(drop).expect_err("a fault");
    faults.iter().map(ToString::to_string).collect()
}

fn faults(text: &str) -> Vec<String> {
    faults_of(&[SourceFile::new("config.yaml", text)])
}

fn codes(text: &str) -> Vec<FaultCode> {
    let faults = read(&[SourceFile::new("config.yaml", text)])
        .map(drop)
        .expect_err("a fault");
    faults.iter().map(|fault| fault.code).collect()
}

const WHOLE: &str = "\
name: edge
kind: collector
selector: {region: us-east, env: prod}
priority: -5
message: why
template: jinja
vars: {verbosity: basic, batch: {size: 10}, on: yes, list: [1, 2.5, null, true]}
overrides:
  - selector: region in (us-east, us-west)
    vars: {verbosity: normal}
body: |
  receivers: {}
  service:
    pipelines: {}
";

#[test]
fn a_document_has_every_key() {
    let config = one(WHOLE);
    assert_eq!(config.name.as_str(), "edge");
    assert_eq!(config.kind, Kind::Collector);
    assert_eq!(config.selector.to_string(), "env=prod,region=us-east");
    assert_eq!(config.priority, -5);
    assert_eq!(config.message.as_deref(), Some("why"));
    let template = config.template.expect("a template");
    assert_eq!(
        json!(template.vars),
        json!({
            "verbosity": "basic", "batch": {"size": 10}, "on": "yes", "list": [1, 2.5, null, true],
        })
    );
    let [over] = &template.overrides[..] else {
        panic!("{:?}", template.overrides)
    };
    assert_eq!(over.selector.to_string(), "region in (us-east,us-west)");
    assert_eq!(json!(over.vars), json!({"verbosity": "normal"}));
    assert_eq!(
        config.body.text,
        "receivers: {}\nservice:\n  pipelines: {}\n"
    );
    assert_eq!(config.place.to_string(), "config.yaml:1:1");
}

#[test]
fn what_is_absent_has_its_default() {
    let config = one("name: edge\nbody: 'receivers: {}'\n");
    assert_eq!(config.kind, Kind::Collector);
    assert!(config.selector.is_empty());
    assert_eq!(
        (config.priority, config.message, config.template),
        (0, None, None)
    );
}

#[test]
fn a_document_may_be_a_set_of_variables() {
    let config = one("name: shared\nkind: variables\nselector: env=prod\nbody: |\n  endpoint: a:1\n");
    assert_eq!(config.kind, Kind::Variables);
    assert_eq!((&*config.body.text, config.template), ("endpoint: a:1\n", None));
}

#[test]
fn documents_are_known_by_their_names() {
    for path in [
        "config.yaml",
        "a/b/config.yaml",
        "edge.config.yaml",
        "a/edge.config.yaml",
    ] {
        assert!(is_document(path), "{path}");
    }
    for path in [
        "config.yml",
        "myconfig.yaml",
        "edge-config.yaml",
        "config.yaml/x",
        "collector.yaml",
        "config.yaml.bak",
    ] {
        assert!(!is_document(path), "{path}");
    }
}

#[test]
fn other_files_are_left_alone() {
    let files = [
        SourceFile::new("README.md", "name: [\n"),
        SourceFile::new("a/config.yaml", "name: a\nbody: x\n"),
        SourceFile::new("b/edge.config.yaml", "name: b\nbody: x\n"),
    ];
    let names: Vec<_> = read(&files)
        .expect("good")
        .iter()
        .map(|config| config.name.to_string())
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(read(&[]), Ok(Vec::new()));
}

#[test]
fn everything_that_is_wrong_is_told_at_its_place() {
    let text = "\
name: Edge!
kind: ottl
selector: env in (
priority: high
templat: jinja
message: 7
body: x
file: y
";
    assert_eq!(
        faults(text),
        [
            "config.yaml:1:7: invalid config name: may hold lowercase letters, digits and punctuation ('-', in config names also '.' and '_') only",
            "config.yaml:2:7: there is no kind \"ottl\": write kind: collector or kind: variables, or leave it out",
            "config.yaml:3:11: selector does not parse: expected ',' or ')', found the end at byte 8 of its text",
            "config.yaml:4:11: priority must be a whole number of at most 64 bits, not a text",
            "config.yaml:5:1: unknown key templat: remove or correct it (known here: name, kind, selector, priority, message, template, vars, overrides, body, file)",
            "config.yaml:6:10: message must be a text: write message: \"7\"",
            "config.yaml:8:7: body and file stand here both: remove one of the two",
        ]
    );
}

#[test]
fn what_is_missing_is_told() {
    assert_eq!(
        faults("kind: collector\n"),
        [
            "config.yaml:1:1: name is missing: write name: and the config's name, such as edge",
            "config.yaml:1:1: there is no body: write it behind body: |, or name its file with file:",
        ]
    );
    assert_eq!(
        faults("name: a\nselector:\nbody: x\n"),
        [
            "config.yaml:2:9: selector has no value: give it a text or a map of labels, or remove the key",
        ]
    );
}

#[test]
fn faults_of_all_files_come_together() {
    let files = [
        SourceFile::new("b/config.yaml", "name: b\nbodi: x\n"),
        SourceFile::new("a/config.yaml", "name: [\n"),
        SourceFile::new("c/config.yaml", b"name: c\nbody: \xff\n".to_vec()),
        SourceFile {
            path: "d/config.yaml".to_owned(),
            content: SourceContent::Link,
        },
        SourceFile {
            path: "e/config.yaml".to_owned(),
            content: SourceContent::Submodule,
        },
    ];
    let faults = faults_of(&files);
    assert!(
        faults[0].starts_with("a/config.yaml:2:1: ") || faults[0].starts_with("a/config.yaml:1:"),
        "{faults:?}"
    );
    assert!(
        faults[1].starts_with("b/config.yaml:1:1: there is no body"),
        "{faults:?}"
    );
    assert!(
        faults[2].starts_with("b/config.yaml:2:1: unknown key bodi"),
        "{faults:?}"
    );
    assert_eq!(
        faults[3],
        "c/config.yaml:2:7: has a byte here that is no UTF-8: save the file as UTF-8"
    );
    assert_eq!(
        faults[4],
        "d/config.yaml: is a symbolic link, which is not followed: put a file here"
    );
    assert_eq!(
        faults[5],
        "e/config.yaml: is a submodule, which is not followed: put a file here"
    );
    assert_eq!(faults.len(), 6);
}

#[test]
fn a_name_that_stands_twice_names_both_files() {
    let files = [
        SourceFile::new("a/config.yaml", "name: edge\nbody: x\n"),
        SourceFile::new(
            "b/config.yaml",
            "# second\nname: edge\nbody: x\npriority: high\n",
        ),
    ];
    assert_eq!(
        faults_of(&files),
        [
            "b/config.yaml:2:7: the name \"edge\" is taken by a/config.yaml:1:7: give one of the two another, or remove it",
            "b/config.yaml:4:11: priority must be a whole number of at most 64 bits, not a text",
        ]
    );
}

#[test]
fn a_body_comes_from_a_file_inside_of_the_source() {
    let read_body = |document: &str, path: &str| {
        let files = [
            SourceFile::new(document, format!("name: a\nfile: {path}\n")),
            SourceFile::new("shared/body.yaml", "receivers: {}\n"),
            SourceFile::new("edge/body.yaml", "exporters: {}\n"),
        ];
        let config = read(&files)
            .map_err(|faults| faults[0].to_string())?
            .remove(0);
        let place = config.body.place(3, 5).to_string();
        Ok((config.body.text, place))
    };
    let shared: Result<_, String> = Ok((
        "receivers: {}\n".to_owned(),
        "shared/body.yaml:3:5".to_owned(),
    ));
    let edge: Result<_, String> = Ok((
        "exporters: {}\n".to_owned(),
        "edge/body.yaml:3:5".to_owned(),
    ));
    assert_eq!(read_body("config.yaml", "shared/body.yaml"), shared);
    assert_eq!(read_body("edge/config.yaml", "body.yaml"), edge);
    assert_eq!(read_body("edge/config.yaml", "./body.yaml"), edge);
    assert_eq!(read_body("edge/config.yaml", "../shared/body.yaml"), shared);
    assert_eq!(
        read_body("edge/config.yaml", "../../etc/passwd"),
        Err("edge/config.yaml:2:7: file leaves the source's directory with ../../etc/passwd: put the file inside of it".to_owned())
    );
    assert_eq!(
        read_body("config.yaml", "/etc/passwd"),
        Err("config.yaml:2:7: file must be a path from the document's directory, not the absolute /etc/passwd".to_owned())
    );
    assert_eq!(
        read_body("edge/config.yaml", "nobody.yaml"),
        Err("edge/config.yaml:2:7: there is no file edge/nobody.yaml in the source: correct the path, which begins at the document's directory".to_owned())
    );
}

#[test]
fn a_body_that_is_no_text_is_refused_where_it_stands() {
    let files = [
        SourceFile::new("a.config.yaml", "name: a\nfile: link.yaml\n"),
        SourceFile {
            path: "link.yaml".to_owned(),
            content: SourceContent::Link,
        },
        SourceFile::new("b.config.yaml", "name: b\nfile: latin.yaml\n"),
        SourceFile::new("c.config.yaml", "name: c\nfile: latin.yaml\n"),
        SourceFile::new("latin.yaml", b"ok: 1\ncaf\xe9: 2\n".to_vec()),
    ];
    assert_eq!(
        faults_of(&files),
        [
            "latin.yaml:2:4: has a byte here that is no UTF-8: save the file as UTF-8",
            "link.yaml: is a symbolic link, which is not followed: put a file here",
        ]
    );
}

#[test]
fn a_collector_configuration_is_no_document() {
    let faults = faults("receivers: {}\nservice: {}\n");
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0].starts_with("config.yaml:1:1: is no document, though it is named like one"),
        "{faults:?}"
    );
    for text in ["", "# nothing\n", "text", "[]", "~", "{}"] {
        assert_eq!(codes(text), [FaultCode::NoDocument], "{text}");
    }
}

#[test]
fn a_name_that_is_nearly_right_is_told_unless_it_is_a_body() {
    let nearly = SourceFile::new("edge/config.yml", "receivers: {}\n");
    assert_eq!(
        faults_of(std::slice::from_ref(&nearly)),
        ["edge/config.yml: is no document, since those end in \".yaml\": rename it"]
    );
    let document = SourceFile::new("config.yaml", "name: a\nfile: edge/config.yml\n");
    assert!(read(&[nearly, document]).is_ok());
}

#[test]
fn variables_need_a_template() {
    assert_eq!(
        faults("name: a\nbody: x\nvars: {a: 1}\noverrides: []\n"),
        [
            "config.yaml:3:7: vars stands here, and the body is no template that could use it: add template: jinja",
            "config.yaml:4:12: overrides stands here, and the body is no template that could use it: add template: jinja",
        ]
    );
    assert_eq!(
        faults("name: a\nbody: x\ntemplate: mustache\nvars: {a: 1}\n"),
        ["config.yaml:3:11: there are no templates in \"mustache\": write template: jinja",]
    );
}

#[test]
fn overrides_are_checked_like_the_document() {
    let text = "\
name: a
template: jinja
body: x
vars: [1]
overrides:
  - selector: '=prod'
    variables: {}
  - vars: {}
  - 7
  - {selector: {env: 1, '': x}, vars: 3}
";
    assert_eq!(
        faults(text),
        [
            "config.yaml:4:7: vars must be a map of keys, not a list",
            "config.yaml:6:5: overrides[0].vars is missing",
            "config.yaml:6:15: overrides[0].selector does not parse: expected a label's key, found '=' at byte 0 of its text",
            "config.yaml:7:5: unknown key overrides[0].variables: remove or correct it (known here: selector, vars)",
            "config.yaml:8:5: overrides[1].selector is missing",
            "config.yaml:9:5: overrides[2] must be a map of keys, not a number",
            "config.yaml:10:22: overrides[3].selector.env must be a text in quotes, since labels are texts, not a number",
            "config.yaml:10:25: overrides[3].selector: a label's key must not be empty",
            "config.yaml:10:39: overrides[3].vars must be a map of keys, not a number",
        ]
    );
}

#[test]
fn an_inline_body_knows_its_lines() {
    let place = |text: &str, line, column| one(text).body.place(line, column).to_string();
    assert_eq!(place(WHOLE, 1, 1), "config.yaml:12:3");
    assert_eq!(place(WHOLE, 3, 3), "config.yaml:14:5");
    assert_eq!(
        place("name: a\nbody: |-\n\n      a: 1\n      b: 2\n", 2, 1),
        "config.yaml:4:7"
    );
    assert_eq!(
        place("name: a\nbody: |2\n    a: 1\n  b: 2\n", 1, 1),
        "config.yaml:3:3"
    );
    assert_eq!(place("name: a\nbody: 'a: 1'\n", 1, 1), "config.yaml:2:8");
    assert_eq!(place("name: a\nbody: \"a: 1\"\n", 1, 2), "config.yaml:2:9");
    assert_eq!(place("name: a\nbody: text\n", 1, 1), "config.yaml:2:7");
    assert_eq!(place("{name: a, body: 'ä: 1'}\n", 1, 2), "config.yaml:1:19");
    // YAML made one line of two, so that no line of the body is one of the file's.
    assert_eq!(
        place("name: a\nbody: >\n  a: 1\n  b\n", 1, 1),
        "config.yaml"
    );
    assert_eq!(
        place("name: a\nbody: \"a: 1\\nb: 2\"\n", 1, 1),
        "config.yaml"
    );
    assert_eq!(place("name: a\nbody: one\n  two\n", 1, 1), "config.yaml");
    assert_eq!(
        place("name: a\r\nbody: |\r\n  a: 1\r\n  b: 2\r\n", 2, 1),
        "config.yaml:4:3"
    );
}

#[test]
fn booleans_and_numbers_are_strict() {
    let vars =
        "name: a\nbody: x\ntemplate: jinja\nvars: {a: yes, b: on, c: 0777, d: \"1\", e: true}\n";
    let template = one(vars).template.expect("a template");
    assert_eq!(
        json!(template.vars),
        json!({"a": "yes", "b": "on", "c": 511, "d": "1", "e": true})
    );
}

#[test]
fn variables_may_have_any_names() {
    let text = "name: a\nbody: x\ntemplate: jinja\n\
                vars: {value: 1, referenced: {value: 2, defined: 3}, 1: one, 'true': yes, \"\": {}}\n";
    let template = one(text).template.expect("a template");
    assert_eq!(
        json!(template.vars),
        json!({"value": 1, "referenced": {"value": 2, "defined": 3}, "1": "one", "true": "yes", "": {}})
    );
}

#[test]
fn aliases_and_merges_are_what_yaml_makes_of_them() {
    let text = "name: a\nbody: x\ntemplate: jinja\nvars: &v {a: 1, b: &b [1, 2]}\n\
                overrides: [{selector: x, vars: {<<: *v, c: 1}}, {selector: y, vars: *v}]\n";
    let template = one(text).template.expect("a template");
    assert_eq!(
        json!(template.overrides[0].vars),
        json!({"a": 1, "b": [1, 2], "c": 1})
    );
    assert_eq!(template.overrides[1].vars, template.vars);
}

#[test]
fn what_yaml_refuses_is_a_fault() {
    for text in [
        "name: a\nname: b\n",
        "name: a\n\tbody: x\n",
        "name: a\nbody: x\n---\nname: b\nbody: x\n",
        "name: a\nvars: {n: .nan}\n",
        "name: *nowhere\n",
    ] {
        assert_eq!(codes(text), [FaultCode::Syntax], "{text}");
    }
}

#[test]
fn a_bomb_is_a_fault_and_not_a_crash() {
    let deep = format!("name: a\nvars: {}", "[".repeat(100_000));
    assert_eq!(codes(&deep), [FaultCode::Syntax]);
    let mut laughs = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (this, before) in ('b'..='j').zip('a'..) {
        let aliases = vec![format!("*{before}"); 10].join(", ");
        laughs.push_str(&format!("{this}: &{this} [{aliases}]\n"));
    }
    assert_eq!(codes(&format!("name: a\n{laughs}")), [FaultCode::Syntax]);
}

#[test]
fn a_broken_source_cannot_fill_the_memory() {
    let text: String = (0..2_000).map(|number| format!("k{number}: 1\n")).collect();
    assert_eq!(faults(&format!("name: a\n{text}")).len(), MOST_FAULTS);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*|(?s).{0,200}|(name|body|file|vars|selector): [a-z:{}\\[\\]|&*\n -]{0,40}") {
        let outcome = read(&[SourceFile::new("config.yaml", text)]);
        if let Err(faults) = outcome {
            prop_assert!(faults.iter().all(|fault| !fault.problem.is_empty()));
        }
    }

    #[test]
    fn every_line_of_a_block_is_found_in_the_document(
        lines in proptest::collection::vec("[a-z]?( {0,3}[a-z#:é|-]{1,5}){0,3}|", 1..8),
        indent in 1..9_usize,
        before in 0..3_usize,
    ) {
        // What decides the indentation must not begin with a blank, and there must be something.
        prop_assume!(lines.iter().find(|line| !line.is_empty()).is_some_and(|line| !line.starts_with(' ')));
        let margin = " ".repeat(indent);
        let block: String = lines.iter().map(|line| {
            if line.is_empty() { "\n".to_owned() } else { format!("{margin}{line}\n") }
        }).collect();
        let document = format!("{}name: a\nbody: |\n{block}", "# a remark\n".repeat(before));
        let body = one(&document).body;
        for (number, line) in (1..).zip(body.text.lines()) {
            let place = body.place(number, 1);
            let at = usize::try_from(place.line.expect("a line")).expect("fits");
            let written = document.lines().nth(at - 1).expect("the line");
            if !line.is_empty() {
                let column = usize::try_from(place.column.expect("a column")).expect("fits");
                prop_assert_eq!(&written[column - 1..], line);
            }
        }
    }
}
