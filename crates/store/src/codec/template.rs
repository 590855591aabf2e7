//! What makes a revision's body a template, and what a set of variables says.

use std::collections::BTreeSet;

use domain::{Names, Override, Template, Uses, Variables};
use serde::{Deserialize, Serialize};

use super::{from_json, to_json};
use crate::StoreError;

#[derive(Serialize, Deserialize)]
struct TemplateRow {
    #[serde(rename = "v")]
    variables: Variables,
    #[serde(rename = "o", default, skip_serializing_if = "Vec::is_empty")]
    overrides: Vec<OverrideRow>,
    #[serde(rename = "u")]
    uses: UsesRow,
}

#[derive(Serialize, Deserialize)]
struct OverrideRow {
    #[serde(rename = "s")]
    selector: String,
    #[serde(rename = "v")]
    variables: Variables,
}

/// No list: all names.
#[derive(Serialize, Deserialize)]
struct UsesRow {
    #[serde(rename = "u")]
    uid: bool,
    #[serde(rename = "l")]
    labels: Option<BTreeSet<String>>,
    #[serde(rename = "v")]
    variables: Option<BTreeSet<String>>,
}

fn to_names(names: &Names) -> Option<BTreeSet<String>> {
    match names {
        Names::All => None,
        Names::Only(names) => Some(names.clone()),
    }
}

pub(crate) fn encode_variables(variables: &Variables) -> String {
    to_json(variables)
}

pub(crate) fn decode_variables(text: &str) -> Result<Variables, StoreError> {
    from_json("variables", text.as_bytes())
}

pub(crate) fn encode_template(template: &Template) -> String {
    to_json(&TemplateRow {
        variables: template.variables.clone(),
        overrides: template
            .overrides
            .iter()
            .map(|values| OverrideRow {
                selector: values.selector.to_string(),
                variables: values.variables.clone(),
            })
            .collect(),
        uses: UsesRow {
            uid: template.uses.uid,
            labels: to_names(&template.uses.labels),
            variables: to_names(&template.uses.variables),
        },
    })
}

pub(crate) fn decode_template(text: &str) -> Result<Template, StoreError> {
    let row: TemplateRow = from_json("template", text.as_bytes())?;
    let overrides = row.overrides.into_iter().map(|values| {
        let corrupt = |_| StoreError::Corrupt { what: "template" };
        Ok(Override {
            selector: values.selector.parse().map_err(corrupt)?,
            variables: values.variables,
        })
    });
    let names = |names: Option<BTreeSet<String>>| names.map_or(Names::All, Names::Only);
    Ok(Template {
        overrides: overrides.collect::<Result<_, StoreError>>()?,
        variables: row.variables,
        uses: Uses {
            uid: row.uses.uid,
            labels: names(row.uses.labels),
            variables: names(row.uses.variables),
        },
    })
}
