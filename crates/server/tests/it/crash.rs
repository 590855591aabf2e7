//! Twenty times killed with -9 at random moments, during releases, label edits and reports: nothing that was answered 2xx is
//! lost, and the API's picture equals what the fleet itself says that it runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use api_types::agents::{Agent, ApplyStatus};
use fleetsim::log::LogLine;
use fleetsim::{AgentSnapshot, ConfigStatus, Fleet};
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::SmallRng};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::fleet::{quick, sha256_hex, wait_until_connected};
use testkit::{Api, ServerProcess, wait_until, wait_until_some};

use crate::labels;

const PROGRAM: &str = env!("CARGO_BIN_EXE_opamp-server");
const KILLS: usize = 20;
const AGENTS: usize = 24;
/// The two configs; an agent has the one that its label `env` names.
const ENVIRONMENTS: [&str; 2] = ["prod", "staging"];

/// What was answered 2xx: it must be there at the end.
#[derive(Default)]
struct Ledger {
    /// (config, number) → SHA-256 of the body and the message.
    revisions: BTreeMap<(String, u64), (String, String)>,
    /// config → the body that was released last.
    released: BTreeMap<String, String>,
    /// uid → the operator's labels.
    labels: BTreeMap<String, BTreeMap<String, String>>,
    /// Token id → whether it was revoked.
    tokens: BTreeMap<String, bool>,
    /// Writes.
    writes: usize,
}

/// One operator, who repeats each write until it is answered.
struct Writer {
    api: Api,
    random: SmallRng,
    stop: Arc<AtomicBool>,
}

impl Writer {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Sends a write until it is answered 2xx: what was not answered may or may not have been done, and is done again.
    async fn until_done(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        key: Option<&str>,
    ) -> Value {
        wait_until_some(&format!("{method} {path} to be answered"), async || {
            let mut request = self.api.request(method.clone(), path).json(body);
            if let Some(key) = key {
                request = request.header("idempotency-key", key);
            }
            let answer = self.api.try_send(request).await?;
            match answer.status.as_u16() {
                200..=299 if answer.text.is_empty() => Some(Value::Null),
                200..=299 => Some(answer.json()),
                500..=599 => None,
                _ => panic!("{method} {path}: {} {}", answer.status, answer.text),
            }
        })
        .await
    }

    async fn releases(mut self, config: &'static str) -> Ledger {
        let mut ledger = Ledger::default();
        while self.goes_on() {
            let number = self.random.next_u32();
            let body =
                format!("receivers: {{}}\nexporters:\n  debug: {{ sampling_initial: {number} }}\n");
            let message = format!("change {number}");
            let revision = json!({"kind": "collector", "selector": format!("env={config}"), "body": body, "message": message});
            let made = self
                .until_done(
                    Method::PUT,
                    &format!("/api/v1/configs/{config}"),
                    &revision,
                    None,
                )
                .await;
            let number = made["summary"]["number"].as_u64().expect("a number");
            ledger
                .revisions
                .insert((config.to_owned(), number), (sha256_hex(&body), message));
            let path = format!("/api/v1/configs/{config}/rollouts");
            let rollout = json!({"revision": number, "strategy": "all_at_once", "force": true});
            self.until_done(
                Method::POST,
                &path,
                &rollout,
                Some(&format!("{config}-{number}")),
            )
            .await;
            ledger.released.insert(config.to_owned(), body);
            ledger.writes += 2;
        }
        ledger
    }

    async fn labels(mut self, uids: Vec<String>) -> Ledger {
        let mut ledger = Ledger::default();
        while self.goes_on() {
            let uid = uids[self.random.random_range(0..uids.len())].clone();
            let env = ENVIRONMENTS[self.random.random_range(0..ENVIRONMENTS.len())];
            let rack = format!("r{}", self.random.random_range(0..100));
            let path = format!("/api/v1/agents/{uid}");
            self.until_done(
                Method::PATCH,
                &path,
                &json!({"labels": {"env": env, "rack": rack}}),
                None,
            )
            .await;
            let labels = [("env", env.to_owned()), ("rack", rack)]
                .map(|(key, value)| (key.to_owned(), value));
            ledger.labels.insert(uid, labels.into());
            ledger.writes += 1;
        }
        ledger
    }

    async fn tokens(mut self) -> Ledger {
        let mut ledger = Ledger::default();
        while self.goes_on() {
            let key = format!("token-{}", self.random.next_u64());
            let made = self
                .until_done(
                    Method::POST,
                    "/api/v1/tokens",
                    &json!({"kind": "agent"}),
                    Some(&key),
                )
                .await;
            let id = made["token"]["id"].as_str().expect("an id").to_owned();
            let revoked = self.random.random_bool(0.5);
            if revoked {
                self.revoke(&id).await;
            }
            ledger.tokens.insert(id, revoked);
            ledger.writes += 1 + usize::from(revoked);
        }
        ledger
    }

    /// Done again after it was done, it may be 404 or 204: the list tells.
    async fn revoke(&self, id: &str) {
        wait_until_some("a token to be revoked", async || {
            let request = self
                .api
                .request(Method::DELETE, &format!("/api/v1/tokens/{id}"));
            let status = self.api.try_send(request).await?.status;
            (status.is_success() || status.is_client_error()).then_some(())
        })
        .await;
    }
}

/// Turns the health of random agents over, which their reports carry.
async fn health_flips(fleet: &Fleet, mut random: SmallRng, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let agent = fleet.agent(random.random_range(0..AGENTS));
        agent.flip_health();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn kill_often(process: &mut ServerProcess, mut random: SmallRng, stop: &AtomicBool) {
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(random.random_range(20..500))).await;
        process.kill().await;
        process.spawn();
        process.wait_until_ready().await;
    }
    stop.store(true, Ordering::Relaxed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_nothing_that_was_answered() {
    let seed: u64 = std::env::var("CRASH_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random);
    println!("CRASH_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let mut process = ServerProcess::start(PROGRAM, "").await;
    let log: PathBuf = process.directory().join("fleet.log");
    let fleet = start_fleet(&process, log.clone()).await;
    let uids: Vec<String> = fleet.agents().into_iter().map(|agent| agent.uid).collect();
    wait_until("the fleet to be listed", async || {
        process.api().agents("").await.len() == AGENTS
    })
    .await;

    let stop = Arc::new(AtomicBool::new(false));
    let mut writer = || Writer {
        api: process.api(),
        random: random.fork(),
        stop: Arc::clone(&stop),
    };
    let prod = writer().releases(ENVIRONMENTS[0]);
    let staging = writer().releases(ENVIRONMENTS[1]);
    let labels = writer().labels(uids);
    let tokens = writer().tokens();
    let flips = health_flips(&fleet, random.fork(), &stop);
    let kills = kill_often(&mut process, random.fork(), &stop);
    let (prod, staging, labels, tokens, (), ()) =
        tokio::join!(prod, staging, labels, tokens, flips, kills);
    let ledger = [prod, staging, labels, tokens]
        .into_iter()
        .fold(Ledger::default(), Ledger::and);
    println!(
        "{} writes were answered in {} lives",
        ledger.writes,
        KILLS + 1
    );

    wait_until_connected(&fleet).await;
    wait_until_settled(&process.api(), &fleet).await;
    check_writes(&process.api(), &ledger).await;
    check_agents(&process.api(), &ledger, &fleet.agents()).await;
    check_log(&fleet, &log);
}

impl Ledger {
    fn and(mut self, other: Self) -> Self {
        self.revisions.extend(other.revisions);
        self.released.extend(other.released);
        self.labels.extend(other.labels);
        self.tokens.extend(other.tokens);
        self.writes += other.writes;
        self
    }

    /// What an agent must run: what was last released to the environment that its labels name.
    fn expected_body(&self, uid: &str, own_env: &str) -> &str {
        let operators = self.labels.get(uid).and_then(|labels| labels.get("env"));
        &self.released[operators.map_or(own_env, String::as_str)]
    }
}

async fn start_fleet(process: &ServerProcess, log: PathBuf) -> Fleet {
    let endpoint = format!("ws://{}/v1/opamp", process.agent_addr())
        .parse()
        .expect("an endpoint");
    let mut options = fleetsim::Options::new(endpoint, AGENTS);
    quick(&mut options);
    options.labels = labels(&["env=prod:50,staging:50"]);
    options.log = Some(log);
    let fleet = Fleet::start(options).await.expect("a fleet");
    wait_until_connected(&fleet).await;
    fleet
}

/// Waits until nothing is under way: every agent has answered what it should run, and the API knows.
async fn wait_until_settled(api: &Api, fleet: &Fleet) {
    wait_until("the fleet to settle", async || {
        let Some(listed) = api
            .try_send(api.request(Method::GET, "/api/v1/agents?limit=500"))
            .await
        else {
            return false;
        };
        let listed: Value = listed.ok();
        let agents = listed["items"].as_array().expect("a list");
        let own: BTreeMap<String, AgentSnapshot> = fleet
            .agents()
            .into_iter()
            .map(|agent| (agent.uid.clone(), agent))
            .collect();
        agents.len() == AGENTS
            && agents.iter().all(|agent| {
                let snapshot = &own[agent["instance_uid"].as_str().expect("a uid")];
                agent["in_sync"] == true
                    && agent["connected"] == true
                    && agent["healthy"] == snapshot.healthy
            })
    })
    .await;
}

/// Every write that was answered 2xx stands.
async fn check_writes(api: &Api, ledger: &Ledger) {
    for ((config, number), (sha256, message)) in &ledger.revisions {
        let revision: Value = api
            .get(&format!("/api/v1/configs/{config}/revisions/{number}"))
            .await
            .ok();
        let summary = &revision["summary"];
        assert_eq!(
            (&summary["sha256"], &summary["message"]),
            (&json!(sha256), &json!(message)),
            "{config} {number}"
        );
    }
    for (config, body) in &ledger.released {
        let standing: Value = api.get(&format!("/api/v1/configs/{config}")).await.ok();
        let baseline = standing["baseline"].as_u64().expect("a baseline");
        assert_eq!(
            ledger.revisions[&(config.clone(), baseline)].0,
            sha256_hex(body),
            "{config} has another baseline"
        );
    }
    let mut tokens = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page: Value = api
            .get(&format!("/api/v1/tokens?limit=500{cursor}"))
            .await
            .ok();
        for token in page["items"].as_array().expect("a list") {
            tokens.insert(
                token["id"].as_str().expect("an id").to_owned(),
                !token["revoked_at"].is_null(),
            );
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    for (id, revoked) in &ledger.tokens {
        assert_eq!(tokens.get(id), Some(revoked), "token {id}");
    }
    let verified: Value = api.get("/api/v1/audit/verify").await.ok();
    assert_eq!(verified["intact"], json!(true), "{verified}");
}

/// The API's picture of each agent equals the agent's own, field by field.
async fn check_agents(api: &Api, ledger: &Ledger, agents: &[AgentSnapshot]) {
    for own in agents {
        let seen: Agent = api.agent(&own.uid).await;
        let name = &own.name;
        let body = ledger.expected_body(&own.uid, &seen.label_sources.agent["env"]);
        let hash = sha256_hex(body);
        assert_eq!(
            seen.summary.desired_hash.as_deref(),
            Some(hash.as_str()),
            "{name}: desired"
        );
        assert_eq!(
            seen.config.offered.as_ref().map(|offered| &offered.hash),
            Some(&own.offered_hash),
            "{name}: offered"
        );
        let reported = seen.config.reported.expect("an answer");
        assert_eq!(
            (&reported.hash, reported.status),
            (&own.offered_hash, ApplyStatus::Applied),
            "{name}: answered"
        );
        assert_eq!(
            (own.status, &own.running_hash),
            (ConfigStatus::Applied, &hash),
            "{name}: runs"
        );
        assert_eq!(
            seen.config.effective.expect("a config").hash,
            own.effective_sha256,
            "{name}: effective"
        );
        assert_eq!(seen.summary.healthy, Some(own.healthy), "{name}: health");
        assert_eq!(
            seen.health.expect("health").healthy,
            own.healthy,
            "{name}: health tree"
        );
        assert!(seen.summary.connected, "{name}: connection");
        let labels = ledger.labels.get(&own.uid).cloned().unwrap_or_default();
        assert_eq!(seen.label_sources.operator, labels, "{name}: labels");
    }
}

/// The fleet's own log ends with what the fleet runs.
fn check_log(fleet: &Fleet, log: &std::path::Path) {
    fleet.flush_log().expect("a log");
    let lines = fleetsim::log::read(log).expect("a log");
    let last: BTreeMap<usize, LogLine> = lines.into_iter().map(|line| (line.index, line)).collect();
    for own in fleet.agents() {
        let line = &last[&own.index];
        assert_eq!(
            (&line.running_hash, line.status),
            (&own.running_hash, own.status),
            "{}: log",
            own.name
        );
        assert_eq!(
            (&line.uid, &line.offered_hash),
            (&own.uid, &own.offered_hash),
            "{}: log",
            own.name
        );
    }
}
