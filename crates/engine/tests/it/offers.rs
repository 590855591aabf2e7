//! Who is offered what, when, and how often.

use std::sync::Arc;

use domain::{
    Actor, AgentId, Approval, ConfigState, Hold, HoldScope, Labels, LabelsBySource, Namespace,
    model::{ApplyState, Changes},
};
use engine::{ApprovalMode, Command, NotDelivered};

use crate::harness::{World, body, described};

const BODY: &str = "receivers: {}\n";

#[tokio::test]
async fn a_release_wakes_matching_agents_and_no_others() {
    let world = World::start().await;
    let (prod, first) = world.connect(1, &[("env", "prod")]);
    assert!(first.is_empty());
    let (dev, _) = world.connect(2, &[("env", "dev")]);
    world.release("edge", "env=prod", 0, BODY).await;
    assert_eq!(body(&prod.pushed(&world).unwrap()).as_deref(), Some(BODY));
    assert!(dev.pushed(&world).is_none());
}

#[tokio::test]
async fn cf_03_a_late_joiner_gets_the_config_in_its_first_answer() {
    let world = World::start().await;
    world.release("edge", "env=prod", 0, BODY).await;
    let (_first, answer) = world.connect(1, &[("env", "prod")]);
    // Nobody needed the content when it was released, so it is made now, and pushed.
    assert!(body(&answer).is_none());
    world.engine.reconcile(world.now).await.unwrap();
    assert_eq!(body(&_first.pushed(&world).unwrap()).as_deref(), Some(BODY));
    let (_second, answer) = world.connect(2, &[("env", "prod")]);
    assert_eq!(body(&answer).as_deref(), Some(BODY));
}

#[tokio::test]
async fn cf_08_an_offer_is_not_repeated_on_heartbeats_and_ends_with_the_answer() {
    let world = World::start().await;
    let (mut agent, _) = world.connect(1, &[("env", "prod")]);
    world.release("edge", "env=prod", 0, BODY).await;
    let offer = agent.pushed(&world).unwrap().config.unwrap();
    assert!(agent.say(&world, Changes::default()).is_empty());
    assert!(
        agent
            .answers(&world, &offer.hash, ApplyState::Applying, "")
            .is_empty()
    );
    assert!(
        agent
            .answers(&world, &offer.hash, ApplyState::Applied, "")
            .is_empty()
    );
    let standing = world
        .engine
        .standing(&Namespace::default(), agent.attachment.agent_id())
        .unwrap();
    assert_eq!(standing.config_state, ConfigState::Applied);
}

#[tokio::test]
async fn cf_07_a_status_with_another_hash_is_answered_with_the_config() {
    let world = World::start().await;
    let (mut agent, _) = world.connect(1, &[("env", "prod")]);
    world.release("edge", "env=prod", 0, BODY).await;
    let offer = agent.pushed(&world).unwrap().config.unwrap();
    let other = domain::ContentHash::from_bytes([9; 32]);
    let answer = agent.answers(&world, &other, ApplyState::Applied, "");
    assert_eq!(answer.config.unwrap().hash, offer.hash);
}

#[tokio::test]
async fn cf_07_an_agent_that_never_names_the_hash_is_sent_its_config_ever_more_rarely() {
    let mut world = World::start().await;
    let (mut agent, _) = world.connect(1, &[("env", "prod")]);
    world.release("edge", "env=prod", 0, BODY).await;
    assert!(agent.pushed(&world).is_some());
    let mut sent_at = Vec::new();
    for second in 0..65 {
        let other = domain::ContentHash::from_bytes([second; 32]);
        let answer = agent.answers(&world, &other, ApplyState::Failed, "");
        if answer.config.is_some() {
            sent_at.push(second);
        }
        world.pass(1);
    }
    assert_eq!(sent_at, [0, 1, 31, 61]);
    // Another config, and an operator's wish, do not wait.
    world
        .release("edge", "env=prod", 0, "exporters: {}\n")
        .await;
    assert!(agent.pushed(&world).unwrap().config.is_some());
    for _ in 0..5 {
        let other = domain::ContentHash::from_bytes([99; 32]);
        agent.answers(&world, &other, ApplyState::Failed, "");
    }
    let mut change = world.engine.begin_change(world.now).await.unwrap();
    change.retry_config(agent.attachment.agent_id());
    change.publish(world.now);
    assert!(agent.pushed(&world).unwrap().config.is_some());
}

#[tokio::test]
async fn a_failed_config_is_offered_again_only_on_retry_or_with_other_content() {
    let world = World::start().await;
    let (mut agent, _) = world.connect(1, &[("env", "prod")]);
    world.release("edge", "env=prod", 0, BODY).await;
    let offer = agent.pushed(&world).unwrap().config.unwrap();
    assert!(
        agent
            .answers(&world, &offer.hash, ApplyState::Failed, "no")
            .is_empty()
    );
    world.engine.reconcile(world.now).await.unwrap();
    assert!(agent.pushed(&world).is_none());

    let mut change = world.engine.begin_change(world.now).await.unwrap();
    change.retry_config(agent.attachment.agent_id());
    change.publish(world.now);
    assert_eq!(
        agent.pushed(&world).unwrap().config.unwrap().hash,
        offer.hash
    );
    agent.answers(&world, &offer.hash, ApplyState::Failed, "still no");

    world
        .release("edge", "env=prod", 0, "exporters: {}\n")
        .await;
    assert_ne!(
        agent.pushed(&world).unwrap().config.unwrap().hash,
        offer.hash
    );
}

#[tokio::test]
async fn a_release_of_equal_content_sends_nothing() {
    let world = World::start().await;
    let (mut agent, _) = world.connect(1, &[("env", "prod")]);
    world.release("edge", "env=prod", 0, BODY).await;
    let offer = agent.pushed(&world).unwrap().config.unwrap();
    agent.answers(&world, &offer.hash, ApplyState::Applied, "");
    world.release("edge", "env=prod", 5, BODY).await;
    assert!(agent.pushed(&world).is_none());
}

#[tokio::test]
async fn layers_merge_in_order_of_priority() {
    let world = World::start().await;
    let (agent, _) = world.connect(1, &[("env", "prod")]);
    world
        .release("base", "", 0, "processors:\n  batch:\n    timeout: 1s\n")
        .await;
    world
        .release(
            "tune",
            "env=prod",
            10,
            "processors:\n  batch:\n    timeout: 5s\n",
        )
        .await;
    let merged = body(&agent.pushed(&world).unwrap()).unwrap();
    assert!(merged.contains("5s") && !merged.contains("1s"), "{merged}");
}

#[tokio::test]
async fn a_label_change_moves_an_agent() {
    let world = World::start().await;
    world.release("edge", "tier=gold", 0, BODY).await;
    let (mut agent, _) = world.connect(1, &[("env", "prod")]);
    let id = agent.attachment.agent_id();
    let mut change = world.engine.begin_change(world.now).await.unwrap();
    let operator = Labels::from_iter([("tier", "gold")]);
    change.set_labels(
        id,
        LabelsBySource {
            operator,
            ..LabelsBySource::default()
        },
    );
    change.materialise(world.now).await.unwrap();
    let groups = change.preview(world.now).await.unwrap();
    let [group] = &*groups else {
        panic!("one group: {groups:?}")
    };
    assert_eq!((&*group.examples, group.agents), (&[id][..], 1));
    assert!(matches!(group.fate, engine::Fate::Changed(_)), "{group:?}");
    change.publish(world.now);
    assert_eq!(body(&agent.pushed(&world).unwrap()).as_deref(), Some(BODY));
    // What the agent says of itself does not undo what an operator gave it.
    assert!(agent.say(&world, described(&[("tier", "lead")])).is_empty());
}

#[tokio::test]
async fn while_a_hold_is_on_no_offer_leaves() {
    let world = World::start().await;
    let (mut agent, _) = world.connect(1, &[("env", "prod")]);
    let scope = HoldScope::Namespace(Namespace::default());
    let hold = Hold {
        scope: scope.clone(),
        reason: String::new(),
        set_by: Actor::server(),
        set_at: world.now,
    };
    let mut change = world.engine.begin_change(world.now).await.unwrap();
    change.set_hold(hold);
    change.publish(world.now);
    world.release("edge", "env=prod", 0, BODY).await;
    assert!(agent.pushed(&world).is_none());
    assert!(agent.say(&world, Changes::default()).is_empty());

    let mut change = world.engine.begin_change(world.now).await.unwrap();
    assert!(change.lift_hold(&scope));
    change.publish(world.now);
    assert_eq!(body(&agent.pushed(&world).unwrap()).as_deref(), Some(BODY));
}

#[tokio::test]
async fn tf_02_a_pending_agent_is_offered_nothing_until_it_is_approved() {
    let world = World::start_with(|options| options.approval = ApprovalMode::Manual).await;
    let (agent, _) = world.connect(1, &[("env", "prod")]);
    world.release("edge", "env=prod", 0, BODY).await;
    assert!(agent.pushed(&world).is_none());
    let mut change = world.engine.begin_change(world.now).await.unwrap();
    change.set_approval(agent.attachment.agent_id(), Approval::Approved);
    change.publish(world.now);
    assert_eq!(body(&agent.pushed(&world).unwrap()).as_deref(), Some(BODY));
}

#[tokio::test]
async fn cf_01_an_agent_that_accepts_no_config_is_offered_none() {
    let world = World::start().await;
    let (mut agent, _) = world.connect(1, &[("env", "prod")]);
    let capabilities = Some(domain::model::AgentCapabilities::REPORTS_STATUS);
    agent.say(
        &world,
        Changes {
            capabilities,
            ..Changes::default()
        },
    );
    world.release("edge", "env=prod", 0, BODY).await;
    assert!(agent.pushed(&world).is_none());
}

#[tokio::test]
async fn cm_01_a_command_travels_alone_and_the_queue_is_bounded() {
    let world = World::start().await;
    let (mut agent, _) = world.connect(1, &[("env", "prod")]);
    let (ns, id) = (Namespace::default(), agent.attachment.agent_id());
    assert_eq!(
        world.engine.send_command(&ns, id, Command::Restart),
        Err(NotDelivered::NotCapable)
    );
    let accepts = domain::model::AgentCapabilities::ACCEPTS_RESTART_COMMAND
        | domain::model::AgentCapabilities::ACCEPTS_REMOTE_CONFIG;
    agent.say(
        &world,
        Changes {
            capabilities: Some(accepts),
            ..Changes::default()
        },
    );
    for _ in 0..16 {
        world
            .engine
            .send_command(&ns, id, Command::Restart)
            .unwrap();
    }
    assert_eq!(
        world.engine.send_command(&ns, id, Command::Restart),
        Err(NotDelivered::QueueFull)
    );
    world.release("edge", "env=prod", 0, BODY).await;
    let pushed = agent.pushed(&world).unwrap();
    assert_eq!(pushed.command, Some(Command::Restart));
    assert!(pushed.config.is_none() && pushed.more);
    let stranger = AgentId::from_bytes([1; 16]);
    assert_eq!(
        world.engine.send_command(&ns, stranger, Command::Restart),
        Err(NotDelivered::NotFound)
    );
}

#[tokio::test]
async fn lists_show_an_offer_that_nobody_answers() {
    let world = World::start().await;
    let (agent, _) = world.connect(1, &[("env", "prod")]);
    world.commit().await;
    world.release("edge", "env=prod", 0, BODY).await;
    assert!(agent.pushed(&world).is_some());
    world.engine.note_standings(world.now);
    world.commit().await;
    let mut reader = world.db.read().await.unwrap();
    let detail = store::agents::find(
        &mut reader,
        &Namespace::default(),
        agent.attachment.agent_id(),
    )
    .await;
    assert_eq!(
        detail.unwrap().unwrap().summary.config_state,
        ConfigState::Offered
    );
}

#[tokio::test]
async fn content_that_a_rollback_wants_again_is_stored_again() {
    let mut world = World::start().await;
    let (agent, _) = world.connect(1, &[("env", "prod")]);
    world.commit().await;
    let old = world.revise("edge", "env=prod", 0, BODY).await;
    let new = world.revise("edge", "env=prod", 0, "exporters: {}\n").await;
    for revision in [&old, &new, &old] {
        // Longer than unused contents are kept: none of the steps may count on the row that stands.
        world.pass(7200);
        let mut change = world.engine.begin_change(world.now).await.unwrap();
        change.set_baseline(Arc::clone(revision));
        let rows = change.materialise(world.now).await.unwrap();
        let mut tx = world.db.begin().await.unwrap();
        for row in &rows {
            assert_eq!(row.created_at, world.now);
            store::desired::put(&mut tx, row).await.unwrap();
        }
        tx.commit().await.unwrap();
        // The sweep comes before any agent refers to what was released.
        let keep = store::retention::Retention::default();
        store::retention::sweep(&world.db, &keep, world.now)
            .await
            .unwrap();
        change.publish(world.now);
        let offer = agent.pushed(&world).unwrap().config.unwrap();
        let mut reader = world.db.read().await.unwrap();
        let (namespace, kind) = (Namespace::default(), store::desired::CONFIG);
        let stored = store::desired::find_by_hash(&mut reader, &namespace, kind, &offer.hash);
        assert!(stored.await.unwrap().is_some());
    }
}
