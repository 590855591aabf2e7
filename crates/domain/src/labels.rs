//! Labels: the string map that selectors match, packed into one allocation because every live agent holds one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use opamp_model::AgentDescription;

/// Labels by key, sorted, in a single allocation of about the size of their text.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Labels {
    // Invariant: entries sorted by key without duplicates, each as: key length, key, value length, value;
    // lengths are little-endian u16, texts are UTF-8.
    packed: Box<[u8]>,
}

/// A label that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabel {
    /// The key is empty.
    #[error("a label's key must not be empty")]
    EmptyKey,
    /// The key is longer than [`Labels::MAX_KEY_BYTES`].
    #[error(
        "the label's key has {bytes} bytes, more than {}",
        Labels::MAX_KEY_BYTES
    )]
    KeyTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The value is longer than [`Labels::MAX_VALUE_BYTES`].
    #[error(
        "the value of label {key} has {bytes} bytes, more than {}",
        Labels::MAX_VALUE_BYTES
    )]
    ValueTooLong {
        /// The label's key.
        key: String,
        /// The value's length.
        bytes: usize,
    },
}

impl Labels {
    /// The longest key, in bytes.
    pub const MAX_KEY_BYTES: usize = 256;
    /// The longest value, in bytes; longer attribute values are no labels.
    pub const MAX_VALUE_BYTES: usize = 1024;
    /// The most labels an agent can have from one source.
    pub const MAX_COUNT: usize = 128;

    /// Says whether a label can be kept.
    ///
    /// # Errors
    /// [`InvalidLabel`] says which limit it breaks.
    pub fn check(key: &str, value: &str) -> Result<(), InvalidLabel> {
        if key.is_empty() {
            return Err(InvalidLabel::EmptyKey);
        }
        if Self::MAX_KEY_BYTES < key.len() {
            return Err(InvalidLabel::KeyTooLong { bytes: key.len() });
        }
        if Self::MAX_VALUE_BYTES < value.len() {
            return Err(InvalidLabel::ValueTooLong {
                key: key.to_owned(),
                bytes: value.len(),
            });
        }
        Ok(())
    }

    /// The labels in ascending order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest: &[u8] = &self.packed;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let key = take_text(&mut rest);
            let value = take_text(&mut rest);
            Some((key, value))
        })
    }

    /// The value of a label.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter()
            .take_while(|(k, _)| *k <= key)
            .find(|(k, _)| *k == key)
            .map(|(_, value)| value)
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// These labels under those of a source that takes precedence.
    #[must_use]
    pub fn overlaid_by(&self, stronger: &Self) -> Self {
        if stronger.is_empty() {
            return self.clone();
        }
        self.iter().chain(stronger.iter()).collect()
    }
}

fn take_text<'a>(rest: &mut &'a [u8]) -> &'a str {
    let (length, after) = rest
        .split_first_chunk::<2>()
        .expect("packed labels hold whole entries");
    let (text, after) = after.split_at(usize::from(u16::from_le_bytes(*length)));
    *rest = after;
    std::str::from_utf8(text).expect("packed labels are UTF-8")
}

impl<'a, K: Into<Cow<'a, str>>, V: Into<Cow<'a, str>>> FromIterator<(K, V)> for Labels {
    /// Collects labels; of two with the same key the later wins, and those that [`Labels::check`] refuses are left out.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries: BTreeMap<Cow<'a, str>, Cow<'a, str>> = entries
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .filter(|(key, value)| Self::check(key, value).is_ok())
            .collect();
        let bytes = entries
            .iter()
            .map(|(key, value)| 4 + key.len() + value.len())
            .sum();
        let mut packed = Vec::with_capacity(bytes);
        for text in entries.iter().flat_map(|(key, value)| [key, value]) {
            let length = u16::try_from(text.len()).expect("checked labels are shorter than 64 KiB");
            packed.extend_from_slice(&length.to_le_bytes());
            packed.extend_from_slice(text.as_bytes());
        }
        Self {
            packed: packed.into_boxed_slice(),
        }
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// An agent's labels by where they come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelsBySource {
    /// What the agent says of itself.
    pub reported: Labels,
    /// What an operator gave it.
    pub operator: Labels,
    /// What its credential proves.
    pub credential: Labels,
}

impl LabelsBySource {
    /// The labels that selectors match: credential over operator over what the agent says of itself.
    #[must_use]
    pub fn effective(&self) -> Labels {
        self.reported
            .overlaid_by(&self.operator)
            .overlaid_by(&self.credential)
    }
}

/// The labels an agent's description gives it: its scalar attributes as text, identifying over non-identifying.
///
/// Attributes that are no scalar, have an empty key or break a limit of [`Labels`] are left out;
/// of more than [`Labels::MAX_COUNT`] the identifying ones come first, then the order of the message.
#[must_use]
pub fn labels_of(description: &AgentDescription) -> Labels {
    let mut taken = BTreeMap::new();
    for attribute in description
        .identifying
        .iter()
        .chain(&description.non_identifying)
    {
        let Some(value) = attribute.value.scalar_text() else {
            continue;
        };
        let room = taken.len() < Labels::MAX_COUNT;
        if room
            && !taken.contains_key(attribute.key.as_str())
            && Labels::check(&attribute.key, &value).is_ok()
        {
            taken.insert(attribute.key.as_str(), value);
        }
    }
    taken.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use opamp_model::{Attribute, Value};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_description_gives_its_scalars() {
        let description = AgentDescription {
            identifying: vec![
                Attribute::new("service.name", "otelcol"),
                Attribute::new("both", "identifying"),
            ],
            non_identifying: vec![
                Attribute::new("both", "other"),
                Attribute::new("cpus", 4_i64),
                Attribute::new("arm", true),
                Attribute::new("list", Value::Array(vec![])),
                Attribute::new("", "no key"),
                Attribute::new("long", "x".repeat(Labels::MAX_VALUE_BYTES + 1)),
            ],
        };
        let expected = [
            ("arm", "true"),
            ("both", "identifying"),
            ("cpus", "4"),
            ("service.name", "otelcol"),
        ];
        assert_eq!(labels_of(&description), Labels::from_iter(expected));
    }

    #[test]
    fn a_description_of_many_attributes_gives_128_labels() {
        let attributes = (0..1000)
            .map(|n| Attribute::new(format!("k{n}"), "v"))
            .collect();
        let description = AgentDescription {
            identifying: attributes,
            non_identifying: vec![],
        };
        assert_eq!(labels_of(&description).len(), Labels::MAX_COUNT);
    }

    #[test]
    fn the_credential_wins_over_the_operator_and_both_over_the_agent() {
        let labels = LabelsBySource {
            reported: Labels::from_iter([("a", "agent"), ("b", "agent"), ("c", "agent")]),
            operator: Labels::from_iter([("b", "operator"), ("c", "operator")]),
            credential: Labels::from_iter([("c", "credential")]),
        };
        assert_eq!(
            labels.effective(),
            Labels::from_iter([("a", "agent"), ("b", "operator"), ("c", "credential")])
        );
    }

    #[test]
    fn twelve_ordinary_labels_take_less_than_500_bytes() {
        let labels: Labels = (0..12)
            .map(|n| (format!("service.attribute.{n}"), format!("value-{n}")))
            .collect();
        assert!(labels.packed.len() < 500, "{}", labels.packed.len());
    }

    proptest! {
        #[test]
        fn labels_are_the_map_they_were_made_of(
            map in proptest::collection::btree_map("\\PC{1,8}", "\\PC{0,12}", 0..20),
            absent in "\\PC{9}",
        ) {
            let labels: Labels = map.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            prop_assert!(labels.iter().eq(map.iter().map(|(k, v)| (k.as_str(), v.as_str()))));
            for (key, value) in &map {
                prop_assert_eq!(labels.get(key), Some(value.as_str()));
            }
            prop_assert_eq!(labels.get(&absent), None);
            prop_assert_eq!(labels.len(), map.len());
        }
    }
}
