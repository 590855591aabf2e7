//! Sets of variables: bodies that are a map of values by name, and no configuration.

use std::collections::BTreeMap;

use domain::Variables;
use otelcol::{Document, Position};
use serde_json::Value as Json;

use crate::Limits;
use crate::body::BodyError;

/// Levels of lists and maps, the set itself included: what is stored is JSON, which is read with at most 128.
const MOST_LEVELS: usize = 100;
/// Values, those that aliases repeat included.
const MOST_VALUES: usize = 50_000;

/// A set of variables as its body says it.
#[derive(Debug, Clone, PartialEq)]
pub struct VariableSet {
    values: Variables,
    places: BTreeMap<String, Position>,
}

impl VariableSet {
    /// The values by name.
    #[must_use]
    pub const fn values(&self) -> &Variables {
        &self.values
    }

    /// The values by name, for keeping.
    #[must_use]
    pub fn into_values(self) -> Variables {
        self.values
    }

    /// Why the body cannot be used, at the place of the variable that is at fault; else at its beginning.
    #[must_use]
    pub fn refused(&self, name: Option<&str>, reason: String) -> BodyError {
        let at = match name {
            Some(name) => self.places.get(name),
            None => self.places.values().min(),
        };
        BodyError::Variable {
            at: at.copied().unwrap_or_default(),
            reason,
        }
    }
}

/// Reads the body of a config of kind `variables`, as the Collector reads YAML. Names are not looked at.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read_variables_within(body: &[u8], limits: &Limits) -> Result<VariableSet, BodyError> {
    let (bytes, limit) = (body.len(), limits.body_bytes);
    if limit < bytes {
        return Err(BodyError::TooLarge { bytes, limit });
    }
    let within = otelcol::Limits {
        bytes: limit,
        depth: MOST_LEVELS,
        nodes: MOST_VALUES,
    };
    let document = Document::parse_within(body, &within)?;
    if document.root().is_empty() {
        return Err(BodyError::EmptySet);
    }
    if let Some(at) = document.ignored_from() {
        return Err(BodyError::Further { at });
    }
    let mut set = VariableSet {
        values: Variables::new(),
        places: BTreeMap::new(),
    };
    for entry in document.root().iter() {
        let (name, at) = (entry.key.name(), entry.key.position());
        let value = json(otelcol::Value::from(&entry.value)).ok_or_else(|| {
            let reason = "a value is a text, a finite number, true, false, null, a list or a map: write this one as a text in quotes";
            BodyError::Variable {
                at,
                reason: reason.to_owned(),
            }
        })?;
        set.values.insert(name.to_owned(), value);
        set.places.insert(name.to_owned(), at);
    }
    Ok(set)
}

/// A value as JSON has it; nothing where JSON has no such value.
fn json(value: otelcol::Value) -> Option<Json> {
    use otelcol::Value;
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => flag.into(),
        Value::Int(number) => match (i64::try_from(number), u64::try_from(number)) {
            (Ok(number), _) => number.into(),
            (_, Ok(number)) => number.into(),
            _ => return None,
        },
        Value::Float(number) => serde_json::Number::from_f64(number)?.into(),
        Value::Str(text) | Value::Timestamp(text) => text.into(),
        Value::Binary(_) => return None,
        Value::List(items) => items.into_iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        Value::Map(entries) => {
            let entry = |(name, value)| Some((name, json(value)?));
            let entries = entries.into_iter().map(entry);
            Json::Object(entries.collect::<Option<_>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<VariableSet, BodyError> {
        read_variables_within(body.as_bytes(), &Limits::default())
    }

    #[test]
    fn a_set_is_read_as_the_collector_reads_yaml() {
        let body = "host: gw-1\nport: 4317\nratio: 0.5\non: yes\nflag: true\nnone:\noctal: 0777\nday: 2024-01-02\nlist: [1, {b: x, a: null}]\nmap: {k: v}\n";
        let values = read(body).unwrap().into_values();
        assert_eq!(
            serde_json::to_string(&values).unwrap(),
            r#"{"day":"2024-01-02","flag":true,"host":"gw-1","list":[1,{"a":null,"b":"x"}],"map":{"k":"v"},"none":null,"octal":511,"on":"yes","port":4317,"ratio":0.5}"#
        );
    }

    #[test]
    fn what_is_no_set_is_refused_with_its_place() {
        for (body, place, expected) in [
            ("", None, "the set is empty"),
            ("{}\n", None, "the set is empty"),
            ("a: 1\nb: 2\na: 3\n", Some((3, 1)), "already given"),
            ("a: 1\n---\nb: 2\n", Some((2, 1)), "a second document"),
            ("a: 1\n  \nb: [1, .inf]\n", Some((3, 1)), "a finite number"),
            ("- a\n- b\n", Some((1, 1)), "map"),
        ] {
            let error = read(body).unwrap_err();
            assert_eq!(error.line_and_column(), place, "{body}: {error}");
            assert!(error.to_string().contains(expected), "{body}: {error}");
        }
        let deep = format!("a: {}{}\n", "[".repeat(100), "]".repeat(100));
        assert!(read(&deep).is_err());
        let deep = format!("a: {}{}\n", "[".repeat(98), "]".repeat(98));
        let values = read(&deep).unwrap().into_values();
        // It is read back from what is stored.
        let stored = serde_json::to_string(&serde_json::json!({ "vars": values })).unwrap();
        assert!(serde_json::from_str::<Json>(&stored).is_ok());
        let bomb = format!("a: &a [{}]\nb: [{}]\n", "1,".repeat(1000), "*a,".repeat(100));
        assert!(read(&bomb).is_err());
        let long = format!("a: {}\n", "x".repeat(1 << 20));
        assert!(matches!(read(&long), Err(BodyError::TooLarge { .. })));
    }

    #[test]
    fn a_refusal_names_the_place_of_the_variable() {
        let set = read("# one\nb: 1\na: 2\n").unwrap();
        let place = |name| set.refused(name, "no".to_owned()).line_and_column();
        assert_eq!(place(Some("a")), Some((3, 1)));
        assert_eq!(place(None), Some((2, 1)));
    }
}
