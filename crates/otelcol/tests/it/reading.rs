//! Looking into a document.

use otelcol::{Document, Path, Step, Style, Value};

fn parse(text: &str) -> Document {
    Document::parse(text.as_bytes()).unwrap()
}

#[test]
fn values_are_found_by_path() {
    let document = parse(
        "extensions: {health_check: {endpoint: 'h:1'}}\nservice:\n  telemetry: {resource: {service.name: x}}\n  extensions: [a, b]\n\
         receivers: {otlp/2.x: {on: true, n: 12, f: 1.5}}\n",
    );
    let text = |path: &str| document.get(path).and_then(|node| node.as_str());
    assert_eq!(text("extensions.health_check.endpoint"), Some("h:1"));
    assert_eq!(text("service.telemetry.resource.service.name"), Some("x"));
    assert_eq!(text("service::extensions::1"), Some("b"));
    assert_eq!(text("receivers.otlp/2.x.n"), Some("12"));
    assert_eq!(
        document.get("receivers.otlp/2.x.on").unwrap().as_bool(),
        Some(true)
    );
    assert_eq!(
        document.get("receivers.otlp/2.x.n").unwrap().as_i64(),
        Some(12)
    );
    assert_eq!(
        document.get("receivers.otlp/2.x.f").unwrap().as_f64(),
        Some(1.5)
    );
    for path in [
        "",
        "nothing",
        "service.extensions.2",
        "service.extensions.x",
        "extensions.health_check.endpoint.x",
    ] {
        assert!(document.get(path).is_none(), "{path}");
    }
}

#[test]
fn positions_count_characters_from_one() {
    let document = parse("\u{feff}a:\r\n  'ä ö': [x, y]\r\n");
    let at = |path: &str| {
        let position = document.get(path).unwrap().origin.position;
        (position.line, position.column)
    };
    assert_eq!(at("a.ä ö"), (2, 10));
    assert_eq!(at("a.ä ö.1"), (2, 14));
    let path: Path = [
        Step::Key("a".into()),
        Step::Key("ä ö".into()),
        Step::Index(1),
    ]
    .into_iter()
    .collect();
    assert_eq!(path.to_string(), "a::ä ö::1");
    assert_eq!(document.at(&path).unwrap().as_str(), Some("y"));
}

#[test]
fn only_the_first_document_is_read_and_the_rest_is_pointed_at() {
    let document = parse("a: 1\n---\nb: [\n");
    assert_eq!(document.value(), Value::map([("a", Value::Int(1))]));
    assert_eq!(document.ignored_from().unwrap().line, 2);
    assert_eq!(parse("---\na: 1\n...\n").ignored_from(), None);
}

#[test]
fn styles_are_known() {
    let document = parse("a: [x, 'x', \"x\"]\nb: |\n  x\nc: >\n  x\n");
    let style = |path: &str| document.get(path).unwrap().as_scalar().unwrap().style();
    assert_eq!(
        ["a.0", "a.1", "a.2", "b", "c"].map(style),
        [
            Style::Plain,
            Style::SingleQuoted,
            Style::DoubleQuoted,
            Style::Literal,
            Style::Folded
        ]
    );
}

#[test]
fn a_quoted_merge_key_is_a_key_like_any_other() {
    let document = parse("a: {'<<': {b: 1}}");
    assert!(document.get("a.<<.b").is_some());
    assert_eq!(parse(&document.to_yaml()).value(), document.value());
}

#[test]
fn a_block_scalar_at_the_end_without_a_break_has_none() {
    assert_eq!(parse("a: |\n  x").get("a").unwrap().as_str(), Some("x"));
    assert_eq!(parse("a: |\n  x\n").get("a").unwrap().as_str(), Some("x\n"));
}

#[test]
fn values_made_from_data_cannot_break_out_of_their_place() {
    let odd = [
        "x: y", "- a", "'", "\"", "a\nb: c", "${env:X}", "yes", "0x1", "", " ", "#", "\u{feff}",
        "\u{85}", "é", "!!str x", "*a", "{}",
    ];
    let value = Value::map([
        (
            "headers",
            Value::map(odd.map(|text| (text, Value::literal(text)))),
        ),
        ("list", Value::from(odd.to_vec())),
        (
            "nested",
            Value::List(vec![
                Value::from(vec!["a"]),
                Value::map([("k", Value::from(vec![1_i64]))]),
                Value::List(vec![]),
            ]),
        ),
    ]);
    assert_eq!(parse(&value.to_yaml()).value(), value);
}

#[test]
fn json_is_read_with_tabs_and_all() {
    let document = parse("{\n\t\"a\": {\n\t\t\"b\": [1, \"x\ty\"],\n\t\t\"c\": null\n\t}\n}\n");
    assert_eq!(document.get("a.b.1").unwrap().as_str(), Some("x\ty"));
    assert_eq!(
        document.to_yaml(),
        "a: {\"b\": [1, \"x\ty\"], \"c\": null}\n".replace("a:", "\"a\":")
    );
    assert_eq!(
        parse("a: [\n\tb,\n\tc]\nd: |\n  e\tf\n")
            .get("a.1")
            .unwrap()
            .as_str(),
        Some("c")
    );
}
