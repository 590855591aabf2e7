//! Templates: what a revision says besides the text that is written anew for each agent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::labels::Labels;
use crate::selector::Selector;

/// Values by name, as JSON has them.
pub type Variables = BTreeMap<String, Value>;

/// What makes the body of a revision a template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    /// Its variables and their values.
    pub variables: Variables,
    /// Other values for some agents, in this order: the last that matches an agent wins.
    pub overrides: Vec<Override>,
    /// The names that its text looks at. Found when the revision was made and never again, so that a newer template
    /// engine makes nothing of what stands.
    pub uses: Uses,
}

/// Values for the agents of a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The agents.
    pub selector: Selector,
    /// The values that they have instead.
    pub variables: Variables,
}

/// What of an agent and of its variables a template looks at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses {
    /// The agent's uid.
    pub uid: bool,
    /// Its labels.
    pub labels: Names,
    /// Its variables.
    pub variables: Names,
}

/// Names that are known beforehand, or all there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// Which they are is known only when the template is rendered.
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl Default for Names {
    /// None.
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

impl Names {
    /// Takes a name in.
    pub fn add(&mut self, name: &str) {
        if let Self::Only(names) = self
            && !names.contains(name)
        {
            names.insert(name.to_owned());
        }
    }

    /// Whether it is among them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Template {
    /// The values that variables have for an agent with these labels.
    #[must_use]
    pub fn values(&self, labels: &Labels) -> BTreeMap<&str, &Value> {
        let matching = self
            .overrides
            .iter()
            .filter(|values| values.selector.matches(labels));
        let sets = std::iter::once(&self.variables).chain(matching.map(|values| &values.variables));
        sets.flatten()
            .map(|(name, value)| (name.as_str(), value))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(entries: &[(&str, i64)]) -> Variables {
        let value = |(name, number): &(&str, i64)| ((*name).to_owned(), Value::from(*number));
        entries.iter().map(value).collect()
    }

    #[test]
    fn the_last_override_that_matches_and_has_the_name_wins() {
        let over = |selector: &str, entries: &[(&str, i64)]| Override {
            selector: selector.parse().unwrap(),
            variables: values(entries),
        };
        let template = Template {
            variables: values(&[("rate", 1), ("size", 10)]),
            overrides: vec![
                over("env=prod", &[("rate", 2), ("own", 5)]),
                over("region=eu", &[("rate", 3)]),
                over("region=eu,env=prod", &[("size", 20)]),
            ],
            uses: Uses::default(),
        };
        let value = |name, labels: &[(&str, &str)]| {
            let labels: Labels = labels.iter().copied().collect();
            template
                .values(&labels)
                .get(name)
                .and_then(|value| value.as_i64())
        };
        let (prod, eu) = (("env", "prod"), ("region", "eu"));
        assert_eq!(value("rate", &[]), Some(1));
        assert_eq!(value("rate", &[prod]), Some(2));
        assert_eq!(value("rate", &[prod, eu]), Some(3));
        assert_eq!(value("size", &[eu]), Some(10));
        assert_eq!(value("size", &[prod, eu]), Some(20));
        assert_eq!((value("own", &[]), value("own", &[prod])), (None, Some(5)));
    }

    #[test]
    fn all_names_stay_all() {
        let mut names = Names::default();
        assert!(names.is_empty() && !names.contains("a"));
        names.add("a");
        assert!(names.contains("a") && !names.contains("b"));
        let mut all = Names::All;
        all.add("a");
        assert_eq!(all, Names::All);
        assert!(all.contains("anything") && !all.is_empty());
    }
}
