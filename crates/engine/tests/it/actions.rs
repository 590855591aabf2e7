//! What operators do to one agent.

use domain::{
    EventId, EventKind, HoldScope, Namespace,
    model::{AgentCapabilities, ApplyState, Changes},
};
use engine::{
    ApprovalMode, Command, NotDelivered,
    admin::{Caller, agents::AgentActionError},
};

use crate::harness::{Agent, World};

async fn restartable(world: &World) -> Agent {
    let (mut agent, _) = world.connect(1, &[("env", "prod")]);
    let capabilities = AgentCapabilities::REPORTS_STATUS
        | AgentCapabilities::ACCEPTS_REMOTE_CONFIG
        | AgentCapabilities::ACCEPTS_RESTART_COMMAND;
    let changes = Changes {
        capabilities: Some(capabilities),
        ..Changes::default()
    };
    agent.say(world, changes);
    world.commit().await;
    agent
}

async fn commands_sent(world: &World) -> usize {
    let mut reader = world.db.read().await.unwrap();
    let namespace = Namespace::default();
    let events = store::events::list_after(&mut reader, &namespace, EventId::default(), 100);
    let events = events.await.unwrap();
    let sent = |kind: EventKind| kind == EventKind::AgentCommandSent;
    events.iter().filter(|event| sent(event.kind)).count()
}

#[tokio::test]
async fn nobody_restarts_what_is_on_hold_or_waits_for_approval() {
    let world = World::start_with(|options| options.approval = ApprovalMode::Manual).await;
    let agent = restartable(&world).await;
    let (caller, id) = (Caller::anonymous(), agent.attachment.agent_id());
    let restart = || world.engine.restart_agent(&caller, id, world.now);
    assert!(matches!(
        restart().await,
        Err(AgentActionError::AwaitsApproval)
    ));
    let approved = world.engine.approve_agent(&caller, id, world.now);
    approved.await.unwrap();
    let scope = HoldScope::Namespace(Namespace::default());
    let put = world.engine.put_hold(&caller, scope.clone(), "", world.now);
    put.await.unwrap();
    assert!(matches!(restart().await, Err(AgentActionError::Held)));
    assert!(agent.pushed(&world).is_none());
    assert_eq!(commands_sent(&world).await, 0);

    let lifted = world.engine.lift_hold(&caller, &scope, world.now);
    lifted.await.unwrap();
    restart().await.unwrap();
    assert_eq!(
        agent.pushed(&world).unwrap().command,
        Some(Command::Restart)
    );
    assert_eq!(commands_sent(&world).await, 1);
}

#[tokio::test]
async fn a_command_that_cannot_be_queued_is_not_said_to_be_sent() {
    let world = World::start_with(|options| options.limits.queue = 1).await;
    let agent = restartable(&world).await;
    let (caller, id) = (Caller::anonymous(), agent.attachment.agent_id());
    let restart = || world.engine.restart_agent(&caller, id, world.now);
    restart().await.unwrap();
    assert!(matches!(
        restart().await,
        Err(AgentActionError::NotDelivered(NotDelivered::QueueFull))
    ));
    assert_eq!(commands_sent(&world).await, 1);
    let mut reader = world.db.read().await.unwrap();
    let entries = store::audit::list(&mut reader, &Namespace::default(), None, 100).await;
    let entries = entries.unwrap();
    let requested = |kind: &str| kind == "agent.restart_requested";
    let count = entries
        .iter()
        .filter(|record| requested(&record.entry.event_type));
    assert_eq!(count.count(), 1);
}

#[tokio::test]
async fn a_config_that_an_agent_never_came_to_an_end_with_is_retried() {
    let world = World::start().await;
    let (mut agent, _) = world.connect(1, &[("env", "prod")]);
    let (caller, id) = (Caller::anonymous(), agent.attachment.agent_id());
    let retry = || world.engine.retry_agent(&caller, id, world.now);
    assert!(matches!(
        retry().await,
        Err(AgentActionError::NothingToRetry { .. })
    ));
    world
        .release("edge", "env=prod", 0, "receivers: {}\n")
        .await;
    let offer = agent.pushed(&world).unwrap().config.unwrap();
    // It was sent and not answered.
    retry().await.unwrap();
    assert!(agent.pushed(&world).unwrap().config.is_some());
    agent.answers(&world, &offer.hash, ApplyState::Applying, "");
    retry().await.unwrap();
    assert!(agent.pushed(&world).unwrap().config.is_some());
    agent.answers(&world, &offer.hash, ApplyState::Applied, "");
    assert!(matches!(
        retry().await,
        Err(AgentActionError::NothingToRetry { .. })
    ));
}
