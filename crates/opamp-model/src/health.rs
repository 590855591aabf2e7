//! Health of an agent and its components, and its times apart from the rest.
//!
//! Most status reports differ from the one before in times alone. A [`Health`] can therefore be
//! split into a tree without times, which seldom changes, and a flat list of times.

use std::collections::BTreeMap;
use std::fmt;

use crate::Attribute;

/// Health of an agent (the root) or of one of its components. Spec: "ComponentHealth Message".
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Health {
    /// The overall verdict.
    pub healthy: bool,
    /// When the component started, in nanoseconds since the Unix epoch; 0 while it does not run.
    pub start_time_unix_nano: u64,
    /// What is wrong; set when it is unhealthy.
    pub last_error: String,
    /// The agent's own word for the state, such as `StatusOK`.
    pub status: String,
    /// When this was observed, in nanoseconds since the Unix epoch.
    pub status_time_unix_nano: u64,
    /// The parts of this component.
    pub components: BTreeMap<String, Health>,
    /// Whatever else the component says of its state.
    pub attributes: Vec<Attribute>,
}

/// All times of a [`Health`] tree: start and status time of each node, parents before their
/// parts, parts in the order of their keys; nanoseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct HealthTimes(Box<[u64]>);

/// Stored bytes that are no list of health times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHealthTimes {
    /// How many bytes there were.
    pub bytes: usize,
}

impl Health {
    /// Takes the times out of the tree and leaves 0 in their places.
    ///
    /// ```
    /// use opamp_model::Health;
    ///
    /// let mut health = Health { start_time_unix_nano: 7, status_time_unix_nano: 9, ..Health::default() };
    /// let times = health.split_times();
    /// assert_eq!(times.as_slice(), [7, 9]);
    /// assert_eq!(health, Health::default());
    /// ```
    pub fn split_times(&mut self) -> HealthTimes {
        let mut times = Vec::with_capacity(2 * self.count());
        self.visit_mut(&mut |node| {
            times.push(std::mem::take(&mut node.start_time_unix_nano));
            times.push(std::mem::take(&mut node.status_time_unix_nano));
        });
        HealthTimes(times.into())
    }

    /// Puts times back that [`split_times`](Self::split_times) took out.
    ///
    /// Times of another tree are tolerated: missing ones are 0, surplus ones are ignored.
    pub fn join_times(&mut self, times: &HealthTimes) {
        let mut pairs = times.0.chunks_exact(2);
        self.visit_mut(&mut |node| {
            let pair = pairs.next().unwrap_or(&[0, 0]);
            node.start_time_unix_nano = pair[0];
            node.status_time_unix_nano = pair[1];
        });
    }

    /// How many nodes the tree has, itself included.
    pub fn count(&self) -> usize {
        1 + self.components.values().map(Self::count).sum::<usize>()
    }

    fn visit_mut(&mut self, act: &mut impl FnMut(&mut Self)) {
        act(self);
        for part in self.components.values_mut() {
            part.visit_mut(act);
        }
    }
}

impl HealthTimes {
    /// Wraps times in the order that the type describes.
    pub fn new(times: impl Into<Box<[u64]>>) -> Self {
        Self(times.into())
    }

    /// The times.
    pub fn as_slice(&self) -> &[u64] {
        &self.0
    }

    /// Start time of the root, in nanoseconds since the Unix epoch; 0 while the agent does not run.
    pub fn root_start_time_unix_nano(&self) -> u64 {
        self.0.first().copied().unwrap_or(0)
    }

    /// Eight little-endian bytes a time.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|time| time.to_le_bytes()).collect()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`InvalidHealthTimes`] when the length is no multiple of 16, the size of a node's pair.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidHealthTimes> {
        let (times, []) = bytes.as_chunks::<8>() else {
            return Err(InvalidHealthTimes { bytes: bytes.len() });
        };
        if times.len() % 2 != 0 {
            return Err(InvalidHealthTimes { bytes: bytes.len() });
        }
        Ok(Self(
            times.iter().map(|time| u64::from_le_bytes(*time)).collect(),
        ))
    }
}

impl fmt::Display for InvalidHealthTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes are no list of health times", self.bytes)
    }
}

impl std::error::Error for InvalidHealthTimes {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn health() -> impl Strategy<Value = Health> {
        let leaf =
            (any::<bool>(), any::<u64>(), any::<u64>()).prop_map(|(healthy, start, status)| {
                Health {
                    healthy,
                    start_time_unix_nano: start,
                    status_time_unix_nano: status,
                    ..Health::default()
                }
            });
        leaf.prop_recursive(4, 40, 5, |part| {
            (
                part.clone(),
                prop::collection::btree_map("[a-z]{1,3}", part, 0..5),
            )
                .prop_map(|(node, components)| Health { components, ..node })
        })
    }

    proptest! {
        #[test]
        fn split_and_joined_health_is_the_same(health in health()) {
            let mut split = health.clone();
            let times = split.split_times();
            prop_assert_eq!(times.as_slice().len(), 2 * health.count());
            let mut again = split.clone();
            prop_assert!(again.split_times().as_slice().iter().all(|time| *time == 0));
            let stored = HealthTimes::from_bytes(&times.to_bytes()).unwrap();
            split.join_times(&stored);
            prop_assert_eq!(split, health);
        }
    }

    #[test]
    fn times_of_another_tree_are_tolerated() {
        let mut health = Health {
            components: BTreeMap::from([("a".into(), Health::default())]),
            ..Health::default()
        };
        health.join_times(&HealthTimes::new([1, 2]));
        assert_eq!(
            (
                health.start_time_unix_nano,
                health.components["a"].start_time_unix_nano
            ),
            (1, 0)
        );
        health.join_times(&HealthTimes::new([1, 2, 3, 4, 5, 6]));
        assert_eq!(health.components["a"].status_time_unix_nano, 4);
    }

    #[test]
    fn half_pairs_are_refused() {
        for bytes in [1, 8, 15, 24] {
            assert_eq!(
                HealthTimes::from_bytes(&vec![0; bytes]),
                Err(InvalidHealthTimes { bytes })
            );
        }
    }
}
