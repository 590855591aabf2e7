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

/// Where the value of a variable stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetBy {
    /// In the revision of the template: its variables or its overrides.
    Template,
    /// In the shared set of this place.
    Shared(usize),
}

impl Template {
    /// The values that variables have for an agent with these labels that gets these shared sets, and where each stands. The
    /// later wins: the template's own variables, the sets in their order, the overrides. Values are replaced whole.
    pub fn values<'v>(
        &'v self,
        labels: &Labels,
        shared: impl IntoIterator<Item = &'v Variables>,
    ) -> BTreeMap<&'v str, (&'v Value, SetBy)> {
        let matching = self
            .overrides
            .iter()
            .filter(|values| values.selector.matches(labels));
        let own = |variables| (variables, SetBy::Template);
        let shared = shared.into_iter().enumerate();
        let shared = shared.map(|(place, variables)| (variables, SetBy::Shared(place)));
        let sets = std::iter::once(own(&self.variables))
            .chain(shared)
            .chain(matching.map(|values| own(&values.variables)));
        let named = |(variables, by): (&'v Variables, SetBy)| {
            let entries = variables.iter();
            entries.map(move |(name, value)| (name.as_str(), (value, by)))
        };
        sets.flat_map(named).collect()
    }

    /// Whether a value is one that the revision itself has for this name.
    #[must_use]
    pub fn has(&self, name: &str, value: &Value) -> bool {
        let overrides = self.overrides.iter().map(|values| &values.variables);
        let mut sets = std::iter::once(&self.variables).chain(overrides);
        sets.any(|set| set.get(name) == Some(value))
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
            let values = template.values(&labels, []);
            values.get(name).and_then(|(value, _)| value.as_i64())
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
    fn shared_sets_stand_between_the_own_values_and_the_overrides() {
        let template = Template {
            variables: values(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]),
            overrides: vec![Override {
                selector: "env=prod".parse().unwrap(),
                variables: values(&[("d", 9)]),
            }],
            uses: Uses::default(),
        };
        let shared = [
            values(&[("b", 2), ("c", 2), ("d", 2), ("e", 2)]),
            values(&[("c", 3)]),
        ];
        let told = |labels: &[(&str, &str)]| {
            let labels: Labels = labels.iter().copied().collect();
            let values = template.values(&labels, &shared);
            let told = values.iter().map(|(name, (value, by))| match by {
                SetBy::Template => format!("{name}={value}"),
                SetBy::Shared(place) => format!("{name}={value}@{place}"),
            });
            told.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told(&[]), "a=1 b=2@0 c=3@1 d=2@0 e=2@0");
        assert_eq!(told(&[("env", "prod")]), "a=1 b=2@0 c=3@1 d=9 e=2@0");
        assert!(template.has("d", &9.into()) && !template.has("b", &2.into()));
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
