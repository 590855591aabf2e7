//! Faults are named with line, column and what to do.

use otelcol::{Document, Fault};

fn check(text: &str, expected: &str) {
    let error = Document::parse(text.as_bytes()).map(|document| document.value());
    assert_eq!(error.unwrap_err().to_string(), expected, "{text:?}");
}

#[test]
fn a_duplicate_key_names_both_places() {
    check(
        "a:\n  otlp: 1\n  'otlp': 2\n",
        "line 3, column 3: key \"otlp\" is already given at line 2, column 3: remove one of the two, or join them",
    );
    check(
        "a: {1: x, '1': y}",
        "line 1, column 11: key \"1\" is already given at line 1, column 5: remove one of the two, or join them",
    );
    // The Collector would keep one of them, whichever.
    check(
        "a: {0x10: x, 16: y}",
        "line 1, column 14: key \"16\" is already given at line 1, column 5: remove one of the two, or join them",
    );
}

#[test]
fn the_root_is_a_map_of_named_sections() {
    let expected = |found| {
        format!(
            "line 1, column 1: a configuration is a map with sections like \"receivers:\" and \"service:\", this is {found}"
        )
    };
    check("text", &expected("a text"));
    check("12", &expected("a number"));
    check("[a]", &expected("a list"));
    check(
        "true: 1",
        "line 1, column 1: the key \"true\" is not a text but a boolean: put it in quotes",
    );
}

#[test]
fn grammar_faults_say_what_to_do() {
    check(
        "a: [1, 2\nb: 3\n",
        "line 2, column 2: illegal placement of ':' indicator",
    );
    check(
        "a: b: c",
        "line 1, column 5: mapping values are not allowed in this context: quote a value that has \": \" in it, or check the indentation",
    );
    check(
        "a:\n\tb: 1",
        "line 2, column 1: a tab where a space is expected: indent with spaces, not with tabs",
    );
    check("a: 'x", "line 1, column 4: unclosed quote: close the quote");
    check(
        "a: @x",
        "line 1, column 4: unexpected character: `@': quote the value",
    );
    check(
        "a: *x",
        "line 1, column 4: while parsing node, found unknown anchor: define the anchor with & before this line, or quote a value that begins with *",
    );
    check(
        "a: \"\\d\"",
        "line 1, column 4: while parsing a quoted scalar, found unknown escape character: write a backslash as \\\\ in double quotes, or use single quotes",
    );
    check(
        "a:\n  : x",
        "line 2, column 3: the key before \":\" is missing: write \"key: value\"",
    );
    check(
        "a: [b?c]",
        "line 1, column 5: a \"?\" inside of brackets or braces begins a key: quote the value",
    );
}

#[test]
fn tabs_are_found_where_the_collector_finds_them() {
    let tab = |text: &str| {
        let error = Document::parse(text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("tab"), "{text:?}: {error}");
        (error.position.line, error.position.column)
    };
    assert_eq!(tab("a: x\n\t\nb: 1"), (2, 1));
    assert_eq!(tab("a: 'x'\n  \t# c\nb: 1"), (2, 3));
    assert_eq!(tab("\ta: 1"), (1, 1));
    assert_eq!(tab("a:\n-\tb"), (2, 2));
    assert_eq!(tab("a: |\n  \tb"), (2, 4));
    assert_eq!(tab("a: b\n\tc"), (2, 1));
    for fine in [
        "a:\tb",
        "a: x\n  \t# c\nb: 1",
        "a: x\t# c",
        "# c\n\t# d\na: 1",
        "a: [\n\tb,\n\tc]",
        "a: |\n  b\tc\n  \td",
        "a: 'b\n\tc'",
    ] {
        Document::parse(fine.as_bytes()).unwrap_or_else(|error| panic!("{fine:?}: {error}"));
    }
}

#[test]
fn characters_that_cannot_be_meant() {
    check(
        "a: x\u{0}",
        "line 1, column 5: character U+0000 is not allowed in YAML: write it as an escape in double quotes, or remove it",
    );
    check(
        "a: ä\nb: \"x\u{2028}\"",
        "line 2, column 6: the invisible character U+2028 means something else to the Collector than to an editor: write it as an escape in double quotes, or remove it",
    );
    let position = |bytes: &[u8]| {
        let error = Document::parse(bytes).unwrap_err();
        assert_eq!(error.fault, Fault::NotUtf8);
        (
            error.position.line,
            error.position.column,
            error.position.offset,
        )
    };
    assert_eq!(position(b"a: 1\nb: \xc3\xa4\xff"), (2, 5, 10));
    // UTF-16 with its mark.
    assert_eq!(position(b"\xff\xfea\0:\0"), (1, 1, 0));
}

#[test]
fn merge_keys_tags_and_aliases() {
    check(
        "a: {<<: 1}",
        "line 1, column 9: the merge key \"<<\" takes a map or a list of maps, this is a number",
    );
    check(
        "a: {<<: [{b: 1}, c]}",
        "line 1, column 18: the merge key \"<<\" takes a map or a list of maps, this is a text",
    );
    check(
        "a: {<<: {}, <<: {}}",
        "line 1, column 13: key \"<<\" is already given at line 1, column 5: remove one of the two, or join them",
    );
    check(
        "a: !!int x",
        "line 1, column 4: the value cannot be read as !!int: remove the tag, or correct the value",
    );
    check(
        "a: &x [*x]",
        "line 1, column 8: the alias stands inside of the value that it refers to",
    );
    check(
        "? [a]\n: b",
        "line 1, column 3: a list cannot be a key: quote it if it is meant as text",
    );
    check(
        "{a: b}: c",
        "line 1, column 1: a map cannot be a key: quote it if it is meant as text",
    );
}

#[test]
fn flat_keys_that_meet_others_are_named() {
    check(
        "a: {c: 1}\na::b: 2",
        "line 2, column 1: key \"a::b\" meets the one at line 1, column 1, and which of the two wins is left to chance: write it as nested maps",
    );
    check(
        "x:\n  a: 1\n  a::b: 2",
        "line 3, column 3: key \"a::b\" meets the one at line 2, column 3, and which of the two wins is left to chance: write it as nested maps",
    );
}
