//! What a crash and an orderly stop leave behind.

use domain::{
    ConfigState, EventId, EventKind, Namespace,
    model::{ApplyState, Changes, InstanceUid},
};

use engine::Attach;

use crate::harness::{World, body, health};

const BODY: &str = "receivers: {}\n";

#[tokio::test]
async fn a_crash_loses_no_desired_state_and_no_committed_report() {
    let mut world = World::start().await;
    let (mut agent, _) = world.connect(1, &[("env", "prod")]);
    world.release("edge", "env=prod", 0, BODY).await;
    let offer = agent.pushed(&world).unwrap().config.unwrap();
    agent.answers(&world, &offer.hash, ApplyState::Applied, "");
    world.commit().await;
    let id = agent.attachment.agent_id();

    world.crash().await;
    let standing = world.engine.standing(&Namespace::default(), id).unwrap();
    assert_eq!(
        (standing.desired, standing.config_state),
        (Some(offer.hash), ConfigState::Applied)
    );
    assert!(!standing.connected);
    let (again, answer) = world.connect(1, &[("env", "prod")]);
    assert_eq!(again.attachment.agent_id(), id);
    assert!(
        answer.is_empty(),
        "an agent that runs what it should is sent nothing: {answer:?}"
    );
}

#[tokio::test]
async fn the_outcome_of_what_was_being_applied_is_counted_once_over_a_crash() {
    let mut world = World::start().await;
    let (mut agent, _) = world.connect(1, &[("env", "prod")]);
    world.release("edge", "env=prod", 0, BODY).await;
    let offer = agent.pushed(&world).unwrap().config.unwrap();
    agent.answers(&world, &offer.hash, ApplyState::Applying, "");
    world.commit().await;
    for _ in 0..2 {
        world.crash().await;
        let (mut agent, _) = world.connect(1, &[("env", "prod")]);
        agent.answers(&world, &offer.hash, ApplyState::Applied, "");
        world.commit().await;
    }
    let mut reader = world.db.read().await.unwrap();
    let namespace = Namespace::default();
    let events = store::events::list_after(&mut reader, &namespace, EventId::default(), 100);
    let events = events.await.unwrap();
    let applied = events
        .iter()
        .filter(|event| event.kind == EventKind::ConfigApplied);
    assert_eq!(applied.count(), 1);
}

#[tokio::test]
async fn an_offer_that_was_cut_off_by_a_crash_is_made_again() {
    let mut world = World::start().await;
    let (agent, _) = world.connect(1, &[("env", "prod")]);
    world.commit().await;
    world.release("edge", "env=prod", 0, BODY).await;
    assert!(agent.pushed(&world).is_some());
    world.crash().await;
    let (_agent, answer) = world.connect(1, &[("env", "prod")]);
    assert_eq!(body(&answer).as_deref(), Some(BODY));
}

#[tokio::test]
async fn sq_08_the_stored_session_never_runs_ahead_of_what_it_covers() {
    let mut world = World::start().await;
    let (mut agent, _) = world.connect(1, &[]);
    world.commit().await;
    agent.say(&world, health(false, 1));
    // The report waits; the flush must leave this agent out.
    assert_eq!(world.engine.flush_liveness().await.unwrap(), 0);
    world.crash().await;
    let mut reader = world.db.read().await.unwrap();
    let stored = store::agents::load_all(&mut reader).await.unwrap();
    let wire = domain::model::WireState::from_bytes(stored[0].wire.as_ref().unwrap()).unwrap();
    assert_eq!(wire.sequence_num, Some(1));
}

#[tokio::test]
async fn sq_08_a_flush_does_not_overtake_the_commit_of_a_report() {
    let world = World::start().await;
    let (mut agent, _) = world.connect(1, &[]);
    world.commit().await;
    agent.say(&world, health(false, 1));
    // The commit has taken the report and waits for the database, which then has no room for its event.
    let mut blocker = world.db.begin().await.unwrap();
    let mut commit = Box::pin(world.engine.commit_reports());
    let mut flush = Box::pin(world.engine.flush_liveness());
    tokio::select! {
        biased;
        _ = &mut commit => panic!("not blocked"),
        _ = &mut flush => panic!("not blocked"),
        () = tokio::task::yield_now() => {}
    }
    store::testing::hide_table(&mut blocker, "events").await;
    blocker.commit().await.unwrap();
    let (committed, flushed) = tokio::join!(commit, flush);
    assert!(committed.is_err());
    assert_eq!(flushed.unwrap(), 0, "its report waits again");
}

#[tokio::test]
async fn a_flush_that_failed_is_made_up_for_by_the_next() {
    let world = World::start().await;
    let mut agents: Vec<_> = (1..=3).map(|uid| world.connect(uid, &[]).0).collect();
    world.commit().await;
    for agent in &mut agents {
        agent.say(&world, Changes::default());
    }
    let mut tx = world.db.begin().await.unwrap();
    store::testing::hide_table(&mut tx, "agent_liveness").await;
    tx.commit().await.unwrap();
    assert!(world.engine.flush_liveness().await.is_err());
    assert!(world.engine.degraded().is_some());
    let mut tx = world.db.begin().await.unwrap();
    store::testing::show_table(&mut tx, "agent_liveness").await;
    tx.commit().await.unwrap();
    assert_eq!(world.engine.flush_liveness().await.unwrap(), 3);
    assert_eq!(world.engine.degraded(), None);
}

#[tokio::test]
async fn a_flush_that_fails_midway_leaves_nobody_out() {
    let world = World::start().await;
    // More than one transaction of a flush writes.
    let count: u32 = 20_050;
    for number in 0..count {
        let mut uid = [0; 16];
        uid[..4].copy_from_slice(&number.to_le_bytes());
        let attached = world.attach(InstanceUid::new(uid), None);
        let Attach::Ready(attachment) = attached else {
            panic!("not attached: {attached:?}")
        };
        world
            .engine
            .exchange(&attachment, world.now, |_| Ok::<_, ()>(Default::default()))
            .unwrap();
    }
    world.commit().await;
    let mut tx = world.db.begin().await.unwrap();
    store::testing::hide_table(&mut tx, "agent_liveness").await;
    tx.commit().await.unwrap();
    assert!(world.engine.flush_liveness().await.is_err());
    let mut tx = world.db.begin().await.unwrap();
    store::testing::show_table(&mut tx, "agent_liveness").await;
    tx.commit().await.unwrap();
    let all = usize::try_from(count).unwrap();
    assert_eq!(world.engine.flush_liveness().await.unwrap(), all);
}

#[tokio::test]
async fn an_orderly_stop_writes_everything() {
    let mut world = World::start().await;
    let (mut agent, _) = world.connect(1, &[]);
    agent.say(&world, health(true, 1));
    world.engine.drain(world.now).await.unwrap();
    let id = agent.attachment.agent_id();
    world.crash().await;
    let mut reader = world.db.read().await.unwrap();
    let detail = store::agents::find(&mut reader, &Namespace::default(), id)
        .await
        .unwrap()
        .unwrap();
    assert!(!detail.summary.connected);
    assert_eq!(detail.summary.detached.unwrap().1, "server_stopping");
    assert_eq!(detail.health.unwrap().start_time_unix_nano, 1);
}

#[tokio::test]
async fn a_released_config_that_nobody_matched_is_made_for_the_first_agent_even_after_a_crash() {
    let mut world = World::start().await;
    world.release("edge", "env=prod", 0, BODY).await;
    world.crash().await;
    let (agent, _) = world.connect(1, &[("env", "prod")]);
    world.engine.reconcile(world.now).await.unwrap();
    assert_eq!(body(&agent.pushed(&world).unwrap()).as_deref(), Some(BODY));
}
