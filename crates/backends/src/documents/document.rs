//! One document: from its file to the config that it describes.

use std::collections::BTreeMap;

use domain::{ConfigName, Kind, Labels, Selector};
use serde_json::Value;

use super::fault::{DocumentFault, FaultCode, Place};
use super::node::{self, At, Content, Entry, Node};
use super::section::{Faults, Section, entries_of, items_of};
use super::{SourceConfig, SourceOverride, SourceTemplate, body};
use crate::{SourceContent, SourceFile};

/// The keys of a document.
const KEYS: &[&str] = &[
    "name",
    "kind",
    "selector",
    "priority",
    "message",
    "template",
    "vars",
    "overrides",
    "body",
    "file",
];
/// The keys of an override.
const OVERRIDE_KEYS: &[&str] = &["selector", "vars"];
/// The template language that there is.
const JINJA: &str = "jinja";

/// What was made of a file.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// The config, where nothing that it needs is wrong.
    pub(super) config: Option<SourceConfig>,
    /// Its name and where that stands, whatever else is wrong.
    pub(super) name: Option<(ConfigName, Place)>,
    /// The file that it names for its body.
    pub(super) body_file: Option<String>,
    /// What is wrong.
    pub(super) faults: Vec<DocumentFault>,
}

/// Reads one document; bodies may stand in the other files.
pub(super) fn read(file: &SourceFile, files: &BTreeMap<&str, &SourceFile>) -> Document {
    let mut faults = Faults::of(&file.path);
    let Some(text) = text_of(file, &mut faults) else {
        return Document::refused(faults);
    };
    let root = match node::parse(text) {
        Ok(root) => root,
        Err(fault) => {
            let at = fault.at.unwrap_or(START);
            faults.add(at, FaultCode::Syntax, fault.problem);
            return Document::refused(faults);
        }
    };
    let Some(section) = section_of(&root, &mut faults) else {
        return Document::refused(faults);
    };
    let mut reader = Reader {
        section,
        text,
        files,
        faults,
    };
    let name = reader.name();
    let named = reader.section.find("file").and(reader.body_file());
    let config = reader.config(name.as_ref().map(|(name, _)| name), named.as_deref());
    Document {
        config,
        name,
        body_file: named,
        faults: reader.faults.list,
    }
}

const START: At = At { line: 1, column: 1 };

impl Document {
    fn refused(faults: Faults<'_>) -> Self {
        Self {
            faults: faults.list,
            ..Self::default()
        }
    }
}

/// The text of a regular file in UTF-8.
pub(super) fn text_of<'a>(file: &'a SourceFile, faults: &mut Faults<'_>) -> Option<&'a str> {
    let what = match &file.content {
        SourceContent::File(bytes) => {
            return match std::str::from_utf8(bytes) {
                Ok(text) => Some(text),
                Err(error) => {
                    let place = place_of_byte(&file.path, bytes, error.valid_up_to());
                    let problem = "has a byte here that is no UTF-8: save the file as UTF-8";
                    faults.add_in(place, FaultCode::NotUtf8, problem);
                    None
                }
            };
        }
        SourceContent::Link => "a symbolic link",
        SourceContent::Submodule => "a submodule",
    };
    let problem = format!("is {what}, which is not followed: put a file here");
    faults.add_in(Place::file(&*file.path), FaultCode::NotAFile, problem);
    None
}

fn place_of_byte(file: &str, bytes: &[u8], position: usize) -> Place {
    let before = &bytes[..position];
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = String::from_utf8_lossy(&before[line_start..])
        .chars()
        .count()
        + 1;
    Place {
        file: file.to_owned(),
        line: Some(line as u64),
        column: Some(column as u64),
    }
}

/// The document as a map. One without any key of ours is told once, not key by key.
fn section_of<'a>(root: &'a Node, faults: &mut Faults<'_>) -> Option<Section<'a>> {
    let entries = match &root.content {
        Content::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    let is_ours = |entry: &Entry| KEYS.contains(&entry.key.as_str());
    if !entries.iter().any(is_ours) {
        let problem = format!(
            "is no document, though it is named like one: give it keys ({}), or rename the file",
            KEYS.join(", ")
        );
        faults.add(root.at.or_start(), FaultCode::NoDocument, problem);
        return None;
    }
    Section::of(root, "", KEYS, faults)
}

struct Reader<'a> {
    section: Section<'a>,
    text: &'a str,
    files: &'a BTreeMap<&'a str, &'a SourceFile>,
    faults: Faults<'a>,
}

impl<'a> Reader<'a> {
    fn config(&mut self, name: Option<&ConfigName>, file: Option<&str>) -> Option<SourceConfig> {
        // Each is read before any `?`, so that every fault is found.
        let kind = self.kind();
        let selector = read_selector(self.section, &mut self.faults);
        let priority = self.priority();
        let message = self.section.text("message", &mut self.faults);
        let template = self.template();
        let body = self.body(file);
        if !self.faults.list.is_empty() {
            return None;
        }
        Some(SourceConfig {
            name: name?.clone(),
            kind: kind?,
            selector: selector?,
            priority: priority?,
            message: message.map(str::to_owned),
            template: template?,
            body: body?,
            place: self.faults.place(self.section.at),
        })
    }

    fn name(&mut self) -> Option<(ConfigName, Place)> {
        let Some(node) = self.section.find("name") else {
            let problem = "name is missing: write name: and the config's name, such as edge";
            self.faults
                .add(self.section.at, FaultCode::MissingKey, problem);
            return None;
        };
        let text = self.section.text("name", &mut self.faults)?;
        match ConfigName::new(text) {
            Ok(name) => Some((name, self.faults.place(node.at))),
            Err(error) => {
                self.faults
                    .add(node.at, FaultCode::InvalidName, error.to_string());
                None
            }
        }
    }

    fn kind(&mut self) -> Option<Kind> {
        let Some(node) = self.section.find("kind") else {
            return Some(Kind::Collector);
        };
        let text = self.section.text("kind", &mut self.faults)?;
        let kind = Kind::parse(text);
        if kind.is_none() {
            let problem =
                format!("there is no kind {text:?}: write kind: collector or kind: variables, or leave it out");
            self.faults.add(node.at, FaultCode::InvalidValue, problem);
        }
        kind
    }

    fn priority(&mut self) -> Option<i64> {
        let Some(node) = self.section.find("priority") else {
            return Some(0);
        };
        let number = match &node.content {
            Content::Scalar(value) => value.as_i64(),
            _ => None,
        };
        if number.is_none() {
            let wanted = "a whole number of at most 64 bits";
            self.section
                .refuse("priority", node, wanted, &mut self.faults);
        }
        number
    }

    /// Nothing where the document is no template; no answer where it is a wrong one.
    fn template(&mut self) -> Option<Option<SourceTemplate>> {
        let is_template = self.is_template();
        let vars = read_vars(self.section, &mut self.faults);
        let overrides = self.overrides();
        match is_template? {
            true => Some(Some(SourceTemplate {
                vars: vars?,
                overrides: overrides?,
            })),
            false => {
                self.refuse_unused_variables();
                Some(None)
            }
        }
    }

    fn is_template(&mut self) -> Option<bool> {
        let Some(node) = self.section.find("template") else {
            return Some(false);
        };
        let text = self.section.text("template", &mut self.faults)?;
        if text == JINJA {
            return Some(true);
        }
        let problem = format!("there are no templates in {text:?}: write template: {JINJA}");
        self.faults.add(node.at, FaultCode::InvalidValue, problem);
        None
    }

    fn refuse_unused_variables(&mut self) {
        for key in ["vars", "overrides"] {
            if let Some(node) = self.section.find(key) {
                let problem = format!(
                    "{key} stands here, and the body is no template that could use it: add template: {JINJA}"
                );
                self.faults.add(node.at, FaultCode::InvalidValue, problem);
            }
        }
    }

    fn overrides(&mut self) -> Option<Vec<SourceOverride>> {
        let Some(node) = self.section.find("overrides") else {
            return Some(Vec::new());
        };
        let items = items_of(node, "overrides", &mut self.faults)?;
        let read: Vec<_> = items
            .iter()
            .enumerate()
            .map(|(index, item)| read_override(index, item, &mut self.faults))
            .collect();
        read.into_iter().collect()
    }

    /// The path of the file that it names, from the source's directory.
    fn body_file(&mut self) -> Option<String> {
        let node = self.section.find("file")?;
        let path = self.section.text("file", &mut self.faults)?;
        match body::resolve(self.faults.file, path) {
            Ok(path) => Some(path),
            Err(problem) => {
                self.faults.add(node.at, FaultCode::FileOutside, problem);
                None
            }
        }
    }

    fn body(&mut self, file: Option<&str>) -> Option<super::SourceBody> {
        match (self.section.find("body"), self.section.find("file")) {
            (Some(node), None) => {
                let text = self.section.text("body", &mut self.faults)?;
                Some(body::inline(self.faults.file, self.text, node.at, text))
            }
            (None, Some(node)) => body::of_file(file?, node.at, self.files, &mut self.faults),
            (Some(_), Some(node)) => {
                let problem = "body and file stand here both: remove one of the two";
                self.faults.add(node.at, FaultCode::BodyOrFile, problem);
                None
            }
            (None, None) => {
                let problem =
                    "there is no body: write it behind body: |, or name its file with file:";
                self.faults
                    .add(self.section.at, FaultCode::BodyOrFile, problem);
                None
            }
        }
    }
}

fn read_override(index: usize, node: &Node, faults: &mut Faults<'_>) -> Option<SourceOverride> {
    let prefix = format!("overrides[{index}].");
    let section = Section::of(node, &prefix, OVERRIDE_KEYS, faults)?;
    for key in OVERRIDE_KEYS
        .iter()
        .filter(|key| section.find(key).is_none())
    {
        let problem = format!("{} is missing", section.key(key));
        faults.add(node.at, FaultCode::MissingKey, problem);
    }
    let selector = read_selector(section, faults);
    let vars = read_vars(section, faults);
    Some(SourceOverride {
        selector: selector?,
        vars: vars?,
    })
}

fn read_vars(section: Section<'_>, faults: &mut Faults<'_>) -> Option<BTreeMap<String, Value>> {
    let Some(node) = section.find("vars") else {
        return Some(BTreeMap::new());
    };
    let entries = entries_of(node, &section.key("vars"), faults)?;
    let value = |entry: &Entry| (entry.key.clone(), entry.value.to_json());
    Some(entries.iter().map(value).collect())
}

fn read_selector(section: Section<'_>, faults: &mut Faults<'_>) -> Option<Selector> {
    let Some(node) = section.find("selector") else {
        return Some(Selector::default());
    };
    let name = section.key("selector");
    match &node.content {
        Content::Scalar(Value::String(text)) => match text.parse() {
            Ok(selector) => Some(selector),
            Err(error) => {
                let problem = format!("{name} does not parse: {error} of its text");
                faults.add(node.at, FaultCode::InvalidSelector, problem);
                None
            }
        },
        Content::Map(entries) => selector_of(entries, &name, faults),
        _ => {
            section.refuse("selector", node, "a text or a map of labels", faults);
            None
        }
    }
}

fn selector_of(entries: &[Entry], name: &str, faults: &mut Faults<'_>) -> Option<Selector> {
    let pairs: Vec<_> = entries
        .iter()
        .map(|entry| label_of(entry, name, faults))
        .collect();
    let pairs: Vec<(&str, &str)> = pairs.into_iter().collect::<Option<_>>()?;
    Some(Selector::from_map(pairs))
}

fn label_of<'a>(
    entry: &'a Entry,
    name: &str,
    faults: &mut Faults<'_>,
) -> Option<(&'a str, &'a str)> {
    let key = &entry.key;
    let Content::Scalar(Value::String(text)) = &entry.value.content else {
        let found = entry.value.kind();
        let problem =
            format!("{name}.{key} must be a text in quotes, since labels are texts, not {found}");
        faults.add(entry.value.at, FaultCode::WrongType, problem);
        return None;
    };
    match Labels::check(key, text) {
        Ok(()) => Some((key, text)),
        Err(error) => {
            faults.add(
                entry.at,
                FaultCode::InvalidSelector,
                format!("{name}: {error}"),
            );
            None
        }
    }
}
