//! What components a build of the Collector has, and which signals they support.

use std::collections::{BTreeMap, BTreeSet};

use crate::component::{Kind, Signal};
use crate::document::Document;
use crate::error::ParseError;
use crate::tree::Map;

/// The components of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The version of the build, where it is known.
    pub version: Option<String>,
    components: BTreeMap<(Kind, Box<str>), Support>,
    /// The kinds of which every name is known.
    whole: BTreeSet<Kind>,
}

/// The signals that a component supports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// It is there; what it supports is not known (agents report names only).
    Unknown,
    /// Of receivers, processors and exporters; empty for extensions.
    Signals(BTreeSet<Signal>),
    /// Of connectors: from which signal to which.
    Pairs(BTreeSet<(Signal, Signal)>),
}

impl Inventory {
    /// Reads what `otelcol components` prints, which is not all: from v0.146 on it leaves out old names of renamed components
    /// (`otlphttp` of `otlp_http`), and up to v0.150 their new names as well. [`complete`](Self::complete) adds them.
    ///
    /// # Errors
    /// It is not YAML. What has another form than expected is left out: the Collector calls it unstable.
    pub fn parse(printed: &[u8]) -> Result<Self, ParseError> {
        let document = Document::parse(printed)?;
        let version = document.get("buildinfo.version");
        let mut inventory = Self {
            version: version.and_then(|node| node.as_str()).map(str::to_owned),
            ..Self::default()
        };
        for kind in Kind::ALL {
            let section = document.root().get(kind.section());
            let items = section.and_then(|node| node.as_list()).unwrap_or_default();
            for map in items.iter().filter_map(|item| item.as_map()) {
                if let Some(name) = map.get("name").and_then(|node| node.as_str()) {
                    inventory.add(kind, name, support(kind, map));
                }
            }
        }
        Ok(inventory)
    }

    /// Adds the names that `otelcol validate` lists where it refuses one, which are all that a configuration may use:
    /// `'receivers' unknown type: "x" for id: "x" (valid values: [otlp nop])`.
    ///
    /// ```
    /// use otelcol::{Inventory, Kind};
    /// let mut inventory = Inventory::parse(b"exporters: [{name: debug}]").unwrap();
    /// assert!(!inventory.knows_all(Kind::Exporter));
    /// inventory.complete("'exporters' unknown type: \"x\" for id: \"x\" (valid values: [otlp debug])");
    /// assert!(inventory.knows_all(Kind::Exporter));
    /// assert_eq!(inventory.types(Kind::Exporter).collect::<Vec<_>>(), ["debug", "otlp"]);
    /// ```
    pub fn complete(&mut self, refusal: &str) {
        for line in refusal.lines().filter(|line| line.contains("unknown type")) {
            let is_named = |kind: &Kind| line.contains(&format!("'{}'", kind.section()));
            let values = line
                .split_once("(valid values: [")
                .and_then(|(_, rest)| rest.split_once(']'));
            let (Some(kind), Some((values, _))) = (Kind::ALL.into_iter().find(is_named), values)
            else {
                continue;
            };
            for name in values.split_whitespace() {
                let component = self.components.entry((kind, name.into()));
                component.or_insert(Support::Unknown);
            }
            self.whole.insert(kind);
        }
    }

    /// An inventory of names alone, as agents report it: all that there are.
    pub fn of_names<'n>(names: impl IntoIterator<Item = (Kind, &'n str)>) -> Self {
        let mut inventory = Self {
            whole: Kind::ALL.into(),
            ..Self::default()
        };
        for (kind, name) in names {
            inventory.add(kind, name, Support::Unknown);
        }
        inventory
    }

    /// Adds a component that an agent reports: its type and, where it is known, the Go module that it is from.
    ///
    /// A component that was renamed is reported under its new name alone, and is there under the old one, too: the new name
    /// without underscores (`hostmetrics` of `host_metrics`), or the name of its module (`otlp` of `otlp_grpc`, which is
    /// from `…/exporter/otlpexporter`).
    ///
    /// ```
    /// use otelcol::{Inventory, Kind};
    /// let mut reported = Inventory::default();
    /// reported.report(Kind::Exporter, "otlp_grpc", Some("example.com/exporter/otlpexporter v0.149.0"));
    /// reported.report(Kind::Receiver, "host_metrics", None);
    /// assert!(reported.support(Kind::Exporter, "otlp").is_some());
    /// assert!(reported.support(Kind::Receiver, "hostmetrics").is_some());
    /// assert!(reported.support(Kind::Receiver, "otlp").is_none());
    /// ```
    pub fn report(&mut self, kind: Kind, component_type: &str, module: Option<&str>) {
        self.whole.insert(kind);
        self.add(kind, component_type, Support::Unknown);
        if component_type.contains('_') {
            self.add(kind, &component_type.replace('_', ""), Support::Unknown);
        }
        if let Some(name) = module.and_then(|module| name_of_module(kind, module)) {
            self.add(kind, name, Support::Unknown);
        }
    }

    /// How many names of components there are.
    pub fn len(&self) -> usize {
        self.components.len()
    }

    /// Whether the build says of a component that it does not support a signal. Of signals that it says of no component, such as
    /// profiles before they are stable, it says nothing.
    pub(crate) fn denies(&self, kind: Kind, component_type: &str, signal: Signal) -> bool {
        let support = self.support(kind, component_type);
        support.is_some_and(|support| !support.has(signal)) && self.names(signal)
    }

    fn names(&self, signal: Signal) -> bool {
        let is_named = |support: &Support| match support {
            Support::Unknown => false,
            Support::Signals(signals) => signals.contains(&signal),
            Support::Pairs(pairs) => pairs
                .iter()
                .any(|(from, to)| *from == signal || *to == signal),
        };
        self.components.values().any(is_named)
    }

    /// What a type of component supports; none where the build does not have it.
    pub fn support(&self, kind: Kind, component_type: &str) -> Option<&Support> {
        self.components.get(&(kind, component_type.into()))
    }

    /// Whether every component of a kind is known, so that the build does not have what is not here.
    pub fn knows_all(&self, kind: Kind) -> bool {
        self.whole.contains(&kind)
    }

    /// The types of a kind, in the order of their names.
    pub fn types(&self, kind: Kind) -> impl Iterator<Item = &str> {
        let all = self.components.keys();
        all.filter(move |(of, _)| *of == kind)
            .map(|(_, name)| &**name)
    }

    /// True when nothing is known.
    pub fn is_empty(&self) -> bool {
        self.components.is_empty()
    }

    fn add(&mut self, kind: Kind, name: &str, support: Support) {
        self.components.insert((kind, name.into()), support);
    }
}

impl Support {
    /// Whether a pipeline of this signal may use the component; what is not known counts as yes.
    pub fn has(&self, signal: Signal) -> bool {
        match self {
            Self::Unknown => true,
            Self::Signals(signals) => signals.contains(&signal),
            Self::Pairs(pairs) => pairs
                .iter()
                .any(|(from, to)| *from == signal || *to == signal),
        }
    }

    /// Whether a connector takes one signal and gives the other; what is not known counts as yes.
    pub fn connects(&self, from: Signal, to: Signal) -> bool {
        match self {
            Self::Unknown => true,
            Self::Signals(_) => false,
            Self::Pairs(pairs) => pairs.contains(&(from, to)),
        }
    }
}

/// The type that a component had when its module was named: `otlp` of `example.com/exporter/otlpexporter/v2 v2.1.0`.
fn name_of_module(kind: Kind, module: &str) -> Option<&str> {
    let path = module.split_whitespace().next()?;
    let mut parts = path.rsplit('/');
    let is_version = |part: &&str| {
        let digits = part.strip_prefix('v').unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let last = parts.find(|part| !is_version(part))?;
    let name = last.strip_suffix(kind.section().trim_end_matches('s'))?;
    (!name.is_empty()).then_some(name)
}

fn support(kind: Kind, component: &Map) -> Support {
    let Some(stability) = component.get("stability").and_then(|node| node.as_map()) else {
        return Support::Unknown;
    };
    let supported = stability.iter().filter(|entry| {
        let level = entry.value.as_str().unwrap_or_default();
        !matches!(level, "" | "Undefined")
    });
    let names = supported.map(|entry| entry.key.name());
    if kind == Kind::Connector {
        let pair = |name: &str| {
            let (from, to) = name
                .split_once("-to-")
                .or_else(|| name.split_once("_to_"))?;
            Some((Signal::named(from)?, Signal::named(to)?))
        };
        return Support::Pairs(names.filter_map(pair).collect());
    }
    Support::Signals(names.filter_map(Signal::named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_signal_that_no_component_names_nothing_is_denied() {
        let printed = b"receivers:\n  - name: otlp\n    stability: {logs: Stable, traces: Undefined}\n  - name: jaeger\n    stability: {traces: Stable}\n";
        let inventory = Inventory::parse(printed).unwrap();
        assert!(inventory.denies(Kind::Receiver, "otlp", Signal::Traces));
        assert!(!inventory.denies(Kind::Receiver, "otlp", Signal::Logs));
        assert!(!inventory.denies(Kind::Receiver, "otlp", Signal::Profiles));
    }

    #[test]
    fn what_the_collector_prints_is_read() {
        let printed = b"buildinfo: {command: otelcol, version: 0.149.0}
receivers:
    - name: hostmetrics
      module: example.com/m v1
      stability: {logs: Development, metrics: Beta, traces: Undefined}
processors: []
connectors:
    - name: count
      stability: {logs-to-logs: Undefined, logs-to-metrics: Alpha, traces-to-metrics: Alpha}
extensions:
    - name: opamp
      stability: {extension: Alpha}
";
        let inventory = Inventory::parse(printed).unwrap();
        assert_eq!(inventory.version.as_deref(), Some("0.149.0"));
        let host = inventory.support(Kind::Receiver, "hostmetrics").unwrap();
        assert!(host.has(Signal::Logs) && host.has(Signal::Metrics) && !host.has(Signal::Traces));
        let count = inventory.support(Kind::Connector, "count").unwrap();
        assert!(count.connects(Signal::Logs, Signal::Metrics));
        assert!(!count.connects(Signal::Logs, Signal::Logs));
        assert!(inventory.support(Kind::Extension, "opamp").is_some());
        assert_eq!(inventory.support(Kind::Processor, "batch"), None);
        assert_eq!(
            inventory.types(Kind::Receiver).collect::<Vec<_>>(),
            ["hostmetrics"]
        );
    }

    #[test]
    fn names_alone_support_what_is_asked_for() {
        let inventory = Inventory::of_names([(Kind::Connector, "count")]);
        let count = inventory.support(Kind::Connector, "count").unwrap();
        assert!(count.connects(Signal::Logs, Signal::Logs) && count.has(Signal::Profiles));
        assert!(Inventory::default().is_empty() && !inventory.is_empty());
    }
}
