//! What agents report to run: compared with what they should, and taken over as a config.

use domain::model::ConfigMap;
use otelcol::{Document, Drift, ParseError, Value, merge};

use crate::Limits;

/// The file that our agent adds to what its Collector is given; its own affair.
const ADDITIONS: &str = "opamp-agent.yaml";

/// Why what an agent runs cannot become a config.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It reports nothing.
    #[error("the agent reports no effective config: it cannot, or has not yet")]
    Nothing,
    /// It does not show its secrets.
    #[error(
        "the agent does not show its secret at {path}: take what it reports, put the secret or ${{env:NAME}} in its place, and put that as a revision"
    )]
    Masked {
        /// The way to the secret.
        path: String,
    },
    /// It reports what cannot be read.
    #[error("what the agent reports to run is no configuration; in its file {file:?}")]
    Unreadable {
        /// The file's name.
        file: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
}

/// The first value that stands in place of a secret, with the way to it.
fn masked(document: &Document) -> Option<String> {
    let leaves = document.leaves();
    let mut masked = leaves.iter().filter(|(path, _)| {
        let text = document.at(path).and_then(otelcol::Node::as_str);
        text.is_some_and(|text| otelcol::is_mask(text.trim()))
    });
    masked.next().map(|(path, _)| path.to_string())
}

/// How what an agent runs differs from what it should; nothing where one of them cannot be read.
#[must_use]
pub fn drift_of(desired: &ConfigMap, effective: &ConfigMap, limits: &Limits) -> Option<Drift> {
    let (desired, effective) = (whole(desired, limits).ok()?, whole(effective, limits).ok()?);
    Some(Drift::of(&desired, &effective))
}

/// What an agent runs as the body of a config: without what its supervisor adds for itself. A single file to which nothing
/// is added stays byte for byte.
///
/// # Errors
/// [`ImportError`].
pub fn importable(effective: &ConfigMap, limits: &Limits) -> Result<Vec<u8>, ImportError> {
    let mut own = effective.clone();
    own.remove(ADDITIONS);
    own.retain(|_, file| !file.body.iter().all(u8::is_ascii_whitespace));
    let document = whole(&own, limits)?;
    if let Some(path) = masked(&document) {
        return Err(ImportError::Masked { path });
    }
    let mut value = document.value();
    let is_changed = without_additions(&mut value);
    match own.into_values().collect::<Vec<_>>().as_slice() {
        [] => Err(ImportError::Nothing),
        [only] if !is_changed => Ok(only.body.to_vec()),
        [_] => Ok(value.to_yaml().into_bytes()),
        _ if is_changed => Ok(value.to_yaml().into_bytes()),
        _ => Ok(document.to_yaml().into_bytes()),
    }
}

/// All files as the Collector merges them, in the order of their names.
fn whole(files: &ConfigMap, limits: &Limits) -> Result<Document, ImportError> {
    let limits = otelcol::Limits {
        bytes: limits.merged_bytes,
        ..otelcol::Limits::default()
    };
    let read = |(name, file): (&String, &domain::model::ConfigFile)| {
        Document::parse_within(&file.body, &limits).map_err(|source| ImportError::Unreadable {
            file: name.clone(),
            source,
        })
    };
    let documents = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(merge(documents).document)
}

/// Takes out what supervisors add for themselves; says whether there was anything.
fn without_additions(value: &mut Value) -> bool {
    let Value::Map(root) = value else {
        return false;
    };
    let is_added = |id: &str| id.split('/').next().map(str::trim) == Some("opamp");
    let mut found = false;
    let mut drop_if = |condition: bool| {
        found |= condition;
        !condition
    };
    if let Some(Value::Map(extensions)) = root.get_mut("extensions") {
        extensions.retain(|id, _| drop_if(is_added(id)));
        if extensions.is_empty() {
            root.remove("extensions");
        }
    }
    if let Some(Value::Map(service)) = root.get_mut("service") {
        if let Some(Value::List(started)) = service.get_mut("extensions") {
            started.retain(|id| drop_if(matches!(id, Value::Str(id) if is_added(id))));
            if started.is_empty() {
                service.remove("extensions");
            }
        }
        if let Some(Value::Map(telemetry)) = service.get_mut("telemetry")
            && let Some(Value::Map(resource)) = telemetry.get_mut("resource")
        {
            // Of one agent alone.
            resource.retain(|name, _| drop_if(name == "service.instance.id"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use domain::model::ConfigFile;

    use super::*;

    fn files(given: &[(&str, &str)]) -> ConfigMap {
        let file = |(name, body): &(&str, &str)| ((*name).to_owned(), ConfigFile::new(*body, ""));
        given.iter().map(file).collect()
    }

    fn imported(given: &[(&str, &str)]) -> String {
        let body = importable(&files(given), &Limits::default()).unwrap();
        String::from_utf8(body).unwrap()
    }

    const PLAIN: &str = "# mine\nreceivers: {otlp: }\nservice: {pipelines: {}}\n";

    #[test]
    fn what_an_agent_runs_is_taken_over_without_what_its_supervisor_adds() {
        assert_eq!(imported(&[("", PLAIN)]), PLAIN);
        assert_eq!(
            imported(&[
                ("config.yaml", PLAIN),
                ("opamp-agent.yaml", "extensions: {opamp: {}}")
            ]),
            PLAIN
        );
        let supervised = "extensions:\n  opamp: {server: {ws: {endpoint: 'ws://127.0.0.1:1/'}}}\n  zpages: {}\nreceivers:\n  otlp: {}\nservice:\n  extensions: [opamp, zpages]\n  telemetry:\n    resource: {service.instance.id: x, team: red}\n";
        let body = imported(&[("", supervised)]);
        assert!(
            !body.contains("opamp") && !body.contains("service.instance.id"),
            "{body}"
        );
        assert!(
            body.contains("zpages") && body.contains("team: red"),
            "{body}"
        );
        // To the one who runs it, it is no change.
        let drift = drift_of(
            &files(&[("config.yaml", &body)]),
            &files(&[("", supervised)]),
            &Limits::default(),
        );
        assert!(drift.unwrap().is_empty());
        let two = [
            ("local/0-a.yaml", "a: 1\n"),
            ("local/1-b.yaml", "a: 2\nb: 'x'\n"),
        ];
        assert_eq!(imported(&two), "a: 2\nb: 'x'\n");
    }

    #[test]
    fn nothing_and_what_cannot_be_read_are_refused() {
        let refused =
            |given: &[(&str, &str)]| importable(&files(given), &Limits::default()).unwrap_err();
        assert!(matches!(refused(&[]), ImportError::Nothing));
        assert!(matches!(
            refused(&[("", " \n"), ("opamp-agent.yaml", "a: 1")]),
            ImportError::Nothing
        ));
        assert!(
            matches!(refused(&[("x", "a: [")]), ImportError::Unreadable { file, .. } if file == "x")
        );
        for mask in ["[REDACTED]", "****", "<redacted>", "xxxxx"] {
            let text = format!("exporters: {{otlp: {{headers: {{key: '{mask}'}}}}}}");
            let refusal = refused(&[("", &text)]);
            assert!(
                matches!(&refusal, ImportError::Masked { path } if path == "exporters::otlp::headers::key"),
                "{refusal}"
            );
        }
        let broken = files(&[("", "a: [")]);
        assert_eq!(
            drift_of(&files(&[("", "a: 1")]), &broken, &Limits::default()),
            None
        );
    }
}
