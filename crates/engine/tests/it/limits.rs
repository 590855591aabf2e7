//! What an agent sends too much of, and what is kept of it.

use domain::{
    EventId, EventKind, Namespace, ReportedHash,
    model::{ApplyState, Changes, Health, HealthReport, RemoteConfigStatus},
};

use engine::ExchangeError;

use crate::harness::{Agent, World, described};

const BODY: &str = "receivers: {}\n";
/// More than is kept of any text.
const LONG: usize = 1 << 20;
/// What is kept of a text that tells what went wrong.
const KEPT: usize = 4096;

#[tokio::test]
async fn of_a_config_status_no_more_is_kept_than_is_of_use() {
    let world = World::start().await;
    let (mut agent, _) = world.connect(1, &[("env", "prod")]);
    let id = agent.attachment.agent_id();
    let status = RemoteConfigStatus {
        last_hash: vec![7; LONG],
        state: ApplyState::Failed,
        error: "ü".repeat(LONG),
    };
    agent.say(
        &world,
        Changes {
            remote_config_status: Some(status),
            ..Changes::default()
        },
    );
    world.commit().await;
    let mut reader = world.db.read().await.unwrap();
    let detail = store::agents::find(&mut reader, &Namespace::default(), id)
        .await
        .unwrap()
        .unwrap();
    let stored = detail.summary.remote_config_status.unwrap();
    assert_eq!(stored.last_hash.len(), ReportedHash::MAX_BYTES);
    assert_eq!(stored.error.len(), KEPT);
}

#[tokio::test]
async fn events_repeat_no_more_of_an_agents_words_than_is_of_use() {
    let world = World::start().await;
    let (mut agent, _) = world.connect(1, &[("env", "prod")]);
    world.release("edge", "env=prod", 0, BODY).await;
    let offer = agent.pushed(&world).unwrap().config.unwrap();
    // One byte off the limit, so that a character stands across it.
    let long = format!("x{}", "ü".repeat(LONG));
    agent.answers(&world, &offer.hash, ApplyState::Failed, &long);
    let mut tree = Health {
        last_error: long.clone(),
        status: long,
        ..Health::default()
    };
    let times = tree.split_times();
    let health = HealthReport {
        tree: Some(tree),
        times,
    };
    agent.say(
        &world,
        Changes {
            health: Some(health),
            ..Changes::default()
        },
    );
    world.commit().await;
    let mut reader = world.db.read().await.unwrap();
    let events =
        store::events::list_after(&mut reader, &Namespace::default(), EventId::default(), 100)
            .await
            .unwrap();
    let words = |kind: EventKind, fact: &str| {
        let event = events.iter().find(|event| event.kind == kind).unwrap();
        event.detail[fact].len()
    };
    assert_eq!(words(EventKind::ConfigFailed, "error"), KEPT - 1);
    assert_eq!(words(EventKind::AgentUnhealthy, "error"), KEPT - 1);
    assert_eq!(words(EventKind::AgentUnhealthy, "status"), KEPT - 1);
}

/// A health report of some 100 KB.
fn large_health(word: &str) -> Changes {
    let mut tree = Health {
        last_error: word.repeat(100_000),
        ..Health::default()
    };
    let times = tree.split_times();
    Changes {
        health: Some(HealthReport {
            tree: Some(tree),
            times,
        }),
        ..Changes::default()
    }
}

fn is_refused(world: &World, agent: &mut Agent) -> bool {
    let refused = agent.try_say(world, described(&[("a", "b")]));
    matches!(refused, Err(ExchangeError::Overloaded { .. }))
}

#[tokio::test]
async fn rt_06_reports_that_wait_count_with_all_that_is_large_in_them_until_they_are_stored() {
    let world = World::start_with(|options| options.limits.pending_bytes = 250_000).await;
    let (mut agent, _) = world.connect(1, &[]);
    let (mut other, _) = world.connect(2, &[]);
    // What is replaced does not count twice.
    for word in ["a", "b", "c", "d"] {
        agent.say(&world, large_health(word));
    }
    assert!(!is_refused(&world, &mut other));
    other.say(&world, large_health("a"));
    let mut third = world.connect(3, &[]).0;
    third.say(&world, large_health("a"));
    assert!(is_refused(&world, &mut other));
    // An outage: what could not be stored counts on.
    let mut tx = world.db.begin().await.unwrap();
    store::testing::hide_table(&mut tx, "events").await;
    tx.commit().await.unwrap();
    assert!(world.engine.commit_reports().await.is_err());
    assert!(is_refused(&world, &mut other));
    let mut tx = world.db.begin().await.unwrap();
    store::testing::show_table(&mut tx, "events").await;
    tx.commit().await.unwrap();
    world.commit().await;
    assert!(!is_refused(&world, &mut other));
}

#[tokio::test]
async fn an_agent_that_flips_its_description_each_second_leaves_a_bounded_history() {
    const FLIPS: u32 = 1_200;
    /// What is kept of one agent, and what it may add between two sweeps.
    const MOST: usize = 256 + 600;
    let mut world = World::start().await;
    let (mut agent, _) = world.connect(1, &[("flips", "0")]);
    let id = agent.attachment.agent_id();
    for flip in 1..=FLIPS {
        agent.say(&world, described(&[("flips", &flip.to_string())]));
        world.commit().await;
        world.pass(1);
        // As often as a server sweeps.
        if flip % 600 == 0 {
            while world.engine.sweep(world.now).await.unwrap() {}
        }
        if flip % 300 == 0 {
            let mut reader = world.db.read().await.unwrap();
            let namespace = Namespace::default();
            let history = store::agents::history(&mut reader, &namespace, id, None, 10_000);
            let entries = history.await.unwrap().len();
            assert!(0 < entries && entries <= MOST, "{entries} after {flip}");
        }
    }
    assert_eq!(world.engine.known_agents(), 1);
}
