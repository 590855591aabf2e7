//! What the agent says of itself, its collector and its machine.

use std::collections::BTreeMap;
use std::fs;

use opamp::model::{AgentDescription, Attribute};

use crate::collector::Inventory;
use crate::identity::machine_id;

/// The description: identifying are name, version and instance of the service; machine and labels are not.
pub fn describe(
    inventory: Option<&Inventory>,
    instance_id: &str,
    labels: &BTreeMap<String, String>,
) -> AgentDescription {
    let known = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    let name = known(inventory.map(|inventory| &inventory.command))
        .unwrap_or_else(|| "otelcol".to_owned());
    let version = known(inventory.map(|inventory| &inventory.version));
    let identifying = [
        Some(("service.name", name)),
        version.map(|version| ("service.version", version)),
        Some(("service.instance.id", instance_id.to_owned())),
    ];
    let mut machine = machine_attributes();
    // What the operator of the machine says of it wins.
    machine.extend(
        labels
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    AgentDescription {
        identifying: identifying
            .into_iter()
            .flatten()
            .map(|(key, value)| Attribute::new(key, value))
            .collect(),
        non_identifying: machine
            .into_iter()
            .map(|(key, value)| Attribute::new(key, value))
            .collect(),
    }
}

fn machine_attributes() -> BTreeMap<String, String> {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy().into_owned();
    let release = uname.release().to_string_lossy().into_owned();
    let pairs = [
        Some(("host.name", host)),
        machine_id().map(|id| ("host.id", id)),
        Some(("host.arch", architecture().to_owned())),
        Some(("os.type", std::env::consts::OS.to_owned())),
        Some(("os.version", release)),
        os_name().map(|name| ("os.description", name)),
        Some(("opamp.agent.version", env!("CARGO_PKG_VERSION").to_owned())),
    ];
    pairs
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// The semantic conventions' name of the architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        other => other,
    }
}

fn os_name() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(line.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn de_02_service_attributes_identify_and_machine_attributes_describe() {
        let inventory = Inventory {
            command: "otelcol-contrib".to_owned(),
            version: "0.149.0".to_owned(),
            ..Inventory::default()
        };
        let description = describe(Some(&inventory), "edge-1", &labels(&[("env", "prod")]));
        let identifying: Vec<&str> = description
            .identifying
            .iter()
            .map(|attribute| attribute.key.as_str())
            .collect();
        assert_eq!(
            identifying,
            ["service.name", "service.version", "service.instance.id"]
        );
        assert_eq!(
            description
                .get("service.name")
                .and_then(|value| value.as_str()),
            Some("otelcol-contrib")
        );
        assert_eq!(
            description.get("env").and_then(|value| value.as_str()),
            Some("prod")
        );
        assert!(description.get("host.name").is_some() && description.get("os.type").is_some());
    }

    #[test]
    fn a_label_wins_over_what_the_machine_says() {
        let description = describe(None, "x", &labels(&[("host.name", "edge")]));
        assert_eq!(
            description
                .get("host.name")
                .and_then(|value| value.as_str()),
            Some("edge")
        );
        assert_eq!(
            description
                .get("service.name")
                .and_then(|value| value.as_str()),
            Some("otelcol")
        );
        assert!(description.get("service.version").is_none());
    }
}
