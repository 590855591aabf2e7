//! What a collector's program was built with: its name, version and components.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use opamp::model::{Attribute, AvailableComponents, ComponentDetails};
use otelcol::Document;
use serde::{Deserialize, Serialize};
use tracing::{debug, warn};

use super::tool::{ToolError, run_tool};
use crate::process::{Launch, stamp_of};
use crate::storage::atomic;
use crate::storage::record::Record;

/// The kinds of component, as `components` and configurations name them.
const KINDS: [&str; 5] = [
    "receivers",
    "processors",
    "exporters",
    "connectors",
    "extensions",
];

/// A type that no component has: naming it makes `validate` list those that there are.
const UNKNOWN_TYPE: &str = "opamp_agent_probe";

/// What a program says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Inventory {
    /// The program's own name for itself, such as `otelcol-contrib`.
    pub command: String,
    /// Its version.
    pub version: String,
    /// Kind → type → Go module with version; empty where it is not known.
    pub components: BTreeMap<String, BTreeMap<String, String>>,
}

/// An inventory and the program file that it is of.
#[derive(Debug, Serialize, Deserialize)]
struct Cached {
    /// Tells the program file from any other that stood or stands in its place.
    stamp: String,
    inventory: Inventory,
}

/// The inventory of the program in `launch`, asked for once per program file: later from a record in `directory`.
///
/// The file is known by its inode, size and times. A hash of its bytes would say the same and take longer to make, for
/// programs of hundreds of megabytes, than it takes to ask.
///
/// # Errors
/// When the program does not answer.
pub async fn inventory(
    launch: &Launch,
    directory: &Path,
    limit: Duration,
) -> Result<Inventory, ToolError> {
    let record = Record::<Cached>::new(directory, "inventory");
    let stamp = stamp_of(launch.executable());
    if let Some(cached) = record.load()
        && cached.stamp == stamp
    {
        return Ok(cached.inventory);
    }
    let inventory = ask(launch, directory, limit).await?;
    if let Err(error) = record.save(&Cached {
        stamp,
        inventory: inventory.clone(),
    }) {
        warn!(
            error = &error as &(dyn std::error::Error + 'static),
            "the collector's inventory was not kept"
        );
    }
    Ok(inventory)
}

async fn ask(launch: &Launch, directory: &Path, limit: Duration) -> Result<Inventory, ToolError> {
    let mut inventory = parse(&run_tool(launch.plain_command("components"), limit).await?);
    if inventory.version.is_empty() {
        let text = run_tool(launch.plain_command("--version"), limit).await?;
        inventory.take_version(&text);
    }
    match probe(launch, directory, limit).await {
        Some(refusal) => inventory.complete(&refusal),
        None => debug!("the program did not list its components when asked for an unknown one"),
    }
    Ok(inventory)
}

/// `components` leaves out what goes by a new and an old name (`file_log` and `filelog` of v0.149); a complaint of
/// `validate` about an unknown type lists every name that a configuration may use.
async fn probe(launch: &Launch, directory: &Path, limit: Duration) -> Option<String> {
    let path = directory.join("probe.yaml");
    let sections: Vec<String> = KINDS
        .iter()
        .map(|kind| format!("{kind}: {{ {UNKNOWN_TYPE}: {{}} }}\n"))
        .collect();
    atomic::replace(&path, sections.concat().as_bytes(), 0o600).ok()?;
    let mut command = launch.plain_command("validate");
    command.arg("--config").arg(&path);
    let outcome = run_tool(command, limit).await;
    drop(std::fs::remove_file(&path));
    match outcome {
        Err(ToolError::Refused { reason }) => Some(reason),
        _ => None,
    }
}

fn parse(text: &str) -> Inventory {
    let Ok(document) = Document::parse(text.as_bytes()) else {
        warn!("the collector's list of components is no YAML");
        return Inventory::default();
    };
    let word = |path: &str| {
        document
            .get(path)
            .and_then(|node| node.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let of_kind = |kind: &str| -> BTreeMap<String, String> {
        let items = document
            .get(kind)
            .and_then(|node| node.as_list())
            .unwrap_or_default();
        let entry = |map: &otelcol::Map| {
            let text = |key: &str| {
                map.get(key)
                    .and_then(|node| node.as_str())
                    .map(str::to_owned)
            };
            Some((text("name")?, text("module").unwrap_or_default()))
        };
        items
            .iter()
            .filter_map(|item| entry(item.as_map()?))
            .collect()
    };
    Inventory {
        command: word("buildinfo.command"),
        version: word("buildinfo.version"),
        components: KINDS
            .iter()
            .map(|kind| ((*kind).to_owned(), of_kind(kind)))
            .collect(),
    }
}

impl Inventory {
    /// Takes name and version from a line such as `otelcol version 0.149.0`.
    fn take_version(&mut self, text: &str) {
        if let Some((command, version)) = text.trim().split_once(" version ") {
            command.clone_into(&mut self.command);
            version.clone_into(&mut self.version);
        }
    }

    /// Adds the types that a refusal lists: `'receivers' unknown type: "x" for id: "x" (valid values: [a b])`.
    fn complete(&mut self, refusal: &str) {
        for line in refusal.lines().filter(|line| line.contains(UNKNOWN_TYPE)) {
            let kind = KINDS
                .iter()
                .find(|kind| line.contains(&format!("'{kind}'")));
            let values = line
                .split_once("(valid values: [")
                .and_then(|(_, rest)| rest.split_once(']'));
            let (Some(kind), Some((values, _))) = (kind, values) else {
                continue;
            };
            let known = self.components.entry((*kind).to_owned()).or_default();
            for value in values.split_whitespace() {
                known.entry(value.to_owned()).or_default();
            }
        }
    }

    /// The inventory as it is reported: kinds, in them types, each with its module as `code.namespace`.
    pub fn to_available(&self) -> AvailableComponents {
        let details = |module: &String| ComponentDetails {
            metadata: if module.is_empty() {
                Vec::new()
            } else {
                vec![Attribute::new("code.namespace", module.as_str())]
            },
            ..ComponentDetails::default()
        };
        let of_kind = |types: &BTreeMap<String, String>| ComponentDetails {
            sub_components: types
                .iter()
                .map(|(name, module)| (name.clone(), details(module)))
                .collect(),
            ..ComponentDetails::default()
        };
        let components = self
            .components
            .iter()
            .map(|(kind, types)| (kind.clone(), of_kind(types)))
            .collect();
        AvailableComponents {
            hash: self.hash(),
            components: Some(components),
        }
    }

    /// Equal for programs with equal components.
    fn hash(&self) -> Vec<u8> {
        let types = self
            .components
            .iter()
            .flat_map(|(kind, types)| types.iter().map(move |(name, module)| [kind, name, module]));
        // Each word is hashed by itself, so that two lists which join to the same bytes still differ.
        let digests: Vec<[u8; 32]> = types
            .flatten()
            .map(|word| trust::sha256(word.as_bytes()))
            .collect();
        trust::sha256_of_parts(digests.iter().map(<[u8; 32]>::as_slice)).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "buildinfo:\n    command: otelcol\n    description: x\n    version: 0.149.0\nreceivers:\n    - name: otlp\n      \
                          module: go.opentelemetry.io/collector/receiver/otlpreceiver v0.149.0\n      stability:\n        logs: Stable\n\
                          processors: []\nexporters: []\nconnectors: []\nextensions: []\nproviders:\n    - scheme: env\n      module: x v1\n";
    const REFUSAL: &str = "failed to get config: decoding failed:\n\
                           'receivers' unknown type: \"opamp_agent_probe\" for id: \"opamp_agent_probe\" (valid values: [otlp file_log filelog])\n\
                           'connectors' unknown type: \"opamp_agent_probe\" for id: \"opamp_agent_probe\" (valid values: [])";

    #[test]
    fn the_list_is_read_and_completed_from_a_refusal() {
        let mut inventory = parse(OUTPUT);
        assert_eq!(
            (inventory.command.as_str(), inventory.version.as_str()),
            ("otelcol", "0.149.0")
        );
        inventory.complete(REFUSAL);
        let receivers: Vec<&str> = inventory.components["receivers"]
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(receivers, ["file_log", "filelog", "otlp"]);
        assert!(inventory.components["receivers"]["otlp"].contains("otlpreceiver v0.149.0"));
        assert!(inventory.components["connectors"].is_empty());
    }

    #[test]
    fn equal_components_have_equal_hashes() {
        let inventory = parse(OUTPUT);
        let mut newer = Inventory {
            version: "9".to_owned(),
            ..inventory.clone()
        };
        assert_eq!(inventory.to_available().hash, newer.to_available().hash);
        newer.complete(REFUSAL);
        assert_ne!(inventory.to_available().hash, newer.to_available().hash);
    }

    #[test]
    fn a_version_line_stands_in_for_missing_build_information() {
        let mut inventory = parse("receivers: []\n");
        inventory.take_version("otelcol-contrib version 0.97.0\n");
        assert_eq!(
            (inventory.command.as_str(), inventory.version.as_str()),
            ("otelcol-contrib", "0.97.0")
        );
    }
}
