//! What callers say about a template, and what of it can be; and the variables of shared sets, to which the same applies.

use desired::BodyError;
use domain::{Override, Template, Uses, Variables};
use serde_json::Value;

use super::put::REDACTED_MARKS;

/// The most variables of one set.
const MOST_VARIABLES: usize = 256;
/// The longest name of a variable, in bytes.
const NAME_MAX_BYTES: usize = 64;
/// The most sets of other values: each selector is looked at for each agent.
const MOST_OVERRIDES: usize = 64;
/// All values together, as JSON, in bytes.
const VALUES_MAX_BYTES: usize = 64 << 10;

/// What makes a body a template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewTemplate {
    /// Its variables and their values.
    pub variables: Variables,
    /// Other values for some agents; the last that matches wins.
    pub overrides: Vec<Override>,
}

/// Variables that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct InvalidVariables {
    /// Where: `variables.rate`, `overrides.3.variables.rate`.
    pub field: String,
    /// What is wrong, and what to do.
    pub reason: String,
}

impl NewTemplate {
    /// Whether it says the same as one that stands.
    pub(super) fn is(&self, standing: &Template) -> bool {
        self.variables == standing.variables && self.overrides == standing.overrides
    }

    /// The template of a text that uses these names.
    pub(super) fn using(&self, uses: Uses) -> Template {
        Template {
            variables: self.variables.clone(),
            overrides: self.overrides.clone(),
            uses,
        }
    }

    /// All sets of values.
    pub(super) fn sets(&self) -> impl Iterator<Item = &Variables> {
        let overrides = self.overrides.iter().map(|values| &values.variables);
        std::iter::once(&self.variables).chain(overrides)
    }

    /// Checks names, sizes and counts.
    pub(super) fn check(&self) -> Result<(), InvalidVariables> {
        if MOST_OVERRIDES < self.overrides.len() {
            let (field, count) = ("overrides".to_owned(), self.overrides.len());
            let reason = format!(
                "there are {count} overrides, allowed are {MOST_OVERRIDES}: use a variable that is a map, and look the value up in it"
            );
            return Err(InvalidVariables { field, reason });
        }
        let invalid = |field: &str, refused: Refused<'_>| InvalidVariables {
            field: match refused.name {
                Some(name) => {
                    let name: String = name.chars().take(NAME_MAX_BYTES).collect();
                    format!("{field}.{name}")
                }
                None => field.to_owned(),
            },
            reason: refused.reason,
        };
        check_set(&self.variables).map_err(|refused| invalid("variables", refused))?;
        for (place, values) in self.overrides.iter().enumerate() {
            check_set(&values.variables)
                .map_err(|refused| invalid(&format!("overrides.{place}.variables"), refused))?;
        }
        let bytes = bytes_of(self.sets().flatten());
        if VALUES_MAX_BYTES < bytes {
            return Err(InvalidVariables {
                field: "variables".to_owned(),
                reason: format!(
                    "the values have {bytes} bytes, allowed are {VALUES_MAX_BYTES}: put what is long into the body"
                ),
            });
        }
        Ok(())
    }
}

/// Reads the body of a set of variables, and checks its names, sizes and counts as those of a template's own.
pub(super) fn read_set(body: &[u8], limits: &desired::Limits) -> Result<Variables, BodyError> {
    let set = desired::read_variables_within(body, limits)?;
    check_set(set.values()).map_err(|Refused { name, reason }| set.refused(name, reason))?;
    let bytes = bytes_of(set.values());
    if VALUES_MAX_BYTES < bytes {
        let reason = format!(
            "the values have {bytes} bytes, allowed are {VALUES_MAX_BYTES}: split them into several sets"
        );
        return Err(set.refused(None, reason));
    }
    Ok(set.into_values())
}

fn bytes_of<'v>(variables: impl IntoIterator<Item = (&'v String, &'v Value)>) -> usize {
    let sizes = variables
        .into_iter()
        .map(|(name, value)| name.len() + value.to_string().len());
    sizes.sum()
}

/// Why variables cannot be.
struct Refused<'v> {
    /// The one that is at fault; nothing: there are too many.
    name: Option<&'v str>,
    reason: String,
}

fn check_set(variables: &Variables) -> Result<(), Refused<'_>> {
    if MOST_VARIABLES < variables.len() {
        return Err(Refused {
            name: None,
            reason: format!(
                "there are {} variables, allowed are {MOST_VARIABLES}",
                variables.len()
            ),
        });
    }
    for (name, value) in variables {
        let refuse = |reason: String| {
            Err(Refused {
                name: Some(name),
                reason,
            })
        };
        if !is_name(name) {
            return refuse(format!(
                "a variable's name has at most {NAME_MAX_BYTES} letters, digits and underscores, and begins with no digit"
            ));
        }
        if let Some(mark) = redaction_in(value) {
            return refuse(format!(
                "the value holds {mark:?}, which stands for a secret that was not shown: put the secret, or a ${{env:NAME}} reference, in its place"
            ));
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty()
        && name.len() <= NAME_MAX_BYTES
        && name.chars().all(fits)
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// The mark of a redacted secret in a value. JSON is read with at most 128 levels.
fn redaction_in(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(text) => REDACTED_MARKS.into_iter().find(|mark| text.contains(mark)),
        Value::Array(items) => items.iter().find_map(redaction_in),
        Value::Object(entries) => entries.values().find_map(redaction_in),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(variables: &Value) -> Option<(String, String)> {
        let variables = serde_json::from_value(variables.clone()).unwrap();
        let template = NewTemplate {
            variables: Variables::new(),
            overrides: vec![Override {
                selector: "env=prod".parse().unwrap(),
                variables,
            }],
        };
        let refused = template.check().err()?;
        Some((refused.field, refused.reason))
    }

    #[test]
    fn variables_that_cannot_be_are_refused_with_their_place() {
        assert_eq!(
            refusal(&serde_json::json!({"rate": 5, "_x9": [null]})),
            None
        );
        for name in ["", "9a", "a-b", "a.b", "é", &"x".repeat(65)] {
            let (field, reason) = refusal(&serde_json::json!({ name: 1 })).unwrap();
            assert!(field.starts_with("overrides.0.variables."), "{field}");
            assert!(reason.contains("letters, digits"), "{reason}");
        }
        let hidden = serde_json::json!({"a": {"b": ["x", "[REDACTED]"]}});
        let (field, reason) = refusal(&hidden).unwrap();
        assert_eq!(field, "overrides.0.variables.a");
        assert!(reason.contains("[REDACTED"), "{reason}");
        let (_, reason) = refusal(&serde_json::json!({"a": "x".repeat(65 << 10)})).unwrap();
        assert!(reason.contains("allowed are 65536"), "{reason}");
        let many: Value = (0..257).map(|n| (format!("v{n}"), Value::Null)).collect();
        assert!(refusal(&many).unwrap().1.contains("allowed are 256"));
    }

    #[test]
    fn variables_of_a_set_are_refused_as_those_of_a_template_with_line_and_column() {
        let told = |body: &str| match read_set(body.as_bytes(), &desired::Limits::default()) {
            Ok(values) => format!("{} values", values.len()),
            Err(error) => error.to_string(),
        };
        assert_eq!(told("rate: 5\n_x9: [null]\n"), "2 values");
        assert!(
            told("ok: 1\na-b: 2\n").starts_with("line 2, column 1: a variable's name has at most 64")
        );
        let hidden = told("ok: 1\nkeys:\n  - {x: '[REDACTED]'}\n");
        assert!(hidden.starts_with("line 2, column 1: the value holds \"[REDACTED\""), "{hidden}");
        let long = told(&format!("a: {}\n", "x".repeat(65 << 10)));
        assert!(long.contains("allowed are 65536: split"), "{long}");
        let many: String = (0..257).map(|n| format!("v{n}: 1\n")).collect();
        assert!(told(&many).contains("allowed are 256"), "{}", told(&many));
    }

    #[test]
    fn overrides_are_counted() {
        let over = Override {
            selector: "a=b".parse().unwrap(),
            variables: Variables::new(),
        };
        let template = |count| NewTemplate {
            variables: Variables::new(),
            overrides: vec![over.clone(); count],
        };
        assert!(template(64).check().is_ok());
        assert_eq!(template(65).check().unwrap_err().field, "overrides");
    }
}
