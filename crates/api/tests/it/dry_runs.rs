//! Plans of which agents say whether their own Collector would take it.

use api_types::audit::AuditEntry;
use api_types::configs::Config;
use api_types::dry_runs::{DryRunCounts, DryRunOutcome as Told};
use api_types::plans::{AgentPlan, Plan, PlanGroup, PlanOutcome};
use api_types::rollouts::StartedRollout;
use api_types::{Page, ProblemKind, agents};
use engine::domain::model::{
    Changes, CustomCapabilities, DRY_RUN, DRY_RUN_CONFIG_BYTES, DryRunAnswer, DryRunId,
    DryRunOutcome,
};
use engine::{AskedContent, DisconnectReason};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Agent, Answer, BODY, World, described, soon};
use crate::plans::{put, release};

const RELEASE: &str = "/api/v1/configs/edge/rollouts";
const PLAN: &str = "/api/v1/configs/edge/plan";
/// The longest reason that is kept of an agent, in bytes.
const REASON_BYTES: usize = 4 << 10;

async fn plan(world: &World<'_>, request: Value) -> Plan {
    world.post(PLAN, request).await.json(StatusCode::OK)
}

/// A first message of an agent that takes dry runs.
pub(crate) fn able(labels: &[(&str, &str)]) -> Changes {
    Changes {
        custom_capabilities: Some(CustomCapabilities(vec![DRY_RUN.to_owned()])),
        ..described(labels)
    }
}

pub(crate) fn answer(asked: &AskedContent, outcome: DryRunOutcome) -> DryRunAnswer {
    DryRunAnswer {
        id: asked.id,
        hash: asked.content.hash.as_bytes().to_vec(),
        outcome,
    }
}

fn refused(asked: &AskedContent, reason: &str) -> DryRunAnswer {
    answer(asked, DryRunOutcome::Refused(reason.to_owned()))
}

fn only_group(plan: &Plan) -> &PlanGroup {
    let [group] = &*plan.groups else {
        panic!("one group: {plan:?}")
    };
    group
}

fn told(plan: &Plan) -> Vec<(&str, Told)> {
    let all = plan.groups.iter().flat_map(|group| &group.dry_runs);
    all.map(|dry_run| (dry_run.agent.as_str(), dry_run.outcome))
        .collect()
}

pub async fn a_collector_that_refuses_blocks_the_plan_and_nothing_is_applied(world: &World<'_>) {
    let mut agent = world.connect_with(1, able(&[("env", "prod")])).await;
    put(world, "edge", "env=prod", 0, BODY).await;
    let says = async |agent: &mut Agent, outcome: DryRunOutcome| {
        let request = plan(world, json!({ "dry_run": true }));
        let (planned, ()) = tokio::join!(request, async {
            let asked = soon(agent.asked(world)).await;
            assert_eq!(asked.content.files["config.yaml"].body, BODY.as_bytes());
            agent.answer(world, answer(&asked, outcome));
        });
        planned
    };
    let planned = says(&mut agent, DryRunOutcome::Refused("no receiver".to_owned())).await;
    assert!(planned.blocked);
    assert_eq!((planned.changed, planned.refused), (1, 1));
    let group = only_group(&planned);
    assert_eq!(group.outcome, PlanOutcome::RefusedByAgent);
    assert!(group.diff.is_some());
    assert_eq!(told(&planned), [(&*agent.id(), Told::Refused)]);
    assert_eq!(group.dry_runs[0].reason.as_deref(), Some("no receiver"));

    let planned = says(&mut agent, DryRunOutcome::Failed("busy".to_owned())).await;
    assert_eq!(told(&planned), [(&*agent.id(), Told::Failed)]);
    assert!(!planned.blocked, "nobody knows");
    let planned = says(&mut agent, DryRunOutcome::Accepted).await;
    assert_eq!(told(&planned), [(&*agent.id(), Told::Accepted)]);
    assert_eq!(
        (planned.blocked, only_group(&planned).outcome),
        (false, PlanOutcome::Change)
    );

    let shown: agents::Agent = world.read(&agent.path()).await;
    assert_eq!(shown.config.desired, None);
    assert!(agent.pushed(world).is_none());
}

pub async fn an_agent_is_asked_with_the_values_of_secrets_and_told_without(world: &World<'_>) {
    let secret = world.put(
        "/api/v1/secrets/kafka",
        json!({ "value": "s3cr3t-of-kafka" }),
    );
    assert_eq!(secret.await.status, StatusCode::CREATED);
    let mut agent = world.connect_with(1, able(&[("env", "prod")])).await;
    let body = BODY.replace("debug: {}", "debug: {verbosity: \"${secret:kafka}\"}");
    put(world, "edge", "env=prod", 0, &body).await;
    let (planned, ()) = tokio::join!(plan(world, json!({ "dry_run": true })), async {
        let asked = soon(agent.asked(world)).await;
        let offered = asked.content.offered()["config.yaml"].body.clone();
        assert_eq!(asked.content.hash.as_bytes(), &engine::sha256(&offered));
        let offered = String::from_utf8(offered).unwrap();
        assert!(offered.contains("s3cr3t-of-kafka"), "{offered}");
        agent.answer(world, refused(&asked, "no verbosity s3cr3t-of-kafka"));
    });
    let reason = only_group(&planned).dry_runs[0].reason.as_deref();
    assert_eq!(reason, Some("no verbosity ${secret:kafka}"));
}

pub async fn only_the_agent_that_was_asked_answers_and_in_few_words(world: &World<'_>) {
    let mut agent = world.connect_with(1, able(&[("env", "prod")])).await;
    let mut other = world.connect_with(2, able(&[("env", "dev")])).await;
    put(world, "edge", "env=prod", 0, BODY).await;
    let (planned, ()) = tokio::join!(plan(world, json!({ "dry_run": {} })), async {
        let asked = soon(agent.asked(world)).await;
        other.answer(world, refused(&asked, "another agent"));
        let unknown = DryRunId::new([9; 16]);
        let wrong_id = DryRunAnswer {
            id: unknown,
            ..refused(&asked, "another question")
        };
        agent.answer(world, wrong_id);
        let wrong_hash = DryRunAnswer {
            hash: vec![1; 32],
            ..refused(&asked, "another content")
        };
        agent.answer(world, wrong_hash);
        agent.answer(world, refused(&asked, &"ä".repeat(1 << 20)));
        agent.answer(world, answer(&asked, DryRunOutcome::Accepted));
    });
    assert_eq!(told(&planned), [(&*agent.id(), Told::Refused)]);
    let reason = only_group(&planned).dry_runs[0].reason.as_deref().unwrap();
    assert!(reason.starts_with('ä') && reason.len() <= REASON_BYTES);
}

pub async fn nobody_is_waited_for_for_good_and_releases_go_on_meanwhile(world: &World<'_>) {
    let mut agent = world.connect_with(1, able(&[("env", "prod")])).await;
    put(world, "edge", "env=prod", 0, BODY).await;
    put(world, "other", "env=dev", 0, BODY).await;
    let request = json!({ "dry_run": { "timeout_seconds": 1 } });
    let (planned, asked) = tokio::join!(plan(world, request), async {
        let asked = soon(agent.asked(world)).await;
        soon(release(world, "other")).await;
        asked
    });
    assert_eq!(told(&planned), [(&*agent.id(), Told::NoAnswer)]);
    let group = only_group(&planned);
    assert!(1_000 <= group.dry_runs[0].millis, "{group:?}");
    assert_eq!(
        (planned.blocked, group.outcome),
        (false, PlanOutcome::Change)
    );
    agent.answer(world, refused(&asked, "late"));
    let again = plan(world, json!({})).await;
    assert_eq!(told(&again), [], "nobody is asked unless it is asked for");
}

pub async fn who_cannot_be_asked_is_told_and_counted(world: &World<'_>) {
    put(world, "edge", "env=prod", 0, BODY).await;
    let ask = json!({ "dry_run": true });
    let plain = world.connect(1, &[("env", "prod")]).await;
    let planned = plan(world, ask.clone()).await;
    assert_eq!(told(&planned), [(&*plain.id(), Told::NotCapable)]);
    let reason = only_group(&planned).dry_runs[0].reason.as_deref();
    assert!(reason.unwrap().contains(DRY_RUN), "{reason:?}");
    assert!(!planned.blocked);

    let gone = world.connect_with(2, able(&[("env", "prod")])).await;
    detach(world, &gone);
    let planned = plan(world, ask).await;
    let [(_, outcome)] = told(&planned)[..] else {
        panic!("{planned:?}")
    };
    assert_eq!(outcome, Told::NotCapable);
    let counts = DryRunCounts {
        offline: 1,
        not_capable: 1,
        ..DryRunCounts::default()
    };
    assert_eq!(planned.dry_run, Some(counts));
}

fn detach(world: &World<'_>, agent: &Agent) {
    let reason = DisconnectReason::AgentDisconnect;
    world.engine.detach(&agent.attachment, reason, world.now());
}

pub async fn an_agent_that_goes_away_is_not_waited_for(world: &World<'_>) {
    let agent = world.connect_with(1, able(&[("env", "prod")])).await;
    put(world, "edge", "env=prod", 0, BODY).await;
    let request = json!({ "dry_run": { "timeout_seconds": 60 } });
    let (planned, ()) = tokio::join!(soon(plan(world, request)), async {
        soon(agent.asked(world)).await;
        detach(world, &agent);
    });
    assert_eq!(told(&planned), [(&*agent.id(), Told::NoAnswer)]);
    let reason = only_group(&planned).dry_runs[0].reason.as_deref();
    assert_eq!(reason, Some("its connection was lost"));
    assert!(!planned.blocked);
    assert_eq!(planned.dry_run.unwrap().no_answer, 1);
}

pub async fn an_agent_is_asked_what_other_labels_would_give_it(world: &World<'_>) {
    put(world, "edge", "env=prod", 0, BODY).await;
    release(world, "edge").await;
    let mut agent = world.connect_with(1, able(&[])).await;
    let path = format!("{}/plan", agent.path());
    let request = json!({ "labels": { "env": "prod" }, "dry_run": true });
    let (planned, ()) = tokio::join!(world.post(&path, request), async {
        let asked = soon(agent.asked(world)).await;
        agent.answer(world, refused(&asked, "no receiver"));
    });
    let planned: AgentPlan = planned.json(StatusCode::OK);
    assert!(planned.blocked);
    let group = planned.group.unwrap();
    assert_eq!(group.outcome, PlanOutcome::RefusedByAgent);
    assert_eq!(group.dry_runs[0].reason.as_deref(), Some("no receiver"));
    assert!(agent.pushed(world).is_none());
}

pub async fn what_is_too_large_is_not_sent(world: &World<'_>) {
    let agent = world.connect_with(1, able(&[("env", "prod")])).await;
    let padding = "#".repeat(DRY_RUN_CONFIG_BYTES - BODY.len());
    let edit =
        json!({ "kind": "collector", "selector": "env=prod", "body": BODY.to_owned() + &padding });
    let planned = plan(world, json!({ "edit": edit, "dry_run": true })).await;
    assert_eq!(told(&planned), [(&*agent.id(), Told::Failed)]);
    let reason = only_group(&planned).dry_runs[0].reason.as_deref().unwrap();
    assert!(
        reason.contains("1048587 bytes") && reason.contains("1048576"),
        "{reason}"
    );
    assert!(agent.pushed(world).is_none());
}

pub async fn a_plan_asks_100_agents(world: &World<'_>) {
    for uid in 1..=103 {
        let number = uid.to_string();
        world.connect_with(uid, able(&[("number", &number)])).await;
    }
    let body = BODY.replace("debug: {}", "debug: {n: {{ agent.labels.number }}}");
    let edit = json!({ "kind": "collector", "template": "jinja", "body": body });
    let options = json!({ "agents_per_group": 5, "timeout_seconds": 1 });
    let planned = plan(world, json!({ "edit": edit, "dry_run": options })).await;
    assert_eq!(told(&planned).len(), 100);
    let counts = planned.dry_run.unwrap();
    assert_eq!((planned.changed, counts.groups_not_asked), (103, 3));
    assert_eq!((counts.asked, counts.no_answer), (100, 100));
}

pub async fn impossible_dry_runs_are_refused(world: &World<'_>) {
    put(world, "edge", "", 0, BODY).await;
    for (field, value) in [
        ("agents_per_group", 0),
        ("agents_per_group", 6),
        ("timeout_seconds", 0),
        ("timeout_seconds", 61),
    ] {
        let refusal = world
            .post(PLAN, json!({ "dry_run": { field: value } }))
            .await
            .problem(ProblemKind::InvalidField);
        assert_eq!(refusal.field, Some(format!("dry_run.{field}")), "{value}");
        let refusal = world
            .post(RELEASE, json!({ "require_dry_run": { field: value } }))
            .await
            .problem(ProblemKind::InvalidField);
        assert_eq!(refusal.field, Some(format!("require_dry_run.{field}")));
    }
    world
        .post(PLAN, json!({ "dry_run": 7 }))
        .await
        .problem(ProblemKind::InvalidBody);
    world
        .post(PLAN, json!({ "dry_run": { "agents": 1 } }))
        .await
        .problem(ProblemKind::UnknownField);
}

/// Requires a dry run of the release; the agent is asked once and answers.
async fn start(
    world: &World<'_>,
    agent: &mut Agent,
    request: Value,
    outcome: DryRunOutcome,
) -> Answer {
    let (answered, ()) = tokio::join!(world.post(RELEASE, request), async {
        let asked = soon(agent.asked(world)).await;
        agent.answer(world, answer(&asked, outcome));
    });
    answered
}

pub async fn a_release_is_refused_that_an_agent_refuses(world: &World<'_>) {
    let mut agent = world.connect_with(1, able(&[("env", "prod")])).await;
    put(world, "edge", "env=prod", 0, BODY).await;
    let refuses = || DryRunOutcome::Refused("no receiver".to_owned());
    for request in [
        json!({ "require_dry_run": true }),
        json!({ "rollout": { "require_dry_run": {} } }),
    ] {
        let refusal = start(world, &mut agent, request, refuses())
            .await
            .problem(ProblemKind::RefusedByAgent);
        let [dry_run] = &*refusal.dry_runs else {
            panic!("{refusal:?}")
        };
        assert_eq!(dry_run.agent, agent.id());
        assert_eq!(dry_run.reason.as_deref(), Some("no receiver"));
        let detail = refusal.detail.unwrap();
        assert!(
            detail.contains("no receiver") && detail.contains("force"),
            "{detail}"
        );
    }
    assert!(agent.pushed(world).is_none());
    let config: Config = world.read("/api/v1/configs/edge").await;
    assert_eq!(config.baseline, None, "nothing of it happened");

    let request = json!({ "require_dry_run": true, "force": true });
    let forced = start(world, &mut agent, request, refuses()).await;
    let forced: StartedRollout = forced.json(StatusCode::CREATED);
    assert!(forced.rollout.forced);
    let counts = forced.dry_run.unwrap();
    assert_eq!((counts.asked, counts.refused), (1, 1));
    let audit: Page<AuditEntry> = world.read("/api/v1/audit?limit=1").await;
    let noted = serde_json::to_string(&audit.items[0]).unwrap();
    assert!(noted.contains("forced"), "{noted}");
    assert!(
        noted.contains(r#""dry_run":{"asked":1,"refused":1}"#),
        "{noted}"
    );
    assert!(agent.pushed(world).is_some());
}

pub async fn a_release_goes_out_that_agents_accept_or_do_not_answer(world: &World<'_>) {
    let mut agent = world.connect_with(1, able(&[("env", "prod")])).await;
    let silent = world.connect_with(2, able(&[("env", "prod")])).await;
    put(world, "edge", "env=prod", 0, BODY).await;
    let request = json!({ "require_dry_run": { "agents_per_group": 2, "timeout_seconds": 1 } });
    let send = || {
        let call = world.call(Method::POST, RELEASE);
        let call = call.header("idempotency-key", "once");
        call.json(request.clone()).send()
    };
    let (started, ()) = tokio::join!(send(), async {
        let asked = soon(agent.asked(world)).await;
        agent.answer(world, answer(&asked, DryRunOutcome::Accepted));
    });
    let started: StartedRollout = started.json(StatusCode::CREATED);
    let counts = started.dry_run.unwrap();
    let told = (counts.asked, counts.accepted, counts.no_answer);
    assert_eq!((told, started.affected), ((2, 1, 1), 2));
    let again: StartedRollout = send().await.json(StatusCode::OK);
    assert_eq!(again, started, "nobody is asked again");
    assert!(silent.pushed(world).is_some());
}

/// What the agent is asked about while something else is released below it.
async fn asked_while_released(world: &World<'_>, agent: &mut Agent, round: usize) {
    let asked = soon(agent.asked(world)).await;
    let below = BODY.replace("debug: {}", &format!("debug: {{round: {round}}}"));
    let path = "/api/v1/configs/below";
    let request = json!({ "kind": "collector", "selector": "", "priority": -1, "body": below });
    assert!(world.put(path, request).await.status.is_success());
    let started = world
        .post("/api/v1/configs/below/rollouts", json!({}))
        .await;
    assert_eq!(started.status, StatusCode::CREATED, "{}", started.text);
    agent.answer(world, answer(&asked, DryRunOutcome::Accepted));
}

pub async fn agents_are_asked_again_where_something_else_came_between(world: &World<'_>) {
    let mut agent = world.connect_with(1, able(&[("env", "prod")])).await;
    let body = BODY.replace("otlp: {}", "otlp: {own: 1}");
    put(world, "edge", "env=prod", 0, &body).await;
    let request = json!({ "require_dry_run": { "timeout_seconds": 60 } });
    let (refusal, ()) = tokio::join!(world.post(RELEASE, request.clone()), async {
        asked_while_released(world, &mut agent, 1).await;
        let asked = soon(agent.asked(world)).await;
        let body = String::from_utf8(asked.content.files["config.yaml"].body.to_vec()).unwrap();
        assert!(body.contains("round") && body.contains("own"), "{body}");
        agent.answer(world, refused(&asked, "no round"));
    });
    let refusal = refusal.problem(ProblemKind::RefusedByAgent);
    assert_eq!(refusal.dry_runs.len(), 1, "{refusal:?}");

    let (refusal, ()) = tokio::join!(world.post(RELEASE, request), async {
        for round in 2..=4 {
            asked_while_released(world, &mut agent, round).await;
        }
    });
    let refusal = refusal.problem(ProblemKind::Conflict);
    assert!(refusal.detail.unwrap().contains("again and again"));
}
