//! Templates as callers write them, and as they are shown.

use std::collections::BTreeMap;

use api_types::ProblemKind;
use api_types::configs::{PutConfig, Template, TemplateUses, VariableOverride};
use engine::admin::agents::redacted_body;
use engine::admin::configs::NewTemplate;
use engine::domain;
use engine::domain::{Names, Override};
use serde_json::Value;

use crate::problem::{ApiError, ApiResult};
use crate::selector;

/// The template language that there is.
const JINJA: &str = "jinja";

/// What of a new revision makes its body a template.
pub(super) fn read(put: &mut PutConfig) -> ApiResult<Option<NewTemplate>> {
    let variables = std::mem::take(&mut put.variables);
    let overrides = std::mem::take(&mut put.overrides);
    match put.template.as_deref() {
        Some(JINJA) => {}
        Some(other) => {
            let other: String = other.chars().take(64).collect();
            return Err(ApiError::new(ProblemKind::InvalidField)
                .field("template")
                .detail(format!("templates are \"{JINJA}\", not {other:?}")));
        }
        None if variables.is_empty() && overrides.is_empty() => return Ok(None),
        None => {
            let name = variables
                .keys()
                .next()
                .map(|name| format!("variables.{name}"));
            return Err(ApiError::new(ProblemKind::InvalidField)
                .field(name.unwrap_or_else(|| "overrides".to_owned()))
                .detail(format!(
                    "the body is no template that could use it: add \"template\": \"{JINJA}\""
                )));
        }
    }
    let read = |(place, values): (usize, VariableOverride)| {
        let field = format!("overrides.{place}.selector");
        Ok(Override {
            selector: selector::read(Some(&values.selector), &field)?,
            variables: values.variables,
        })
    };
    Ok(Some(NewTemplate {
        variables,
        overrides: overrides
            .into_iter()
            .enumerate()
            .map(read)
            .collect::<ApiResult<_>>()?,
    }))
}

/// A template as it is, secrets included.
pub(super) fn revealed(template: &domain::Template) -> Template {
    Template {
        language: JINJA.to_owned(),
        variables: template.variables.clone(),
        overrides: template.overrides.iter().map(to_override).collect(),
        uses: TemplateUses {
            uid: template.uses.uid,
            labels: to_names(&template.uses.labels),
            variables: to_names(&template.uses.variables),
        },
    }
}

/// A template with its secrets replaced.
pub(super) fn redacted(template: &domain::Template) -> Template {
    let hide = |values: BTreeMap<String, Value>| {
        values.into_iter().map(|(name, value)| {
            let shown = redacted_value(&name, value);
            (name, shown)
        })
    };
    let shown = revealed(template);
    Template {
        variables: hide(shown.variables).collect(),
        overrides: shown
            .overrides
            .into_iter()
            .map(|values| VariableOverride {
                variables: hide(values.variables).collect(),
                ..values
            })
            .collect(),
        ..shown
    }
}

/// A value as it may be shown below this name. Where a variable goes is not known, so its name counts for more than the
/// name of a setting does.
pub(crate) fn redacted_value(name: &str, value: Value) -> Value {
    let lower = name.to_ascii_lowercase();
    let is_suspect = ["key", "auth", "header", "cred", "secret", "token", "pass"]
        .iter()
        .any(|part| lower.contains(part));
    if let (true, Value::String(text)) = (is_suspect, &value)
        && !text.starts_with("${")
    {
        return Value::from("[REDACTED]");
    }
    let json = Value::Object([(name.to_owned(), value)].into_iter().collect());
    // JSON is YAML, and what takes the place of a secret is a text in double quotes.
    let shown = redacted_body(json.to_string().as_bytes());
    let read = serde_json::from_str::<BTreeMap<String, Value>>(&shown);
    read.ok()
        .and_then(|mut shown| shown.remove(name))
        .unwrap_or_else(|| Value::from("[REDACTED]"))
}

fn to_override(values: &Override) -> VariableOverride {
    VariableOverride {
        selector: api_types::SelectorInput::Text(values.selector.to_string()),
        variables: values.variables.clone(),
    }
}

fn to_names(names: &Names) -> Option<Vec<String>> {
    match names {
        Names::All => None,
        Names::Only(names) => Some(names.iter().cloned().collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_in_values_are_replaced_and_the_rest_stays() {
        for (name, value, shown) in [
            ("rate", json!(5), json!(5)),
            ("api_key", json!("hunter2"), json!("[REDACTED]")),
            (
                "exporter",
                json!({"endpoint": "https://a:b@c/", "headers": {"x": "y"}, "list": ["a: b", null]}),
                json!({"endpoint": "https://a:***@c/", "headers": {"x": "[REDACTED]"}, "list": ["a: b", null]}),
            ),
            ("text", json!("a\u{85}\n\"\\ é"), json!("a\u{85}\n\"\\ é")),
            ("token", json!("${env:TOKEN}"), json!("${env:TOKEN}")),
            ("honeycomb_key", json!("hcaik_1"), json!("[REDACTED]")),
            ("keys", json!(["a"]), json!(["a"])),
        ] {
            assert_eq!(redacted_value(name, value), shown, "{name}");
        }
    }
}
