//! A map with known keys, and the list of what is wrong with it.

use super::fault::{DocumentFault, FaultCode, Place};
use super::node::{At, Content, Entry, Node};

/// The faults of one file.
#[derive(Debug)]
pub(super) struct Faults<'a> {
    pub(super) file: &'a str,
    pub(super) list: Vec<DocumentFault>,
}

impl<'a> Faults<'a> {
    pub(super) const fn of(file: &'a str) -> Self {
        Self {
            file,
            list: Vec::new(),
        }
    }

    pub(super) fn place(&self, at: At) -> Place {
        Place {
            file: self.file.to_owned(),
            line: Some(at.line),
            column: Some(at.column),
        }
    }

    pub(super) fn add(&mut self, at: At, code: FaultCode, problem: impl Into<String>) {
        self.add_in(self.place(at), code, problem);
    }

    pub(super) fn add_in(&mut self, place: Place, code: FaultCode, problem: impl Into<String>) {
        self.list.push(DocumentFault {
            place,
            code,
            problem: problem.into(),
        });
    }
}

/// A map of which it is known what keys it may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section<'a> {
    pub(super) at: At,
    /// What stands before its keys where one speaks of them: empty, or `overrides[0].`.
    prefix: &'a str,
    entries: &'a [Entry],
}

impl<'a> Section<'a> {
    /// A node as such a map; every key that is not known is a fault.
    pub(super) fn of(
        node: &'a Node,
        prefix: &'a str,
        known: &[&str],
        faults: &mut Faults<'_>,
    ) -> Option<Self> {
        let entries = entries_of(node, prefix.trim_end_matches('.'), faults)?;
        for entry in entries
            .iter()
            .filter(|entry| !known.contains(&entry.key.as_str()))
        {
            let problem = format!(
                "unknown key {prefix}{}: remove or correct it (known here: {})",
                entry.key,
                known.join(", ")
            );
            faults.add(entry.at, FaultCode::UnknownKey, problem);
        }
        Some(Self {
            at: node.at,
            prefix,
            entries,
        })
    }

    /// The value of a key that is there.
    pub(super) fn find(&self, key: &str) -> Option<&'a Node> {
        let mut entries = self.entries.iter();
        entries
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }

    /// The text of a key that is there.
    pub(super) fn text(&self, key: &str, faults: &mut Faults<'_>) -> Option<&'a str> {
        let node = self.find(key)?;
        match &node.content {
            Content::Scalar(serde_json::Value::String(text)) => Some(text),
            Content::Scalar(value) if !node.is_null() => {
                let problem = format!(
                    "{}{key} must be a text: write {key}: \"{value}\"",
                    self.prefix
                );
                faults.add(node.at, FaultCode::WrongType, problem);
                None
            }
            _ => {
                self.refuse(key, node, "a text", faults);
                None
            }
        }
    }

    /// The value of a key is of another type than the key has.
    pub(super) fn refuse(&self, key: &str, node: &Node, wanted: &str, faults: &mut Faults<'_>) {
        wrong_type(node, &format!("{}{key}", self.prefix), wanted, faults);
    }

    /// The whole name of a key.
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

/// The entries of a map; another value is a fault. `name` is empty for a document as a whole.
pub(super) fn entries_of<'a>(
    node: &'a Node,
    name: &str,
    faults: &mut Faults<'_>,
) -> Option<&'a [Entry]> {
    match &node.content {
        Content::Map(entries) => Some(entries),
        _ => {
            wrong_type(node, name, "a map of keys", faults);
            None
        }
    }
}

/// The items of a list; another value is a fault.
pub(super) fn items_of<'a>(
    node: &'a Node,
    name: &str,
    faults: &mut Faults<'_>,
) -> Option<&'a [Node]> {
    match &node.content {
        Content::List(items) => Some(items),
        _ => {
            wrong_type(node, name, "a list", faults);
            None
        }
    }
}

fn wrong_type(node: &Node, name: &str, wanted: &str, faults: &mut Faults<'_>) {
    let name = if name.is_empty() { "a document" } else { name };
    let problem = if node.is_null() {
        format!("{name} has no value: give it {wanted}, or remove the key")
    } else {
        format!("{name} must be {wanted}, not {}", node.kind())
    };
    faults.add(node.at, FaultCode::WrongType, problem);
}
