//! How the collector is: from its health extension where it has one, else from its process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use opamp::model::{Attribute, Health};
use runtime::{CancellationToken, Clock};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::collector::HealthEndpoint;
use crate::report::ReportSender;

/// While the collector starts it is asked this often.
const STARTING_POLL: Duration = Duration::from_millis(250);
/// Otherwise it is asked at least this often, so that a change is soon known.
const POLL: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
const MAX_DEPTH: usize = 8;

/// The collector's process, as the supervisor sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessView {
    /// What it is doing.
    pub phase: Phase,
    /// Its number; none while it does not run.
    pub pid: Option<i32>,
    /// When it started, in nanoseconds since the Unix epoch; 0 while it does not run.
    pub start_time_unix_nano: u64,
    /// Why it does not run, or what went wrong last.
    pub problem: String,
    /// Where it can be asked.
    pub endpoint: Option<HealthEndpoint>,
}

/// What the process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// There is no configuration, so that nothing runs: as it should be.
    #[default]
    Idle,
    /// It was started or reloaded and is not ready yet.
    Starting,
    /// It runs.
    Running,
    /// It was asked to stop.
    Draining,
    /// It ended by itself and will be started again.
    Crashed,
    /// It cannot be started.
    Failed,
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "no configuration",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Crashed => "crashed",
            Self::Failed => "failed",
        }
    }
}

/// Keeps the report's health current until `shutdown`.
pub struct HealthWatch {
    /// The process.
    pub process: watch::Receiver<ProcessView>,
    /// Where health is reported.
    pub report: ReportSender,
    /// Longest time between two looks.
    pub interval: Duration,
    /// For the times in the report.
    pub clock: Arc<dyn Clock>,
}

impl HealthWatch {
    /// Runs until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let client = client();
        let mut last = Health::default();
        loop {
            let view = self.process.borrow_and_update().clone();
            let answer = match &view.endpoint {
                Some(endpoint) if view.pid.is_some() => ask(&client, endpoint).await,
                _ => Answer::Unasked,
            };
            let mut health = assess(&view, answer);
            stamp(&mut health, &last, nanos(&*self.clock));
            tell(&last, &health);
            self.report.set_health(health.clone());
            last = health;
            let pause = if view.phase == Phase::Starting {
                STARTING_POLL
            } else {
                POLL.min(self.interval)
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                changed = self.process.changed() => if changed.is_err() { return },
                () = sleep_until(Instant::now() + pause) => {}
            }
        }
    }
}

/// Whether `endpoint` says that all is well.
pub async fn is_up(endpoint: &HealthEndpoint) -> bool {
    match ask(&client(), endpoint).await {
        Answer::Up => true,
        Answer::Tree(node) => node.healthy,
        Answer::Unasked | Answer::Down(_) => false,
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(ANSWER_TIMEOUT)
        .no_proxy()
        .build()
        .unwrap_or_default()
}

/// What the health extension said.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    /// There is none to ask.
    Unasked,
    /// All is well, as far as it says.
    Up,
    /// It did not say that all is well, for this reason.
    Down(String),
    /// A tree of states.
    Tree(Node),
}

/// A node of the second health extension's answer.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
struct Node {
    healthy: bool,
    status: String,
    error: String,
    components: BTreeMap<String, Node>,
}

async fn ask(client: &reqwest::Client, endpoint: &HealthEndpoint) -> Answer {
    let answer = match client.get(&endpoint.url).send().await {
        Ok(answer) => answer,
        Err(error) => {
            return Answer::Down(format!(
                "its health endpoint {} does not answer: {}",
                endpoint.url,
                root_cause(&error)
            ));
        }
    };
    let status = answer.status();
    if endpoint.is_detailed
        && let Some(node) = read(answer).await
    {
        return Answer::Tree(node);
    }
    if status.is_success() {
        Answer::Up
    } else {
        Answer::Down(format!(
            "its health endpoint {} answers {status}",
            endpoint.url
        ))
    }
}

async fn read(mut answer: reqwest::Response) -> Option<Node> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        bytes.extend_from_slice(&chunk);
        if MAX_ANSWER_BYTES < bytes.len() {
            return None;
        }
    }
    serde_json::from_slice(&bytes).ok()
}

fn root_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}

fn assess(view: &ProcessView, answer: Answer) -> Health {
    let mut health = Health {
        healthy: matches!(view.phase, Phase::Running | Phase::Idle),
        status: view.phase.as_str().to_owned(),
        last_error: view.problem.clone(),
        start_time_unix_nano: view.start_time_unix_nano,
        attributes: view
            .pid
            .map(|pid| Attribute::new("process.pid", i64::from(pid)))
            .into_iter()
            .collect(),
        ..Health::default()
    };
    match answer {
        Answer::Down(reason) if view.phase == Phase::Running => {
            health.healthy = false;
            health.last_error = reason;
        }
        Answer::Tree(node) => {
            health.components = node
                .components
                .into_iter()
                .map(|(name, node)| (name, to_health(node, view, 1)))
                .collect();
            if view.phase == Phase::Running {
                health.healthy = node.healthy;
                health.status = node.status;
                health.last_error = node.error;
            }
        }
        Answer::Unasked | Answer::Up | Answer::Down(_) => {}
    }
    if !health.healthy && health.last_error.is_empty() {
        health.last_error = format!("the collector is {}", health.status);
    }
    if health.healthy {
        health.last_error.clear();
    }
    health
}

fn to_health(node: Node, view: &ProcessView, depth: usize) -> Health {
    let components = if depth < MAX_DEPTH {
        node.components
    } else {
        BTreeMap::new()
    };
    Health {
        healthy: node.healthy,
        status: node.status,
        last_error: node.error,
        start_time_unix_nano: view.start_time_unix_nano,
        components: components
            .into_iter()
            .map(|(name, node)| (name, to_health(node, view, depth + 1)))
            .collect(),
        ..Health::default()
    }
}

/// Gives each node the time since which it is as it is, so that an unchanged collector has an unchanged report.
fn stamp(health: &mut Health, last: &Health, now: u64) {
    let is_same = health.status == last.status
        && health.healthy == last.healthy
        && health.last_error == last.last_error;
    health.status_time_unix_nano = if is_same && last.status_time_unix_nano != 0 {
        last.status_time_unix_nano
    } else {
        now
    };
    for (name, part) in &mut health.components {
        stamp(
            part,
            last.components.get(name).unwrap_or(&Health::default()),
            now,
        );
    }
}

fn tell(last: &Health, health: &Health) {
    if health.healthy == last.healthy && health.status == last.status {
        return;
    }
    if health.healthy || health.status == Phase::Starting.as_str() {
        info!(
            event = "health_changed",
            healthy = health.healthy,
            status = health.status,
            "the collector's health changed"
        );
    } else {
        warn!(
            event = "health_changed",
            healthy = false,
            status = health.status,
            error = health.last_error,
            "the collector's health changed"
        );
    }
}

/// The present time in nanoseconds since the Unix epoch.
pub fn nanos(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.now().as_nanosecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(phase: Phase) -> ProcessView {
        ProcessView {
            phase,
            pid: Some(7),
            start_time_unix_nano: 5,
            ..ProcessView::default()
        }
    }

    #[test]
    fn a_running_process_without_an_endpoint_is_healthy() {
        let health = assess(&view(Phase::Running), Answer::Unasked);
        assert!(health.healthy && health.last_error.is_empty());
        assert_eq!(health.start_time_unix_nano, 5);
        assert_eq!(health.attributes, [Attribute::new("process.pid", 7_i64)]);
    }

    #[test]
    fn he_02_and_he_03_what_does_not_run_has_no_start_time_and_a_reason() {
        let crashed = ProcessView {
            phase: Phase::Crashed,
            problem: "exit code 1".to_owned(),
            ..ProcessView::default()
        };
        let health = assess(&crashed, Answer::Unasked);
        assert!(!health.healthy);
        assert_eq!(
            (health.last_error.as_str(), health.start_time_unix_nano),
            ("exit code 1", 0)
        );
        assert_eq!(
            assess(&view(Phase::Starting), Answer::Down("x".to_owned())).last_error,
            "the collector is starting"
        );
    }

    #[test]
    fn c28_an_agent_without_a_configuration_is_healthy() {
        assert!(assess(&ProcessView::default(), Answer::Unasked).healthy);
    }

    #[test]
    fn an_endpoint_that_says_no_makes_it_unhealthy() {
        let health = assess(
            &view(Phase::Running),
            Answer::Down("answers 503".to_owned()),
        );
        assert_eq!(
            (health.healthy, health.last_error.as_str()),
            (false, "answers 503")
        );
    }

    #[test]
    fn he_01_a_tree_becomes_components() {
        let json = r#"{"healthy":false,"status":"StatusRecoverableError","error":"refused","start_time":"x","components":
            {"pipeline:traces":{"healthy":true,"status":"StatusOK","components":{"receiver:otlp":{"healthy":true,"status":"StatusOK"}}}}}"#;
        let health = assess(
            &view(Phase::Running),
            Answer::Tree(serde_json::from_str(json).unwrap()),
        );
        assert_eq!(
            (
                health.healthy,
                health.status.as_str(),
                health.last_error.as_str()
            ),
            (false, "StatusRecoverableError", "refused")
        );
        assert!(health.components["pipeline:traces"].components["receiver:otlp"].healthy);
    }

    #[test]
    fn the_time_of_a_state_is_when_it_began() {
        let mut first = assess(&view(Phase::Running), Answer::Up);
        stamp(&mut first, &Health::default(), 10);
        let mut second = assess(&view(Phase::Running), Answer::Up);
        stamp(&mut second, &first, 20);
        assert_eq!(second, first);
        let mut third = assess(&view(Phase::Running), Answer::Down("x".to_owned()));
        stamp(&mut third, &second, 30);
        assert_eq!(third.status_time_unix_nano, 30);
    }
}
