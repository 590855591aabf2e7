//! How much one answer shows: what is beyond is counted, and counts.

use api_types::ProblemKind;
use api_types::explain::Explanation;
use api_types::plans::{Plan, PlanOutcome};
use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{BODY, World};
use crate::plans::put;

const PLAN: &str = "/api/v1/configs/edge/plan";

async fn plan(world: &World<'_>, edit: Value) -> Plan {
    let answer = world.post(PLAN, json!({ "edit": edit })).await;
    answer.json(StatusCode::OK)
}

/// A body that is right but for so many pipelines, each of which names an exporter of its own that is not there.
fn with_faults(number: usize) -> String {
    let faults: String = (0..number)
        .map(|n| format!(", logs/{n}: {{receivers: [otlp], exporters: [none/{n}]}}"))
        .collect();
    BODY.replace("[debug]}}}", &format!("[debug]}}{faults}}}}}"))
}

pub async fn a_plan_shows_100_groups_and_what_changes_in_25_of_them(world: &World<'_>) {
    for uid in 1..=103 {
        world.connect(uid, &[("number", &uid.to_string())]).await;
    }
    let body = BODY.replace("debug: {}", "debug: {n: {{ agent.labels.number }}}");
    let edit = json!({ "kind": "collector", "template": "jinja", "body": body });
    let planned = plan(world, edit).await;
    assert_eq!((planned.agents, planned.changed), (103, 103));
    assert_eq!((planned.groups.len(), planned.more_groups), (100, 3));
    let mut groups = planned.groups.iter();
    assert!(groups.all(|group| group.outcome == PlanOutcome::Change && group.agents == 1));
    let (with, without) = planned.groups.split_at(25);
    assert!(
        with.iter()
            .all(|group| group.diff.is_some() && group.changes.is_some())
    );
    assert!(
        without
            .iter()
            .all(|group| group.diff.is_none() && group.changes.is_none())
    );
}

pub async fn a_plan_shows_20_findings_of_a_group(world: &World<'_>) {
    world.connect(1, &[]).await;
    let errors = |plan: &Plan| {
        let group = &plan.groups[0];
        assert_eq!(group.outcome, PlanOutcome::CheckErrors);
        assert!(
            group
                .findings
                .iter()
                .all(|finding| finding.code == "undefined-component")
        );
        (group.findings.len(), group.more_findings)
    };
    for (faults, expected) in [(19, (19, 0)), (20, (20, 0)), (23, (20, 3))] {
        let edit = json!({ "kind": "collector", "body": with_faults(faults) });
        assert_eq!(errors(&plan(world, edit).await), expected);
    }
}

pub async fn a_refused_release_tells_100_errors(world: &World<'_>) {
    world.connect(1, &[]).await;
    put(world, "edge", "", 0, &with_faults(103)).await;
    let answer = world.post("/api/v1/configs/edge/rollouts", json!({})).await;
    let refusal = answer.problem(ProblemKind::CheckFailed);
    assert_eq!(refusal.findings.len(), 100);
    let detail = refusal.detail.unwrap();
    assert!(detail.contains("103 errors"), "{detail}");
}

pub async fn an_explanation_has_1_000_values(world: &World<'_>) {
    let agent = world.connect(1, &[]).await;
    let values: String = (0..1_003).map(|n| format!("  k{n}: {n}\n")).collect();
    put(
        world,
        "edge",
        "",
        0,
        &format!("{BODY}extensions:\n{values}"),
    )
    .await;
    world
        .post("/api/v1/configs/edge/rollouts", json!({ "force": true }))
        .await;
    let told = async |path: &str| -> Explanation {
        let path = format!("{}/explain?path={path}", agent.path());
        world.read(&path).await
    };
    let some = told("extensions").await;
    assert_eq!((some.values.len(), some.more), (1_000, 3));
    let one = told("extensions::k1002").await;
    assert_eq!((one.values.len(), one.more), (1, 0));
    assert_eq!(one.values[0].value, "1002");
}
