//! Who is asked for a dry run.

use std::{collections::BTreeMap, time::Duration};

use domain::{
    AgentId,
    model::{AvailableComponents, Changes, ComponentDetails, CustomCapabilities, DRY_RUN},
};
use engine::{
    Apart, ApprovalMode, DryRunOrder, Verdict,
    admin::{
        Caller,
        configs::{Plan, Proposal},
    },
};

use crate::harness::{Agent, World};

const BODY: &str = "receivers: {otlp: {}}\nexporters: {debug: {}}\n\
    service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n";

fn able() -> Changes {
    Changes {
        custom_capabilities: Some(CustomCapabilities(vec![DRY_RUN.to_owned()])),
        ..Changes::default()
    }
}

/// Says that an agent was built with one receiver more than others.
fn built_with(receiver: &str) -> Changes {
    let types = |names: &[&str]| ComponentDetails {
        sub_components: names
            .iter()
            .map(|name| ((*name).to_owned(), ComponentDetails::default()))
            .collect(),
        ..ComponentDetails::default()
    };
    let components = BTreeMap::from([
        ("receivers".to_owned(), types(&["otlp", receiver])),
        ("exporters".to_owned(), types(&["debug"])),
    ]);
    Changes {
        available_components: Some(AvailableComponents {
            hash: receiver.as_bytes().to_vec(),
            components: Some(components),
        }),
        ..Changes::default()
    }
}

fn connect(world: &World, uid: u8) -> Agent {
    let (mut agent, _) = world.connect(uid, &[]);
    agent.say(world, able());
    agent
}

/// A plan of a release to all agents, and the agents that were asked and did not answer.
async fn ask(world: &World, agents_per_group: usize) -> (Plan, Vec<AgentId>) {
    let caller = Caller::anonymous();
    let config = domain::ConfigName::new("edge").unwrap();
    let newest = Proposal::Release(None);
    let planned = world
        .engine
        .plan_config(&caller, &config, (&newest, Apart::Contents), world.now);
    let mut planned = planned.await.unwrap();
    let order = DryRunOrder {
        agents_per_group,
        timeout: Duration::from_millis(20),
    };
    let asking = world.engine.dry_run(&caller, &mut planned.groups, order);
    assert_eq!(asking.await.groups_not_asked, 0);
    let all = planned.groups.iter().flat_map(|group| &group.dry_runs);
    let silent = all.filter(|dry_run| dry_run.verdict == Verdict::NoAnswer);
    let silent = silent.map(|dry_run| dry_run.agent).collect();
    (planned, silent)
}

#[tokio::test]
async fn agents_of_different_builds_are_asked_first() {
    let world = World::start().await;
    world.revise("edge", "", 0, BODY).await;
    for uid in 1..=6 {
        connect(&world, uid).say(&world, built_with("kafka"));
    }
    let mut other = connect(&world, 7);
    other.say(&world, built_with("jaeger"));
    world.commit().await;
    let (planned, asked) = ask(&world, 2).await;
    assert_eq!(planned.groups.len(), 1, "{planned:?}");
    assert_eq!(asked.len(), 2);
    assert!(asked.contains(&other.attachment.agent_id()));
    assert_eq!(ask(&world, 5).await.1.len(), 5);
}

#[tokio::test]
async fn who_waits_for_approval_is_shown_nothing() {
    let world = World::start_with(|options| options.approval = ApprovalMode::Manual).await;
    world.revise("edge", "", 0, BODY).await;
    let agent = connect(&world, 1);
    world.commit().await;
    let (planned, asked) = ask(&world, 1).await;
    assert_eq!(asked, []);
    let verdicts = planned.groups.iter().flat_map(|group| &group.dry_runs);
    for dry_run in verdicts {
        assert!(matches!(dry_run.verdict, Verdict::NotCapable(_)));
    }
    let id = agent.attachment.agent_id();
    let caller = Caller::anonymous();
    let approved = world.engine.approve_agent(&caller, id, world.now);
    approved.await.unwrap();
    assert_eq!(ask(&world, 1).await.1, [id]);
}

#[tokio::test]
async fn a_server_that_was_restarted_knows_who_takes_dry_runs() {
    let mut world = World::start().await;
    world.revise("edge", "", 0, BODY).await;
    connect(&world, 1);
    world.commit().await;
    world.crash().await;
    let (agent, _) = world.connect(1, &[]);
    assert_eq!(ask(&world, 1).await.1, [agent.attachment.agent_id()]);
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_any_more_is_not_sent() {
    let world = World::start().await;
    world.revise("edge", "", 0, BODY).await;
    let agent = connect(&world, 1);
    world.commit().await;
    let id = agent.attachment.agent_id();
    // More than the agent's queue takes: they leave it room.
    for _ in 0..=16 {
        assert_eq!(ask(&world, 1).await.1, [id]);
    }
    let pushed = agent.pushed(&world).unwrap();
    assert!(pushed.is_empty(), "{pushed:?}");
}
