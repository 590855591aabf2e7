//! What differs between two configurations in the Collector's own terms: components, pipelines, and the rest.

use std::collections::{BTreeMap, BTreeSet};

use crate::component::Kind;
use crate::document::Document;
use crate::tree::{Path, Step};
use crate::value::Value;

/// How many paths of changed settings are told; the others are counted.
const MOST_PATHS: usize = 1_000;

/// What differs between two configurations. Style, comments, and the order of keys do not count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Components that are defined anew, no longer, or otherwise, by kind and id.
    pub components: Vec<ComponentChange>,
    /// Pipelines that are new, gone, or made of other components, by id.
    pub pipelines: Vec<PipelineChange>,
    /// The extensions that are started.
    pub extensions: Rewired,
    /// The ways to whatever else is new, gone or otherwise, such as `service::telemetry::logs::level`.
    pub settings: Vec<Path>,
    /// How many further ways of changed settings there are.
    pub more: usize,
}

/// A component that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentChange {
    /// What it does.
    pub kind: Kind,
    /// Its id as written.
    pub id: String,
    /// What became of it.
    pub change: Settings,
}

/// What became of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settings {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It has other settings; the ways to them.
    Changed(Vec<Path>),
}

/// A pipeline that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineChange {
    /// Its id as written.
    pub id: String,
    /// What became of it.
    pub change: Wiring,
}

/// What became of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wiring {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is made of other components.
    Rewired {
        /// Where its data comes from; their order means nothing.
        receivers: Rewired,
        /// What is done with it, in order.
        processors: Rewired,
        /// Where it goes; their order means nothing.
        exporters: Rewired,
    },
}

/// A list of components that differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewired {
    /// Ids that are new in it.
    pub added: Vec<String>,
    /// Ids that are gone from it.
    pub removed: Vec<String>,
    /// Whether those that stay stand in another order, and that means something.
    pub is_reordered: bool,
}

impl Rewired {
    /// Whether nothing differs.
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && !self.is_reordered
    }
}

impl Difference {
    /// What differs from one configuration to another.
    ///
    /// ```
    /// use otelcol::{Difference, Document};
    /// let read = |text: &str| Document::parse(text.as_bytes()).unwrap();
    /// let before = read("exporters: {debug: }\nservice: {pipelines: {logs: {exporters: [debug]}}}");
    /// let after = read("exporters: {debug: , otlp: }\nservice: {pipelines: {logs: {exporters: [otlp]}}}");
    /// let difference = Difference::of(&before, &after);
    /// assert_eq!(difference.components[0].id, "otlp");
    /// assert_eq!(difference.pipelines[0].id, "logs");
    /// ```
    pub fn of(before: &Document, after: &Document) -> Self {
        let (before, after) = (before.value(), after.value());
        let mut comparison = Comparison::default();
        comparison.document(map(&before), map(&after));
        comparison.found
    }

    /// Whether nothing differs.
    pub const fn is_empty(&self) -> bool {
        self.components.is_empty()
            && self.pipelines.is_empty()
            && self.extensions.is_empty()
            && self.settings.is_empty()
            && self.more == 0
    }
}

type Entries = BTreeMap<String, Value>;

static NONE: Entries = Entries::new();

/// The entries of a map; anything else has none.
const fn map(value: &Value) -> &Entries {
    match value {
        Value::Map(entries) => entries,
        _ => &NONE,
    }
}

/// The entries of the map under a name.
fn part<'e>(entries: &'e Entries, name: &str) -> &'e Entries {
    entries.get(name).map_or(&NONE, map)
}

#[derive(Default)]
struct Comparison {
    found: Difference,
    path: Path,
    paths: usize,
}

impl Comparison {
    fn document(&mut self, before: &Entries, after: &Entries) {
        for kind in Kind::ALL {
            let section = kind.section();
            match (before.get(section), after.get(section)) {
                (
                    Some(Value::Map(_) | Value::Null) | None,
                    Some(Value::Map(_) | Value::Null) | None,
                ) => {}
                // A section that is no map has no components: something else is wrong with it.
                (old, new) => self.setting_at(section, old, new),
            }
            self.components(kind, part(before, section), part(after, section));
        }
        for name in names(before, after) {
            let (old, new) = (before.get(name), after.get(name));
            if name == "service" {
                self.service(old, new);
            } else if Kind::ALL.iter().all(|kind| kind.section() != name) {
                self.setting_at(name, old, new);
            }
        }
    }

    fn components(&mut self, kind: Kind, before: &Entries, after: &Entries) {
        self.path.push(Step::Key(kind.section().into()));
        for id in names(before, after) {
            let change = match (before.get(id), after.get(id)) {
                (None, _) => Settings::Added,
                (_, None) => Settings::Removed,
                (Some(old), Some(new)) if same_settings(old, new) => continue,
                (Some(old), Some(new)) => {
                    let mut paths = Vec::new();
                    self.path.push(Step::Key(id.into()));
                    self.compare(old, new, &mut paths);
                    self.path.pop();
                    Settings::Changed(paths)
                }
            };
            self.found.components.push(ComponentChange {
                kind,
                id: id.to_owned(),
                change,
            });
        }
        self.path.pop();
    }

    fn service(&mut self, before: Option<&Value>, after: Option<&Value>) {
        let (before, after) = (before.map_or(&NONE, map), after.map_or(&NONE, map));
        self.path.push(Step::Key("service".into()));
        for name in names(before, after) {
            let (old, new) = (before.get(name), after.get(name));
            match (name, ids(old), ids(new)) {
                ("extensions", Some(old), Some(new)) => {
                    self.found.extensions = rewired(&old, &new, false);
                }
                ("pipelines", ..) => {
                    self.pipelines(old.map_or(&NONE, map), new.map_or(&NONE, map));
                }
                _ => self.setting_at(name, old, new),
            }
        }
        self.path.pop();
    }

    fn pipelines(&mut self, before: &Entries, after: &Entries) {
        self.path.push(Step::Key("pipelines".into()));
        for id in names(before, after) {
            let change = match (before.get(id), after.get(id)) {
                (None, _) => Wiring::Added,
                (_, None) => Wiring::Removed,
                (Some(old), Some(new)) if old == new => continue,
                (Some(Value::Map(_) | Value::Null), Some(Value::Map(_) | Value::Null)) => {
                    match self.pipeline(id, part(before, id), part(after, id)) {
                        Some(change) => change,
                        None => continue,
                    }
                }
                (old, new) => {
                    self.setting_at(id, old, new);
                    continue;
                }
            };
            let id = id.to_owned();
            self.found.pipelines.push(PipelineChange { id, change });
        }
        self.path.pop();
    }

    fn pipeline(&mut self, id: &str, before: &Entries, after: &Entries) -> Option<Wiring> {
        let [mut receivers, mut processors, mut exporters] = [const { Rewired::EMPTY }; 3];
        self.path.push(Step::Key(id.into()));
        for name in names(before, after) {
            let (old, new) = (before.get(name), after.get(name));
            match (name, ids(old), ids(new)) {
                ("receivers", Some(old), Some(new)) => receivers = rewired(&old, &new, false),
                ("processors", Some(old), Some(new)) => processors = rewired(&old, &new, true),
                ("exporters", Some(old), Some(new)) => exporters = rewired(&old, &new, false),
                _ => self.setting_at(name, old, new),
            }
        }
        self.path.pop();
        let is_same = receivers.is_empty() && processors.is_empty() && exporters.is_empty();
        (!is_same).then_some(Wiring::Rewired {
            receivers,
            processors,
            exporters,
        })
    }

    fn setting_at(&mut self, name: &str, before: Option<&Value>, after: Option<&Value>) {
        self.path.push(Step::Key(name.into()));
        let mut paths = Vec::new();
        match (before, after) {
            (Some(before), Some(after)) => self.compare(before, after, &mut paths),
            (None, None) => {}
            _ => self.tell(&mut paths),
        }
        self.path.pop();
        self.found.settings.append(&mut paths);
    }

    /// Tells the ways to what differs: into maps, while lists differ as a whole.
    fn compare(&mut self, before: &Value, after: &Value, paths: &mut Vec<Path>) {
        match (before, after) {
            (Value::Map(before), Value::Map(after)) => {
                for name in names(before, after) {
                    self.path.push(Step::Key(name.into()));
                    match (before.get(name), after.get(name)) {
                        (Some(before), Some(after)) => self.compare(before, after, paths),
                        _ => self.tell(paths),
                    }
                    self.path.pop();
                }
            }
            (before, after) if before == after => {}
            _ => self.tell(paths),
        }
    }

    fn tell(&mut self, paths: &mut Vec<Path>) {
        if self.paths < MOST_PATHS {
            self.paths += 1;
            paths.push(self.path.clone());
        } else {
            self.found.more += 1;
        }
    }
}

impl Rewired {
    const EMPTY: Self = Self {
        added: Vec::new(),
        removed: Vec::new(),
        is_reordered: false,
    };
}

/// To the Collector, a component without settings is one with none: `debug:` and `debug: {}`.
fn same_settings(before: &Value, after: &Value) -> bool {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Map(entries) => entries.is_empty(),
        _ => false,
    };
    before == after || (is_empty(before) && is_empty(after))
}

/// The names of both, each once, sorted.
fn names<'e>(before: &'e Entries, after: &'e Entries) -> BTreeSet<&'e str> {
    before
        .keys()
        .chain(after.keys())
        .map(String::as_str)
        .collect()
}

/// The ids that a list names; what is no list of texts has none.
fn ids(value: Option<&Value>) -> Option<Vec<&str>> {
    match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::List(items)) => items
            .iter()
            .map(|item| match item {
                Value::Str(id) => Some(id.as_str()),
                _ => None,
            })
            .collect(),
        Some(_) => None,
    }
}

fn rewired(before: &[&str], after: &[&str], ordered: bool) -> Rewired {
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) = (
        before.iter().copied().collect(),
        after.iter().copied().collect(),
    );
    let only = |list: &[&str], other: &BTreeSet<&str>| -> Vec<String> {
        let mut told = BTreeSet::new();
        list.iter()
            .filter(|id| !other.contains(**id) && told.insert(**id))
            .map(|id| (*id).to_owned())
            .collect()
    };
    let stay = |list: &'_ [&'_ str], other: &BTreeSet<&str>| -> Vec<String> {
        list.iter()
            .filter(|id| other.contains(**id))
            .map(|id| (*id).to_owned())
            .collect()
    };
    Rewired {
        is_reordered: ordered && stay(before, &new) != stay(after, &old),
        added: only(after, &old),
        removed: only(before, &new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(before: &str, after: &str) -> Difference {
        let read = |text: &str| Document::parse(text.as_bytes()).unwrap();
        Difference::of(&read(before), &read(after))
    }

    fn told(paths: &[Path]) -> Vec<String> {
        paths.iter().map(ToString::to_string).collect()
    }

    const BASE: &str = "receivers: {otlp: {protocols: {grpc: , http: }}}\nprocessors: {batch: {timeout: 1s}, memory_limiter: }\n\
        exporters: {debug: }\nextensions: {zpages: }\nservice:\n  extensions: [zpages]\n  telemetry: {logs: {level: info}}\n\
        \x20 pipelines:\n    traces: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [debug]}\n";

    #[test]
    fn style_order_of_keys_and_of_receivers_are_no_difference() {
        let other = BASE
            .replace("timeout: 1s", "'timeout': \"1s\"")
            .replace("exporters: {debug: }", "exporters:\n  debug: {}")
            .replace("{grpc: , http: }", "{http: , grpc: }");
        assert_eq!(difference(BASE, &other), Difference::default());
        assert!(difference(BASE, &other).is_empty());
        let two = BASE.replace("receivers: [otlp]", "receivers: [otlp, jaeger]");
        let turned = BASE.replace("receivers: [otlp]", "receivers: [jaeger, otlp]");
        assert!(difference(&two, &turned).is_empty());
    }

    #[test]
    fn components_are_added_removed_and_changed() {
        let other = BASE
            .replace("timeout: 1s", "timeout: 2s")
            .replace("memory_limiter: }", "filter: {a: 1}}")
            .replace("http: }", "http: {endpoint: x}}");
        let found = difference(BASE, &other);
        let shown: Vec<(Kind, &str, String)> = found
            .components
            .iter()
            .map(|component| {
                let what = match &component.change {
                    Settings::Added => "added".to_owned(),
                    Settings::Removed => "removed".to_owned(),
                    Settings::Changed(paths) => told(paths).join(" "),
                };
                (component.kind, component.id.as_str(), what)
            })
            .collect();
        assert_eq!(
            shown,
            [
                (
                    Kind::Receiver,
                    "otlp",
                    "receivers::otlp::protocols::http".to_owned()
                ),
                (
                    Kind::Processor,
                    "batch",
                    "processors::batch::timeout".to_owned()
                ),
                (Kind::Processor, "filter", "added".to_owned()),
                (Kind::Processor, "memory_limiter", "removed".to_owned()),
            ]
        );
        assert!(found.pipelines.is_empty() && found.settings.is_empty());
    }

    #[test]
    fn pipelines_are_added_removed_and_rewired() {
        let other = BASE.replace(
            "processors: [memory_limiter, batch], exporters: [debug]}",
            "processors: [batch, memory_limiter], exporters: [otlp, otlp]}\n    logs: {receivers: [otlp]}",
        );
        let found = difference(BASE, &other);
        let [logs, traces] = &*found.pipelines else {
            panic!("{found:?}")
        };
        assert_eq!((logs.id.as_str(), &logs.change), ("logs", &Wiring::Added));
        let Wiring::Rewired {
            receivers,
            processors,
            exporters,
        } = &traces.change
        else {
            panic!("{traces:?}")
        };
        assert!(receivers.is_empty() && processors.is_reordered && processors.added.is_empty());
        assert_eq!(
            (exporters.added.join(","), exporters.removed.join(",")),
            ("otlp".to_owned(), "debug".to_owned())
        );
        assert_eq!(
            difference(&other, BASE).pipelines[0].change,
            Wiring::Removed
        );
    }

    #[test]
    fn what_else_differs_is_told_by_its_path() {
        let other = BASE
            .replace("level: info", "level: debug, encoding: json")
            .replace("extensions: [zpages]", "extensions: []")
            + "nonsense: 1\n";
        let found = difference(BASE, &other);
        assert_eq!(found.extensions.removed, ["zpages"]);
        assert_eq!(
            told(&found.settings),
            [
                "nonsense",
                "service::telemetry::logs::encoding",
                "service::telemetry::logs::level"
            ]
        );
        // What is not what it should be is compared all the same.
        let found = difference(
            "receivers: 1\nservice: {pipelines: {logs: 3}}",
            "receivers: 2\n",
        );
        assert_eq!(told(&found.settings), ["receivers"]);
        assert_eq!(found.pipelines[0].change, Wiring::Removed);
        let found = difference(
            "service: {pipelines: {logs: {receivers: 1}}}",
            "service: {pipelines: {logs: {receivers: 2}}}",
        );
        assert_eq!(
            told(&found.settings),
            ["service::pipelines::logs::receivers"]
        );
    }

    #[test]
    fn many_changes_are_counted_and_not_all_told() {
        let many = |value: u32| {
            let keys: String = (0..1_500).map(|n| format!("k{n}: {value}, ")).collect();
            format!("exporters: {{debug: {{{keys}}}}}\n")
        };
        let found = difference(&many(1), &many(2));
        let Settings::Changed(paths) = &found.components[0].change else {
            panic!("{found:?}")
        };
        assert_eq!((paths.len(), found.more), (MOST_PATHS, 500));
    }
}
