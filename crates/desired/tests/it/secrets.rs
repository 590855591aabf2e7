//! References to secrets: what is kept has them, what is offered has their values, and the hash is of that.

use std::sync::Arc;

use desired::{Content, Layer, MaterialiseError, Renderer, content_hash, filled, inputs_key};
use domain::{SecretName, SecretVersion, Secrets};

use crate::{given, layers};

const BASE: &str =
    "exporters:\n  otlp:\n    headers: {authorization: \"Bearer ${secret:token}\"}\n";
const EXTRA: &str =
    "exporters:\n  kafka: {auth: {plain_text: {password: \"${secret:kafka.password}\"}}}\n";

fn secrets(all: &[(&str, u32, &str)]) -> Secrets {
    let secret = |(name, version, value): &(&str, u32, &str)| {
        let name = SecretName::new(name).unwrap();
        let version = SecretVersion::new(name.clone(), *version, *value);
        (name, Arc::new(version))
    };
    all.iter().map(secret).collect()
}

fn with(bodies: &[(&str, &str)], all: &Secrets) -> Vec<Layer> {
    let given: Vec<_> = bodies
        .iter()
        .zip(0..)
        .map(|((name, body), priority)| given(name, 1, priority, body))
        .collect();
    let layers = layers(&given).into_iter();
    layers.map(|layer| layer.with_secrets(all)).collect()
}

fn make(layers: &[Layer]) -> Result<Content, MaterialiseError> {
    Renderer::default().combine(layers)?.content()
}

fn why(layers: &[Layer]) -> String {
    let error = make(layers).unwrap_err();
    assert!(error.is_of_a_secret(), "{error:?}");
    let source = std::error::Error::source(&error).unwrap();
    format!("{error}: {source}")
}

fn text(files: &domain::model::ConfigMap) -> String {
    String::from_utf8(files["config.yaml"].body.clone()).unwrap()
}

#[test]
fn the_hash_is_of_what_is_offered_and_the_files_have_the_references() {
    let all = secrets(&[
        ("token", 3, "s3cr3t"),
        ("kafka.password", 1, "$money"),
        ("other", 1, "x"),
    ]);
    for bodies in [&[("base", BASE)][..], &[("base", BASE), ("extra", EXTRA)]] {
        let content = make(&with(bodies, &all)).unwrap();
        assert!(text(&content.files).contains("Bearer ${secret:token}"));
        assert!(!text(&content.files).contains("s3cr3t"));
        let names: Vec<_> = content
            .secrets
            .iter()
            .map(|secret| (secret.name.as_str(), secret.version))
            .collect();
        assert_eq!(
            names.len(),
            bodies.len(),
            "those it refers to, no others: {names:?}"
        );
        let offered = filled(&content.files, &content.secrets).unwrap();
        assert!(
            text(&offered).contains("\"Bearer s3cr3t\""),
            "{}",
            text(&offered)
        );
        assert_eq!(content.hash, content_hash(&offered));
        assert_ne!(content.hash, content_hash(&content.files));
    }
}

#[test]
fn a_version_is_part_of_the_key_of_those_who_refer_to_it() {
    let key = |bodies: &[(&str, &str)], all: &[(&str, u32, &str)]| {
        inputs_key(&with(bodies, &secrets(all))).to_string()
    };
    let none = key(&[("base", BASE)], &[]);
    assert_eq!(none, key(&[("base", BASE)], &[("other", 1, "x")]));
    let first = key(&[("base", BASE)], &[("token", 1, "x")]);
    assert_ne!(none, first);
    assert_ne!(first, key(&[("base", BASE)], &[("token", 2, "x")]));
    // What was kept before there were secrets keeps its key.
    let plain = [("plain", "a: 1\n")];
    let before = inputs_key(&layers(&[given("plain", 1, 0, "a: 1\n")]));
    assert_eq!(key(&plain, &[("token", 1, "x")]), before.to_string());
}

/// The key is stored: it never changes.
#[test]
fn the_key_with_a_secret_has_a_fixed_form() {
    let layers = with(&[("base", BASE)], &secrets(&[("token", 3, "s3cr3t")]));
    let golden = "91c7ca6638bbd15062d0f3d3d1a3448e1067c12ff02d7a3ecdf345e9b7c55960";
    assert_eq!(inputs_key(&layers).to_string(), golden);
}

#[test]
fn what_has_no_value_names_the_revision_and_the_place() {
    let all = secrets(&[("token", 1, "one\ntwo")]);
    let extra = [("base", BASE), ("extra", EXTRA)];
    assert_eq!(
        why(&with(&extra, &all)),
        "revision 1 of config extra refers to a secret: line 2, column 42: there is no secret \"kafka.password\": make it with PUT /secrets/kafka.password, or correct the name"
    );
    let block = [("base", "a: 1\nb: |\n  x ${secret:token}\n")];
    let told = why(&with(&block, &all));
    assert!(
        told.contains("line 3, column 5: the value of a secret cannot be written here"),
        "{told}"
    );
    let key = [("base", "a: 1\n${secret:token}: 1\n")];
    let told = why(&with(&key, &all));
    assert!(
        told.contains("line 2, column 1: a reference to a secret stands in a key"),
        "{told}"
    );
}

#[test]
fn values_are_part_of_the_limit() {
    let limits = desired::Limits {
        merged_bytes: 200,
        ..desired::Limits::default()
    };
    let long = "x".repeat(200);
    let layers = with(&[("base", BASE)], &secrets(&[("token", 1, &long)]));
    let combined = Renderer::new(limits).combine(&layers).unwrap();
    assert!(matches!(
        combined.content(),
        Err(MaterialiseError::TooLarge { .. })
    ));
}

#[test]
fn where_nobody_knows_what_there_is_references_stay() {
    let content = make(&layers(&[given("base", 1, 0, BASE)])).unwrap();
    assert_eq!(content.hash, content_hash(&content.files));
    assert!(content.secrets.is_empty());
}
