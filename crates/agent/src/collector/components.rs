//! What a collector's program was built with: its name, version and components.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use opamp::model::{Attribute, AvailableComponents, ComponentDetails};
use otelcol::Document;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::{debug, warn};

use super::tool::{ToolError, run_tool};
use crate::process::{Launch, find_program, stamp_of};
use crate::storage::atomic;
use crate::storage::record::Record;

/// The kinds of component, as `components` and configurations name them.
const KINDS: [&str; 5] = ["receivers", "processors", "exporters", "connectors", "extensions"];

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
    /// Tells the file from others without reading it.
    stamp: String,
    /// Tells the program from others.
    sha256: String,
    inventory: Inventory,
}

/// The inventory of the program in `launch`, asked for once per program: later from a record in `directory`.
///
/// # Errors
/// When the program does not answer.
pub async fn inventory(launch: &Launch, directory: &Path, limit: Duration) -> Result<Inventory, ToolError> {
    let record = Record::<Cached>::new(directory, "inventory");
    let stamp = stamp_of(launch.executable());
    let cached = record.load();
    if let Some(cached) = &cached
        && cached.stamp == stamp
    {
        return Ok(cached.inventory.clone());
    }
    let program = find_program(launch.executable());
    let sha256 = tokio::task::spawn_blocking(move || sha256_of(&program)).await.unwrap_or_default();
    let inventory = match cached {
        Some(cached) if cached.sha256 == sha256 && !sha256.is_empty() => cached.inventory,
        _ => ask(launch, directory, limit).await?,
    };
    if let Err(error) = record.save(&Cached { stamp, sha256, inventory: inventory.clone() }) {
        warn!(error = &error as &(dyn std::error::Error + 'static), "the collector's inventory was not kept");
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
    let sections: Vec<String> = KINDS.iter().map(|kind| format!("{kind}: {{ {UNKNOWN_TYPE}: {{}} }}\n")).collect();
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
    let word = |path: &str| document.get(path).and_then(|node| node.as_str()).unwrap_or_default().to_owned();
    let of_kind = |kind: &str| -> BTreeMap<String, String> {
        let items = document.get(kind).and_then(|node| node.as_list()).unwrap_or_default();
        let entry = |map: &otelcol::Map| {
            let text = |key: &str| map.get(key).and_then(|node| node.as_str()).map(str::to_owned);
            Some((text("name")?, text("module").unwrap_or_default()))
        };
        items.iter().filter_map(|item| entry(item.as_map()?)).collect()
    };
    Inventory {
        command: word("buildinfo.command"),
        version: word("buildinfo.version"),
        components: KINDS.iter().map(|kind| ((*kind).to_owned(), of_kind(kind))).collect(),
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
            let kind = KINDS.iter().find(|kind| line.contains(&format!("'{kind}'")));
            let values = line.split_once("(valid values: [").and_then(|(_, rest)| rest.split_once(']'));
            let (Some(kind), Some((values, _))) = (kind, values) else { continue };
            let known = self.components.entry((*kind).to_owned()).or_default();
            for value in values.split_whitespace() {
                known.entry(value.to_owned()).or_default();
            }
        }
    }

    /// The inventory as it is reported: kinds, in them types, each with its module as `code.namespace`.
    pub fn to_available(&self) -> AvailableComponents {
        let details = |module: &String| ComponentDetails {
            metadata: if module.is_empty() { Vec::new() } else { vec![Attribute::new("code.namespace", module.as_str())] },
            ..ComponentDetails::default()
        };
        let of_kind = |types: &BTreeMap<String, String>| ComponentDetails {
            sub_components: types.iter().map(|(name, module)| (name.clone(), details(module))).collect(),
            ..ComponentDetails::default()
        };
        let components = self.components.iter().map(|(kind, types)| (kind.clone(), of_kind(types))).collect();
        AvailableComponents { hash: self.hash(), components: Some(components) }
    }

    /// Equal for programs with equal components.
    fn hash(&self) -> Vec<u8> {
        let mut hasher = Sha256::new();
        for (kind, types) in &self.components {
            for (name, module) in types {
                for part in [kind, name, module] {
                    hasher.update((part.len() as u64).to_be_bytes());
                    hasher.update(part);
                }
            }
        }
        hasher.finalize().to_vec()
    }
}

fn sha256_of(program: &Path) -> String {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let Ok(mut file) = File::open(program) else { return String::new() };
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return trust::hex(&hasher.finalize()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(_) => return String::new(),
        }
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
        assert_eq!((inventory.command.as_str(), inventory.version.as_str()), ("otelcol", "0.149.0"));
        inventory.complete(REFUSAL);
        let receivers: Vec<&str> = inventory.components["receivers"].keys().map(String::as_str).collect();
        assert_eq!(receivers, ["file_log", "filelog", "otlp"]);
        assert!(inventory.components["receivers"]["otlp"].contains("otlpreceiver v0.149.0"));
        assert!(inventory.components["connectors"].is_empty());
    }

    #[test]
    fn equal_components_have_equal_hashes() {
        let inventory = parse(OUTPUT);
        let mut newer = Inventory { version: "9".to_owned(), ..inventory.clone() };
        assert_eq!(inventory.to_available().hash, newer.to_available().hash);
        newer.complete(REFUSAL);
        assert_ne!(inventory.to_available().hash, newer.to_available().hash);
    }

    #[test]
    fn a_version_line_stands_in_for_missing_build_information() {
        let mut inventory = parse("receivers: []\n");
        inventory.take_version("otelcol-contrib version 0.97.0\n");
        assert_eq!((inventory.command.as_str(), inventory.version.as_str()), ("otelcol-contrib", "0.97.0"));
    }
}
