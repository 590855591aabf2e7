//! A Git repository as the config source of a whole server: what is pushed reaches agents, what is wrong changes nothing.

pub(crate) mod ways;

use std::time::{Duration, Instant};

use api_types::config_source::{ConfigSource, SourceFetch};
use api_types::configs::{Config, Revision};
use fleetsim::Options;
use runtime::{Clock as _, SystemClock};
use serde_json::json;
use testkit::fleet::{runs, wait_until_all_run, wait_until_connected};
use testkit::{Fleet, TestServer, wait_until, wait_until_some};

use crate::{FIRST, SECOND};
use ways::{Way, Wrong};

/// How often a server looks at the repository.
const INTERVAL: Duration = Duration::from_secs(1);
/// What a push may take to agents beside the interval.
const ROOM: Duration = Duration::from_secs(2);
/// So many pushes in a row may take longer, because the machine does something else, before the server is to blame.
const TRIES: u32 = 8;
const STATUS: &str = "/api/v1/config-source";
const BY_ITSELF: &str = "release: all_at_once";

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

fn refused(status: &ConfigSource) -> Option<&str> {
    Some(status.refused.as_ref()?.commit.id.as_str())
}

/// The head that the last look found, if it found any.
fn head(status: &ConfigSource) -> Option<&str> {
    status.last_fetch.as_ref()?.head.as_deref()
}

/// The kind of failure that the last look came to.
fn reason(status: &ConfigSource) -> Option<&str> {
    status.last_fetch.as_ref()?.reason.as_deref()
}

/// Agents that say nothing by themselves.
fn silent(options: &mut Options) {
    options.heartbeat = Duration::from_secs(600);
}

/// A body as no commit had it.
fn body(number: u32) -> String {
    format!("{SECOND}# {number}\n")
}

/// Pushes until the agents run what was pushed within the interval and [`ROOM`]; or finds the server too slow.
///
/// One push in time shows that the server needs no longer: there is no other interval that it could be lucky with (see
/// [`Way::server`]). One that is late shows only that the machine was busy. What no busy machine excuses must hold of each:
/// the first look that begins after a push takes it.
async fn arrives_in_time(way: &Way, server: &TestServer, fleet: &Fleet) {
    let mut late = Vec::new();
    for number in 0..TRIES {
        way.write("base", &body(number));
        let commit = way.push(&format!("number {number}"));
        let (pushed, pushed_at) = (Instant::now(), SystemClock.now());
        let mut looks: Vec<SourceFetch> = Vec::new();
        wait_until("every agent to run what was pushed", async || {
            let arrived = fleet
                .agents()
                .iter()
                .all(|agent| runs(agent, &body(number)));
            let look = status(server).await.last_fetch;
            let new = look.filter(|look| pushed_at < look.at && looks.last() != Some(look));
            looks.extend(new);
            arrived
        })
        .await;
        let took = pushed.elapsed();
        let without = |look: &&SourceFetch| look.head.as_ref() != Some(&commit);
        // One was under way.
        assert!(looks.iter().filter(without).count() <= 1, "{looks:?}");
        if took <= INTERVAL + ROOM {
            return;
        }
        late.push(took);
    }
    panic!("{TRIES} pushes took {late:?}");
}

/// What every way to a repository must do: what is pushed arrives, what is wrong changes nothing, and a login that is
/// refused is told until it is mended.
async fn follows(way: Option<Way>) {
    let Some(way) = way else { return };
    way.write("base", FIRST);
    way.push("first");
    let mut server = way.server(BY_ITSELF).await;
    let fleet = server.fleet(2, silent).await;
    wait_until_connected(&fleet).await;
    wait_until_all_run(&fleet, FIRST).await;
    arrives_in_time(&way, &server, &fleet).await;
    a_bad_commit_changes_nothing(&way, &server, &fleet).await;
    if let Some(wrong) = way.wrong() {
        a_refused_login_is_told_and_mended(&way, &wrong, (&mut server, &fleet)).await;
    }
}

/// Each agent is offered the good commit after it, and nothing before that.
async fn a_bad_commit_changes_nothing(way: &Way, server: &TestServer, fleet: &Fleet) {
    let revisions = async || {
        let listed = server.api().get("/api/v1/configs/base/revisions").await;
        let configs = server.api().get("/api/v1/configs").await;
        (listed.text, configs.text)
    };
    let (running, offers) = (running(fleet), fleet.stats().offers);
    let before = (
        applied(&status(server).await).map(str::to_owned),
        revisions().await,
    );
    way.write("base", FIRST);
    way.write("other", "receivers:\n  otlp: {\n");
    let bad = way.push("bad");
    let shown = wait_for_status(server, "the refusal", |shown| refused(shown) == Some(&bad)).await;
    let after = (applied(&shown).map(str::to_owned), revisions().await);
    assert_eq!(after, before);
    let [fault] = &shown.refused.expect("a refusal").findings[..] else {
        panic!("one fault was made");
    };
    assert_eq!(
        (&*fault.file, fault.line, fault.column, &*fault.code),
        ("other.yaml", Some(2), Some(9), "config-body"),
        "{}",
        fault.problem
    );
    assert_eq!(self::running(fleet), running);

    way.write("base", SECOND);
    way.repository
        .git(&["rm", "-q", "-f", "other.yaml", "other.config.yaml"]);
    way.push("mended");
    wait_until_all_run(fleet, SECOND).await;
    assert_eq!(fleet.stats().offers, offers + 2);
    assert!(status(server).await.refused.is_none());
}

/// What each agent runs.
fn running(fleet: &Fleet) -> Vec<String> {
    let agents = fleet.agents().into_iter();
    agents.map(|agent| agent.effective_sha256).collect()
}

async fn a_refused_login_is_told_and_mended(
    way: &Way,
    wrong: &Wrong,
    (server, fleet): (&mut TestServer, &Fleet),
) {
    let before = status(server).await;
    way.lock_out(server, wrong, BY_ITSELF);
    server.restart().await;
    wait_until_connected(fleet).await;
    way.write("base", FIRST);
    way.push("while nobody could look");
    let shown = wait_for_status(server, "two failures", |shown| {
        let look = shown.last_fetch.as_ref();
        look.is_some_and(|look| 2 <= look.failures)
    })
    .await;
    assert_eq!(reason(&shown), Some(wrong.reason));
    assert_eq!(applied(&shown), applied(&before));
    assert!(fleet.agents().iter().all(|agent| runs(agent, SECOND)));

    way.let_in(server, BY_ITSELF);
    server.restart().await;
    wait_until_all_run(fleet, FIRST).await;
    wait_for_status(server, "a look that succeeds", |shown| {
        let look = shown.last_fetch.as_ref();
        look.is_some_and(|look| look.success && look.failures == 0)
    })
    .await;
    arrives_in_time(way, server, fleet).await;
}

#[tokio::test]
async fn a_repository_in_a_directory_is_followed() {
    follows(Way::in_a_directory()).await;
}

#[tokio::test]
async fn a_repository_is_followed_over_ssh() {
    follows(Way::over_ssh()).await;
}

#[tokio::test]
async fn a_repository_is_followed_over_http() {
    follows(Way::over_http()).await;
}

#[tokio::test]
async fn what_a_server_misses_while_it_is_away_is_there_once_it_is_back() {
    let Some(way) = Way::in_a_directory() else {
        return;
    };
    way.write("base", FIRST);
    let first = way.push("first");
    let mut server = way.server(BY_ITSELF).await;
    let fleet = server.fleet(2, silent).await;
    wait_until_connected(&fleet).await;
    wait_until_all_run(&fleet, FIRST).await;
    let shown = wait_for_status(&server, "the commit", |shown| {
        applied(shown) == Some(&first)
    })
    .await;
    let author = shown.applied.expect("a commit").commit.author;
    assert_eq!(author, "Ada Lovelace <ada@example.com>");
    way.write("base", SECOND);
    let second = way.push("second");
    wait_until_all_run(&fleet, SECOND).await;

    // A commit that was refused still is after a restart, and changes no more than before.
    way.write("base", FIRST);
    way.write("other", "receivers: {\n");
    let bad = way.push("bad");
    wait_for_status(&server, "the refusal", |shown| refused(shown) == Some(&bad)).await;
    server.restart().await;
    wait_until_connected(&fleet).await;
    let shown = wait_for_status(&server, "a look after the restart", |shown| {
        head(shown) == Some(&bad)
    })
    .await;
    assert_eq!(
        (refused(&shown), applied(&shown)),
        (Some(&*bad), Some(&*second))
    );
    assert!(fleet.agents().iter().all(|agent| runs(agent, SECOND)));
    let config: Config = server.api().get("/api/v1/configs/base").await.ok();
    assert_eq!(config.latest.number, 2);

    // A force-push, too.
    server.stop().await;
    way.repository.git(&["reset", "-q", "--hard", &first]);
    way.repository.publish();
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
async fn configs_of_a_source_say_where_they_come_from_and_are_changed_there_alone() {
    let Some(way) = Way::in_a_directory() else {
        return;
    };
    way.write("base", FIRST);
    let commit = way.push("first");
    let server = way.server(BY_ITSELF).await;
    wait_for_status(&server, "the commit", |shown| {
        applied(shown) == Some(&commit)
    })
    .await;
    let api = server.api();
    let revision: Revision = api.get("/api/v1/configs/base/revisions/1").await.ok();
    assert_eq!(revision.summary.origin, format!("git {commit}"));
    assert_eq!(revision.summary.message, "first");
    let put = json!({ "kind": "collector", "body": SECOND });
    let refused = api.put("/api/v1/configs/base", &put).await.problem(409);
    assert!(refused.detail.expect("a reason").contains("origin.git"));
}

#[tokio::test]
async fn a_remote_that_is_away_is_told_and_what_was_applied_stays() {
    let Some(way) = Way::in_a_directory() else {
        return;
    };
    way.write("base", FIRST);
    let first = way.push("first");
    let server = way.server("webhook_secret: a-secret-of-the-webhook").await;
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

    let (origin, away) = (
        way.repository.address(),
        way.repository.root().join("away.git"),
    );
    std::fs::rename(&origin, &away).expect("renamed");
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
    std::fs::rename(&away, &origin).expect("renamed");
    way.write("base", SECOND);
    let second = way.push("second");
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
