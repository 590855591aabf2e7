//! Explanations account for everything that an agent gets.

use desired::{Combined, Renderer};
use otelcol::{Content, Document, Node};
use proptest::prelude::*;

use crate::{given, layers};

/// A value of a configuration as YAML in one line.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[a-z]{1,4}",
        (0..100_u8).prop_map(|number| number.to_string()),
        Just("null".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            proptest::collection::btree_map("[a-d]", inner, 0..4).prop_map(|entries| {
                let entries = entries.iter().map(|(key, value)| format!("{key}: {value}"));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }),
        ]
    })
}

/// A body of one line for each key.
fn body() -> impl Strategy<Value = String> {
    proptest::collection::btree_map("[a-e]", value(), 1..5).prop_map(|entries| {
        let lines = entries
            .iter()
            .map(|(key, value)| format!("{key}: {value}\n"));
        lines.collect()
    })
}

fn leaves(node: &Node) -> usize {
    match &node.content {
        Content::Scalar(_) => 1,
        Content::List(items) if items.is_empty() => 1,
        Content::List(items) => items.iter().map(leaves).sum(),
        Content::Map(map) if map.is_empty() => 1,
        Content::Map(map) => map.iter().map(|entry| leaves(&entry.value)).sum(),
    }
}

fn content(combined: &Combined) -> Document {
    let content = combined.content().unwrap();
    Document::parse(&content.files["config.yaml"].body).unwrap()
}

proptest! {
    /// Each leaf is there once, with the value that the agent gets, and stands in the line that is named.
    #[test]
    fn every_leaf_is_explained_by_the_line_that_set_it(bodies in proptest::collection::vec(body(), 1..4)) {
        let given: Vec<_> = bodies.iter().zip(["a", "b", "c"]).map(|(body, name)| given(name, 1, 0, body)).collect();
        let combined = Renderer::default().combine(&layers(&given)).unwrap();
        let document = content(&combined);
        let explained = combined.explain("", usize::MAX).unwrap();
        let expected: usize = document.root().iter().map(|entry| leaves(&entry.value)).sum();
        prop_assert_eq!(explained.values.len(), expected);
        for value in &explained.values {
            let node = document.at(&value.path);
            prop_assert!(node.is_some(), "{}", value.path);
            let layer = ["a", "b", "c"].iter().position(|name| *name == value.source.config.as_str()).unwrap();
            let line = bodies[layer].lines().nth(value.source.line as usize - 1).unwrap();
            let key = value.path.to_string().split("::").next().unwrap().to_owned();
            prop_assert!(line.starts_with(&format!("{key}: ")), "{} is said to stand in {line}", value.path);
            if let Some(text) = node.and_then(Node::as_str) {
                prop_assert_eq!(&value.value, text);
                prop_assert!(line.contains(text));
            }
            // What was overridden stood in an earlier layer.
            for lost in &value.overrode {
                prop_assert!(lost.config < value.source.config);
            }
        }
    }
}
