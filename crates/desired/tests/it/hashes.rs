//! Hashes are promises: what they were once, they stay.

use desired::{content_hash, inputs_key};
use domain::model::{ConfigFile, ConfigMap};
use proptest::prelude::*;

use crate::{given, layers};

fn files(entries: &[(&str, &str, &str)]) -> ConfigMap {
    entries
        .iter()
        .map(|(name, kind, body)| ((*name).to_owned(), ConfigFile::new(*body, *kind)))
        .collect()
}

#[test]
fn the_only_config_yaml_has_the_hash_that_sha256sum_shows() {
    let hash = content_hash(&files(&[("config.yaml", "text/yaml", "a: 1\n")]));
    assert_eq!(
        hash.to_string(),
        "37b128c59f1f5097f73f82691cb519f1f568667faab5ced1b4ab979d36837eae"
    );
    // The content type is not part of it: the file on disk has none.
    assert_eq!(content_hash(&files(&[("config.yaml", "", "a: 1\n")])), hash);
}

#[test]
fn several_entries_have_the_golden_hash() {
    let two = files(&[
        ("b.json", "application/json", "{}"),
        ("a.yaml", "", "x: y\n"),
    ]);
    assert_eq!(
        content_hash(&two).to_string(),
        "d5d170d8b251d68ab871a454b8f73d7fa740727358924d801d805af3062ce792"
    );
    let other = files(&[("other.yaml", "text/yaml", "a: 1\n")]);
    assert_eq!(
        content_hash(&other).to_string(),
        "fe539f9d428bc77ae22e9bab1c8f6ffd8707070de705efb01d8ee110b611cf4d"
    );
}

#[test]
fn inputs_have_the_golden_key() {
    let given = [
        given("base", 3, 0, "a: 1\n"),
        given("edge", 1, 10, "b: 2\n"),
    ];
    let golden = "a8f2f90979e8d9237ee08506266896da55886e8a9696fb83ac8be181d32fd172";
    assert_eq!(inputs_key(&layers(&given)).to_string(), golden);
    // The order in which they are given does not matter, the one in which they merge does.
    let [base, edge] = given;
    let turned = [edge, base];
    assert_eq!(inputs_key(&layers(&turned)).to_string(), golden);
    let [edge, base] = turned;
    let swapped = [
        crate::Given {
            priority: 20,
            ..base
        },
        edge,
    ];
    assert_ne!(inputs_key(&layers(&swapped)).to_string(), golden);
}

#[test]
fn every_input_is_in_the_key() {
    let key = |config, revision, body| inputs_key(&layers(&[given(config, revision, 0, body)]));
    let base = key("base", 1, "a: 1\n");
    assert_ne!(base, key("edge", 1, "a: 1\n"));
    assert_ne!(base, key("base", 2, "a: 1\n"));
    // A config that was deleted and made anew may have the same number.
    assert_ne!(base, key("base", 1, "a: 2\n"));
    assert_ne!(base, inputs_key(&[]));
}

proptest! {
    #[test]
    fn the_agent_computes_the_same_hash(entries in prop::collection::btree_map("[a-z.]{0,12}|config.yaml", ("[a-z/]{0,6}", "\\PC{0,20}"), 0..4)) {
        let files: ConfigMap = entries.iter().map(|(name, (kind, body))| (name.clone(), ConfigFile::new(body.as_str(), kind.as_str()))).collect();
        let theirs = trust::content_hash(files.iter().map(|(name, file)| (name.as_str(), file.content_type.as_str(), file.body.as_slice())));
        prop_assert_eq!(*content_hash(&files).as_bytes(), theirs);
    }
}
