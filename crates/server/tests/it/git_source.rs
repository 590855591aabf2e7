//! A Git repository as the config source of a whole server: what is pushed reaches agents, what is wrong changes nothing.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use api_types::config_source::ConfigSource;
use api_types::configs::{Config, Revision};
use serde_json::json;
use tempfile::TempDir;
use testkit::fleet::{runs, wait_until_all_run, wait_until_connected};
use testkit::{Fleet, TestServer, wait_until, wait_until_some};

use crate::{FIRST, SECOND};

const INTERVAL: Duration = Duration::from_secs(1);
const STATUS: &str = "/api/v1/config-source";

/// A bare repository and a working copy that is pushed to it.
pub(crate) struct Repository(TempDir);

impl Repository {
    /// `None` where there is no `git`, unless everything is required.
    pub(crate) fn new() -> Option<Self> {
        let found = Command::new("git").arg("--version").output().is_ok();
        if !found {
            let required = std::env::var("REQUIRE_ALL").is_ok_and(|value| value == "1");
            assert!(!required, "there is no git");
            return None;
        }
        let repository = Self(tempfile::tempdir().expect("a directory"));
        let (origin, work) = (repository.origin(), repository.work());
        run(Command::new("git")
            .args(["init", "-q", "--bare", "-b", "main"])
            .arg(&origin));
        run(Command::new("git")
            .args(["init", "-q", "-b", "main"])
            .arg(&work));
        Some(repository)
    }

    fn origin(&self) -> PathBuf {
        self.0.path().join("origin.git")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.0.path().join("work")
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        run(Command::new("git")
            .arg("-C")
            .arg(self.work())
            .args(arguments))
    }

    /// Writes the document of a config and its body.
    fn write(&self, name: &str, body: &str) {
        let document = format!("name: {name}\nfile: {name}.yaml\n");
        std::fs::write(self.work().join(format!("{name}.config.yaml")), document).expect("a file");
        std::fs::write(self.work().join(format!("{name}.yaml")), body).expect("a file");
    }

    /// Commits what there is, pushes it, and says the commit's id.
    pub(crate) fn push(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.publish();
        self.git(&["rev-parse", "HEAD"])
    }

    fn publish(&self) {
        let origin = self.origin().display().to_string();
        self.git(&["push", "-q", "--force", &origin, "main"]);
    }
}

fn run(command: &mut Command) -> String {
    let output = command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([
            ("GIT_AUTHOR_NAME", "Ada"),
            ("GIT_AUTHOR_EMAIL", "ada@example.com"),
        ])
        .envs([
            ("GIT_COMMITTER_NAME", "Cora"),
            ("GIT_COMMITTER_EMAIL", "cora@example.com"),
        ])
        .output()
        .expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout)
        .expect("a text")
        .trim()
        .to_owned()
}

pub(crate) async fn server_of(repository: &Repository, more: &str) -> TestServer {
    let section = format!(
        "config_source: {{ type: git, git: {{ repository: '{}', sync_interval: 1s, {more} }} }}\n",
        repository.origin().display()
    );
    TestServer::builder().config(&section).start().await
}

async fn status(server: &TestServer) -> ConfigSource {
    server.api().get(STATUS).await.ok()
}

pub(crate) async fn wait_for_status(
    server: &TestServer,
    what: &str,
    condition: impl Fn(&ConfigSource) -> bool,
) -> ConfigSource {
    wait_until_some(what, async || Some(status(server).await).filter(&condition)).await
}

fn applied(status: &ConfigSource) -> Option<&str> {
    Some(status.applied.as_ref()?.commit.id.as_str())
}

/// Waits until the fleet runs a body, and says how long that took.
async fn until_run(fleet: &Fleet, body: &str) -> Duration {
    let pushed = Instant::now();
    wait_until_all_run(fleet, body).await;
    pushed.elapsed()
}

#[tokio::test]
async fn what_is_pushed_reaches_agents_and_a_bad_commit_changes_nothing() {
    let Some(repository) = Repository::new() else {
        return;
    };
    repository.write("base", FIRST);
    let first = repository.push("first");
    let mut server = server_of(&repository, "release: all_at_once").await;
    let fleet = server.fleet(2, |_| {}).await;
    wait_until_connected(&fleet).await;
    wait_until_all_run(&fleet, FIRST).await;
    let shown = wait_for_status(&server, "the commit", |shown| {
        applied(shown) == Some(&first)
    })
    .await;
    assert_eq!(
        shown.applied.expect("a commit").commit.author,
        "Ada <ada@example.com>"
    );

    repository.write("base", SECOND);
    let second = repository.push("second");
    let took = until_run(&fleet, SECOND).await;
    assert!(took < INTERVAL + Duration::from_secs(2), "{took:?}");
    let revision: Revision = server
        .api()
        .get("/api/v1/configs/base/revisions/2")
        .await
        .ok();
    assert_eq!(revision.summary.origin, format!("git {second}"));
    assert_eq!(revision.summary.message, "second");
    let put = json!({ "kind": "collector", "body": FIRST });
    let refused = server
        .api()
        .put("/api/v1/configs/base", &put)
        .await
        .problem(409);
    assert!(refused.detail.expect("a reason").contains("origin.git"));

    // A bad commit shows, and changes nothing; nor does a restart.
    repository.write("base", FIRST);
    repository.write("other", "receivers: {\n");
    let bad = repository.push("bad");
    let is_refused = |shown: &ConfigSource| {
        shown
            .refused
            .as_ref()
            .is_some_and(|refused| refused.commit.id == bad)
    };
    let shown = wait_for_status(&server, "the refusal", is_refused).await;
    let findings = shown.refused.expect("a refusal").findings;
    assert_eq!((findings.len(), &*findings[0].file), (1, "other.yaml"));
    server.restart().await;
    wait_until_connected(&fleet).await;
    let fetched = |shown: &ConfigSource| {
        shown
            .last_fetch
            .as_ref()
            .is_some_and(|fetch| fetch.head.as_deref() == Some(&bad))
    };
    let shown = wait_for_status(&server, "a look after the restart", fetched).await;
    assert!(is_refused(&shown));
    assert_eq!(applied(&shown), Some(&*second));
    assert!(fleet.agents().iter().all(|agent| runs(agent, SECOND)));
    let config: Config = server.api().get("/api/v1/configs/base").await.ok();
    assert_eq!(config.latest.number, 2);

    // What is pushed while the server is away is there once it is back, a force-push, too.
    server.stop().await;
    repository.git(&["reset", "-q", "--hard", &first]);
    repository.publish();
    server.start_again().await;
    wait_until_connected(&fleet).await;
    wait_until_all_run(&fleet, FIRST).await;
    let shown = wait_for_status(&server, "the old commit", |shown| {
        applied(shown) == Some(&first)
    })
    .await;
    assert!(shown.applied.expect("a commit").forced);
    assert!(shown.refused.is_none());
}

#[tokio::test]
async fn a_remote_that_is_away_is_told_and_what_was_applied_stays() {
    let Some(repository) = Repository::new() else {
        return;
    };
    repository.write("base", FIRST);
    let first = repository.push("first");
    let server = server_of(&repository, "webhook_secret: a-secret-of-the-webhook").await;
    let shown = wait_for_status(&server, "the commit", |shown| {
        applied(shown) == Some(&first)
    })
    .await;
    // Without being told so, nothing is released.
    let waiting: Vec<_> = shown
        .waiting
        .iter()
        .map(|waiting| waiting.config.as_str())
        .collect();
    assert_eq!(waiting, ["base"]);

    let away = repository.0.path().join("away.git");
    std::fs::rename(repository.origin(), &away).expect("renamed");
    let failed = |shown: &ConfigSource| {
        shown
            .last_fetch
            .as_ref()
            .is_some_and(|fetch| !fetch.success)
    };
    let shown = wait_for_status(&server, "the failure", failed).await;
    assert_eq!(applied(&shown), Some(&*first));
    let metrics = server.api().get("/metrics").await.text;
    assert!(
        metrics.contains("opamp_server_config_source_failures_total{reason="),
        "{metrics}"
    );
    std::fs::rename(&away, repository.origin()).expect("renamed");
    repository.write("base", SECOND);
    let second = repository.push("second");
    // A webhook ends the pause.
    let hook = server
        .api()
        .with_token(None)
        .request(reqwest::Method::POST, "/api/v1/config-source/webhook")
        .header("x-gitlab-token", "a-secret-of-the-webhook");
    let answer = server.api().try_send(hook).await.expect("an answer");
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
    wait_for_status(&server, "the second commit", |shown| {
        applied(shown) == Some(&second)
    })
    .await;
    let rollout = server.api().start_rollout("base").await;
    assert_eq!(rollout.affected, 0);
    wait_until("nothing to wait", async || {
        status(&server).await.waiting.is_empty()
    })
    .await;
}
