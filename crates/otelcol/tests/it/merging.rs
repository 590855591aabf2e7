//! What merging keeps: text, style, order, and where everything came from.

use otelcol::{Document, Overridden, merge};

fn merged(layers: &[&str]) -> otelcol::Merged {
    merge(
        layers
            .iter()
            .map(|text| Document::parse(text.as_bytes()).unwrap()),
    )
}

#[test]
fn every_scalar_keeps_its_text_and_style() {
    let base = "\
a:
  mode: 0644
  octal: 0o17
  quoted: 'it''s'
  escaped: \"\\u00e9\\t\"
  env: ${env:TOKEN}
  null_word: ~
  nothing:
  flow: [a, 'b', {c: 0x1F}]
  literal: |
    one
      two

    three
  stripped: |-
    x
  kept: |+
    y

  folded: >-
    some words
    in lines

    and a paragraph
  long: words
    on two lines
  tagged: !!str 12
  'odd key': 1
";
    assert_eq!(
        merged(&[base, "b: 1\n"]).document.to_yaml(),
        base.to_owned() + "b: 1\n"
    );
}

#[test]
fn lists_are_replaced_maps_are_joined_and_null_takes_away() {
    let merged = merged(&[
        "processors:\n  batch: {timeout: 1s}\n  memory_limiter: {limit_mib: 10}\nservice: {pipelines: {traces: {processors: [memory_limiter, batch]}}}\n",
        "processors:\n  batch:\n  filter: {}\nservice: {pipelines: {traces: {processors: [filter]}}}\n",
    ]);
    assert_eq!(
        merged.document.to_yaml(),
        "processors:\n  batch:\n  memory_limiter: {limit_mib: 10}\n  filter: {}\n\
         service: {pipelines: {traces: {processors: [filter]}}}\n"
    );
}

#[test]
fn flow_and_block_join_as_block() {
    let merged = merged(&["a: {x: 1}\n", "a:\n  y: 2\n"]);
    assert_eq!(merged.document.to_yaml(), "a:\n  x: 1\n  y: 2\n");
}

#[test]
fn anchors_and_merge_keys_are_written_out() {
    let merged = merged(&[
        "base: &base {x: 1, y: [1]}\na:\n  <<: *base\n  x: 2\n",
        "b: &b 1\nc: *b\n",
    ]);
    assert_eq!(
        merged.document.to_yaml(),
        "base: {x: 1, y: [1]}\na:\n  x: 2\n  y: [1]\nb: 1\nc: 1\n"
    );
}

#[test]
fn what_was_replaced_is_remembered() {
    let merged = merged(&[
        "a:\n  b: 1\n  c: [1]\n",
        "a:\n  b: 2\n",
        "a:\n  b: {x: 1}\n  c: [2]\n",
    ]);
    let shown = |lost: &Overridden| {
        let (by, origin) = (lost.by, lost.origin);
        format!(
            "{} {}:{} over {}:{}",
            lost.path, by.layer, by.position.line, origin.layer, origin.position.line
        )
    };
    let overridden: Vec<String> = merged.overridden.iter().map(shown).collect();
    assert_eq!(
        overridden,
        [
            "a::b 1:2 over 0:2",
            "a::b 2:2 over 1:2",
            "a::c 2:3 over 0:3"
        ]
    );
}

#[test]
fn keys_too_long_or_too_odd_for_a_line_are_written_all_the_same() {
    let long = "k".repeat(1020);
    let text = format!("? {long}\n: 1\n? |\n  a\n  b\n: 2\nx: {{? ''  : 3, ~: 4}}\n\"---\": 5\n");
    let document = Document::parse(text.as_bytes()).unwrap();
    let written = document.to_yaml();
    assert_eq!(
        Document::parse(written.as_bytes()).unwrap().value(),
        document.value(),
        "{written}"
    );
}

#[test]
fn nothing_merges_to_an_empty_map() {
    assert_eq!(merged(&[]).document.to_yaml(), "{}\n");
    assert_eq!(
        merged(&["", "# nothing\n", "null"]).document.to_yaml(),
        "{}\n"
    );
}
