//! Who each simulated agent is: uid, description, effective configuration, components. All of it
//! follows from the fleet's seed and the agent's number, so the same fleet can be started again.

use std::fmt::Write as _;

use rand::{RngExt as _, SeedableRng, rngs::SmallRng};
use sha2::{Digest, Sha256};

use super::{encode, health::component_name};

/// What the agents of one fleet have in common.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Seed of the fleet.
    pub seed: u64,
    /// What their names begin with.
    pub name: String,
    /// Attributes in a description, labels included.
    pub attributes: usize,
}

/// Attributes that identify an agent; the labels come after them.
const IDENTIFYING: [&str; 3] = ["service.name", "service.instance.id", "service.version"];

/// Attributes that describe where an agent runs.
const DESCRIBING: [(&str, &str); 3] = [
    ("os.type", "linux"),
    ("host.arch", "amd64"),
    ("service.namespace", "fleetsim"),
];

impl Identity {
    /// The name of an agent, which is also its host's: `sim-00042`.
    pub(crate) fn agent_name(&self, index: usize) -> String {
        format!("{}-{index:05}", self.name)
    }

    /// The uid of an agent, in the form of a version 7 UUID.
    pub(crate) fn uid(&self, index: usize) -> [u8; 16] {
        let digest = self.digest(b"uid", index, 0);
        let mut uid: [u8; 16] = std::array::from_fn(|at| digest[at]);
        // A fixed time in 2025: the fleet must be the same whenever it starts.
        uid[..6].copy_from_slice(&[0x01, 0x94, 0x22, 0x6b, 0x4c, 0x00]);
        uid[6] = 0x70 | uid[6] & 0x0f;
        uid[8] = 0x80 | uid[8] & 0x3f;
        uid
    }

    /// Appends an `AgentDescription` with these labels.
    pub(crate) fn write_description(
        &self,
        out: &mut Vec<u8>,
        index: usize,
        labels: &[(&str, &str)],
    ) {
        let name = self.agent_name(index);
        let identifying = ["fleetsim.collector", &name, "1.0.0"];
        for (key, value) in IDENTIFYING.into_iter().zip(identifying) {
            encode::attribute(out, 1, key, value);
        }
        encode::attribute(out, 2, "host.name", &name);
        for (key, value) in labels {
            encode::attribute(out, 2, key, value);
        }
        let written = IDENTIFYING.len() + 1 + labels.len();
        let room = self.attributes.saturating_sub(written);
        for (key, value) in DESCRIBING.into_iter().take(room) {
            encode::attribute(out, 2, key, value);
        }
        for at in 0..room.saturating_sub(DESCRIBING.len()) {
            let value = hex(&self.digest(b"attribute", index, at)[..6]);
            encode::attribute(out, 2, &format!("sim.attribute.{at:02}"), &value);
        }
    }

    /// Fills an agent's own values into the template of effective configurations.
    pub(crate) fn effective_config(&self, template: &EffectiveTemplate, index: usize) -> Vec<u8> {
        let mut text = template.text.clone();
        let name = self.agent_name(index);
        let name = &name.as_bytes()[..name.len().min(template.name_length)];
        text[template.name_at..template.name_at + name.len()].copy_from_slice(name);
        let mut random = SmallRng::from_seed(self.digest(b"effective", index, 0));
        for hole in &template.holes {
            let value: [u8; HOLE_BYTES / 2] = random.random();
            for (at, byte) in value.into_iter().enumerate() {
                text[hole + 2 * at] = HEX[usize::from(byte >> 4)];
                text[hole + 2 * at + 1] = HEX[usize::from(byte & 15)];
            }
        }
        text
    }

    fn digest(&self, purpose: &[u8], index: usize, part: usize) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(purpose);
        for number in [self.seed, index as u64, part as u64] {
            hasher.update(number.to_le_bytes());
        }
        hasher.update(self.name.as_bytes());
        hasher.finalize().into()
    }
}

/// An effective configuration of the wanted length with holes for an agent's own values.
#[derive(Debug)]
pub(crate) struct EffectiveTemplate {
    text: Vec<u8>,
    name_at: usize,
    name_length: usize,
    holes: Vec<usize>,
}

/// Hex digits of one value of an agent's own.
const HOLE_BYTES: usize = 48;
const HEX: &[u8; 16] = b"0123456789abcdef";

impl EffectiveTemplate {
    /// YAML of `bytes` bytes; the names of agents are as long as `name`.
    pub(crate) fn new(bytes: usize, name: &str) -> Self {
        let mut text = "# effective configuration of ".to_owned();
        let name_at = text.len();
        text.push_str(name);
        text.push('\n');
        text.push_str(EFFECTIVE_HEAD);
        let mut holes = Vec::new();
        for number in 0.. {
            let head = format!("      - {{key: sim.{number:04}, value: \"");
            let tail = "\", action: upsert}\n";
            if bytes < text.len() + head.len() + HOLE_BYTES + tail.len() {
                break;
            }
            text.push_str(&head);
            holes.push(text.len());
            text.push_str(&"0".repeat(HOLE_BYTES));
            text.push_str(tail);
        }
        while text.len() < bytes {
            text.push('#');
        }
        Self {
            text: text.into_bytes(),
            name_at,
            name_length: name.len(),
            holes,
        }
    }
}

const EFFECTIVE_HEAD: &str = "\
receivers: {otlp: {protocols: {grpc: {endpoint: \"127.0.0.1:4317\"}}}}
exporters: {debug: {verbosity: basic}}
service: {pipelines: {traces: {receivers: [otlp], processors: [attributes], exporters: [debug]}}}
processors:
  attributes:
    actions:
";

/// Appends an `AgentConfigMap` of one file.
pub(crate) fn write_single_file(out: &mut Vec<u8>, name: &str, body: &[u8]) {
    encode::message(out, 1, |entry| {
        encode::text(entry, 1, name);
        encode::message(entry, 2, |file| {
            encode::bytes(file, 1, body);
            encode::text(file, 2, "text/yaml");
        });
    });
}

/// Components that every agent of the fleet has: the same list, so one hash.
#[derive(Debug)]
pub(crate) struct Components {
    hash: [u8; 32],
    details: Vec<u8>,
}

impl Components {
    /// The list that goes with so many health components.
    pub(crate) fn new(count: usize) -> Self {
        let mut details = Vec::new();
        for at in 0..count.max(1) {
            let name = component_name(at);
            let (kind, component) = name.split_once(':').unwrap_or(("receiver", &name));
            encode::message(&mut details, 1, |entry| {
                encode::text(entry, 1, &format!("{kind}s/{component}"));
                encode::message(entry, 2, |component_details| {
                    encode::attribute(component_details, 1, "type", component);
                    encode::attribute(component_details, 1, "version", "v1.0.0");
                });
            });
        }
        Self {
            hash: Sha256::digest(&details).into(),
            details,
        }
    }

    /// Appends an `AvailableComponents` of the hash alone.
    pub(crate) fn write_hash(&self, out: &mut Vec<u8>) {
        encode::bytes(out, 2, &self.hash);
    }

    /// Appends an `AvailableComponents` in full.
    pub(crate) fn write_full(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.details);
        self.write_hash(out);
    }
}

/// Lower-case hex, as hashes are shown everywhere.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            text
        })
}

#[cfg(test)]
mod tests {
    use opamp::proto::{AgentDescription, AvailableComponents};
    use prost::Message as _;

    use super::*;

    fn identity() -> Identity {
        Identity {
            seed: 1,
            name: "sim".into(),
            attributes: 12,
        }
    }

    #[test]
    fn id_01_uids_are_16_bytes_of_version_7_and_distinct() {
        let identity = identity();
        let uids: std::collections::BTreeSet<_> = (0..1000).map(|at| identity.uid(at)).collect();
        assert_eq!(uids.len(), 1000);
        for uid in uids {
            assert_eq!((uid[6] >> 4, uid[8] >> 6), (7, 2));
        }
    }

    #[test]
    fn id_02_the_same_seed_gives_the_same_uid_and_another_does_not() {
        let other = Identity {
            seed: 2,
            ..identity()
        };
        assert_eq!(identity().uid(7), identity().uid(7));
        assert_ne!(identity().uid(7), other.uid(7));
    }

    #[test]
    fn de_01_a_description_has_the_wanted_number_of_attributes_labels_included() {
        for (attributes, expected) in [(12, 12), (20, 20), (0, 6)] {
            let identity = Identity {
                attributes,
                ..identity()
            };
            let mut out = Vec::new();
            identity.write_description(&mut out, 3, &[("env", "prod"), ("zone", "a")]);
            let description = AgentDescription::decode(out.as_slice()).unwrap();
            let all = description
                .identifying_attributes
                .iter()
                .chain(&description.non_identifying_attributes);
            let keys: std::collections::BTreeSet<_> = all.map(|pair| &pair.key).collect();
            assert_eq!(keys.len(), expected, "{attributes}: {keys:?}");
        }
    }

    #[test]
    fn an_effective_config_has_its_length_and_no_twin() {
        let identity = identity();
        let template = EffectiveTemplate::new(4096, &identity.agent_name(0));
        let config = |index| identity.effective_config(&template, index);
        assert_eq!((config(1).len(), config(2).len()), (4096, 4096));
        assert_ne!(config(1), config(2));
        assert_eq!(config(1), config(1));
        let text = String::from_utf8(config(7)).unwrap();
        assert!(text.contains("sim-00007") && text.ends_with('#'), "{text}");
    }

    #[test]
    fn co_02_the_component_list_comes_with_its_hash() {
        let components = Components::new(10);
        let (mut short, mut full) = (Vec::new(), Vec::new());
        components.write_hash(&mut short);
        components.write_full(&mut full);
        let short = AvailableComponents::decode(short.as_slice()).unwrap();
        let full = AvailableComponents::decode(full.as_slice()).unwrap();
        assert_eq!((short.components.len(), full.components.len()), (0, 10));
        assert_eq!(short.hash, full.hash);
    }
}
