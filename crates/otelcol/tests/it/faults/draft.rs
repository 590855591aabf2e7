//! A configuration that is about to be broken: its sections, ids and pipelines, to read and to change.

use std::collections::BTreeMap;

use otelcol::{ComponentId, Document, PipelineId, Signal, Value};

type Entries = BTreeMap<String, Value>;

/// A configuration while it is changed.
pub(super) struct Draft {
    root: Value,
    turn: usize,
}

impl Draft {
    /// The turn says which of several places is taken, so that over the corpus each is.
    pub(super) fn new(root: Value, turn: usize) -> Self {
        Self { root, turn }
    }

    pub(super) fn text(&self) -> String {
        self.root.to_yaml()
    }

    pub(super) fn root(&mut self) -> &mut Entries {
        entries(&mut self.root)
    }

    pub(super) fn section(&mut self, name: &str) -> &mut Entries {
        entries(self.root().entry(name.to_owned()).or_insert(Value::Null))
    }

    pub(super) fn service(&mut self) -> &mut Entries {
        self.section("service")
    }

    pub(super) fn pipelines(&mut self) -> &mut Entries {
        entries(
            self.service()
                .entry("pipelines".to_owned())
                .or_insert(Value::Null),
        )
    }

    pub(super) fn pipeline(&mut self, id: &str) -> &mut Entries {
        entries(self.pipelines().entry(id.to_owned()).or_insert(Value::Null))
    }

    fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.root, |value, key| match value {
            Value::Map(entries) => entries.get(*key),
            _ => None,
        })
    }

    fn keys(&self, path: &[&str]) -> Vec<String> {
        match self.at(path) {
            Some(Value::Map(entries)) => entries.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// What a section defines.
    pub(super) fn ids(&self, section: &str) -> Vec<String> {
        self.keys(&[section])
    }

    /// What a pipeline names as its receivers, processors or exporters.
    pub(super) fn uses(&self, pipeline: &str, part: &str) -> Vec<String> {
        texts(self.at(&["service", "pipelines", pipeline, part]))
    }

    pub(super) fn set_uses(&mut self, pipeline: &str, part: &str, ids: Vec<String>) {
        let ids = Value::List(ids.into_iter().map(Value::Str).collect());
        self.pipeline(pipeline).insert(part.to_owned(), ids);
    }

    pub(super) fn push_use(&mut self, pipeline: &str, part: &str, id: &str) {
        let mut ids = self.uses(pipeline, part);
        ids.push(id.to_owned());
        self.set_uses(pipeline, part, ids);
    }

    pub(super) fn extensions(&self) -> Vec<String> {
        texts(self.at(&["service", "extensions"]))
    }

    pub(super) fn define(&mut self, section: &str, id: &str, settings: &str) {
        let document = Document::parse(format!("settings: {settings}").as_bytes()).unwrap();
        let settings = Value::from(document.get("settings").unwrap());
        self.section(section).insert(id.to_owned(), settings);
    }

    /// The ids of all pipelines.
    pub(super) fn all_pipelines(&self) -> Vec<String> {
        self.keys(&["service", "pipelines"])
    }

    pub(super) fn pipelines_of(&self, signal: Signal) -> Vec<String> {
        let mut ids = self.all_pipelines();
        ids.retain(|id| PipelineId::parse(id).unwrap().signal() == signal);
        ids
    }

    /// Some pipeline.
    pub(super) fn some_pipeline(&self) -> Option<String> {
        let all = self.all_pipelines();
        self.some(&all)
    }

    /// Some pipeline that has at least so many processors.
    pub(super) fn pipeline_with_processors(&self, least: usize) -> Option<String> {
        let mut ids = self.all_pipelines();
        ids.retain(|id| least <= self.uses(id, "processors").len());
        self.some(&ids)
    }

    /// Some of these.
    pub(super) fn some(&self, of: &[String]) -> Option<String> {
        let index = self.turn.checked_rem(of.len())?;
        Some(of[index].clone())
    }

    pub(super) fn some_of(&self, of: &[&'static str]) -> &'static str {
        of[self.turn % of.len()]
    }

    /// Some component that a section defines and that is used in this part of some pipeline.
    pub(super) fn some_used(&self, section: &str) -> Option<String> {
        let mut ids: Vec<String> = self.ids(section);
        let used: Vec<String> = self
            .all_pipelines()
            .iter()
            .flat_map(|pipeline| self.uses(pipeline, section))
            .chain(self.extensions())
            .collect();
        ids.retain(|id| used.contains(id));
        self.some(&ids)
    }

    /// Gives a component another id, where it is defined and where it is used.
    pub(super) fn rename(&mut self, section: &str, from: &str, to: &str) {
        if let Some(settings) = self.section(section).remove(from) {
            self.section(section).insert(to.to_owned(), settings);
        }
        for pipeline in self.all_pipelines() {
            let mut ids = self.uses(&pipeline, section);
            if ids.iter().any(|id| id == from) {
                ids.iter_mut()
                    .filter(|id| *id == from)
                    .for_each(|id| *id = to.to_owned());
                self.set_uses(&pipeline, section, ids);
            }
        }
    }

    /// Some exporter that sends to others, with its settings.
    pub(super) fn some_remote_exporter(&self) -> Option<String> {
        let mut ids: Vec<String> = self.ids("exporters");
        ids.retain(|id| component_type(id).starts_with("otlp"));
        self.some(&ids)
    }

    pub(super) fn settings(&mut self, section: &str, id: &str) -> &mut Entries {
        entries(
            self.section(section)
                .entry(id.to_owned())
                .or_insert(Value::Null),
        )
    }
}

pub(super) fn component_type(id: &str) -> String {
    ComponentId::parse(id).unwrap().component_type().to_owned()
}

/// The entries of a map; what is none becomes one.
pub(super) fn entries(value: &mut Value) -> &mut Entries {
    if !matches!(value, Value::Map(_)) {
        *value = Value::Map(Entries::new());
    }
    match value {
        Value::Map(entries) => entries,
        _ => unreachable!("it was made a map"),
    }
}

fn texts(list: Option<&Value>) -> Vec<String> {
    match list {
        Some(Value::List(items)) => items
            .iter()
            .filter_map(|item| match item {
                Value::Str(text) => Some(text.clone()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}
