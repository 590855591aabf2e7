//! Killed with -9 at every write point of a release: before each statement of its two transactions, and before and after
//! their commits. Whatever was answered stands, the rest is wholly there or wholly not, and the fleet runs what is in force.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};
use testkit::fleet::{quick, sha256_hex, wait_until_all_run, wait_until_connected};
use testkit::{Fleet, ServerProcess};

use crate::labels;

const PROGRAM: &str = env!("CARGO_BIN_EXE_opamp-server");
/// A release has more write points than this, and fewer than a test could sit out.
const POINTS: std::ops::Range<usize> = 15..60;
const SIGKILL: i32 = 9;

/// The file that says at which point the server is killed.
struct Failpoints(PathBuf);

impl Failpoints {
    fn arm(&self, points: usize) {
        std::fs::write(&self.0, points.to_string()).expect("written");
    }

    /// Takes the file away, and gives the points that were passed since it was there.
    fn disarm(&self) -> Vec<String> {
        std::fs::remove_file(&self.0).expect("removed");
        let log = self.0.with_extension("log");
        let passed = std::fs::read_to_string(&log).unwrap_or_default();
        drop(std::fs::remove_file(log));
        passed.lines().map(str::to_owned).collect()
    }
}

/// What is stored about the config.
#[derive(Debug, PartialEq)]
struct Standing {
    revisions: Vec<(u64, String)>,
    baseline: u64,
    rollouts: Vec<u64>,
}

async fn standing(server: &ServerProcess) -> Standing {
    let api = server.api();
    let list = async |path: &str| -> Vec<Value> {
        let page: Value = api
            .get(&format!("/api/v1/configs/edge/{path}?limit=500"))
            .await
            .ok();
        page["items"].as_array().cloned().expect("a list")
    };
    let config: Value = api.get("/api/v1/configs/edge").await.ok();
    let mut revisions: Vec<(u64, String)> = Vec::new();
    for revision in list("revisions").await {
        let number = revision["number"].as_u64().expect("a number");
        revisions.push((
            number,
            revision["sha256"].as_str().expect("a hash").to_owned(),
        ));
    }
    revisions.sort();
    let mut rollouts = Vec::new();
    for rollout in list("rollouts").await {
        assert_eq!(rollout["status"], "completed", "{rollout}");
        rollouts.push(rollout["revision"].as_u64().expect("a target"));
    }
    rollouts.sort_unstable();
    Standing {
        revisions,
        baseline: config["baseline"].as_u64().expect("a baseline"),
        rollouts,
    }
}

/// How many entries of a kind the audit log has.
async fn audited(server: &ServerProcess, event_type: &str) -> usize {
    let mut found = 0;
    let mut cursor = String::new();
    loop {
        let page: Value = server
            .api()
            .get(&format!("/api/v1/audit?limit=500{cursor}"))
            .await
            .ok();
        let items = page["items"].as_array().expect("a list");
        found += items
            .iter()
            .filter(|entry| entry["event"] == event_type)
            .count();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

fn body(number: usize) -> String {
    format!("receivers: {{}}\nexporters:\n  debug: {{ sampling_initial: {number} }}\n")
}

/// Makes a revision and releases it, as far as the server lives; says what was answered 2xx.
async fn try_release(server: &ServerProcess, body: &str) -> (bool, bool) {
    let api = server.api();
    let revision =
        json!({"kind": "collector", "selector": "env=prod", "body": body, "message": "test"});
    let put = api
        .request(Method::PUT, "/api/v1/configs/edge")
        .json(&revision);
    let put = api
        .try_send(put)
        .await
        .is_some_and(|answer| answer.status.is_success());
    if !put {
        return (false, false);
    }
    let post = api
        .request(Method::POST, "/api/v1/configs/edge/rollouts")
        .json(&json!({"strategy": "all_at_once", "force": true}));
    let post = api
        .try_send(post)
        .await
        .is_some_and(|answer| answer.status.is_success());
    (true, post)
}

async fn start(directory: &Path) -> (ServerProcess, Fleet, Failpoints) {
    let mut server = ServerProcess::start(PROGRAM, "").await;
    let failpoints = Failpoints(directory.join("failpoints"));
    server.kill().await;
    server.set_environment("OPAMP_FAILPOINTS", failpoints.0.as_os_str());
    server.spawn();
    server.wait_until_ready().await;
    let endpoint = format!("ws://{}/v1/opamp", server.agent_addr()).parse();
    let mut options = fleetsim::Options::new(endpoint.expect("an endpoint"), 4);
    quick(&mut options);
    options.labels = labels(&["env=prod"]);
    let fleet = Fleet::start(options).await.expect("a fleet");
    wait_until_connected(&fleet).await;
    (server, fleet, failpoints)
}

#[tokio::test]
async fn a_release_killed_at_every_write_point_is_wholly_there_or_wholly_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut server, fleet, failpoints) = start(directory.path()).await;
    server.api().release("edge", "env=prod", &body(0)).await;
    wait_until_all_run(&fleet, &body(0)).await;
    let mut before = standing(&server).await;
    let mut points: Vec<String> = Vec::new();
    loop {
        let point = points.len() + 1;
        let body = body(point);
        failpoints.arm(point);
        let answered = try_release(&server, &body).await;
        if answered == (true, true) {
            // It has no more points than it passed.
            let passed = failpoints.disarm();
            assert_eq!(passed.len() + 1, point, "{passed:?} after {points:?}");
            wait_until_all_run(&fleet, &body).await;
            break;
        }
        assert_eq!(
            server.wait_until_gone().await.signal(),
            Some(SIGKILL),
            "{}",
            server.log()
        );
        let passed = failpoints.disarm();
        assert_eq!(passed.len(), point, "{passed:?}");
        points.push(passed.last().expect("a point").clone());
        server.spawn();
        server.wait_until_ready().await;
        wait_until_connected(&fleet).await;

        let after = standing(&server).await;
        let (latest, hash) = (before.revisions.len() as u64 + 1, sha256_hex(&body));
        let made = after.revisions.len() > before.revisions.len();
        let released = after.baseline == latest;
        let mut expected = before;
        if made {
            expected.revisions.push((latest, hash));
        }
        if released {
            expected.baseline = latest;
            expected.rollouts.push(latest);
        }
        assert_eq!(after, expected, "killed at {point}, {:?}", points.last());
        assert!(
            made || !answered.0,
            "a revision that was answered is lost at {point}"
        );
        assert!(made || !released);
        assert_eq!(
            audited(&server, "config.revision_created").await,
            after.revisions.len(),
            "at {point}"
        );
        assert_eq!(
            audited(&server, "rollout.started").await,
            after.rollouts.len(),
            "at {point}"
        );
        let verified: Value = server.api().get("/api/v1/audit/verify").await.ok();
        assert_eq!(verified["intact"], true, "killed at {point}: {verified}");
        let in_force = after
            .revisions
            .iter()
            .find(|(number, _)| *number == after.baseline);
        let in_force = &in_force.expect("the revision in force").1;
        testkit::wait_until("the fleet to run what is in force", async || {
            fleet
                .agents()
                .iter()
                .all(|agent| agent.connected && agent.running_hash == *in_force)
        })
        .await;
        before = after;
    }
    println!(
        "a release has {} write points, and was killed at each:",
        points.len()
    );
    for (number, point) in points.iter().enumerate() {
        println!("{:3} {point}", number + 1);
    }
    assert!(POINTS.contains(&points.len()), "{points:?}");
    for commit in ["before the commit", "after the commit"] {
        let transactions = points.iter().filter(|point| *point == commit).count();
        assert_eq!(
            transactions, 2,
            "one for the revision, one for the rollout: {points:?}"
        );
    }
}
