//! What a configuration makes: the components it defines, the pipelines of them, and which feeds which.

use std::collections::BTreeMap;

use crate::component::{ComponentId, IdError, Kind, PipelineId};
use crate::document::Document;
use crate::spelling::Spelling;
use crate::tree::{Content, Map, Node, Origin, Path, Step};

/// The service that a configuration describes, as far as it can be read.
///
/// What cannot be read (an id that is none, a list where a map belongs) is left out and told in [`Service::faults`]. What only
/// the Collector can resolve (`${file:…}` in place of a section) is left out, too, and makes the service partial.
#[derive(Debug, Clone, Default)]
pub struct Service {
    /// Everything that is defined, used or not.
    pub components: BTreeMap<(Kind, ComponentId), Place>,
    /// The pipelines.
    pub pipelines: BTreeMap<PipelineId, Pipeline>,
    /// The extensions that are started, in their order.
    pub extensions: Vec<Used>,
    /// Whether something stands behind a reference, so that what is missing here may be there.
    pub is_partial: bool,
    /// What could not be read.
    pub faults: Vec<Unreadable>,
}

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The way to it.
    pub path: Path,
    /// The document and the place in it.
    pub origin: Origin,
}

/// A pipeline: what comes in, what is done with it, where it goes.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Where it is defined.
    pub place: Place,
    /// Receivers, and connectors that bring data from other pipelines.
    pub receivers: Vec<Used>,
    /// Processors in the order in which they work.
    pub processors: Vec<Used>,
    /// Exporters, and connectors that take data to other pipelines.
    pub exporters: Vec<Used>,
    /// Whether one of its parts stands behind a reference.
    pub is_partial: bool,
}

/// A component that is named where it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// What is used.
    pub id: ComponentId,
    /// Where it is named.
    pub place: Place,
}

/// A part of a configuration that is not what belongs there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub fault: ServiceFault,
}

/// Why a part of a configuration cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceFault {
    /// A key that the Collector does not know in this place.
    #[error("there is no \"{key}\" here")]
    UnknownKey {
        /// The key as written.
        key: String,
        /// The one that may be meant.
        meant: Option<&'static str>,
    },
    /// A text where a map belongs, or the like.
    #[error("{wanted} belongs here, this is {found}")]
    WrongKind {
        /// `a map` or `a list`.
        wanted: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A text that names nothing.
    #[error("\"{text}\" names no component: {reason}")]
    BadId {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: IdError,
    },
    /// Two keys that are one once the blanks around them are left out.
    #[error("\"{text}\" names what stands there already")]
    SameId {
        /// The later key as written.
        text: String,
    },
    /// Settings that the Collector looks for under the id without its blanks, where they are not.
    #[error("the Collector does not see the settings of \"{text}\", which has blanks in it")]
    LostSettings {
        /// The key as written.
        text: String,
    },
}

/// The pipelines that a connector joins, each with the first place in it that names the connector.
#[derive(Debug, Clone, Default)]
pub struct Ends<'s> {
    /// Those that give it data: it is among their exporters.
    pub from: Vec<(&'s PipelineId, &'s Place)>,
    /// Those that it gives data: it is among their receivers.
    pub to: Vec<(&'s PipelineId, &'s Place)>,
}

/// The sections of a configuration.
const SECTIONS: [&str; 6] = [
    "receivers",
    "processors",
    "exporters",
    "connectors",
    "extensions",
    "service",
];
const SERVICE_KEYS: [&str; 3] = ["extensions", "pipelines", "telemetry"];
const PIPELINE_KEYS: [&str; 3] = ["receivers", "processors", "exporters"];

impl Service {
    /// Reads the service of a document.
    pub fn of(document: &Document) -> Self {
        let mut reading = Reading::default();
        reading.document(document.root());
        reading.service
    }

    /// Whether a component is defined.
    pub fn defines(&self, kind: Kind, id: &ComponentId) -> bool {
        self.components.contains_key(&(kind, id.clone()))
    }

    /// Every component that a pipeline or the service names, if it is defined; connectors once for each end.
    pub fn used(&self) -> impl Iterator<Item = (Kind, &ComponentId)> {
        let extensions = self
            .extensions
            .iter()
            .map(|used| (Kind::Extension, &used.id));
        let in_pipelines = self.pipelines.values().flat_map(|pipeline| {
            pipeline
                .receivers
                .iter()
                .map(|used| (Kind::Receiver, &used.id))
                .chain(
                    pipeline
                        .processors
                        .iter()
                        .map(|used| (Kind::Processor, &used.id)),
                )
                .chain(
                    pipeline
                        .exporters
                        .iter()
                        .map(|used| (Kind::Exporter, &used.id)),
                )
        });
        extensions.chain(in_pipelines).flat_map(|(kind, id)| {
            let is_connector = matches!(kind, Kind::Receiver | Kind::Exporter)
                && self.defines(Kind::Connector, id);
            [
                Some((kind, id)),
                is_connector.then_some((Kind::Connector, id)),
            ]
            .into_iter()
            .flatten()
        })
    }

    /// Every connector that is defined, and what it joins. Which signals it carries from one to another is for its type to say.
    pub fn connectors(&self) -> BTreeMap<&ComponentId, Ends<'_>> {
        let defined = self.components.keys();
        let mut connectors: BTreeMap<&ComponentId, Ends<'_>> = defined
            .filter(|(kind, _)| *kind == Kind::Connector)
            .map(|(_, id)| (id, Ends::default()))
            .collect();
        for (id, pipeline) in &self.pipelines {
            for used in &pipeline.exporters {
                if let Some(ends) = connectors.get_mut(&used.id) {
                    once(&mut ends.from, id, &used.place);
                }
            }
            for used in &pipeline.receivers {
                if let Some(ends) = connectors.get_mut(&used.id) {
                    once(&mut ends.to, id, &used.place);
                }
            }
        }
        connectors
    }
}

/// Puts a pipeline behind the others, unless it is the last of them already.
fn once<'s>(ends: &mut Vec<(&'s PipelineId, &'s Place)>, id: &'s PipelineId, place: &'s Place) {
    if ends.last().is_none_or(|(last, _)| *last != id) {
        ends.push((id, place));
    }
}

#[derive(Default)]
struct Reading {
    service: Service,
    path: Path,
    spelling: Spelling,
}

impl Reading {
    fn document(&mut self, root: &Map) {
        self.known_keys(root, &SECTIONS);
        for kind in Kind::ALL {
            self.key(root, kind.section(), |reading, node| {
                reading.section(kind, node);
            });
        }
        self.key(root, "service", Self::service);
    }

    fn section(&mut self, kind: Kind, node: &Node) {
        let Some(map) = self.map(node) else { return };
        for entry in map.iter() {
            let place = self.place_of(entry.key.name(), entry.value.origin);
            match ComponentId::parse(entry.key.name()) {
                Err(reason) => self.fault(place, bad_id(entry.key.name(), reason)),
                Ok(id) if self.service.defines(kind, &id) => {
                    let text = entry.key.name().to_owned();
                    self.fault(place, ServiceFault::SameId { text });
                }
                Ok(id) => {
                    let text = entry.key.name();
                    if !entry.value.is_null() && id.to_string() != text {
                        let text = text.to_owned();
                        self.fault(place.clone(), ServiceFault::LostSettings { text });
                    }
                    self.service.components.insert((kind, id), place);
                }
            }
        }
    }

    fn service(&mut self, node: &Node) {
        let Some(map) = self.map(node) else { return };
        self.known_keys(map, &SERVICE_KEYS);
        self.key(map, "extensions", |reading, node| {
            let (extensions, _) = reading.used(node);
            reading.service.extensions = extensions;
        });
        self.key(map, "pipelines", Self::pipelines);
    }

    fn pipelines(&mut self, node: &Node) {
        let Some(map) = self.map(node) else { return };
        for entry in map.iter() {
            let place = self.place_of(entry.key.name(), entry.value.origin);
            match PipelineId::parse(entry.key.name()) {
                Err(reason) => self.fault(place, bad_id(entry.key.name(), reason)),
                Ok(id) if self.service.pipelines.contains_key(&id) => {
                    let text = entry.key.name().to_owned();
                    self.fault(place, ServiceFault::SameId { text });
                }
                Ok(id) => {
                    self.path.push(Step::Key(entry.key.name().into()));
                    let pipeline = self.pipeline(place, &entry.value);
                    self.path.pop();
                    self.service.pipelines.insert(id, pipeline);
                }
            }
        }
    }

    fn pipeline(&mut self, place: Place, node: &Node) -> Pipeline {
        let mut pipeline = Pipeline {
            place,
            receivers: Vec::new(),
            processors: Vec::new(),
            exporters: Vec::new(),
            is_partial: is_reference(node),
        };
        let Some(map) = self.map(node) else {
            return pipeline;
        };
        self.known_keys(map, &PIPELINE_KEYS);
        for (name, list) in [
            ("receivers", &mut pipeline.receivers),
            ("processors", &mut pipeline.processors),
            ("exporters", &mut pipeline.exporters),
        ] {
            let is_partial = &mut pipeline.is_partial;
            self.key(map, name, |reading, node| {
                let (used, has_references) = reading.used(node);
                *list = used;
                *is_partial |= has_references;
            });
        }
        pipeline
    }

    /// The components that a list names, and whether it is not all of them.
    fn used(&mut self, node: &Node) -> (Vec<Used>, bool) {
        let items = match &node.content {
            Content::List(items) => items,
            _ if node.is_null() => return (Vec::new(), false),
            _ if is_reference(node) => {
                self.service.is_partial = true;
                return (Vec::new(), true);
            }
            _ => {
                let place = self.place(node.origin);
                self.fault(place, wrong_kind("a list", node));
                return (Vec::new(), false);
            }
        };
        let (mut used, mut has_references) = (Vec::new(), false);
        for (index, item) in items.iter().enumerate() {
            self.path.push(Step::Index(index));
            let place = self.place(item.origin);
            self.path.pop();
            if is_reference(item) {
                has_references = true;
                continue;
            }
            match item.as_str().map(|text| (text, ComponentId::parse(text))) {
                Some((_, Ok(id))) => used.push(Used { id, place }),
                Some((text, Err(reason))) => self.fault(place, bad_id(text, reason)),
                None => self.fault(place, wrong_kind("the id of a component", item)),
            }
        }
        self.service.is_partial |= has_references;
        (used, has_references)
    }

    fn key(&mut self, map: &Map, name: &str, read: impl FnOnce(&mut Self, &Node)) {
        if let Some(node) = map.get(name) {
            self.path.push(Step::Key(name.into()));
            read(self, node);
            self.path.pop();
        }
    }

    /// The map, where there is one; an explicit null is one without keys.
    fn map<'n>(&mut self, node: &'n Node) -> Option<&'n Map> {
        match &node.content {
            Content::Map(map) => return Some(map),
            _ if node.is_null() => {}
            _ if is_reference(node) => self.service.is_partial = true,
            _ => {
                let place = self.place(node.origin);
                self.fault(place, wrong_kind("a map", node));
            }
        }
        None
    }

    fn known_keys(&mut self, map: &Map, known: &[&'static str]) {
        for entry in map.iter() {
            let key = entry.key.name();
            if !known.contains(&key) {
                let place = self.place_of(key, entry.value.origin);
                let meant = self.spelling.similar(key, known);
                let key = key.to_owned();
                self.fault(place, ServiceFault::UnknownKey { key, meant });
            }
        }
    }

    fn place(&self, origin: Origin) -> Place {
        let path = self.path.clone();
        Place { path, origin }
    }

    fn place_of(&self, key: &str, origin: Origin) -> Place {
        let mut place = self.place(origin);
        place.path.push(Step::Key(key.into()));
        place
    }

    fn fault(&mut self, place: Place, fault: ServiceFault) {
        self.service.faults.push(Unreadable { place, fault });
    }
}

fn bad_id(text: &str, reason: IdError) -> ServiceFault {
    ServiceFault::BadId {
        text: text.to_owned(),
        reason,
    }
}

fn wrong_kind(wanted: &'static str, node: &Node) -> ServiceFault {
    ServiceFault::WrongKind {
        wanted,
        found: node.kind(),
    }
}

/// Whether only the Collector knows what stands here.
fn is_reference(node: &Node) -> bool {
    node.as_str().is_some_and(|text| text.contains("${"))
}
