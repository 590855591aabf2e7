//! From layers to content.

use desired::{
    Limits, MaterialiseError, Renderer, content_hash, materialise, materialise_within, redacted,
    redacted_pair,
};
use domain::model::ConfigFile;

use crate::{given, layers};

fn body(content: &desired::Content) -> &str {
    std::str::from_utf8(&content.files["config.yaml"].body).unwrap()
}

#[test]
fn a_single_layer_is_passed_on_byte_for_byte() {
    let text = "# why\r\nb:   2 \r\na: {x: 'y'}   # how\r\n\r\n---\r\nignored\r\n";
    let content = materialise(&layers(&[given("base", 1, 0, text)])).unwrap();
    assert_eq!(body(&content), text);
    assert_eq!(content.hash.as_bytes(), &trust::sha256(text.as_bytes()));
    assert_eq!(content.files["config.yaml"].content_type, "text/yaml");
}

#[test]
fn layers_merge_by_priority_then_name() {
    let given = [
        given("zeta", 1, 0, "a: zeta\nz: 1\n"),
        given("last", 7, 5, "b: last\n"),
        given("alpha", 2, 0, "a: alpha\nb: alpha\n"),
    ];
    let content = materialise(&layers(&given)).unwrap();
    assert_eq!(body(&content), "a: zeta\nb: last\nz: 1\n");
    assert_eq!(content.hash, content_hash(&content.files));
}

#[test]
fn equal_content_has_an_equal_hash_whatever_it_came_from() {
    let one = materialise(&layers(&[
        given("a", 1, 0, "a: 1\n"),
        given("b", 1, 0, "b: 2\n"),
    ]))
    .unwrap();
    let other = materialise(&layers(&[
        given("a", 9, 3, "a: 1\n"),
        given("c", 1, 4, "b: 2\n"),
    ]))
    .unwrap();
    assert_eq!(one.hash, other.hash);
}

#[test]
fn every_value_says_where_it_comes_from() {
    let given = [
        given("base", 3, 0, "a:\n  x: 1\n  y: [1, 2]\n"),
        given("edge", 1, 1, "a: {y: [3]}\n"),
    ];
    let provenance = Renderer::default()
        .combine(&layers(&given))
        .unwrap()
        .provenance();
    let shown = |source: &desired::Source| {
        format!(
            "{} {} {}:{}",
            source.config, source.revision, source.line, source.column
        )
    };
    let leaves: Vec<String> = provenance
        .leaves
        .iter()
        .map(|leaf| format!("{} = {}", leaf.path, shown(&leaf.source)))
        .collect();
    assert_eq!(leaves, ["a::x = base 3 2:6", "a::y::0 = edge 1 1:9"]);
    let overridden: Vec<String> = provenance
        .overridden
        .iter()
        .map(|lost| {
            format!(
                "{}: {} over {}",
                lost.path,
                shown(&lost.by),
                shown(&lost.source)
            )
        })
        .collect();
    assert_eq!(overridden, ["a::y: edge 1 1:8 over base 3 3:6"]);
    let path = &provenance.leaves[1].path;
    assert_eq!(provenance.at(path).count(), 1);
    assert_eq!(provenance.overridden_at(path).count(), 1);
}

#[test]
fn nothing_applies_to_an_unassigned_agent() {
    assert!(matches!(materialise(&[]), Err(MaterialiseError::NoLayers)));
}

#[test]
fn a_layer_that_cannot_be_read_is_named() {
    let given = [given("base", 1, 0, "a: 1\n"), given("edge", 4, 1, "a: [\n")];
    let error = materialise(&layers(&given)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "revision 4 of config edge cannot be used"
    );
    let source = std::error::Error::source(&error).unwrap();
    assert!(
        source.to_string().starts_with("line 1, column 4: "),
        "{source}"
    );
}

#[test]
fn the_merged_size_is_limited() {
    let given = [given("a", 1, 0, "a: 1\n"), given("b", 1, 0, "b: 2\n")];
    let within = |merged_bytes| {
        materialise_within(
            &layers(&given),
            &Limits {
                merged_bytes,
                ..Limits::default()
            },
        )
    };
    assert!(within(10).is_ok());
    assert!(matches!(
        within(9),
        Err(MaterialiseError::TooLarge {
            bytes: 10,
            limit: 9
        })
    ));
}

#[test]
fn many_full_layers_merge_within_the_limit() {
    let texts: Vec<String> = (0..4)
        .map(|layer| format!("k{layer}: {}\n", "x".repeat((1 << 20) - 10)))
        .collect();
    let given: Vec<_> = texts
        .iter()
        .zip(["a", "b", "c", "d"])
        .map(|(text, name)| given(name, 1, 0, text))
        .collect();
    let content = materialise(&layers(&given)).unwrap();
    assert_eq!(
        body(&content).len(),
        texts.iter().map(String::len).sum::<usize>()
    );
}

#[test]
fn secrets_are_not_shown() {
    let given = [given("base", 1, 0, "a: {token: hunter2, x: 1}\n")];
    let content = materialise(&layers(&given)).unwrap();
    let shown = redacted(&content.files);
    assert_eq!(
        shown["config.yaml"].body,
        b"a: {token: \"[REDACTED]\", x: 1}\n"
    );
    let file = |text: &str| ConfigFile::new(text, "");
    let (old, new) = redacted_pair(&file("token: hunter2\n"), &file("token: hunter3\n"));
    assert_eq!(
        (&*old, &*new),
        (
            "token: \"[REDACTED] (old)\"\n",
            "token: \"[REDACTED] (new)\"\n"
        )
    );
    assert_eq!(
        redacted_pair(&file("x: \u{fffd}"), &ConfigFile::new(*b"x: \xff", "")).1,
        "x: \u{fffd}"
    );
}
