//! What a collector's own arguments say of its configuration: `--config` and `--set`, as far as they can be read here.

use std::fs;

use serde_json::{Value, json};

/// The documents that arguments stand for, around those of the files that the agent gives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArgumentDocuments {
    /// Of `--config`, which the agent's files follow.
    pub before: Vec<Vec<u8>>,
    /// Of `--set`, which come last whatever their place.
    pub after: Vec<Vec<u8>>,
}

impl ArgumentDocuments {
    /// What `args` say, where variables have the values of `variable`. What cannot be read is left out.
    pub fn of(args: &[String], variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut found = Self::default();
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let name = arg.trim_start_matches('-');
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            if !arg.starts_with('-') || !matches!(name, "config" | "set") {
                continue;
            }
            let Some(value) = value.or_else(|| rest.next().cloned()) else {
                break;
            };
            if name == "set" {
                found.after.extend(setting(&value));
            } else {
                found.before.extend(document(&value, &variable));
            }
        }
        found
    }
}

/// The document of a `--config`: a path, or a location with a scheme.
fn document(location: &str, variable: &impl Fn(&str) -> Option<String>) -> Option<Vec<u8>> {
    match location.split_once(':') {
        Some(("env", name)) => variable(name).map(String::into_bytes),
        Some(("yaml", text)) if text.contains("::") => setting(&text.replacen(": ", "=", 1)),
        Some(("yaml", text)) => Some(text.as_bytes().to_vec()),
        Some(("file", path)) => fs::read(path).ok(),
        _ => fs::read(location).ok(),
    }
}

/// The document of `a.b=value` or `a::b=value`.
fn setting(text: &str) -> Option<Vec<u8>> {
    let (path, value) = text.split_once('=')?;
    let value = otelcol::Document::parse(format!("value: {value}\n").as_bytes()).ok()?;
    let value: Value = match value.get("value")?.as_str() {
        Some(text) => json!(text),
        // Whatever is no plain value matters to nobody here but as being there.
        None => json!({}),
    };
    let path = path.replace("::", ".");
    let nested = path
        .split('.')
        .rev()
        .fold(value, |inner, key| json!({ key: inner }));
    Some(nested.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_configurations_are_found_among_other_arguments() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.yaml");
        fs::write(&path, "a: 1").unwrap();
        let args = [
            "--feature-gates=x",
            "--set=service.telemetry.logs.level=error",
            "--set",
            "a::b=1",
            "--config",
            &path.display().to_string(),
            "--config=env:CONFIG",
            "--config=yaml:c::d: 2",
            "--config=yaml:{e: {f: 3}}",
            "--config=https://h/c",
            "--config",
        ]
        .map(str::to_owned);
        let found =
            ArgumentDocuments::of(&args, |name| (name == "CONFIG").then(|| "b: 2".to_owned()));
        let text = |documents: &[Vec<u8>]| {
            documents
                .iter()
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            text(&found.before),
            ["a: 1", "b: 2", r#"{"c":{"d":"2"}}"#, "{e: {f: 3}}"]
        );
        assert_eq!(
            text(&found.after),
            [
                r#"{"service":{"telemetry":{"logs":{"level":"error"}}}}"#,
                r#"{"a":{"b":"1"}}"#
            ]
        );
    }
}
