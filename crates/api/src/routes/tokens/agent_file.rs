//! `GET /opamp.yaml`: the file that a new agent starts with.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use api_types::ProblemKind;
use api_types::tokens::AgentFile;
use axum::extract::State;
use engine::domain::labels::Labels;
use http::{HeaderName, header};

use crate::extract::Query;
use crate::problem::{ApiError, ApiResult};
use crate::state::ApiState;

const DEFAULT_EXECUTABLE: &str = "/usr/bin/otelcol-contrib";
const DEFAULT_INSTANCE_ID: &str = "${HOSTNAME}";
/// The longest value that is put into the file, in bytes.
const VALUE_MAX_BYTES: usize = 1024;

/// An `opamp.yaml` that lets an agent connect here. It reads its token from the environment variable `OPAMP_TOKEN`: make
/// one with `POST /tokens`.
#[utoipa::path(get, path = "/opamp.yaml", tag = "tokens", params(AgentFile),
    responses((status = 200, content_type = "application/yaml", body = String)))]
pub(crate) async fn get_agent_file(
    State(state): State<ApiState>,
    Query(query): Query<AgentFile>,
) -> ApiResult<([(HeaderName, &'static str); 2], String)> {
    let file = write_file(&state.public_url, &query)?;
    let headers = [
        (header::CONTENT_TYPE, "application/yaml; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"opamp.yaml\"",
        ),
    ];
    Ok((headers, file))
}

fn write_file(endpoint: &str, query: &AgentFile) -> ApiResult<String> {
    let labels = read_labels(query.labels.as_deref().unwrap_or_default())?;
    let instance_id = match checked(query.instance_id.as_deref(), "instance_id")? {
        Some(id) => literal(id),
        None => quoted(DEFAULT_INSTANCE_ID),
    };
    let executable = checked(query.executable.as_deref(), "executable")?
        .map_or_else(|| quoted(DEFAULT_EXECUTABLE), literal);
    let mut file = String::from(
        "# Start with: OPAMP_TOKEN=opamp_agt_... opamp-agent --config opamp.yaml\nopamp:\n  server:\n",
    );
    let insecure = endpoint.starts_with("ws://") || endpoint.starts_with("http://");
    write!(
        file,
        "    endpoint: {}\n    headers: {{ authorization: \"Bearer ${{OPAMP_TOKEN}}\" }}\n{}  agent:\n    instance_id: {instance_id}\n",
        quoted(endpoint),
        if insecure { "" } else { "    # tls: { ca_file: /etc/opamp-agent/ca.pem }   # for a private certificate authority\n" },
    )
    .expect("writing to a string");
    if !labels.is_empty() {
        file.push_str("    labels:\n");
        for (key, value) in labels {
            writeln!(file, "      {}: {}", literal(key), literal(value))
                .expect("writing to a string");
        }
    }
    write!(
        file,
        "  capabilities: {{ accepts_remote_config: true, reports_health: true, accepts_restart_command: true }}\n\
         \x20 health: {{ report_interval: 30s }}\n\
         collector:\n  executable: {executable}\n  config_path: /etc/otelcol/config.yaml\n\
         storage: {{ directory: /var/lib/opamp-agent }}\n",
    )
    .expect("writing to a string");
    Ok(file)
}

/// Reads `env=prod,region=us-west`.
fn read_labels(text: &str) -> ApiResult<Vec<(&str, &str)>> {
    let refuse = |detail: String| {
        ApiError::new(ProblemKind::InvalidQuery)
            .field("labels")
            .detail(detail)
    };
    let pairs = text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    let mut seen = BTreeSet::new();
    pairs
        .map(|pair| {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| refuse(format!("{pair:?} is no label; write env=prod,region=us")))?;
            Labels::check(key, value).map_err(|error| refuse(format!("{pair:?}: {error}")))?;
            if !seen.insert(key) {
                return Err(refuse(format!("the label {key:?} stands more than once")));
            }
            Ok((key, value))
        })
        .collect()
}

fn checked<'a>(value: Option<&'a str>, field: &str) -> ApiResult<Option<&'a str>> {
    match value {
        Some(value) if value.is_empty() || VALUE_MAX_BYTES < value.len() => {
            Err(ApiError::new(ProblemKind::InvalidQuery)
                .field(field)
                .detail(format!("must have 1 to {VALUE_MAX_BYTES} bytes")))
        }
        other => Ok(other),
    }
}

/// A YAML scalar of just this text; `${` in it is no reference.
fn literal(text: &str) -> String {
    quoted(&text.replace("${", "$${"))
}

/// A YAML scalar of this text, references in it left as they are. JSON's strings are YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_what_was_asked_for() {
        let query = AgentFile {
            labels: Some("env=prod, region=us-west".into()),
            ..AgentFile::default()
        };
        let file = write_file("wss://opamp.example.com:4320/v1/opamp", &query).unwrap();
        for line in [
            "    endpoint: \"wss://opamp.example.com:4320/v1/opamp\"\n",
            "    headers: { authorization: \"Bearer ${OPAMP_TOKEN}\" }\n",
            "    instance_id: \"${HOSTNAME}\"\n",
            "      \"env\": \"prod\"\n      \"region\": \"us-west\"\n",
            "  health: { report_interval: 30s }\ncollector:\n  executable: \"/usr/bin/otelcol-contrib\"\n",
        ] {
            assert!(file.contains(line), "{line:?} in\n{file}");
        }
    }

    #[test]
    fn values_cannot_break_out_of_their_place() {
        let query = AgentFile {
            labels: Some("a=${HOME}".into()),
            instance_id: Some("x\"\ncollector: {executable: /bin/sh}".into()),
            ..AgentFile::default()
        };
        let file = write_file("ws://localhost:4320/v1/opamp", &query).unwrap();
        assert!(
            file.contains(r#"instance_id: "x\"\ncollector: {executable: /bin/sh}""#),
            "{file}"
        );
        assert!(file.contains("\"a\": \"$${HOME}\""), "{file}");
    }

    #[test]
    fn bad_labels_are_refused_by_name() {
        for labels in ["env", "=prod", "env=a,env=b"] {
            assert!(
                write_file(
                    "ws://x",
                    &AgentFile {
                        labels: Some(labels.into()),
                        ..AgentFile::default()
                    }
                )
                .is_err()
            );
        }
    }
}
