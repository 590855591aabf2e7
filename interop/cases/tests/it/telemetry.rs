//! Spans sent to a collector over OTLP/HTTP, and what comes out of its file exporter.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use testkit::wait_until;

/// A collector's receiver and the file that its exporter writes.
pub struct Pipeline {
    pub port: u16,
    pub file: PathBuf,
    client: reqwest::Client,
}

impl Pipeline {
    pub fn new(file: PathBuf) -> Self {
        Self {
            port: testkit::process::free_port().port(),
            file,
            client: reqwest::Client::new(),
        }
    }

    /// A configuration with this sampling percentage that gives each span the attribute `team`.
    pub fn config(&self, percentage: u32, team: &str) -> String {
        format!(
            "receivers:\n  otlp:\n    protocols:\n      http:\n        endpoint: 127.0.0.1:{}\n\
             processors:\n  probabilistic_sampler:\n    sampling_percentage: {percentage}\n\
             \x20 transform:\n    trace_statements:\n      - set(span.attributes[\"team\"], \"{team}\")\n\
             exporters:\n  file:\n    path: {}\n    append: true\n\
             service:\n  telemetry:\n    metrics:\n      level: none\n\
             \x20 pipelines:\n    traces:\n      receivers: [otlp]\n      processors: [probabilistic_sampler, transform]\n      exporters: [file]\n",
            self.port,
            self.file.display(),
        )
    }

    /// Sends `count` traces of one span each. The ids follow from `batch` and a number, so that a run is like any other.
    pub async fn send(&self, batch: &str, count: usize) {
        let status = self.try_send(batch, count).await;
        assert!(
            status.is_some_and(|status| status.is_success()),
            "{status:?}"
        );
    }

    /// Sends them as soon as a receiver takes them, which a collector that restarts does not at once.
    pub async fn send_when_up(&self, batch: &str, count: usize) {
        wait_until("the receiver", async || {
            let status = self.try_send(batch, count).await;
            status.is_some_and(|status| status.is_success())
        })
        .await;
    }

    async fn try_send(&self, batch: &str, count: usize) -> Option<reqwest::StatusCode> {
        let span = |number: usize| {
            let digest = trust::hex(&trust::sha256(format!("{batch} {number}").as_bytes()));
            json!({
                "traceId": digest[..32], "spanId": digest[32..48], "name": batch, "kind": 1,
                "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000001000000000",
            })
        };
        let spans: Vec<Value> = (0..count).map(span).collect();
        let body = json!({"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": spans}]}]});
        let url = format!("http://127.0.0.1:{}/v1/traces", self.port);
        let answer = self.client.post(url).json(&body).send().await;
        answer.ok().map(|answer| answer.status())
    }

    /// The values of `team` on the spans of `batch` that came out, once the number of them stands still at `least` or more.
    pub async fn teams(&self, batch: &str, least: usize) -> Vec<String> {
        let mut last = Vec::new();
        wait_until(
            &format!("spans of {batch} in {}", self.file.display()),
            async || {
                let teams = self.read(batch);
                let is_still = least <= teams.len() && teams.len() == last.len();
                last = teams;
                if !is_still {
                    // The exporter writes what it gets at once, so that two equal looks this far apart have seen all of it.
                    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                }
                is_still
            },
        )
        .await;
        last
    }

    fn read(&self, batch: &str) -> Vec<String> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines
            .flat_map(|line| spans_of(&line))
            .filter(|span| span["name"] == batch)
            .filter_map(|span| team_of(&span))
            .collect()
    }
}

fn spans_of(line: &Value) -> Vec<Value> {
    let items = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let scopes = items(line, "resourceSpans")
        .iter()
        .flat_map(|resource| items(resource, "scopeSpans"))
        .collect::<Vec<_>>();
    scopes
        .iter()
        .flat_map(|scope| items(scope, "spans"))
        .collect()
}

fn team_of(span: &Value) -> Option<String> {
    let attributes = span["attributes"].as_array()?;
    let team = attributes
        .iter()
        .find(|attribute| attribute["key"] == "team")?;
    Some(team["value"]["stringValue"].as_str()?.to_owned())
}
