//! The values that a template is given for an agent.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use domain::model::InstanceUid;
use domain::{Labels, Revision, SetBy, Template, Variables};
use minijinja::Value as Seen;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// What a template may know of an agent.
#[derive(Debug, Clone, Copy)]
pub struct AgentFacts<'a> {
    /// Its uid.
    pub uid: InstanceUid,
    /// The labels that selectors match.
    pub labels: &'a Labels,
}

/// The values of the names that a template uses: equal values, equal text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// JSON with its names in order; names without a value are not there.
    json: String,
    digest: [u8; 32],
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    vars: BTreeMap<&'a str, &'a serde_json::Value>,
}

/// What [`Row`] writes.
#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Known {
    labels: BTreeMap<String, String>,
    uid: Option<String>,
    vars: Variables,
}

impl Values {
    /// The values for an agent that gets these sets of variables, and which of them come from which set.
    pub(crate) fn of(
        template: &Template,
        agent: AgentFacts<'_>,
        sets: &[Arc<Revision>],
    ) -> (Self, Vec<(String, usize)>) {
        static NONE: Variables = Variables::new();
        let uses = &template.uses;
        let labels = agent.labels.iter();
        let shared = sets
            .iter()
            .map(|set| set.variables.as_deref().unwrap_or(&NONE));
        let mut vars = template.values(agent.labels, shared);
        vars.retain(|name, _| uses.variables.contains(name));
        let shared = vars.iter().filter_map(|(name, (_, by))| match by {
            SetBy::Template => None,
            SetBy::Shared(place) => Some(((*name).to_owned(), *place)),
        });
        let shared = shared.collect();
        let values = Self::from_row(&Row {
            labels: labels
                .filter(|(name, _)| uses.labels.contains(name))
                .collect(),
            uid: uses.uid.then(|| agent.uid.to_string()),
            vars: vars
                .into_iter()
                .map(|(name, (value, _))| (name, value))
                .collect(),
        });
        (values, shared)
    }

    /// No values.
    #[must_use]
    pub fn none() -> Self {
        Self::from_json("{}".to_owned())
    }

    /// Values as they were stored.
    #[must_use]
    pub fn from_json(json: String) -> Self {
        let digest = Sha256::digest(&json).into();
        Self { json, digest }
    }

    fn from_row(row: &Row<'_>) -> Self {
        // Maps of texts and of what was JSON before always become JSON.
        Self::from_json(serde_json::to_string(row).unwrap_or_default())
    }

    /// The form to store.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.json
    }

    /// SHA-256 of the JSON.
    pub(crate) const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    fn known(&self) -> Known {
        serde_json::from_str(&self.json).unwrap_or_default()
    }

    /// The variables among them.
    pub(crate) fn variables(&self) -> Variables {
        self.known().vars
    }

    /// What a template sees.
    pub(crate) fn context(&self) -> Seen {
        let Known { labels, uid, vars } = self.known();
        let uid = uid.map(|uid| ("uid", Seen::from(uid)));
        let labels = ("labels", Seen::from_pairs(labels));
        let agent = Seen::from_pairs(uid.into_iter().chain([labels]));
        let vars = Seen::from_pairs(vars.into_iter().map(|(name, json)| (name, seen(json))));
        Seen::from_pairs([("agent", agent), ("vars", vars)])
    }
}

/// A value as a template sees it.
pub(crate) fn seen(json: serde_json::Value) -> Seen {
    use serde_json::Value as Json;
    match json {
        Json::Null => Seen::from(()),
        Json::Bool(flag) => flag.into(),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => number.into(),
            (_, Some(number), _) => number.into(),
            (_, _, number) => number.unwrap_or(f64::NAN).into(),
        },
        Json::String(text) => text.into(),
        Json::Array(items) => items.into_iter().map(seen).collect::<Vec<_>>().into(),
        Json::Object(entries) => {
            Seen::from_pairs(entries.into_iter().map(|(name, json)| (name, seen(json))))
        }
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.json)
    }
}

#[cfg(test)]
mod tests {
    use domain::{Names, Override, Uses};

    use super::*;

    fn variables(json: &str) -> Variables {
        serde_json::from_str(json).unwrap()
    }

    fn json(template: &Template, labels: &[(&str, &str)]) -> String {
        let labels: Labels = labels.iter().copied().collect();
        let uid = InstanceUid::new([7; 16]);
        let facts = AgentFacts {
            uid,
            labels: &labels,
        };
        Values::of(template, facts, &[]).0.as_json().to_owned()
    }

    /// The form is stored and keys are made of it: it never changes.
    #[test]
    fn values_are_those_of_the_names_that_are_used_in_a_fixed_form() {
        let names =
            |names: &[&str]| Names::Only(names.iter().map(|name| (*name).to_owned()).collect());
        let mut template = Template {
            variables: variables(
                r#"{"rate": 1.5, "list": [1, {"z": null, "a": true}], "other": "x"}"#,
            ),
            overrides: vec![Override {
                selector: "env=prod".parse().unwrap(),
                variables: variables(r#"{"rate": 10}"#),
            }],
            uses: Uses {
                uid: true,
                labels: names(&["region", "env"]),
                variables: names(&["rate", "list", "missing"]),
            },
        };
        let labels = [("region", "eu"), ("env", "prod"), ("host", "h1")];
        assert_eq!(
            json(&template, &labels),
            r#"{"labels":{"env":"prod","region":"eu"},"uid":"07070707-0707-0707-0707-070707070707","vars":{"list":[1,{"a":true,"z":null}],"rate":10}}"#
        );
        assert_eq!(
            json(&template, &[("host", "h1")]),
            r#"{"uid":"07070707-0707-0707-0707-070707070707","vars":{"list":[1,{"a":true,"z":null}],"rate":1.5}}"#
        );
        template.uses = Uses {
            uid: false,
            labels: Names::All,
            variables: Names::All,
        };
        assert_eq!(
            json(&template, &labels),
            r#"{"labels":{"env":"prod","host":"h1","region":"eu"},"vars":{"list":[1,{"a":true,"z":null}],"other":"x","rate":10}}"#
        );
        template.uses = Uses::default();
        assert_eq!(json(&template, &labels), Values::none().as_json());
    }
}
