//! Properties over documents as people write them, and over texts that nobody would.

use otelcol::{Document, Limits, Value, merge, redact, redact_pair};
use proptest::prelude::*;

use crate::generate::document;

fn parse(text: &str) -> Document {
    Document::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The Collector's merge in its shortest form, over values alone.
fn plain_merge(base: Value, over: Value) -> Value {
    match (base, over) {
        (Value::Map(mut base), Value::Map(over)) => {
            for (name, value) in over {
                let merged = match base.remove(&name) {
                    Some(there) => plain_merge(there, value),
                    None => value,
                };
                base.insert(name, merged);
            }
            Value::Map(base)
        }
        (_, over) => over,
    }
}

/// Texts of what YAML gives a meaning to.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        " ",
        "  ",
        "\n",
        "\n  ",
        "\n    ",
        "\t",
        ":",
        ": ",
        "- ",
        "-",
        "[",
        "]",
        "{",
        "}",
        ",",
        "'",
        "\"",
        "|",
        ">",
        "|-\n",
        ">+2\n",
        "&a ",
        "*a",
        "!!str ",
        "!x ",
        "! ",
        "#",
        " # c\n",
        "? ",
        "%",
        "@",
        "~",
        "<<: ",
        "<<",
        "a",
        "b: ",
        "ab",
        "0",
        "12",
        "0x1",
        ".5",
        "1e3",
        "null",
        "true",
        "\\",
        "\\n",
        "---\n",
        "...\n",
        "\r\n",
        "\r",
        "\u{feff}",
        "\u{85}",
        "\u{2028}",
        "é",
        "a::b: ",
        "::",
        "token: ",
        "password=",
        "https://u:p@h",
        "headers:\n",
        "2001-01-01",
        "${env:X}",
        "=",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn reading_gives_the_values_that_were_written(tree in document()) {
        prop_assert_eq!(parse(&tree.text()).value(), tree.value(), "{}", tree.text());
    }

    #[test]
    fn writing_reads_back_as_the_same(tree in document()) {
        let document = parse(&tree.text());
        let written = document.to_yaml();
        prop_assert_eq!(parse(&written).value(), document.value(), "{}\n---\n{}", tree.text(), written);
        // What was written once stays as it is.
        prop_assert_eq!(parse(&written).to_yaml(), written);
    }

    #[test]
    fn merging_is_a_recursive_merge_of_the_values(trees in prop::collection::vec(document(), 1..5)) {
        let expected = trees.iter().map(|tree| tree.value()).reduce(plain_merge).unwrap();
        let merged = merge(trees.iter().map(|tree| parse(&tree.text())));
        prop_assert_eq!(merged.document.value(), expected.clone());
        prop_assert_eq!(parse(&merged.document.to_yaml()).value(), expected);
    }

    #[test]
    fn every_leaf_comes_from_where_it_says(trees in prop::collection::vec(document(), 1..4)) {
        let sources: Vec<Document> = trees.iter().map(|tree| parse(&tree.text())).collect();
        let merged = merge(sources.clone());
        for (path, origin) in merged.document.leaves() {
            let layer = &sources[origin.layer as usize];
            let there = layer.at(&path).expect("the path exists in the layer that set it");
            let here = merged.document.at(&path).unwrap();
            prop_assert_eq!(Value::from(there), Value::from(here));
            prop_assert_eq!(there.origin.position, origin.position);
        }
        for lost in &merged.overridden {
            prop_assert!(lost.origin.layer < lost.by.layer);
            prop_assert!(sources[lost.origin.layer as usize].at(&lost.path).is_some());
            prop_assert!(sources[lost.by.layer as usize].at(&lost.path).is_some());
        }
    }

    #[test]
    fn values_read_back_as_themselves(tree in document()) {
        let value = tree.value();
        prop_assert_eq!(parse(&value.to_yaml()).value(), value);
    }

    #[test]
    fn redaction_keeps_the_shape(tree in document()) {
        let text = tree.text();
        let shown = redact(&text);
        prop_assert_eq!(shown.lines().count(), text.lines().count());
        parse(&shown);
    }
}

/// A text with a part of it replaced.
fn changed(text: &str, at: prop::sample::Index, length: usize, piece: &str) -> String {
    let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
    let from = at.index(places.len().max(1));
    let place = |index: usize| places.get(index).copied().unwrap_or(text.len());
    let (before, after) = (&text[..place(from)], &text[place(from + length)..]);
    [before, piece, after].concat()
}

/// Lines as people write them, and some that are none.
fn lines() -> impl Strategy<Value = String> {
    let word = "[a-c0-2 :.,#&*!?|>%@`'\"$/_=~+{}()\\[\\]-]{0,9}";
    let line = (0_usize..4, word, 0_usize..4).prop_map(|(form, word, number)| match form {
        0 => format!("k{number}: {word}\n"),
        1 => format!("k{number}: [{word}, x]\n"),
        2 => format!("k{number}:\n  - {word}\n  - {{a: {word}}}\n"),
        _ => format!("k{number}:\n  a: {word}\n  b:\n"),
    });
    prop::collection::vec(line, 1..4).prop_map(|lines| lines.concat())
}

/// Checks that a document takes back just those texts that read as its values.
fn takes_back_what_reads_the_same(document: &Document, text: &str) -> Result<(), TestCaseError> {
    let parsed = Document::parse(text.as_bytes());
    let same = parsed.is_ok_and(|other| other.value() == document.value());
    prop_assert_eq!(document.reads_back(text), same, "{}", text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn only_texts_that_read_as_the_same_are_taken_back(
        tree in document(),
        at in any::<prop::sample::Index>(),
        length in 0_usize..3,
        piece in soup(),
    ) {
        let document = parse(&tree.text());
        let written = document.to_yaml();
        prop_assert!(document.reads_back(&written), "{}", written);
        takes_back_what_reads_the_same(&document, &changed(&written, at, length, &piece))?;
        let piece: String = piece.chars().take(1).collect();
        takes_back_what_reads_the_same(&document, &changed(&written, at, length, &piece))?;
    }

    #[test]
    fn only_lines_that_read_as_the_same_are_taken_back(
        text in lines(),
        at in any::<prop::sample::Index>(),
        length in 0_usize..2,
        piece in "[a-c0-2 :.,#*'\"$/{}\\[\\]\n-]{0,2}",
    ) {
        if let Ok(document) = Document::parse(text.as_bytes()) {
            takes_back_what_reads_the_same(&document, &text)?;
            takes_back_what_reads_the_same(&document, &changed(&text, at, length, &piece))?;
            let written = document.to_yaml();
            prop_assert!(document.reads_back(&written), "{}", written);
            takes_back_what_reads_the_same(&document, &changed(&written, at, length, &piece))?;
        }
    }

    #[test]
    fn no_text_causes_a_panic(text in soup()) {
        if let Ok(document) = Document::parse(text.as_bytes()) {
            let written = document.to_yaml();
            let again = Document::parse(written.as_bytes());
            let again = again.unwrap_or_else(|error| panic!("{error}\n{text:?}\n{written:?}"));
            prop_assert_eq!(again.value(), document.value(), "{:?}\n{:?}", text, written);
            let value = document.value();
            prop_assert_eq!(parse(&value.to_yaml()).value(), value);
        }
        redact(&text);
        redact_pair(&text, &text);
    }

    /// Whatever stands around it, and whether or not that is YAML.
    #[test]
    fn a_secret_on_a_line_of_its_own_is_never_shown(
        before in soup(),
        after in soup(),
        indent in " {0,6}",
        line in prop::sample::select(vec![
            "password: S3CR3T",
            "password: 'S3CR3T'",
            "- token: \"S3CR3T\" # why",
            "'api_key': S3CR3T",
            "secret = S3CR3T",
            "headers: {authorization: S3CR3T}",
            "{token: S3CR3T}",
            "Authorization: Bearer S3CR3T01",
            "url: https://me:S3CR3T@host/",
            "password: |-\n              S3CR3T",
            "password:\n              S3CR3T",
        ]),
    ) {
        let text = format!("{before}\n{indent}{line}\n{after}");
        let shown = redact(&text);
        prop_assert!(!shown.contains("S3CR3T"), "{:?}\n{:?}", text, shown);
    }

    #[test]
    fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _checked = Document::parse(&bytes);
        let _checked = Document::parse_within(&bytes, &Limits { bytes: 100, depth: 2, nodes: 5 });
        redact(&String::from_utf8_lossy(&bytes));
    }
}
