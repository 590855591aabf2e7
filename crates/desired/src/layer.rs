//! One released revision as it applies to an agent, and the key under which a merge is kept.

use std::fmt;
use std::sync::Arc;

use domain::Revision;
use sha2::{Digest, Sha256};

use crate::values::{AgentFacts, Values};

/// One released revision as it applies to an agent.
///
/// The higher priority merges later and wins; among equals the config's name decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The revision.
    pub revision: Arc<Revision>,
    /// What its template is given for the agent; nothing: its body is no template.
    pub values: Option<Arc<Values>>,
    /// The sets of variables that match the agent, where its template looks at any: the later wins. Of a layer as it was
    /// stored none are known.
    sets: Arc<[Arc<Revision>]>,
    /// The variables that its template looks at and that a set gives it, with the place of the set.
    shared: Vec<(String, usize)>,
}

impl Layer {
    /// A revision as it applies to an agent that gets these sets of variables, of which the later wins.
    #[must_use]
    pub fn of(
        revision: Arc<Revision>,
        agent: AgentFacts<'_>,
        sets: &Arc<[Arc<Revision>]>,
    ) -> Self {
        let Some(template) = &revision.template else {
            return Self::with(revision, None);
        };
        let sets = match template.uses.variables.is_empty() {
            true => Arc::default(),
            false => Arc::clone(sets),
        };
        let (values, shared) = Values::of(template, agent, &sets);
        Self {
            values: Some(Arc::new(values)),
            revision,
            sets,
            shared,
        }
    }

    /// A revision as it applied before, with the values that were stored. Of a template without any there are none.
    #[must_use]
    pub fn with(revision: Arc<Revision>, values: Option<Values>) -> Self {
        let values = revision
            .template
            .is_some()
            .then(|| Arc::new(values.unwrap_or_else(Values::none)));
        Self {
            revision,
            values,
            sets: Arc::default(),
            shared: Vec::new(),
        }
    }

    /// The variables that its template looks at and that a set gives it, each with the revision of the set.
    pub fn shared(&self) -> impl Iterator<Item = (&str, &Revision)> {
        let shared = self.shared.iter();
        shared.map(|(name, place)| (name.as_str(), &*self.sets[*place]))
    }

    /// Which sets of variables match the agent, in words.
    pub(crate) fn sets_in_words(&self) -> String {
        let told = |set: &Arc<Revision>| format!("{} (revision {})", set.config, set.number);
        match self.sets.iter().map(told).collect::<Vec<_>>().as_slice() {
            [] => "no set of variables matches it".to_owned(),
            [only] => format!("the set of variables that matches it is {only}"),
            several => format!("the sets of variables that match it are {}", several.join(", ")),
        }
    }
}

/// What the inputs of a merge are, in 32 bytes: equal keys, equal desired content.
///
/// It is stored, so its form is fixed. Where no layer is a template:
/// `SHA-256("opamp-desired-inputs-v1\n" ‖ (length ‖ config name ‖ revision ‖ SHA-256 of body)*)` over the layers in the
/// order in which they merge, numbers as 8 bytes in big-endian order. Where one is, `v2` stands in place of `v1`, and after
/// each layer a byte 0, or a byte 1 and the SHA-256 of the [`Values`] of its template.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputsKey([u8; 32]);

impl InputsKey {
    /// A key as it was stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for InputsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for InputsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InputsKey({self})")
    }
}

/// The key of these layers, whatever order they are given in. It does not look at the bodies.
///
/// Priorities are not part of it beyond the order that they make.
pub fn inputs_key(layers: &[Layer]) -> InputsKey {
    let mut hasher = Sha256::new();
    let has_templates = layers.iter().any(|layer| layer.values.is_some());
    hasher.update(if has_templates {
        b"opamp-desired-inputs-v2\n"
    } else {
        b"opamp-desired-inputs-v1\n"
    });
    for layer in in_order(layers) {
        let revision = &layer.revision;
        let name = revision.config.as_str();
        hasher.update((name.len() as u64).to_be_bytes());
        hasher.update(name);
        hasher.update(revision.number.0.to_be_bytes());
        hasher.update(revision.sha256.as_bytes());
        match &layer.values {
            Some(values) => {
                hasher.update([1]);
                hasher.update(values.digest());
            }
            None if has_templates => hasher.update([0]),
            None => {}
        }
    }
    InputsKey(hasher.finalize().into())
}

/// Ascending (priority, name): the later wins.
pub(crate) fn in_order(layers: &[Layer]) -> Vec<&Layer> {
    let mut ordered: Vec<&Layer> = layers.iter().collect();
    ordered.sort_by_key(|layer| (layer.revision.priority, &layer.revision.config));
    ordered
}
