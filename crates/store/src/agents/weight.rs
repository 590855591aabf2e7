//! How much memory a report takes while it waits, roughly: what an agent can make large.

use std::mem::size_of_val;

use domain::model::{
    AgentDescription, Attribute, ComponentDetails, ConfigMap, Health, PackageStatus,
    PackageStatuses, Value,
};
use domain::{Labels, NewEvent};

use super::report::AgentReport;

impl AgentReport {
    /// Bytes of everything in it whose size an agent decides, its own fixed part excepted.
    #[must_use]
    pub fn weight(&self) -> usize {
        let labels = [&self.reported_labels, &self.credential_labels];
        let statuses = of(self.remote_config_status.as_ref(), |status| {
            status.last_hash.len() + status.error.len()
        }) + of(self.connection_settings_status.as_ref(), |status| {
            status.last_hash.len() + status.error.len()
        });
        of(self.description.as_ref(), description)
            + labels
                .into_iter()
                .flatten()
                .map(labels_weight)
                .sum::<usize>()
            + of(self.health.as_ref(), |change| {
                health(&change.tree) + size_of_val(change.times.as_slice())
            })
            + of(self.effective_config.as_ref(), files)
            + statuses
            + of(self.package_statuses.as_ref(), packages)
            + of(self.custom_capabilities.as_ref(), |custom| {
                custom
                    .0
                    .iter()
                    .map(|name| size_of_val(name) + name.len())
                    .sum()
            })
            + of(self.available_components.as_ref(), |inventory| {
                inventory.hash.len()
                    + of(inventory.components.as_ref(), |components| {
                        components.iter().map(component).sum()
                    })
            })
            + self.events.iter().map(event).sum::<usize>()
    }
}

fn of<T>(part: Option<&T>, weigh: impl FnOnce(&T) -> usize) -> usize {
    part.map_or(0, weigh)
}

fn description(description: &AgentDescription) -> usize {
    attributes(&description.identifying) + attributes(&description.non_identifying)
}

fn attributes(attributes: &[Attribute]) -> usize {
    let weigh = |attribute: &Attribute| attribute.key.len() + value(&attribute.value);
    size_of_val(attributes) + attributes.iter().map(weigh).sum::<usize>()
}

fn value(value_: &Value) -> usize {
    match value_ {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Double(_) => 0,
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(values) => {
            size_of_val(values.as_slice()) + values.iter().map(value).sum::<usize>()
        }
        Value::Map(entries) => attributes(entries),
    }
}

fn health(tree: &Health) -> usize {
    let parts = tree
        .components
        .iter()
        .map(|(name, part)| name.len() + health(part));
    size_of_val(tree)
        + tree.last_error.len()
        + tree.status.len()
        + attributes(&tree.attributes)
        + parts.sum::<usize>()
}

fn files(files: &ConfigMap) -> usize {
    let weigh = |(name, file): (&String, &domain::model::ConfigFile)| {
        size_of_val(file) + name.len() + file.body.len() + file.content_type.len()
    };
    files.iter().map(weigh).sum()
}

fn packages(statuses: &PackageStatuses) -> usize {
    let weigh = |(name, status): (&String, &PackageStatus)| {
        size_of_val(status)
            + name.len()
            + status.agent_has_version.len()
            + status.agent_has_hash.len()
            + status.server_offered_version.len()
            + status.server_offered_hash.len()
            + status.error.len()
    };
    statuses.server_provided_all_packages_hash.len()
        + statuses.error.len()
        + statuses.packages.iter().map(weigh).sum::<usize>()
}

fn component((name, details): (&String, &ComponentDetails)) -> usize {
    size_of_val(details)
        + name.len()
        + attributes(&details.metadata)
        + details.sub_components.iter().map(component).sum::<usize>()
}

fn labels_weight(labels: &Labels) -> usize {
    let entries = labels.iter();
    entries.map(|(key, value)| key.len() + value.len()).sum()
}

fn event(event: &NewEvent) -> usize {
    let facts = event.detail.iter();
    size_of_val(event)
        + facts
            .map(|(name, fact)| name.len() + fact.len())
            .sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::model::{
        AvailableComponents, ConfigFile, ConnectionSettingsStatus, CustomCapabilities, HealthTimes,
        RemoteConfigStatus,
    };
    use domain::{AgentId, Epoch, EventKind, Namespace};
    use jiff::Timestamp;

    use super::*;
    use crate::agents::HealthChange;

    const LARGE: usize = 1 << 20;

    fn text() -> String {
        "x".repeat(LARGE)
    }

    /// A report with something large in one part weighs as much.
    fn check(part: &str, fill: impl FnOnce(&mut AgentReport)) {
        let mut report = AgentReport::new(
            AgentId::from_bytes([1; 16]),
            Namespace::default(),
            Epoch(1),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(report.weight(), 0);
        fill(&mut report);
        let weight = report.weight();
        assert!((LARGE..LARGE + 1024).contains(&weight), "{part}: {weight}");
    }

    fn described(value: Value) -> AgentDescription {
        AgentDescription {
            identifying: vec![Attribute::new("k", value)],
            non_identifying: vec![],
        }
    }

    #[test]
    fn attributes_weigh_with_what_is_in_them() {
        check("text", |report| {
            report.description = Some(described(text().into()));
        });
        check("bytes in lists in lists", |report| {
            let map = Value::Map(vec![Attribute::new("k", vec![0; LARGE])]);
            report.description = Some(described(Value::Array(vec![map])));
        });
    }

    #[test]
    fn trees_weigh_with_their_leaves() {
        check("health", |report| {
            let leaf = Health {
                last_error: text(),
                ..Health::default()
            };
            let tree = Health {
                components: BTreeMap::from([("c".to_owned(), leaf)]),
                ..Health::default()
            };
            let times = HealthTimes::default();
            report.health = Some(HealthChange { tree, times });
        });
        check("components", |report| {
            let leaf = ComponentDetails {
                metadata: vec![Attribute::new("k", text())],
                ..ComponentDetails::default()
            };
            let details = ComponentDetails {
                sub_components: BTreeMap::from([("s".to_owned(), leaf)]),
                ..ComponentDetails::default()
            };
            report.available_components = Some(AvailableComponents {
                hash: vec![],
                components: Some(BTreeMap::from([("c".to_owned(), details)])),
            });
        });
    }

    #[test]
    fn configs_statuses_and_events_weigh() {
        check("effective config", |report| {
            let file = ConfigFile::new(vec![0; LARGE], "text/yaml");
            report.effective_config = Some(BTreeMap::from([("f".to_owned(), file)]));
        });
        check("config status", |report| {
            report.remote_config_status = Some(RemoteConfigStatus {
                error: text(),
                ..RemoteConfigStatus::default()
            });
        });
        check("settings status", |report| {
            report.connection_settings_status = Some(ConnectionSettingsStatus {
                error: text(),
                ..ConnectionSettingsStatus::default()
            });
        });
        check("packages", |report| {
            let package = PackageStatus {
                error: text(),
                ..PackageStatus::default()
            };
            report.package_statuses = Some(PackageStatuses {
                packages: BTreeMap::from([("p".to_owned(), package)]),
                ..PackageStatuses::default()
            });
        });
        check("custom capabilities", |report| {
            report.custom_capabilities = Some(CustomCapabilities(vec![text()]));
        });
        check("event", |report| {
            report.events.push(NewEvent {
                namespace: Namespace::default(),
                agent: None,
                at: Timestamp::UNIX_EPOCH,
                kind: EventKind::ConfigFailed,
                detail: BTreeMap::from([("error".to_owned(), text())]),
            });
        });
    }
}
