//! What a database can do to a server that runs on it: it turns read-only, it stops for a while, the clock jumps under it. In
//! each case agents are answered and stay, memory stays bounded, and afterwards everything that was said is stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use runtime::{Clock, ManualClock};
use serde_json::{Value, json};
use testkit::fleet::{wait_until_all_run, wait_until_connected};
use testkit::{Fleet, TestServer, wait_until};

use crate::{FIRST, SECOND, labels};

/// Messages of each agent that must be answered while the database is away: more than one heartbeat.
const ANSWERS: u64 = 3;

async fn fleet_of(server: &TestServer) -> Fleet {
    let fleet = server
        .fleet(4, |options| options.labels = labels(&["env=prod"]))
        .await;
    wait_until_connected(&fleet).await;
    server.api().release("base", "env=prod", FIRST).await;
    wait_until_all_run(&fleet, FIRST).await;
    wait_until("the server to have stored it", async || {
        all_stored(server, &fleet).await
    })
    .await;
    fleet
}

/// Has every agent say something new, and waits until it and some heartbeats are answered.
async fn is_answered(fleet: &Fleet) {
    let before = fleet.stats();
    for index in 0..fleet.size() {
        fleet.agent(index).flip_health();
    }
    let agents = fleet.size() as u64;
    wait_until("agents to be answered", async || {
        ANSWERS * agents <= fleet.stats().since(&before).received
    })
    .await;
    let since = fleet.stats().since(&before);
    assert_eq!(
        (since.lost, since.refused, since.unavailable),
        (0, 0, 0),
        "{since:?}"
    );
}

/// Whether the database says of every agent what the agent says of itself.
async fn is_known(server: &TestServer, fleet: &Fleet) -> bool {
    let agents = server.api().agents("").await;
    let own = fleet.agents();
    agents.len() == own.len()
        && agents.iter().all(|seen| {
            let own = own.iter().find(|own| own.uid == seen.instance_uid);
            let own = own.expect("an agent of ours");
            seen.connected && seen.healthy == Some(own.healthy)
        })
}

/// The same, and each runs what it should.
async fn all_stored(server: &TestServer, fleet: &Fleet) -> bool {
    let agents = server.api().agents("").await;
    is_known(server, fleet).await && agents.iter().all(|agent| agent.in_sync == Some(true))
}

async fn ready(server: &TestServer) -> Value {
    let answer = server.api().get("/ready").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

async fn audit_is_intact(server: &TestServer) -> bool {
    let verified: Value = server.api().get("/api/v1/audit/verify").await.ok();
    verified["intact"] == true
}

#[tokio::test]
async fn a_database_that_turns_read_only_keeps_nobody_from_running_and_loses_nothing() {
    let server = TestServer::start().await;
    let fleet = fleet_of(&server).await;
    let set = async |read_only| match server.database().is_sqlite() {
        true => store::testing::set_read_only(server.server().engine().db(), read_only).await,
        false => server.database().set_read_only(read_only).await,
    };
    set(true).await;
    is_answered(&fleet).await;
    wait_until("the server to say so", async || {
        ready(&server).await["status"] == "degraded"
    })
    .await;
    let body =
        json!({"kind": "collector", "selector": "env=prod", "body": SECOND, "message": "no"});
    for _ in 0..3 {
        let answer = server.api().put("/api/v1/configs/base", &body).await;
        assert_eq!(
            answer.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{}",
            answer.text
        );
    }
    is_answered(&fleet).await;
    assert_eq!(server.api().agents("").await.len(), 4, "reading goes on");

    set(false).await;
    wait_until("everything to be stored", async || {
        ready(&server).await["status"] == "ok" && all_stored(&server, &fleet).await
    })
    .await;
    let revisions: Value = server
        .api()
        .get("/api/v1/configs/base/revisions")
        .await
        .ok();
    assert_eq!(
        revisions["items"].as_array().map(Vec::len),
        Some(1),
        "{revisions}"
    );
    server.api().release("base", "env=prod", SECOND).await;
    wait_until_all_run(&fleet, SECOND).await;
    assert!(audit_is_intact(&server).await);
}

/// Longer than SQLite waits for a lock: what waits for the disk fails, and is done again.
#[tokio::test]
async fn a_disk_that_stops_for_a_while_keeps_no_agent_waiting() {
    let server = TestServer::start().await;
    let fleet = fleet_of(&server).await;
    let lock = server.database().lock_writes(&server.data_dir()).await;
    let api = server.api();
    let revision =
        json!({"kind": "collector", "selector": "env=prod", "body": SECOND, "message": "slow"});
    let write = tokio::spawn({
        let api = api.clone();
        async move {
            let request = api
                .request(Method::PUT, "/api/v1/configs/base")
                .json(&revision);
            api.try_send(request).await.expect("an answer").status
        }
    });
    // Twice as many rounds as SQLite has patience for, one heartbeat each.
    for _ in 0..4 {
        is_answered(&fleet).await;
    }
    assert!(!write.is_finished(), "the lock keeps nobody from writing");
    assert_eq!(server.api().agents("").await.len(), 4, "reading goes on");
    drop(lock);
    let status = write.await.expect("an answer");
    assert!(status.is_success(), "{status}");
    wait_until("everything to be stored", async || {
        ready(&server).await["status"] == "ok" && all_stored(&server, &fleet).await
    })
    .await;
    api.start_rollout("base").await;
    wait_until_all_run(&fleet, SECOND).await;
    assert!(audit_is_intact(&server).await);
}

#[tokio::test]
async fn reports_that_no_disk_takes_are_bounded_and_agents_are_told_to_come_back() {
    let server = TestServer::builder()
        .config("limits: { pending_reports: 2 }\n")
        .start()
        .await;
    // One after the other, so that none has to wait for room at its first message.
    let fleet = server
        .fleet(4, |options| options.ramp = fleetsim::Ramp::PerSecond(4.0))
        .await;
    wait_until_connected(&fleet).await;
    wait_until("the server to have stored it", async || {
        is_known(&server, &fleet).await
    })
    .await;
    let lock = server.database().lock_writes(&server.data_dir()).await;
    let before = fleet.stats();
    wait_until(
        "an agent to be told that the server cannot keep more",
        async || {
            (0..fleet.size()).for_each(|index| fleet.agent(index).flip_health());
            0 < fleet.stats().since(&before).unavailable
        },
    )
    .await;
    drop(lock);
    wait_until("the server to have room", async || {
        ready(&server).await["status"] == "ok"
    })
    .await;
    // They were told to come back in half a minute or more, each at a time of its own: not waited for, but one by one.
    for index in 0..fleet.size() {
        let mut dialed = Instant::now();
        wait_until("an agent to be back", async || {
            let own = fleet.agent(index).snapshot();
            // One that was connected a moment ago may have been sent away only now.
            if !own.connected && Duration::from_millis(500) < dialed.elapsed() {
                dialed = Instant::now();
                fleet.agent(index).dial();
            }
            let seen = server.api().agent(&own.uid).await.summary;
            own.connected && seen.connected && seen.healthy == Some(own.healthy)
        })
        .await;
    }
    wait_until("all agents to be known as they are", async || {
        is_known(&server, &fleet).await
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_jumps_both_ways_loses_no_agent_and_stops_no_release() {
    let clock = Arc::new(ManualClock::default());
    let server = TestServer::builder().clock(clock.clone()).start().await;
    let streams = fleet_of(&server).await;
    let polls = server
        .fleet_over(fleetsim::Transport::Http, 2, |options| {
            options.seed = 7;
            options.labels = labels(&["env=prod"]);
            options.heartbeat = Duration::from_millis(100);
        })
        .await;
    wait_until_connected(&polls).await;
    wait_until_all_run(&polls, FIRST).await;
    let hours = |hours: i64| jiff::SignedDuration::from_hours(hours);
    let mut bodies = [SECOND, FIRST].into_iter().cycle();
    for jump in [hours(5 * 24), hours(-5), hours(-6 * 24), hours(40 * 24)] {
        let now = clock.now().checked_add(jump).expect("a time");
        clock.set(now);
        // The steps that look at the clock see it, as often as they would in a minute.
        for _ in 0..6 {
            assert_eq!(server.server().engine().expire(clock.now()), 0, "{jump}");
            clock.advance(Duration::from_secs(10));
            let seen = polls.stats();
            wait_until("polls", async || 4 <= polls.stats().since(&seen).received).await;
        }
        server
            .server()
            .engine()
            .sweep(clock.now())
            .await
            .expect("swept");
        let body = bodies.next().expect("a body");
        server.api().release("base", "env=prod", body).await;
        wait_until_all_run(&streams, body).await;
        wait_until_all_run(&polls, body).await;
        wait_until("the server to know it", async || {
            let agents = server.api().agents("").await;
            agents.len() == 6
                && agents
                    .iter()
                    .all(|agent| agent.connected && agent.in_sync == Some(true))
        })
        .await;
    }
    assert_eq!((streams.stats().lost, streams.stats().dials), (0, 4));
    for agent in server.api().agents("").await {
        let path = format!("/api/v1/agents/{}/events?limit=100", agent.id);
        let events: Value = server.api().get(&path).await.ok();
        let items = events["items"].as_array().expect("a list");
        assert!(
            !items
                .iter()
                .any(|event| event["kind"] == "agent_disconnected"),
            "{events}"
        );
    }
    assert!(audit_is_intact(&server).await);
}
