//! Which revision of each config an agent should run, and in which order they merge.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::config::{Kind, Revision};
use crate::ids::{AgentId, ConfigName, RolloutId};
use crate::labels::Labels;

/// A rollout whose open stage admits agents.
#[derive(Debug, Clone)]
pub struct OpenRollout {
    /// Which.
    pub rollout: RolloutId,
    /// The revision it moves agents to; `None`: it takes the config away.
    pub target: Option<Arc<Revision>>,
}

impl OpenRollout {
    /// Whether the open stage admits this agent. The one strategy there is admits every agent.
    #[must_use]
    pub fn admits(&self, _agent: AgentId) -> bool {
        true
    }
}

/// What of one config is released.
#[derive(Debug, Clone, Default)]
pub struct ReleasedConfig {
    /// The revision that the last completed rollout left in force.
    pub baseline: Option<Arc<Revision>>,
    /// Whether the rollout of the baseline was forced: what it makes is not checked again for each agent.
    pub forced: bool,
    /// The rollout that is under way.
    pub open: Option<OpenRollout>,
}

/// What of all configs of one namespace is released, and the agents that go their own way.
#[derive(Debug, Clone, Default)]
pub struct ReleasedSet {
    /// By config.
    pub configs: BTreeMap<ConfigName, ReleasedConfig>,
    /// By agent and config: the revision it should run instead, or nothing of that config.
    pub exceptions: HashMap<AgentId, BTreeMap<ConfigName, Option<Arc<Revision>>>>,
}

impl ReleasedSet {
    /// The revisions that apply to an agent, in the order in which they merge: ascending (priority, name).
    ///
    /// A revision applies when it is released for the agent and its own selector matches the agent's labels.
    #[must_use]
    pub fn layers(&self, agent: AgentId, labels: &Labels) -> Vec<Arc<Revision>> {
        self.applying(agent, labels, |kind| kind != Kind::Variables)
    }

    /// The sets of variables that apply to an agent, by the same rule and in the same order: the later wins.
    #[must_use]
    pub fn variables(&self, agent: AgentId, labels: &Labels) -> Vec<Arc<Revision>> {
        self.applying(agent, labels, |kind| kind == Kind::Variables)
    }

    fn applying(
        &self,
        agent: AgentId,
        labels: &Labels,
        is_wanted: impl Fn(Kind) -> bool,
    ) -> Vec<Arc<Revision>> {
        let exceptions = self.exceptions.get(&agent);
        let mut applying: Vec<Arc<Revision>> = self
            .configs
            .iter()
            .filter_map(|(name, config)| {
                released(agent, config, exceptions.and_then(|own| own.get(name)))
            })
            .filter(|revision| is_wanted(revision.kind) && revision.selector.matches(labels))
            .cloned()
            .collect();
        applying.sort_by(|a, b| (a.priority, &a.config).cmp(&(b.priority, &b.config)));
        applying
    }
}

/// The revision of a config that is released for an agent: its own exception, else the open stage of a rollout
/// that admits it, else the baseline.
#[must_use]
pub fn released<'a>(
    agent: AgentId,
    config: &'a ReleasedConfig,
    exception: Option<&'a Option<Arc<Revision>>>,
) -> Option<&'a Arc<Revision>> {
    if let Some(own) = exception {
        return own.as_ref();
    }
    match config.open.as_ref().filter(|open| open.admits(agent)) {
        Some(open) => open.target.as_ref(),
        None => config.baseline.as_ref(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::ids::{Actor, ContentHash, Namespace, RevisionNumber};
    use crate::selector::Selector;

    const AGENT: AgentId = AgentId::from_bytes([1; 16]);

    fn revision(name: &str, number: u64, selector: &str, priority: i64) -> Arc<Revision> {
        Arc::new(Revision {
            namespace: Namespace::default(),
            config: ConfigName::new(name).unwrap(),
            number: RevisionNumber(number),
            version: format!("v1.0.{number}"),
            kind: Kind::Collector,
            selector: selector.parse().unwrap(),
            priority,
            template: None,
            variables: None,
            body: Arc::from(*b"receivers: {}"),
            sha256: ContentHash::from_bytes([0; 32]),
            author: Actor::admin(),
            message: String::new(),
            created_at: Timestamp::UNIX_EPOCH,
            origin: "api".into(),
        })
    }

    fn rollout_to(target: Option<Arc<Revision>>) -> Option<OpenRollout> {
        Some(OpenRollout {
            rollout: RolloutId::from_bytes([2; 16]),
            target,
        })
    }

    fn numbers(layers: &[Arc<Revision>]) -> Vec<(String, u64)> {
        layers
            .iter()
            .map(|layer| (layer.config.to_string(), layer.number.0))
            .collect()
    }

    #[test]
    fn the_exception_goes_before_the_rollout_and_the_rollout_before_the_baseline() {
        let (old, new, own) = (
            revision("a", 1, "", 0),
            revision("a", 2, "", 0),
            revision("a", 3, "", 0),
        );
        let mut config = ReleasedConfig {
            baseline: Some(Arc::clone(&old)),
            ..ReleasedConfig::default()
        };
        assert_eq!(released(AGENT, &config, None), Some(&old));
        config.open = rollout_to(Some(Arc::clone(&new)));
        assert_eq!(released(AGENT, &config, None), Some(&new));
        assert_eq!(
            released(AGENT, &config, Some(&Some(Arc::clone(&own)))),
            Some(&own)
        );
        assert_eq!(released(AGENT, &config, Some(&None)), None);
        config.open = rollout_to(None);
        assert_eq!(
            released(AGENT, &config, None),
            None,
            "a rollout that takes the config away"
        );
        assert_eq!(released(AGENT, &ReleasedConfig::default(), None), None);
    }

    /// The selector belongs to the revision: a rollout to one with another selector moves agents out.
    #[test]
    fn the_released_revisions_own_selector_decides() {
        let config = ReleasedConfig {
            baseline: Some(revision("a", 1, "env=prod", 0)),
            open: rollout_to(Some(revision("a", 2, "env=dev", 0))),
            ..ReleasedConfig::default()
        };
        let set = ReleasedSet {
            configs: [(ConfigName::new("a").unwrap(), config)].into(),
            ..ReleasedSet::default()
        };
        assert_eq!(
            numbers(&set.layers(AGENT, &Labels::from_iter([("env", "dev")]))),
            [("a".to_owned(), 2)]
        );
        assert!(
            set.layers(AGENT, &Labels::from_iter([("env", "prod")]))
                .is_empty()
        );
    }

    #[test]
    fn layers_merge_in_ascending_priority_then_name() {
        let names = [("c", 5), ("b", -1), ("a", 5), ("d", 0)];
        let configs = names.map(|(name, priority)| {
            let baseline = Some(revision(name, 1, "", priority));
            (
                ConfigName::new(name).unwrap(),
                ReleasedConfig {
                    baseline,
                    ..ReleasedConfig::default()
                },
            )
        });
        let set = ReleasedSet {
            configs: configs.into(),
            ..ReleasedSet::default()
        };
        let order: Vec<String> = set
            .layers(AGENT, &Labels::default())
            .iter()
            .map(|layer| layer.config.to_string())
            .collect();
        assert_eq!(order, ["b", "d", "a", "c"]);
    }

    prop_compose! {
        fn any_set()(
            configs in proptest::collection::btree_map("[a-d]", (0..3_u8, 0..3_u8, -2..2_i64, 0..3_u8), 0..4),
            exceptions in proptest::collection::btree_map("[a-d]", any::<bool>(), 0..3),
        ) -> ReleasedSet {
            let selectors = ["", "env=prod", "env=dev"];
            let make = |name: &str, what: u8, number: u64, priority: i64, selector: u8| {
                (what != 0).then(|| revision(name, number, selectors[usize::from(selector)], priority))
            };
            let released = configs.iter().map(|(name, (baseline, open, priority, selector))| {
                let baseline = make(name, *baseline, 1, *priority, *selector);
                let open = (*open != 0).then(|| make(name, *open - 1, 2, -priority, 2 - selector));
                (ConfigName::new(name).unwrap(), ReleasedConfig { baseline, forced: false, open: open.and_then(rollout_to) })
            });
            let own = exceptions.iter().map(|(name, pinned)| {
                (ConfigName::new(name).unwrap(), pinned.then(|| revision(name, 3, "", 1)))
            });
            ReleasedSet { configs: released.collect(), exceptions: [(AGENT, own.collect())].into() }
        }
    }

    proptest! {
        #[test]
        fn layers_are_ordered_match_and_come_once_per_config(
            set in any_set(),
            env in proptest::option::of("prod|dev"),
            other in any::<bool>(),
        ) {
            let labels: Labels = env.iter().map(|env| ("env", env.as_str())).collect();
            let agent = if other { AgentId::from_bytes([9; 16]) } else { AGENT };
            let layers = set.layers(agent, &labels);
            let place = |layer: &Arc<Revision>| (layer.priority, layer.config.clone());
            let ascending = layers.windows(2).all(|pair| place(&pair[0]) < place(&pair[1]));
            prop_assert!(ascending);
            for layer in &layers {
                prop_assert!(layer.selector.matches(&labels));
                prop_assert!(other || layer.number.0 != 2 || !set.exceptions[&AGENT].contains_key(&layer.config));
            }
            let mut configs: Vec<_> = layers.iter().map(|layer| &layer.config).collect();
            configs.sort();
            configs.dedup();
            prop_assert_eq!(configs.len(), layers.len());
        }

        /// Late joiners and relabeled agents follow the same rule: the answer depends on nothing but the arguments.
        #[test]
        fn equal_agents_get_equal_layers(set in any_set()) {
            let labels = Labels::from_iter([("env", "prod")]);
            let (one, two) = (AgentId::from_bytes([8; 16]), AgentId::from_bytes([9; 16]));
            prop_assert_eq!(set.layers(one, &labels), set.layers(two, &labels));
        }
    }

    #[test]
    fn a_set_of_variables_is_no_layer() {
        let released = |name: &str, kind, priority| {
            let baseline = Arc::new(Revision {
                kind,
                ..Revision::clone(&revision(name, 1, "env=prod", priority))
            });
            (
                ConfigName::new(name).unwrap(),
                ReleasedConfig {
                    baseline: Some(baseline),
                    ..ReleasedConfig::default()
                },
            )
        };
        let set = ReleasedSet {
            configs: [
                released("a", Kind::Variables, 5),
                released("b", Kind::Collector, 0),
                released("c", Kind::Variables, 0),
            ]
            .into(),
            ..ReleasedSet::default()
        };
        let prod = Labels::from_iter([("env", "prod")]);
        assert_eq!(numbers(&set.layers(AGENT, &prod)), [("b".to_owned(), 1)]);
        let sets = numbers(&set.variables(AGENT, &prod));
        assert_eq!(sets, [("c".to_owned(), 1), ("a".to_owned(), 1)]);
        assert!(set.variables(AGENT, &Labels::default()).is_empty());
    }

    #[test]
    fn an_empty_selector_is_for_every_agent() {
        let config = ReleasedConfig {
            baseline: Some(revision("a", 1, "", 0)),
            ..ReleasedConfig::default()
        };
        let set = ReleasedSet {
            configs: [(ConfigName::new("a").unwrap(), config)].into(),
            ..ReleasedSet::default()
        };
        assert_eq!(set.layers(AGENT, &Labels::default()).len(), 1);
        assert!(Selector::default().is_empty());
    }
}
