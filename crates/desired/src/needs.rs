//! What a build must have to run a content, and what builds have by what agents report.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use domain::model::ComponentDetails;
use otelcol::{Code, Document, Inventory, Kind, Service, Surroundings};
use sha2::{Digest, Sha256};

use crate::Finding;
use crate::renderer::Combined;

/// The most names of components that are looked at of what an agent reports; no build has so many.
const MOST_NAMES: usize = 2_000;
/// The longest type that a component can have (the Collector's own rule).
const TYPE_MAX_BYTES: usize = 63;
/// The attribute of a reported component that names its Go module.
const MODULE: &str = "code.namespace";

/// The types of components that a configuration defines: a build that lacks one of them refuses all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs(BTreeSet<(Kind, Box<str>)>);

/// The components of an agent's build, as it reports them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build(Inventory);

impl Needs {
    pub(crate) fn of(document: &Document) -> Self {
        let service = Service::of(document);
        let types = service.components.keys();
        Self(
            types
                .map(|(kind, id)| (*kind, id.component_type().into()))
                .collect(),
        )
    }

    /// Reads what [`Display`](fmt::Display) writes; what is no component is left out.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let read = |word: &str| {
            let (kind, component_type) = word.split_once('/')?;
            let kind = Kind::ALL
                .into_iter()
                .find(|known| known.to_string() == kind)?;
            Some((kind, component_type.into()))
        };
        Self(text.split_whitespace().filter_map(read).collect())
    }

    /// What a build lacks: `receiver kafka`.
    #[must_use]
    pub fn lacking(&self, build: &Build) -> Vec<String> {
        let lacks = |(kind, component_type): &&(Kind, Box<str>)| {
            build.0.knows_all(*kind) && build.0.support(*kind, component_type).is_none()
        };
        let lacking = self.0.iter().filter(lacks);
        lacking
            .map(|(kind, component_type)| format!("{kind} {component_type}"))
            .collect()
    }
}

/// One line: `receiver/otlp exporter/debug`.
impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (kind, component_type)) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { " " })?;
            write!(f, "{kind}/{component_type}")?;
        }
        Ok(())
    }
}

impl Build {
    /// The build of an agent, where it reports one as Collectors do: components by type under `receivers` and so on.
    ///
    /// Nothing where it reports none, or too many.
    #[must_use]
    pub fn of(reported: &BTreeMap<String, ComponentDetails>) -> Option<Self> {
        let mut inventory = Inventory::default();
        for kind in Kind::ALL {
            let types = reported
                .get(kind.section())
                .map(|section| &section.sub_components);
            for (component_type, details) in types.into_iter().flatten() {
                if component_type.len() <= TYPE_MAX_BYTES {
                    inventory.report(kind, component_type, module(details));
                }
                if MOST_NAMES < inventory.len() {
                    return None;
                }
            }
        }
        (!inventory.is_empty()).then_some(Self(inventory))
    }

    pub(crate) const fn inventory(&self) -> &Inventory {
        &self.0
    }

    /// Equal for builds with the same components.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for kind in Kind::ALL {
            hasher.update(kind.section());
            for component_type in self.0.types(kind) {
                // No name of a type has a line break: what has one is no type, and harms nobody else's build.
                hasher.update(component_type.len().to_be_bytes());
                hasher.update(component_type);
            }
            hasher.update([u8::from(self.0.knows_all(kind))]);
        }
        hasher.finalize().into()
    }
}

fn module(details: &ComponentDetails) -> Option<&str> {
    let named = details.metadata.iter().find(|one| one.key == MODULE);
    named.and_then(|attribute| attribute.value.as_str())
}

impl From<Inventory> for Build {
    fn from(inventory: Inventory) -> Self {
        Self(inventory)
    }
}

impl Combined {
    /// What is wrong with what these layers make for this build alone: components that it lacks, and those that it cannot use
    /// as they are used.
    #[must_use]
    pub fn unfit_for(&self, build: &Build) -> Vec<Finding> {
        let around = Surroundings {
            inventory: Some(&build.0),
            ..Surroundings::default()
        };
        let mut findings = self.findings_in(&around);
        let anyway = self.findings();
        findings.retain(|finding| !anyway.contains(finding));
        findings
    }

    /// The components of what these layers make that a build lacks, with the revisions and places that define them.
    #[must_use]
    pub fn missing_from(&self, build: &Build) -> Vec<Finding> {
        let around = Surroundings {
            inventory: Some(&build.0),
            ..Surroundings::default()
        };
        let mut findings = self.findings_in(&around);
        findings.retain(|finding| finding.code == Code::UnknownComponent);
        findings
    }
}

#[cfg(test)]
mod tests {
    use domain::model::Attribute;

    use super::*;
    use crate::Renderer;
    use crate::testing::layer;

    fn reported(sections: &[(&str, &[(&str, &str)])]) -> BTreeMap<String, ComponentDetails> {
        let details = |module: &str| ComponentDetails {
            metadata: vec![Attribute::new(MODULE, module)],
            ..ComponentDetails::default()
        };
        let section = |types: &[(&str, &str)]| ComponentDetails {
            sub_components: types
                .iter()
                .map(|(name, module)| ((*name).to_owned(), details(module)))
                .collect(),
            ..ComponentDetails::default()
        };
        sections
            .iter()
            .map(|(name, types)| ((*name).to_owned(), section(types)))
            .collect()
    }

    const BODY: &str = "receivers: {otlp: , kafka/in: }\nexporters: {otlp: }\nservice:\n  pipelines: {logs: {receivers: [otlp, kafka/in], exporters: [otlp]}}\n";

    #[test]
    fn a_build_lacks_what_it_does_not_report_under_any_name() {
        let build = Build::of(&reported(&[
            ("receivers", &[("otlp", "m/receiver/otlpreceiver v1")]),
            ("exporters", &[("otlp_grpc", "m/exporter/otlpexporter v1")]),
        ]))
        .unwrap();
        let layers = [layer("edge", 3, 0, BODY)];
        let combined = Renderer::default().combine(&layers).unwrap();
        let needs = combined.content().unwrap().needs;
        assert_eq!(
            needs.to_string(),
            "receiver/kafka receiver/otlp exporter/otlp"
        );
        assert_eq!(Needs::read(&needs.to_string()), needs);
        assert_eq!(needs.lacking(&build), ["receiver kafka"]);
        let [missing] = &*combined.missing_from(&build) else {
            panic!("one finding");
        };
        assert_eq!(
            (missing.code, missing.source.revision.0, missing.source.line),
            (Code::UnknownComponent, 3, 1)
        );
    }

    #[test]
    fn what_is_no_inventory_of_a_collector_says_nothing() {
        let empty = reported(&[("receivers", &[]), ("exporters", &[])]);
        let other = reported(&[("plugins", &[("in_tail", "")])]);
        for reported in [empty, other, BTreeMap::new()] {
            assert_eq!(Build::of(&reported), None, "{reported:?}");
        }
        // A kind that is not reported may be there.
        let build = Build::of(&reported(&[("receivers", &[("otlp", "")])])).unwrap();
        let needs = Needs::read("receiver/otlp exporter/debug");
        assert!(needs.lacking(&build).is_empty());
    }

    #[test]
    fn an_inventory_beyond_the_limits_is_not_kept() {
        let names: Vec<String> = (0..=MOST_NAMES).map(|n| format!("type{n}")).collect();
        let sub_components: BTreeMap<_, _> = names
            .into_iter()
            .map(|name| (name, ComponentDetails::default()))
            .collect();
        let section = ComponentDetails {
            sub_components,
            ..ComponentDetails::default()
        };
        let many = BTreeMap::from([("receivers".to_owned(), section)]);
        assert_eq!(Build::of(&many), None);
        let long = "x".repeat(TYPE_MAX_BYTES + 1);
        let build = Build::of(&reported(&[("receivers", &[("otlp", ""), (&long, "")])])).unwrap();
        assert_eq!(build.0.len(), 1);
    }

    #[test]
    fn builds_with_the_same_components_have_one_digest() {
        let of = |types: &[(&str, &str)]| {
            Build::of(&reported(&[("receivers", types)]))
                .unwrap()
                .digest()
        };
        assert_eq!(of(&[("otlp", "a v1")]), of(&[("otlp", "a v2")]));
        assert_ne!(of(&[("otlp", "")]), of(&[("kafka", "")]));
    }
}
