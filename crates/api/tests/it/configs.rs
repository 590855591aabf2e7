//! Configs and their revisions.

use std::collections::BTreeMap;

use api_types::agents::Agent;
use api_types::audit::AuditEntry;
use api_types::configs::{Config, DeletedConfig, Revision, RevisionSummary, Tag};
use api_types::rollouts::RolloutStatus;
use api_types::{Page, ProblemKind};
use engine::domain::model::ApplyState;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{BODY, World};

const EDGE: &str = "/api/v1/configs/edge";

fn put(body: &str) -> Value {
    json!({ "kind": "collector", "selector": "env=prod", "body": body })
}

pub async fn a_put_makes_a_revision_and_changes_no_agent(world: &World<'_>) {
    let agent = world.connect(1, &[("env", "prod")]).await;
    let mut request = put(BODY);
    request["priority"] = json!(-7);
    request["message"] = json!("the first");
    let made: Revision = world.put(EDGE, request).await.json(StatusCode::CREATED);
    let summary = &made.summary;
    assert_eq!(
        (summary.number, summary.version.as_str(), summary.priority),
        (1, "v1.0.0", -7)
    );
    assert_eq!(
        (summary.selector.as_str(), summary.message.as_str()),
        ("env=prod", "the first")
    );
    assert_eq!(
        (summary.author.as_str(), summary.origin.as_str()),
        ("admin", "api")
    );
    assert_eq!((made.body.as_str(), made.redacted), (BODY, false));
    assert!(agent.pushed(world).is_none());
    let config: Config = world.read(EDGE).await;
    assert_eq!(
        (config.latest.number, config.baseline, config.last_rollout),
        (1, None, None)
    );
    assert_eq!(
        config.latest, made.summary,
        "what was answered is what is read"
    );
    let kept: Config = world.crashed().await.read(EDGE).await;
    assert_eq!(kept.latest, config.latest);
}

pub async fn the_same_content_again_is_the_standing_revision(world: &World<'_>) {
    let made: Revision = world.put(EDGE, put(BODY)).await.json(StatusCode::CREATED);
    let mut again = put(BODY);
    again["selector"] = json!({ "env": "prod" });
    again["message"] = json!("another message");
    let stands = world.put(EDGE, again).await;
    assert_eq!(stands.json::<Revision>(StatusCode::OK), made);
    let revisions: Page<RevisionSummary> = world.read(&format!("{EDGE}/revisions")).await;
    assert_eq!(revisions.items.len(), 1);
    let other: Revision = world
        .put(EDGE, put("receivers: {otlp: {}}\n"))
        .await
        .json(StatusCode::CREATED);
    assert_eq!(other.summary.number, 2);
    let back: Revision = world.put(EDGE, put(BODY)).await.json(StatusCode::CREATED);
    assert_eq!(back.summary.number, 3, "only the newest revision stands");
}

pub async fn versions_tell_a_new_aim_from_a_new_body(world: &World<'_>) {
    let version = |request: Value| async move {
        let made: Revision = world.put(EDGE, request).await.json(StatusCode::CREATED);
        made.summary.version
    };
    assert_eq!(version(put(BODY)).await, "v1.0.0");
    assert_eq!(version(put("receivers: {otlp: {}}\n")).await, "v1.0.1");
    assert_eq!(
        version(json!({ "kind": "collector", "selector": "env=dev", "body": BODY })).await,
        "v1.1.0"
    );
    assert_eq!(
        version(json!({ "kind": "collector", "priority": 3, "body": BODY })).await,
        "v1.2.0"
    );
}

pub async fn versions_are_given_or_raised_by_people(world: &World<'_>) {
    let mut number = 0;
    let mut request = |version: &str| {
        number += 1;
        let body = format!("receivers: {{otlp/{number}: {{}}}}\n");
        json!({ "kind": "collector", "body": body, "version": version })
    };
    for (given, made) in [
        ("1.4.0", "v1.4.0"),
        ("major", "v2.0.0"),
        ("minor", "v2.1.0"),
        ("v3.0.7", "v3.0.7"),
        ("patch", "v3.0.8"),
    ] {
        let answer = world.put(EDGE, request(given)).await;
        let revision: Revision = answer.json(StatusCode::CREATED);
        assert_eq!(revision.summary.version, made);
    }
    for refused in ["v3.0.8", "1.0.0", "newest"] {
        let problem = world
            .put(EDGE, request(refused))
            .await
            .problem(ProblemKind::InvalidField);
        assert_eq!(problem.field.as_deref(), Some("version"));
    }
}

pub async fn an_earlier_revision_comes_back_as_a_new_one(world: &World<'_>) {
    let path = format!("{EDGE}/rollback");
    let back = |revision: u64| world.post(&path, json!({ "revision": revision }));
    back(1).await.problem(ProblemKind::NotFound);
    let first = json!({ "kind": "collector", "selector": "env=prod", "priority": 4, "body": BODY });
    let first: Revision = world.put(EDGE, first).await.json(StatusCode::CREATED);
    world.put(EDGE, put("receivers: {otlp: {}}\n")).await;
    let again: Revision = back(1).await.json(StatusCode::CREATED);
    let (old, new) = (&first.summary, &again.summary);
    assert_eq!(
        (new.number, &new.selector, new.priority, &new.sha256),
        (3, &old.selector, 4, &old.sha256)
    );
    assert_eq!(
        (
            new.origin.as_str(),
            new.message.as_str(),
            new.version.as_str()
        ),
        ("rollback to 1", "back to v1.0.0 (1)", "v1.2.0")
    );
    let stands: Revision = back(1).await.json(StatusCode::OK);
    assert_eq!(stands.summary.number, 3, "it is the newest already");
    let problem = back(9).await.problem(ProblemKind::NotFound);
    assert_eq!(problem.field.as_deref(), Some("revision"));
}

pub async fn preconditions_guard_writes(world: &World<'_>) {
    let send = |header: &str, value: &str, body: &str| {
        world
            .call(Method::PUT, EDGE)
            .header(header, value)
            .json(put(body))
            .send()
    };
    send("if-match", "*", BODY)
        .await
        .problem(ProblemKind::PreconditionFailed);
    let made = send("if-none-match", "*", BODY).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let tag = made.etag().to_owned();
    assert_eq!(world.get(EDGE).await.etag(), tag);
    let refused = send("if-none-match", "*", BODY)
        .await
        .problem(ProblemKind::PreconditionFailed);
    assert_eq!(refused.field.as_deref(), Some("if-none-match"));
    let changed = send("if-match", &tag, "receivers: {otlp: {}}\n").await;
    assert_eq!(changed.status, StatusCode::CREATED);
    send("if-match", &tag, BODY)
        .await
        .problem(ProblemKind::PreconditionFailed);
    let delete = |tag: String| {
        world
            .call(Method::DELETE, EDGE)
            .header("if-match", &tag)
            .send()
    };
    delete(tag).await.problem(ProblemKind::PreconditionFailed);
    assert_eq!(
        delete(changed.etag().to_owned()).await.status,
        StatusCode::OK
    );
}

pub async fn other_kinds_and_long_messages_are_refused(world: &World<'_>) {
    for kind in ["ottl", "raw", "", "Collector"] {
        let problem = world
            .put(EDGE, json!({ "kind": kind, "body": BODY }))
            .await
            .problem(ProblemKind::UnsupportedKind);
        assert_eq!(problem.field.as_deref(), Some("kind"));
        assert!(problem.detail.unwrap().contains("collector"));
    }
    let empty = json!({ "kind": "collector", "body": BODY, "variables": {} });
    assert_eq!(world.put(EDGE, empty).await.status, StatusCode::CREATED);
    let long = json!({ "kind": "collector", "body": BODY, "message": "x".repeat(5_000) });
    assert_eq!(
        world
            .put(EDGE, long)
            .await
            .problem(ProblemKind::InvalidField)
            .field
            .as_deref(),
        Some("message")
    );
}

pub async fn a_body_copied_from_a_redacted_display_is_refused(world: &World<'_>) {
    let body = "exporters:\n  otlp:\n    headers: {api-key: hunter2}\n";
    let shown: Revision = world.put(EDGE, put(body)).await.json(StatusCode::CREATED);
    assert!(shown.redacted);
    let problem = world
        .put(EDGE, put(&shown.body))
        .await
        .problem(ProblemKind::InvalidConfigBody);
    assert_eq!(
        (problem.field.as_deref(), problem.line),
        (Some("body"), Some(3))
    );
}

pub async fn secrets_in_revisions_are_redacted_unless_revealed(world: &World<'_>) {
    let body = "exporters:\n  otlp:\n    headers: {api-key: hunter2}\n";
    let made = world.put(EDGE, put(body)).await;
    assert!(!made.text.contains("hunter2"));
    let path = format!("{EDGE}/revisions/1");
    assert!(!world.get(&path).await.text.contains("hunter2"));
    let revealed: Revision = world.read(&format!("{path}?reveal=true")).await;
    assert_eq!((revealed.body.as_str(), revealed.redacted), (body, false));
    let audit: Page<AuditEntry> = world.read("/api/v1/audit?limit=1").await;
    assert_eq!(
        (
            audit.items[0].event.as_str(),
            audit.items[0].resource.as_str()
        ),
        ("config.revealed", "configs/edge/revisions/1")
    );
    world
        .get(&format!("{EDGE}/revisions/2"))
        .await
        .problem(ProblemKind::NotFound);
}

pub async fn a_config_in_force_is_deleted_only_with_its_agents(world: &World<'_>) {
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    world.release("edge", "env=prod", BODY).await;
    agent.takes_config(world, ApplyState::Applied, "").await;
    let problem = world.delete(EDGE).await.problem(ProblemKind::ConfigInForce);
    assert!(problem.detail.unwrap().contains("?agents=remove"));

    let deleted: DeletedConfig = world
        .delete(&format!("{EDGE}?agents=remove"))
        .await
        .json(StatusCode::OK);
    let removal = deleted.removal.unwrap();
    assert_eq!(
        (
            removal.affected,
            removal.rollout.revision,
            removal.rollout.previous_revision
        ),
        (1, None, Some(1))
    );
    assert_eq!(removal.rollout.status, RolloutStatus::Completed);
    assert!(
        agent.pushed(world).is_none(),
        "an agent without a config is sent nothing"
    );
    let shown: Agent = world.read(&agent.path()).await;
    assert_eq!(shown.config.desired, None);
    world.get(EDGE).await.problem(ProblemKind::NotFound);
    world.delete(EDGE).await.problem(ProblemKind::NotFound);
    world
        .crashed()
        .await
        .get(EDGE)
        .await
        .problem(ProblemKind::NotFound);

    assert_eq!(
        world.put("/api/v1/configs/idle", put(BODY)).await.status,
        StatusCode::CREATED
    );
    let deleted: DeletedConfig = world
        .delete("/api/v1/configs/idle")
        .await
        .json(StatusCode::OK);
    assert_eq!(deleted.removal, None);
}

pub async fn a_deleted_config_comes_back_with_the_next_number(world: &World<'_>) {
    world.put(EDGE, put(BODY)).await;
    world.delete(EDGE).await;
    world
        .get(&format!("{EDGE}/revisions"))
        .await
        .problem(ProblemKind::NotFound);
    let again: Revision = world.put(EDGE, put(BODY)).await.json(StatusCode::CREATED);
    assert_eq!(again.summary.number, 2);
    assert_eq!(world.get(EDGE).await.status, StatusCode::OK);
}

pub async fn configs_and_revisions_page(world: &World<'_>) {
    for name in ["c", "a", "b"] {
        world
            .put(&format!("/api/v1/configs/{name}"), put(BODY))
            .await;
    }
    let first: Page<Config> = world.read("/api/v1/configs?limit=2").await;
    let names: Vec<&str> = first
        .items
        .iter()
        .map(|config| config.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);
    let cursor = first.next_cursor.unwrap();
    let rest: Page<Config> = world
        .read(&format!("/api/v1/configs?limit=2&cursor={cursor}"))
        .await;
    assert_eq!((rest.items[0].name.as_str(), rest.next_cursor), ("c", None));

    world
        .put("/api/v1/configs/a", put("receivers: {otlp: {}}\n"))
        .await;
    let newest: Page<RevisionSummary> = world.read("/api/v1/configs/a/revisions?limit=1").await;
    assert_eq!(
        (newest.items[0].number, newest.next_cursor.as_deref()),
        (2, Some("2"))
    );
    let oldest: Page<RevisionSummary> = world
        .read("/api/v1/configs/a/revisions?limit=1&cursor=2")
        .await;
    assert_eq!((oldest.items[0].number, oldest.next_cursor), (1, None));
}

pub async fn writers_at_once_make_one_revision_each(world: &World<'_>) {
    let write = |n: u32| world.put(EDGE, put(&format!("receivers: {{otlp/{n}: {{}}}}\n")));
    let (a, b, c, d) = tokio::join!(write(1), write(2), write(3), write(4));
    let mut numbers: Vec<u64> = [a, b, c, d]
        .iter()
        .map(|answer| answer.json::<Revision>(StatusCode::CREATED).summary.number)
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

pub async fn a_release_of_what_somebody_changed_since_is_refused(world: &World<'_>) {
    let first = world.put(EDGE, put(BODY)).await;
    let second = world.put(EDGE, put("receivers: {otlp: {}}\n")).await;
    let release = |tag: &str| {
        world
            .call(Method::POST, &format!("{EDGE}/rollouts"))
            .header("if-match", tag)
            .json(json!({}))
            .send()
    };
    let refused = release(first.etag()).await;
    let problem = refused.problem(ProblemKind::PreconditionFailed);
    assert_eq!(problem.field.as_deref(), Some("if-match"));
    assert_eq!(refused.etag(), second.etag());
    let released = release(second.etag()).await;
    assert_eq!(released.status, StatusCode::CREATED, "{}", released.text);
}

pub async fn a_revision_has_tags_that_people_move(world: &World<'_>) {
    for body in [BODY, "receivers: {otlp: {}}\n"] {
        world.put(EDGE, put(body)).await;
    }
    let path = |tag: &str| format!("{EDGE}/tags/{tag}");
    let tag = async |tag: &str, revision: u64| {
        let request = json!({ "revision": revision });
        world.put(&path(tag), request).await
    };
    let set: Tag = tag("stable", 1).await.json(StatusCode::OK);
    assert_eq!((set.name.as_str(), set.revision), ("stable", 1));
    tag("v1.x", 2).await;
    let moved: Tag = tag("stable", 2).await.json(StatusCode::OK);
    assert_eq!(moved.revision, 2);
    let log: Page<AuditEntry> = world.read("/api/v1/audit?limit=1").await;
    let noted = serde_json::to_string(&log.items[0]).unwrap();
    assert!(noted.contains("config.tagged"), "{noted}");
    let config: Config = world.read(EDGE).await;
    let tags: Vec<_> = config
        .tags
        .iter()
        .map(|tag| (tag.name.as_str(), tag.revision))
        .collect();
    assert_eq!(tags, [("stable", 2), ("v1.x", 2)]);

    assert_eq!(
        world.delete(&path("stable")).await.status,
        StatusCode::NO_CONTENT
    );
    world
        .delete(&path("stable"))
        .await
        .problem(ProblemKind::NotFound);
    tag("stable", 9).await.problem(ProblemKind::NotFound);
    for name in ["1st", "a%20b", &"x".repeat(65)] {
        tag(name, 1).await.problem(ProblemKind::InvalidPath);
    }
    for number in 0..99 {
        assert_eq!(tag(&format!("t{number}"), 1).await.status, StatusCode::OK);
    }
    tag("one-more", 1).await.problem(ProblemKind::Conflict);
}

/// Whatever is done to a config, what its revisions say never changes, and their numbers only grow.
pub async fn the_history_of_a_config_is_append_only(world: &World<'_>) {
    let mut seen: BTreeMap<u64, Revision> = BTreeMap::new();
    for (step, choice) in [0, 1, 0, 2, 3, 0, 4, 0, 2, 1, 5, 0, 3, 2, 4, 4, 0, 1, 2, 5]
        .into_iter()
        .enumerate()
    {
        let body = format!("receivers: {{otlp: {{}}}} # {step}\n");
        let back = seen.len().min(step % 3 + 1);
        let answer = match choice {
            0 => world.put(EDGE, put(&body)).await,
            1 => world.put(EDGE, put(BODY)).await,
            2 => {
                world
                    .post(&format!("{EDGE}/rollback"), json!({ "revision": back }))
                    .await
            }
            3 => {
                world
                    .post(&format!("{EDGE}/rollouts"), json!({ "force": true }))
                    .await
            }
            4 => {
                world
                    .delete(&format!("{EDGE}?agents=remove&force=true"))
                    .await
            }
            _ => {
                world
                    .put(&format!("{EDGE}/tags/t"), json!({ "revision": back }))
                    .await
            }
        };
        assert!(!answer.status.is_server_error(), "{}", answer.text);
        let newest = seen.keys().next_back().copied().unwrap_or(0);
        for (number, revision) in &seen {
            let again: Revision = world.read(&format!("{EDGE}/revisions/{number}")).await;
            assert_eq!(&again, revision, "after step {step}");
        }
        let next = world.get(&format!("{EDGE}/revisions/{}", newest + 1)).await;
        if next.status == StatusCode::OK {
            seen.insert(newest + 1, next.json(StatusCode::OK));
        }
        let further = world.get(&format!("{EDGE}/revisions/{}", newest + 2)).await;
        assert_eq!(further.status, StatusCode::NOT_FOUND);
    }
    assert!(8 < seen.len(), "{}", seen.len());
}
