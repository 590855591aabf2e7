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
        ApplyState, AvailableComponents, ConfigFile, ConnectionSettingsStatus, CustomCapabilities,
        HealthTimes, RemoteConfigStatus,
    };
    use domain::{AgentId, Epoch, EventKind, Namespace};
    use jiff::Timestamp;

    use super::*;
    use crate::agents::HealthChange;

    const LARGE: usize = 1 << 20;

    #[test]
    fn every_part_that_an_agent_can_make_large_weighs() {
        let text = || "x".repeat(LARGE);
        let report = || {
            AgentReport::new(
                AgentId::from_bytes([1; 16]),
                Namespace::default(),
                Epoch(1),
                Timestamp::UNIX_EPOCH,
            )
        };
        let described = |value: Value| AgentDescription {
            identifying: vec![Attribute::new("k", value)],
            non_identifying: vec![],
        };
        let health = |tree: Health| HealthChange {
            tree,
            times: HealthTimes::default(),
        };
        let child = Health {
            last_error: text(),
            ..Health::default()
        };
        let nested = Health {
            components: BTreeMap::from([("c".to_owned(), child)]),
            ..Health::default()
        };
        let package = PackageStatus {
            error: text(),
            ..PackageStatus::default()
        };
        let packages = PackageStatuses {
            packages: BTreeMap::from([("p".to_owned(), package)]),
            ..PackageStatuses::default()
        };
        let sub = ComponentDetails {
            metadata: vec![Attribute::new("k", text())],
            ..ComponentDetails::default()
        };
        let details = ComponentDetails {
            sub_components: BTreeMap::from([("s".to_owned(), sub)]),
            ..ComponentDetails::default()
        };
        let event = NewEvent {
            namespace: Namespace::default(),
            agent: None,
            at: Timestamp::UNIX_EPOCH,
            kind: EventKind::ConfigFailed,
            detail: BTreeMap::from([("error".to_owned(), text())]),
        };
        let made: Vec<(&str, Box<dyn Fn(&mut AgentReport)>)> = vec![
            (
                "text",
                Box::new(move |r| r.description = Some(described(text().into()))),
            ),
            (
                "array",
                Box::new(move |r| {
                    r.description = Some(described(Value::Array(vec![Value::Map(vec![
                        Attribute::new("k", vec![0; LARGE]),
                    ])])));
                }),
            ),
            (
                "health",
                Box::new(move |r| r.health = Some(health(nested.clone()))),
            ),
            (
                "config",
                Box::new(move |r| {
                    let file = ConfigFile::new(vec![0; LARGE], "text/yaml");
                    r.effective_config = Some(BTreeMap::from([("f".to_owned(), file)]));
                }),
            ),
            (
                "status",
                Box::new(move |r| {
                    r.remote_config_status = Some(RemoteConfigStatus {
                        last_hash: vec![],
                        state: ApplyState::Failed,
                        error: text(),
                    });
                }),
            ),
            (
                "settings",
                Box::new(move |r| {
                    r.connection_settings_status = Some(ConnectionSettingsStatus {
                        last_hash: vec![],
                        state: ApplyState::Failed,
                        error: text(),
                    });
                }),
            ),
            (
                "packages",
                Box::new(move |r| r.package_statuses = Some(packages.clone())),
            ),
            (
                "custom",
                Box::new(move |r| {
                    r.custom_capabilities = Some(CustomCapabilities(vec![text()]));
                }),
            ),
            (
                "components",
                Box::new(move |r| {
                    r.available_components = Some(AvailableComponents {
                        hash: vec![],
                        components: Some(BTreeMap::from([("c".to_owned(), details.clone())])),
                    });
                }),
            ),
            ("event", Box::new(move |r| r.events.push(event.clone()))),
        ];
        assert_eq!(report().weight(), 0);
        for (part, make) in made {
            let mut one = report();
            make(&mut one);
            let weight = one.weight();
            assert!((LARGE..LARGE + 1024).contains(&weight), "{part}: {weight}");
        }
    }
}
