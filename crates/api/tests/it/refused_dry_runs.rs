//! Agents that refused in a dry run what a release would give them, and are left as they are.

use std::future::poll_fn;
use std::task::Poll;

use api_types::agents::Agent as Shown;
use api_types::audit::AuditEntry;
use api_types::plans::{Plan, PlanOutcome};
use api_types::rollouts::StartedRollout;
use api_types::{Page, ProblemKind};
use engine::AskedContent;
use engine::domain::model::{ApplyState, Changes, DryRunOutcome};
use engine::domain::{AgentId, ConfigName, ContentHash, Namespace, RevisionNumber};
use http::StatusCode;
use serde_json::{Value, json};

use crate::builds::built_with;
use crate::dry_runs::{able, answer};
use crate::harness::{Agent, Answer, BODY, World, described};
use crate::plans::{put, release};

const PLAN: &str = "/api/v1/configs/edge/plan";
const RELEASE: &str = "/api/v1/configs/edge/rollouts";
/// Two builds; the receivers are what tells them apart.
const X: &[&str] = &["otlp"];
const Y: &[&str] = &["otlp", "kafka"];
const NO: Option<&str> = Some("no such key: verbosty");
const YES: Option<&str> = None;
/// Said by who is asked first of all; the others accept.
const FIRST: Option<&str> = Some("no such file: /etc/ca.pem");

/// A further revision of [`BODY`].
fn next(number: u32) -> String {
    BODY.replace("otlp: {}", &format!("otlp: {{number: {number}}}"))
}

/// An agent that takes dry runs, of a build that it reports if it is of any.
async fn connect(world: &World<'_>, uid: u8, build: &[&str]) -> Agent {
    let first = Changes {
        available_components: (!build.is_empty())
            .then(|| built_with(build).available_components)
            .flatten(),
        ..able(&[("env", "prod")])
    };
    world.connect_with(uid, first).await
}

/// Agents of these builds that run [`BODY`]; `next(2)` is the newest revision.
async fn fleet<const N: usize>(world: &World<'_>, builds: [&[&str]; N]) -> [Agent; N] {
    put(world, "edge", "env=prod", 0, BODY).await;
    release(world, "edge").await;
    let mut agents = Vec::new();
    for (uid, build) in (1..).zip(builds) {
        let mut agent = connect(world, uid, build).await;
        let taken = agent.takes_config(world, ApplyState::Applied, "").await;
        assert_eq!(taken, BODY);
        agents.push(agent);
    }
    put(world, "edge", "env=prod", 0, &next(2)).await;
    agents
        .try_into()
        .unwrap_or_else(|_| unreachable!("so many"))
}

/// A request during which agents are asked, and say for what their Collector refuses, if it does. Tells in which order they
/// were asked.
async fn asking(
    world: &World<'_>,
    agents: &mut [(&mut Agent, Option<&str>)],
    (path, request): (&str, Value),
) -> (Answer, Vec<usize>) {
    let mut order = Vec::new();
    let mut answered = Box::pin(world.post(path, request));
    loop {
        let next = async {
            let waiting = agents.iter().map(|(agent, _)| Box::pin(agent.asked(world)));
            let mut waiting: Vec<_> = waiting.collect();
            poll_fn(|context| {
                let polled = waiting
                    .iter_mut()
                    .enumerate()
                    .find_map(|(place, asked)| match asked.as_mut().poll(context) {
                        Poll::Ready(asked) => Some((place, asked)),
                        Poll::Pending => None,
                    });
                polled.map_or(Poll::Pending, Poll::Ready)
            })
            .await
        };
        let (place, asked): (usize, AskedContent) = tokio::select! {
            biased;
            answer = &mut answered => return (answer, order),
            asked = next => asked,
            () = tokio::time::sleep(std::time::Duration::from_secs(20)) => panic!("nobody is asked"),
        };
        order.push(place);
        let (agent, refuses) = &mut agents[place];
        let outcome = match *refuses {
            Some(reason) if order.len() == 1 || Some(reason) != FIRST => {
                DryRunOutcome::Refused(reason.to_owned())
            }
            _ => DryRunOutcome::Accepted,
        };
        agent.answer(world, answer(&asked, outcome));
    }
}

/// A release that leaves out who refuses; so many agents of each build are asked.
fn excluding_of(agents_per_group: usize) -> (&'static str, Value) {
    let dry_run = json!({ "agents_per_group": agents_per_group });
    let request = json!({ "require_dry_run": dry_run, "exclude_incompatible": true });
    (RELEASE, request)
}

fn excluding() -> (&'static str, Value) {
    excluding_of(1)
}

async fn start(
    world: &World<'_>,
    agents: &mut [(&mut Agent, Option<&str>)],
    request: (&str, Value),
) -> StartedRollout {
    let (answer, _) = asking(world, agents, request).await;
    answer.json(StatusCode::CREATED)
}

async fn shown(world: &World<'_>, agent: &Agent) -> Shown {
    world.read(&agent.path()).await
}

/// The reason for which an agent is not given what is released for it, and the revision that it should run.
async fn standing(world: &World<'_>, agent: &Agent) -> (Option<String>, u64) {
    let config = shown(world, agent).await.config;
    let reason = config.refused.map(|refused| refused.reason);
    (reason, config.desired.unwrap().layers[0].revision)
}

fn left(revision: u64) -> (Option<String>, u64) {
    (NO.map(ToOwned::to_owned), revision)
}

async fn gets(world: &World<'_>, agent: &mut Agent, body: &str) {
    let taken = agent.takes_config(world, ApplyState::Applied, "").await;
    assert_eq!(taken, body);
}

async fn kept(world: &World<'_>) -> Vec<engine::KnownRefusal> {
    let mut conn = world.db.db.read().await.unwrap();
    store::refusals::load_all(&mut conn).await.unwrap()
}

pub async fn agents_whose_build_refuses_are_left_as_they_are(world: &World<'_>) {
    let [mut one, mut two, mut other, mut silent] = fleet(world, [X, X, Y, &[]]).await;
    let mut asked = [
        (&mut one, NO),
        (&mut two, NO),
        (&mut other, YES),
        (&mut silent, YES),
    ];
    let (answer, order) = asking(world, &mut asked, excluding()).await;
    let started: StartedRollout = answer.json(StatusCode::CREATED);
    assert_eq!(
        order.len(),
        4,
        "each build, and another agent of the one that refuses"
    );
    assert_eq!((started.affected, started.excluded), (4, 2));
    assert_eq!(started.excluded_by_dry_run, 2);
    let counts = started.dry_run.unwrap();
    assert_eq!((counts.asked, counts.accepted, counts.refused), (4, 2, 2));
    assert_eq!((counts.offline, counts.not_capable), (0, 0));
    for agent in [&mut other, &mut silent] {
        gets(world, agent, &next(2)).await;
        assert_eq!(standing(world, agent).await, (None, 2));
    }
    for agent in [&one, &two] {
        assert!(agent.pushed(world).is_none());
        assert_eq!(standing(world, agent).await, left(1));
    }
    let audit: Page<AuditEntry> = world.read("/api/v1/audit?limit=1").await;
    let noted = serde_json::to_string(&audit.items[0]).unwrap();
    for part in [r#""excluded":2"#, r#""excluded_by_dry_run":2"#, NO.unwrap()] {
        assert!(noted.contains(part), "{part} in {noted}");
    }

    // Nor do they get it later: not by speaking again, not by a restart; nor does one of their build that comes later.
    assert!(
        one.say(world, described(&[("env", "prod"), ("a", "b")]))
            .config
            .is_none()
    );
    world.commit().await;
    let crashed = world.crashed().await;
    assert_eq!(standing(&crashed, &one).await, left(1));
    let late = connect(world, 5, X).await;
    assert!(late.pushed(world).is_none());
    let config = shown(world, &late).await.config;
    assert_eq!(
        (config.desired, config.refused.unwrap().agent.is_empty()),
        (None, false)
    );
    let mut late = connect(world, 6, Y).await;
    gets(world, &mut late, &next(2)).await;

    // Built anew it is given it, and the next revision goes to all.
    two.say(world, built_with(Y));
    gets(world, &mut two, &next(2)).await;
    assert_eq!(standing(world, &two).await, (None, 2));
    put(world, "edge", "env=prod", 0, &next(3)).await;
    release(world, "edge").await;
    gets(world, &mut one, &next(3)).await;
    assert_eq!(standing(world, &one).await, (None, 3));
}

pub async fn a_plan_counts_who_would_be_left_out(world: &World<'_>) {
    let [mut one, mut two, mut other] = fleet(world, [X, X, Y]).await;
    let mut asked = [(&mut one, NO), (&mut two, NO), (&mut other, YES)];
    let request = json!({ "dry_run": true, "exclude_incompatible": true });
    let (answer, order) = asking(world, &mut asked, (PLAN, request)).await;
    let plan: Plan = answer.json(StatusCode::OK);
    assert_eq!(order.len(), 2, "one of each build");
    assert_eq!((plan.blocked, plan.refused), (false, 0));
    assert_eq!((plan.agents, plan.changed, plan.excluded), (3, 1, 2));
    let outcomes = plan
        .groups
        .iter()
        .map(|group| (group.outcome, group.agents));
    let expected = [(PlanOutcome::RefusedByAgent, 2), (PlanOutcome::Change, 1)];
    assert_eq!(outcomes.collect::<Vec<_>>(), expected);
    assert_eq!(kept(world).await, [], "a plan changes nothing");

    start(world, &mut asked, excluding()).await;
    let plan: Plan = world.post(PLAN, json!({})).await.json(StatusCode::OK);
    assert_eq!((plan.blocked, plan.changed, plan.excluded), (false, 0, 0));
    let refused = plan
        .groups
        .iter()
        .find(|group| group.known_refusal.is_some());
    let refused = refused.unwrap();
    assert_eq!(
        (refused.outcome, refused.agents),
        (PlanOutcome::RefusedByAgent, 2)
    );
    assert_eq!(refused.known_refusal.as_ref().unwrap().reason, NO.unwrap());
}

pub async fn a_machine_that_refuses_is_left_out_alone(world: &World<'_>) {
    let [mut one, mut two, mut three] = fleet(world, [X, X, X]).await;
    let mut asked = [(&mut one, NO), (&mut two, YES), (&mut three, YES)];
    let started = start(world, &mut asked, excluding_of(3)).await;
    assert_eq!((started.affected, started.excluded), (3, 1));
    for agent in [&mut two, &mut three] {
        gets(world, agent, &next(2)).await;
    }
    assert!(one.pushed(world).is_none());
    let mut late = connect(world, 4, X).await;
    gets(world, &mut late, &next(2)).await;
    let crashed = world.crashed().await;
    assert_eq!(standing(&crashed, &one).await, left(1));
    assert_eq!(standing(&crashed, &two).await, (None, 2));

    // It is asked for itself from now on.
    let mut asked = [(&mut one, YES), (&mut two, NO)];
    let (answer, order) = asking(world, &mut asked, excluding()).await;
    let started: StartedRollout = answer.json(StatusCode::CREATED);
    assert_eq!((order, started.excluded), (vec![0], 0));
    gets(world, &mut one, &next(2)).await;
    assert_eq!(kept(world).await, []);
}

pub async fn further_agents_of_a_build_are_asked_before_all_of_it_is_left_out(world: &World<'_>) {
    let mut agents = fleet(world, [X; 7]).await;
    let mut asked: Vec<_> = agents.iter_mut().map(|agent| (agent, FIRST)).collect();
    let (answer, order) = asking(world, &mut asked, excluding()).await;
    let started: StartedRollout = answer.json(StatusCode::CREATED);
    assert_eq!((started.affected, started.excluded), (7, 1));
    assert_eq!(order.len(), 5);
    for (place, agent) in agents.iter_mut().enumerate() {
        if place == order[0] {
            assert!(agent.pushed(world).is_none());
        } else {
            gets(world, agent, &next(2)).await;
        }
    }
}

pub async fn who_says_nothing_of_its_build_speaks_for_itself(world: &World<'_>) {
    let [mut one, mut two] = fleet(world, [&[], &[]]).await;
    let mut asked = [(&mut one, NO), (&mut two, YES)];
    let started = start(world, &mut asked, excluding_of(2)).await;
    assert_eq!((started.affected, started.excluded), (2, 1));
    gets(world, &mut two, &next(2)).await;
    assert!(one.pushed(world).is_none());
    assert_eq!(standing(&world.crashed().await, &one).await, left(1));
    // What it says of its build is news.
    one.say(world, built_with(X));
    gets(world, &mut one, &next(2)).await;

    // Where all refuse that can be asked at a time, nobody knows of the others.
    let mut more = Vec::new();
    for uid in 3..=7 {
        let mut agent = connect(world, uid, &[]).await;
        gets(world, &mut agent, &next(2)).await;
        more.push(agent);
    }
    put(world, "edge", "env=prod", 0, &next(3)).await;
    let mut asked: Vec<_> = more.iter_mut().map(|agent| (agent, NO)).collect();
    asked.push((&mut one, YES));
    asked.push((&mut two, NO));
    let (answer, order) = asking(world, &mut asked, excluding()).await;
    answer.problem(ProblemKind::RefusedByAgent);
    assert_eq!(order.len(), 6, "five of no build, and one of the other");
    assert_eq!(kept(world).await.len(), 1, "as before");
}

pub async fn who_accepts_later_is_given_it(world: &World<'_>) {
    let [mut one, mut other] = fleet(world, [X, Y]).await;
    start(world, &mut [(&mut one, NO), (&mut other, YES)], excluding()).await;
    gets(world, &mut other, &next(2)).await;

    // The same again asks nobody, or gets the same answer, and is not refused for what was refused before.
    release(world, "edge").await;
    let requires = (RELEASE, json!({ "require_dry_run": true }));
    for request in [requires.clone(), excluding()] {
        let started = start(world, &mut [(&mut one, NO)], request).await;
        assert_eq!(started.dry_run.unwrap().refused, 1);
        assert!(one.pushed(world).is_none());
        assert_eq!(standing(world, &one).await, left(1));
    }

    let started = start(world, &mut [(&mut one, YES)], requires).await;
    assert_eq!(started.dry_run.unwrap().accepted, 1);
    gets(world, &mut one, &next(2)).await;
    assert_eq!(standing(world, &one).await, (None, 2));
    assert_eq!(kept(world).await, []);
    let mut late = connect(world, 3, X).await;
    gets(world, &mut late, &next(2)).await;
}

pub async fn a_forced_release_overrules_what_was_refused(world: &World<'_>) {
    let [mut one] = fleet(world, [X]).await;
    let started = start(world, &mut [(&mut one, NO)], excluding()).await;
    assert_eq!((started.affected, started.excluded), (1, 1));
    assert_eq!(standing(world, &one).await, left(1), "nobody has it");
    let forced = world.post(RELEASE, json!({ "force": true })).await;
    forced.json::<StartedRollout>(StatusCode::CREATED);
    gets(world, &mut one, &next(2)).await;
    assert_eq!(standing(world, &one).await, (None, 2));
    assert_eq!(kept(world).await, []);
    // It is known no more when another revision was in force meanwhile.
    for revision in [1, 2] {
        let again = world.post(RELEASE, json!({ "revision": revision })).await;
        again.json::<StartedRollout>(StatusCode::CREATED);
    }
    assert_eq!(standing(world, &one).await, (None, 2));
}

pub async fn what_was_refused_is_given_by_no_other_way(world: &World<'_>) {
    let [mut one, mut other] = fleet(world, [X, Y]).await;
    start(world, &mut [(&mut one, NO), (&mut other, YES)], excluding()).await;
    gets(world, &mut other, &next(2)).await;
    put(world, "edge", "env=prod", 0, &next(3)).await;
    release(world, "edge").await;
    for agent in [&mut one, &mut other] {
        gets(world, agent, &next(3)).await;
    }
    // Back to what was refused: a plan says so, and the release is refused.
    let back = json!({ "revision": 2 });
    let plan: Plan = world.post(PLAN, back.clone()).await.json(StatusCode::OK);
    assert_eq!((plan.blocked, plan.changed, plan.refused), (true, 1, 1));
    assert_eq!(plan.groups[0].outcome, PlanOutcome::RefusedByAgent);
    let refusal = world
        .post(RELEASE, back)
        .await
        .problem(ProblemKind::RefusedByAgent);
    assert_eq!(refusal.dry_runs[0].agent, one.id());
    assert_eq!(refusal.dry_runs[0].reason.as_deref(), NO);
    let excluding = json!({ "revision": 2, "exclude_incompatible": true });
    let plan: Plan = world
        .post(PLAN, excluding.clone())
        .await
        .json(StatusCode::OK);
    assert_eq!((plan.blocked, plan.changed, plan.excluded), (false, 1, 1));
    let started = start(world, &mut [], (RELEASE, excluding)).await;
    assert_eq!((started.excluded, started.excluded_by_dry_run), (1, 1));
    gets(world, &mut other, &next(2)).await;
    assert_eq!(standing(world, &one).await, left(3));

    // Labels that would give it to another agent of the build are refused; so is a deletion that leaves it.
    let dev = Changes {
        available_components: built_with(X).available_components,
        ..able(&[])
    };
    let agent = world.connect_with(3, dev).await;
    let labels = json!({ "labels": { "env": "prod" } });
    let refusal = world.patch(&agent.path(), labels).await;
    refusal.problem(ProblemKind::RefusedByAgent);
    put(
        world,
        "over",
        "env=prod",
        1,
        "exporters: {debug: {verbosity: basic}}\n",
    )
    .await;
    release(world, "over").await;
    one.takes_config(world, ApplyState::Applied, "").await;
    let path = "/api/v1/configs/over?agents=remove";
    let refusal = world.delete(path).await;
    refusal.problem(ProblemKind::RefusedByAgent);
    let path = format!("{path}&exclude_incompatible=true");
    assert_eq!(world.delete(&path).await.status, StatusCode::OK);
    assert_eq!(standing(world, &one).await.0.as_deref(), NO);
}

pub async fn nothing_is_kept_of_a_release_that_was_refused(world: &World<'_>) {
    let [mut one, mut other] = fleet(world, [X, Y]).await;
    let request = json!({ "require_dry_run": { "agents_per_group": 2 } });
    let mut asked = [(&mut one, NO), (&mut other, YES)];
    let (answer, _) = asking(world, &mut asked, (RELEASE, request)).await;
    answer.problem(ProblemKind::RefusedByAgent);
    assert_eq!(kept(world).await, []);
    for agent in [&one, &other] {
        assert!(agent.pushed(world).is_none());
        assert_eq!(standing(world, agent).await, (None, 1));
    }
    let plan: Plan = world.post(PLAN, json!({})).await.json(StatusCode::OK);
    assert_eq!((plan.blocked, plan.changed), (false, 2));
    release(world, "edge").await;
    gets(world, &mut one, &next(2)).await;
}

pub async fn what_is_kept_has_no_secrets(world: &World<'_>) {
    let secret = json!({ "value": "s3cr3t-of-kafka" });
    let secret = world.put("/api/v1/secrets/kafka", secret).await;
    assert_eq!(secret.status, StatusCode::CREATED);
    let [mut one] = fleet(world, [X]).await;
    let body = BODY.replace("debug: {}", "debug: {verbosity: \"${secret:kafka}\"}");
    put(world, "edge", "env=prod", 0, &body).await;
    let says = Some("no verbosity s3cr3t-of-kafka");
    start(world, &mut [(&mut one, says)], excluding()).await;
    let [refusal] = &*kept(world).await else {
        panic!("one refusal")
    };
    assert_eq!(refusal.reason, "no verbosity ${secret:kafka}");
    let audit: Page<AuditEntry> = world.read("/api/v1/audit?limit=1").await;
    let noted = serde_json::to_string(&audit.items[0]).unwrap();
    assert!(noted.contains("no verbosity ${secret:kafka}"), "{noted}");
}

pub async fn each_content_is_refused_for_itself(world: &World<'_>) {
    put(
        world,
        "team",
        "team=red",
        1,
        "exporters: {debug: {verbosity: basic}}\n",
    )
    .await;
    release(world, "team").await;
    let [mut plain] = fleet(world, [X]).await;
    let red = Changes {
        available_components: built_with(X).available_components,
        ..able(&[("env", "prod"), ("team", "red")])
    };
    let mut red = world.connect_with(2, red).await;
    red.takes_config(world, ApplyState::Applied, "").await;
    // One build, two contents: what the one with the other config makes is refused.
    let mut asked = [(&mut plain, YES), (&mut red, NO)];
    let started = start(world, &mut asked, excluding()).await;
    assert_eq!((started.affected, started.excluded), (2, 1));
    gets(world, &mut plain, &next(2)).await;
    assert!(red.pushed(world).is_none());
    assert_eq!(standing(world, &red).await, left(1));
    // With another revision of the other config it is another content.
    put(
        world,
        "team",
        "team=red",
        1,
        "exporters: {debug: {verbosity: normal}}\n",
    )
    .await;
    release(world, "team").await;
    red.takes_config(world, ApplyState::Applied, "").await;
    assert_eq!(standing(world, &red).await, (None, 2));
}

pub async fn a_refusal_is_forgotten_when_its_release_is_out_of_force(world: &World<'_>) {
    let [mut one, mut other] = fleet(world, [X, Y]).await;
    start(world, &mut [(&mut one, NO), (&mut other, YES)], excluding()).await;
    gets(world, &mut other, &next(2)).await;
    let sweep = async || {
        world.pass(7 * 3600);
        while world.engine.sweep(world.now()).await.unwrap() {}
        kept(world).await.len()
    };
    assert_eq!(sweep().await, 1, "it is in force");
    assert_eq!(standing(&world.crashed().await, &one).await, left(1));
    put(world, "edge", "env=prod", 0, &next(3)).await;
    release(world, "edge").await;
    gets(world, &mut one, &next(3)).await;
    assert_eq!(sweep().await, 1, "an agent runs it still");
    gets(world, &mut other, &next(3)).await;
    assert_eq!(sweep().await, 0);
    let back = world.post(RELEASE, json!({ "revision": 2 })).await;
    back.json::<StartedRollout>(StatusCode::CREATED);
    gets(world, &mut one, &next(2)).await;
}

pub async fn no_more_than_2000_refusals_are_kept(world: &World<'_>) {
    let hash = ContentHash::from_bytes([1; 32]);
    let old = |n: u128| engine::KnownRefusal {
        namespace: Namespace::default(),
        hash,
        agent: AgentId::from_bytes(n.to_be_bytes()),
        build: None,
        for_build: false,
        reason: String::new(),
        at: world.now(),
        config: ConfigName::new("old").unwrap(),
        revision: RevisionNumber(1),
    };
    let all: Vec<_> = (0..1_999).map(old).collect();
    let mut tx = world.db.db.begin().await.unwrap();
    let namespace = Namespace::default();
    let stored = store::refusals::replace(&mut tx, &namespace, &hash, &all);
    stored.await.unwrap();
    tx.commit().await.unwrap();
    let world = &world.crashed().await;
    let [mut one, mut two, mut other] = fleet(world, [X, X, Y]).await;
    let mut asked = [(&mut one, NO), (&mut two, NO), (&mut other, YES)];
    let (answer, _) = asking(world, &mut asked, excluding()).await;
    answer.problem(ProblemKind::RefusedByAgent);
    assert_eq!(kept(world).await.len(), 1_999);
    let mut asked = [(&mut one, NO), (&mut two, YES), (&mut other, YES)];
    let started = start(world, &mut asked, excluding_of(2)).await;
    assert_eq!(started.excluded, 1);
    assert_eq!(kept(world).await.len(), 2_000);
}

/// As the handshake of OpAMP has it, an agent says the hash of its components first.
pub async fn a_newcomer_is_given_nothing_before_it_says_what_it_is_built_of(world: &World<'_>) {
    let [mut one, mut other] = fleet(world, [X, Y]).await;
    start(world, &mut [(&mut one, NO), (&mut other, YES)], excluding()).await;
    let hash_alone = |build| {
        let mut first = Changes {
            available_components: built_with(build).available_components,
            ..able(&[("env", "prod")])
        };
        if let Some(said) = &mut first.available_components {
            said.components = None;
        }
        first
    };
    let mut late = world.connect_with(7, hash_alone(X)).await;
    assert!(late.pushed(world).is_none());
    late.say(world, built_with(X));
    world.commit().await;
    assert!(late.pushed(world).is_none());
    let config = shown(world, &late).await.config;
    assert_eq!(config.refused.map(|refused| refused.reason), left(1).0);
    assert!(config.desired.is_none());
    let mut fit = world.connect_with(8, hash_alone(Y)).await;
    assert!(fit.pushed(world).is_none());
    fit.say(world, built_with(Y));
    gets(world, &mut fit, &next(2)).await;
    // Who never says it is not kept waiting for long.
    let mut silent = world.connect_with(9, hash_alone(Y)).await;
    silent.say(world, Changes::default());
    gets(world, &mut silent, &next(2)).await;
}

pub async fn who_refuses_again_keeps_it_from_nobody_else(world: &World<'_>) {
    let [mut one, mut two] = fleet(world, [X, X]).await;
    let mut asked = [(&mut one, NO), (&mut two, NO)];
    start(world, &mut asked, excluding_of(2)).await;
    assert_eq!(standing(world, &one).await, left(1));
    let again = json!({ "require_dry_run": { "agents_per_group": 2 } });
    let mut asked = [(&mut one, YES), (&mut two, NO)];
    let (answer, _) = asking(world, &mut asked, (RELEASE, again)).await;
    answer.json::<StartedRollout>(StatusCode::CREATED);
    gets(world, &mut one, &next(2)).await;
    assert!(two.pushed(world).is_none());
}

pub async fn one_that_refuses_speaks_not_for_those_that_cannot_be_asked(world: &World<'_>) {
    let [mut one] = fleet(world, [&[]]).await;
    let mut plain = world.connect_with(9, described(&[("env", "prod")])).await;
    plain.takes_config(world, ApplyState::Applied, "").await;
    let (answer, _) = asking(world, &mut [(&mut one, NO)], excluding()).await;
    answer.problem(ProblemKind::RefusedByAgent);
    assert!(plain.pushed(world).is_none());
}

pub async fn a_refusal_stays_while_another_revision_makes_the_same(world: &World<'_>) {
    let [mut one, mut other] = fleet(world, [X, Y]).await;
    start(world, &mut [(&mut one, NO), (&mut other, YES)], excluding()).await;
    gets(world, &mut other, &next(2)).await;
    put(world, "edge", "env=prod", 5, &next(2)).await;
    release(world, "edge").await;
    put(world, "edge", "env=prod,region!=nowhere", 5, &next(2)).await;
    release(world, "edge").await;
    world.pass(7 * 3600);
    while world.engine.sweep(world.now()).await.unwrap() {}
    assert_eq!(kept(world).await.len(), 1);
    assert!(one.pushed(world).is_none());
}
