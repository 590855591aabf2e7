//! The config source: commits that are applied whole or refused whole, and configs that nobody else changes.

use api_types::audit::AuditEntry;
use api_types::config_source::ConfigSource as Shown;
use api_types::configs::{Config, ConfigKind, DeletedConfig, Revision};
use api_types::rollouts::Rollout;
use api_types::{Page, ProblemKind};
use backends::SourceFile;
use backends::git::CommitInfo;
use engine::HmacSha256;
use engine::admin::source::{
    ConfigSource, FetchOutcome, FetchReport, NewCommit, ReleaseBy, Taken, read_documents,
};
use engine::domain::model::ApplyState;
use http::{Method, StatusCode};
use serde_json::json;

use crate::events::Stream;
use crate::harness::{BODY, WEBHOOK_SECRET, World, other};

const STATUS: &str = "/api/v1/config-source";
const WEBHOOK: &str = "/api/v1/config-source/webhook";
const EDGE: &str = "/api/v1/configs/edge";
/// Without the exporter that [`BODY`]'s pipeline names.
const BROKEN: &str = "receivers: {otlp: {}}\n\
    service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n";

fn automatic(world: &World<'_>) -> ConfigSource {
    ConfigSource {
        release: ReleaseBy::AllAtOnce,
        ..world.source.source().clone()
    }
}

/// A document of a config for every agent, its body in a file beside it.
fn config(name: &str, body: &str) -> [SourceFile; 2] {
    let document = format!("name: {name}\nselector: {{env: prod}}\nfile: {name}.yaml\n");
    [
        SourceFile::new(format!("{name}.config.yaml"), document),
        SourceFile::new(format!("{name}.yaml"), body),
    ]
}

/// The commit of a number, with these files.
fn commit<const N: usize>(number: u8, files: [[SourceFile; 2]; N]) -> NewCommit {
    let files = files.into_iter().flatten().collect();
    NewCommit {
        info: CommitInfo {
            id: id(number).parse().unwrap(),
            author_name: "Ada Lovelace".to_owned(),
            author_email: "ada@example.com".to_owned(),
            time: "2026-01-01T00:00:00Z".parse().unwrap(),
            message: format!("change {number}\n\nand a body\n"),
        },
        forced: false,
        documents: read_documents(Ok(files)).unwrap(),
    }
}

fn id(number: u8) -> String {
    format!("{number:02x}").repeat(20)
}

async fn take(world: &World<'_>, commit: &NewCommit) -> Taken {
    take_of(world, world.source.source(), commit).await
}

async fn take_of(world: &World<'_>, source: &ConfigSource, commit: &NewCommit) -> Taken {
    let taken = world.engine.take_commit(source, commit, world.now()).await;
    let released = world.engine.release_source(source, world.now()).await;
    released.unwrap();
    taken.unwrap()
}

async fn status(world: &World<'_>) -> Shown {
    world.read(STATUS).await
}

async fn findings(world: &World<'_>) -> Vec<(String, String)> {
    let refused = status(world).await.refused.expect("a refused commit");
    let place = |finding: api_types::config_source::SourceFinding| {
        let numbers = [finding.line, finding.column].into_iter().flatten();
        let place = numbers.fold(finding.file, |place, number| format!("{place}:{number}"));
        (place, finding.code)
    };
    refused.findings.into_iter().map(place).collect()
}

async fn waiting(world: &World<'_>) -> Vec<(String, u64, Option<u64>, bool)> {
    let waiting = status(world).await.waiting.into_iter();
    waiting
        .map(|waiting| {
            (
                waiting.config,
                waiting.latest,
                waiting.baseline,
                waiting.gone,
            )
        })
        .collect()
}

pub async fn a_commit_becomes_revisions_with_its_author_and_message(world: &World<'_>) {
    let mut stream = Stream::open(world, "/api/v1/events", &[]).await;
    let taken = take(
        world,
        &commit(1, [config("edge", BODY), config("own", BODY)]),
    )
    .await;
    let Taken::Applied { changed, .. } = taken else {
        panic!("{taken:?}")
    };
    assert_eq!(changed.len(), 2);
    let revision: Revision = world.read("/api/v1/configs/edge/revisions/1").await;
    assert_eq!(revision.body, BODY);
    let summary = revision.summary;
    assert_eq!(summary.origin, format!("git {}", id(1)));
    assert_eq!(summary.author, "Ada Lovelace <ada@example.com>");
    assert_eq!(
        (&*summary.message, &*summary.selector),
        ("change 1", "env=prod")
    );
    let shown: Config = world.read(EDGE).await;
    assert_eq!(shown.source.unwrap().repository, "/srv/git/collectors.git");
    assert_eq!(shown.baseline, None);

    // What is the same makes no revision.
    let second = BODY.replace("debug: {}", "debug: {verbosity: basic}");
    take(
        world,
        &commit(2, [config("edge", &second), config("own", BODY)]),
    )
    .await;
    let latest = async |name: &str| {
        let shown: Config = world.read(&format!("/api/v1/configs/{name}")).await;
        shown.latest.number
    };
    assert_eq!((latest("edge").await, latest("own").await), (2, 1));
    let shown = status(world).await;
    let applied = shown.applied.unwrap();
    assert_eq!(applied.commit.id, id(2));
    assert_eq!(applied.commit.message, "change 2");
    assert!(shown.refused.is_none());
    assert_eq!(
        waiting(world).await,
        [
            ("edge".to_owned(), 2, None, false),
            ("own".to_owned(), 1, None, false)
        ]
    );
    let told = stream.until("config_source_applied").await;
    assert_eq!(
        (&*told.detail["commit"], &*told.detail["revisions"]),
        (&*id(1), "2")
    );
    let audit: Page<AuditEntry> = world.read("/api/v1/audit?limit=500").await;
    let of_git: Vec<_> = audit
        .items
        .iter()
        .filter(|entry| entry.actor == "git")
        .map(|entry| entry.event.as_str())
        .collect();
    assert_eq!(of_git.len(), 5, "{of_git:?}");
    let verified: serde_json::Value = world.read("/api/v1/audit/verify").await;
    assert_eq!(verified["intact"], true, "{verified}");
}

/// The template comes first by its name, and waits for the set that gives it its value.
pub async fn a_set_of_variables_and_what_looks_at_it_come_in_one_commit(world: &World<'_>) {
    let source = automatic(world);
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    let template = "name: edge\ntemplate: jinja\nbody: |\n  receivers: {otlp: {}}\n  exporters: {debug: {verbosity: {{ vars.verbosity }}}}\n  service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n";
    let of = |number: u8, set: &str| {
        let set = format!("name: shared\nkind: variables\nbody: |\n  {set}\n");
        let files = [
            SourceFile::new("edge.config.yaml", template),
            SourceFile::new("shared.config.yaml", set),
        ];
        NewCommit {
            documents: read_documents(Ok(files.to_vec())).unwrap(),
            ..commit(number, [])
        }
    };
    take_of(world, &source, &of(1, "verbosity: basic")).await;
    let taken = agent.takes_config(world, ApplyState::Applied, "").await;
    assert!(taken.contains("verbosity: basic"), "{taken}");
    let shown: Config = world.read("/api/v1/configs/shared").await;
    assert_eq!(shown.kind, ConfigKind::Variables);
    take_of(world, &source, &of(2, "verbosity: normal")).await;
    let taken = agent.takes_config(world, ApplyState::Applied, "").await;
    assert!(taken.contains("verbosity: normal"), "{taken}");
    // What is wrong with a set is told at its line, and its kind stays.
    assert_eq!(take_of(world, &source, &of(3, "a-b: 1")).await, Taken::Refused);
    let told = ("shared.config.yaml:4:3".to_owned(), "config-vars".to_owned());
    assert_eq!(findings(world).await, [told]);
    let files = [SourceFile::new("shared.config.yaml", format!("name: shared\nbody: |\n  {}", BODY.replace('\n', "\n  ")))];
    let other = NewCommit {
        documents: read_documents(Ok(files.to_vec())).unwrap(),
        ..commit(4, [])
    };
    assert_eq!(take_of(world, &source, &other).await, Taken::Refused);
    let told = ("shared.config.yaml:1:1".to_owned(), "config-invalid".to_owned());
    assert_eq!(findings(world).await, [told]);
}

pub async fn an_invalid_commit_is_refused_whole_with_its_places(world: &World<'_>) {
    take(world, &commit(1, [config("edge", BODY)])).await;
    let good = BODY.replace("debug: {}", "debug: {verbosity: basic}");
    let inline = "name: inline\nbody: |\n  receivers: {}\n  receivers: {}\n";
    let template = "name: template\ntemplate: jinja\nbody: |\n  a: {{ vars.\n";
    let mut bad = commit(2, [config("edge", &good), config("own", "a: [1\n")]);
    let files = [("inline.config.yaml", inline), ("t.config.yaml", template)];
    let files = files
        .map(|(path, text)| SourceFile::new(path, text))
        .to_vec();
    let read = read_documents(Ok(files)).unwrap();
    bad.documents.as_mut().unwrap().extend(read.unwrap());
    assert_eq!(take(world, &bad).await, Taken::Refused);
    let found = findings(world).await;
    let places: Vec<&str> = found.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(places[0].starts_with("own.yaml:"), "{found:?}");
    assert!(places.contains(&"inline.config.yaml:4:3"), "{found:?}");
    assert!(
        places
            .iter()
            .any(|place| place.starts_with("t.config.yaml:4:")),
        "{found:?}"
    );
    let codes: Vec<&str> = found.iter().map(|(_, code)| code.as_str()).collect();
    assert_eq!(codes, ["config-body", "config-body", "config-template"]);
    // Nothing of it is there, not even what was good.
    let shown: Config = world.read(EDGE).await;
    assert_eq!(shown.latest.number, 1);
    world
        .get("/api/v1/configs/own")
        .await
        .problem(ProblemKind::NotFound);
    assert_eq!(status(world).await.applied.unwrap().commit.id, id(1));

    // What a document says is looked at by file and line, too.
    let files = vec![
        SourceFile::new("a.config.yaml", "name: a\nnope: 1\nbody: 'a: 1'\n"),
        SourceFile::new("b.config.yaml", "name: a\nbody: 'a: 1'\n"),
    ];
    let mut bad = commit(3, []);
    bad.documents = read_documents(Ok(files)).unwrap();
    assert_eq!(take(world, &bad).await, Taken::Refused);
    let expected = [
        ("a.config.yaml:2:1", "document-unknown-key"),
        ("b.config.yaml:1:7", "document-duplicate-name"),
    ];
    let expected = expected.map(|(place, code)| (place.to_owned(), code.to_owned()));
    assert_eq!(findings(world).await, expected);
    // The same refusal again is not told again; a good commit ends it.
    take(world, &bad).await;
    let audit: Page<AuditEntry> = world.read("/api/v1/audit?limit=500").await;
    let refused = |entry: &&AuditEntry| entry.event == "config_source.refused";
    assert_eq!(audit.items.iter().filter(refused).count(), 2);
    take(world, &commit(4, [config("edge", &good)])).await;
    assert!(status(world).await.refused.is_none());
}

pub async fn a_source_without_documents_deletes_nothing(world: &World<'_>) {
    take(world, &commit(1, [config("edge", BODY)])).await;
    assert_eq!(take(world, &commit(2, [])).await, Taken::Refused);
    let none = |code: &str| vec![(String::new(), code.to_owned())];
    assert_eq!(findings(world).await, none("source-empty"));
    let mut moved = commit(3, []);
    let path = "nowhere".to_owned();
    let commit = moved.info.id;
    moved.documents =
        read_documents(Err(backends::git::GitError::NoSuchPath { commit, path })).unwrap();
    assert_eq!(take(world, &moved).await, Taken::Refused);
    assert_eq!(findings(world).await, none("source-no-path"));
    let shown: Config = world.read(EDGE).await;
    assert_eq!(shown.latest.number, 1);
}

pub async fn a_config_of_a_source_is_changed_nowhere_else(world: &World<'_>) {
    take(world, &commit(1, [config("edge", BODY)])).await;
    let refused = |answer: crate::harness::Answer| {
        let problem = answer.problem(ProblemKind::ReadOnlyConfig);
        assert!(problem.detail.unwrap().contains("/srv/git/collectors.git"));
    };
    let put = json!({ "kind": "collector", "body": "receivers: {}\n" });
    refused(world.put(EDGE, put).await);
    let again = json!({ "kind": "collector", "selector": "env=prod", "body": BODY });
    refused(world.put(EDGE, again).await);
    refused(
        world
            .post(&format!("{EDGE}/rollback"), json!({ "revision": 1 }))
            .await,
    );
    refused(world.delete(EDGE).await);
    refused(
        world
            .delete(&format!("{EDGE}?agents=remove&force=true"))
            .await,
    );
    // People release it, and name its revisions.
    let tag = world
        .put(&format!("{EDGE}/tags/good"), json!({ "revision": 1 }))
        .await;
    assert!(tag.status.is_success(), "{}", tag.text);
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    crate::plans::release(world, "edge").await;
    assert_eq!(
        agent.takes_config(world, ApplyState::Applied, "").await,
        BODY
    );
    assert_eq!(waiting(world).await, []);
    refused(world.delete(&format!("{EDGE}?agents=remove")).await);
}

pub async fn a_config_of_the_api_is_not_taken_over(world: &World<'_>) {
    crate::plans::put(world, "edge", "env=prod", 0, BODY).await;
    let both = || [config("edge", BODY), config("own", BODY)];
    assert_eq!(take(world, &commit(1, both())).await, Taken::Refused);
    let expected = (
        "edge.config.yaml:1:1".to_owned(),
        "source-name-taken".to_owned(),
    );
    assert_eq!(findings(world).await, [expected]);
    world
        .get("/api/v1/configs/own")
        .await
        .problem(ProblemKind::NotFound);
    let shown: Config = world.read(EDGE).await;
    assert_eq!((shown.latest.number, shown.source), (1, None));
    // Once it makes room, the same commit is taken.
    assert_eq!(world.delete(EDGE).await.status, StatusCode::OK);
    let taken = take(world, &commit(1, both())).await;
    assert!(matches!(taken, Taken::Applied { .. }), "{taken:?}");
    let shown: Config = world.read(EDGE).await;
    assert_eq!(shown.latest.number, 2);
    assert!(shown.source.is_some());
}

pub async fn what_the_source_has_no_more_is_deleted_or_waits(world: &World<'_>) {
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    let all = [
        config("edge", BODY),
        config("own", BODY),
        config("rest", BODY),
    ];
    take(world, &commit(1, all)).await;
    crate::plans::release(world, "edge").await;
    agent.takes_config(world, ApplyState::Applied, "").await;
    let taken = take(world, &commit(2, [config("rest", BODY)])).await;
    let Taken::Applied {
        changed,
        deleted,
        gone,
    } = taken
    else {
        panic!("{taken:?}")
    };
    assert!(changed.is_empty());
    let names = |names: Vec<engine::domain::ConfigName>| {
        names.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        (names(deleted), names(gone)),
        (vec!["own".to_owned()], vec!["edge".to_owned()])
    );
    world
        .get("/api/v1/configs/own")
        .await
        .problem(ProblemKind::NotFound);
    // The agent keeps what is in force until a person takes it away.
    assert!(agent.pushed(world).is_none());
    let gone = waiting(world).await.remove(0);
    assert_eq!(gone, ("edge".to_owned(), 1, Some(1), true));
    let put = json!({ "kind": "collector", "body": BODY });
    world
        .put(EDGE, put)
        .await
        .problem(ProblemKind::ReadOnlyConfig);
    let deleted: DeletedConfig = world
        .delete(&format!("{EDGE}?agents=remove"))
        .await
        .json(StatusCode::OK);
    assert!(deleted.removal.is_some());
    // Back in the source it is a config again.
    take(
        world,
        &commit(3, [config("rest", BODY), config("edge", BODY)]),
    )
    .await;
    let shown: Config = world.read(EDGE).await;
    assert_eq!((shown.latest.number, shown.baseline), (2, None));
}

pub async fn a_source_may_release_by_itself(world: &World<'_>) {
    let source = automatic(world);
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    take_of(
        world,
        &source,
        &commit(
            1,
            [
                config("edge", BODY),
                config("own", "processors: {batch: {}}\n"),
            ],
        ),
    )
    .await;
    let given = agent.takes_config(world, ApplyState::Applied, "").await;
    assert!(given.contains("batch"), "{given}");
    let rollouts: Page<Rollout> = world.read("/api/v1/configs/edge/rollouts").await;
    assert_eq!(rollouts.items.len(), 1);
    assert_eq!(
        rollouts.items[0].message,
        format!("change 1 (git {})", id(1))
    );
    assert_eq!(waiting(world).await, []);
    // An earlier revision that a person releases stays until a commit changes the config.
    let second = BODY.replace("debug: {}", "debug: {verbosity: basic}");
    take_of(
        world,
        &source,
        &commit(
            2,
            [
                config("edge", &second),
                config("own", "processors: {batch: {}}\n"),
            ],
        ),
    )
    .await;
    agent.takes_config(world, ApplyState::Applied, "").await;
    let back = world
        .post(&format!("{EDGE}/rollouts"), json!({ "revision": 1 }))
        .await;
    assert_eq!(back.status, StatusCode::CREATED, "{}", back.text);
    world
        .engine
        .release_source(&source, world.now())
        .await
        .unwrap();
    assert_eq!(
        waiting(world).await,
        [("edge".to_owned(), 2, Some(1), false)]
    );
    // What is taken out of the source is taken from its agents.
    take_of(world, &source, &commit(3, [config("edge", &second)])).await;
    let given = agent.takes_config(world, ApplyState::Applied, "").await;
    assert!(!given.contains("batch"), "{given}");
    world
        .get("/api/v1/configs/own")
        .await
        .problem(ProblemKind::NotFound);
}

pub async fn a_refused_release_is_told_and_repaired_by_a_commit(world: &World<'_>) {
    let source = automatic(world);
    let mut agent = world.connect(1, &[("env", "prod")]).await;
    let taken = take_of(world, &source, &commit(1, [config("edge", BROKEN)])).await;
    assert!(matches!(taken, Taken::Applied { .. }), "{taken:?}");
    assert!(agent.pushed(world).is_none());
    let refused = status(world).await.waiting.remove(0);
    assert_eq!((&*refused.config, refused.baseline), ("edge", None));
    let why = refused.refused.unwrap();
    assert!(why.contains("revision 1 of config edge"), "{why}");
    // One is right only once another is there; the order does not matter.
    let with = [config("edge", BROKEN), config("last", BODY)];
    take_of(world, &source, &commit(2, with)).await;
    let given = agent.takes_config(world, ApplyState::Applied, "").await;
    assert!(given.contains("otlp") && given.contains("debug"), "{given}");
    assert_eq!(waiting(world).await, []);
    let edge: Config = world.read(EDGE).await;
    assert_eq!(edge.baseline, Some(1));
}

pub async fn a_restart_goes_on_from_what_was_taken(world: &World<'_>) {
    let source = automatic(world);
    let first = commit(1, [config("edge", BODY)]);
    // Killed between a commit and its release.
    let taken = world.engine.take_commit(&source, &first, world.now()).await;
    taken.unwrap();
    let second = world.crashed().await;
    let standing = second.engine.source_standing(&source).await.unwrap();
    assert_eq!(standing.seen(), Some(&*id(1)));
    assert!(!standing.is_refused());
    second
        .engine
        .release_source(&source, second.now())
        .await
        .unwrap();
    let shown: Config = second.read(EDGE).await;
    assert_eq!(shown.baseline, Some(1));
    // Another node that comes to the same commit makes nothing of it, nor a second event.
    let count = async || {
        let audit: Page<AuditEntry> = second.read("/api/v1/audit?limit=500").await;
        audit.items.len()
    };
    let before = count().await;
    take_of(&second, &source, &first).await;
    assert_eq!(count().await, before);
    let shown: Config = second.read(EDGE).await;
    assert_eq!(shown.latest.number, 1);
    // Of another branch nothing was seen yet.
    let branch = ConfigSource {
        branch: "other".to_owned(),
        ..source
    };
    let standing = second.engine.source_standing(&branch).await.unwrap();
    assert_eq!(standing.seen(), None);
}

pub async fn configs_of_a_source_that_is_gone_are_let_go(world: &World<'_>) {
    take(world, &commit(1, [config("edge", BODY)])).await;
    let now = world.now();
    let namespace = world.source.source().namespace.clone();
    let kept = world.engine.let_go_of_sources(Some(&namespace), now).await;
    assert_eq!(kept.unwrap(), 0);
    assert_eq!(world.engine.let_go_of_sources(None, now).await.unwrap(), 1);
    let shown: Config = world.read(EDGE).await;
    assert_eq!(shown.source, None);
    // The source may have it back, as long as nobody else wrote it.
    let standing = world
        .engine
        .source_standing(world.source.source())
        .await
        .unwrap();
    assert_eq!(standing.seen(), None);
    take(world, &commit(1, [config("edge", BODY)])).await;
    let shown: Config = world.read(EDGE).await;
    assert_eq!(shown.latest.number, 1);
    assert!(shown.source.is_some());
    world.engine.let_go_of_sources(None, now).await.unwrap();
    let put = json!({ "kind": "collector", "body": "receivers: {}\n" });
    assert_eq!(world.put(EDGE, put).await.status, StatusCode::CREATED);
    assert_eq!(
        take(world, &commit(2, [config("edge", BODY)])).await,
        Taken::Refused
    );
}

pub async fn a_database_that_fails_leaves_a_commit_undone(world: &World<'_>) {
    let first = commit(1, [config("edge", BODY), config("own", BODY)]);
    let hide = async |hidden: bool| {
        let mut tx = world.db.db.begin().await.unwrap();
        if hidden {
            store::testing::hide_table(&mut tx, "audit").await;
        } else {
            store::testing::show_table(&mut tx, "audit").await;
        }
        tx.commit().await.unwrap();
    };
    hide(true).await;
    let source = world.source.source();
    let failed = world.engine.take_commit(source, &first, world.now()).await;
    failed.expect_err("no audit log");
    hide(false).await;
    assert!(status(world).await.applied.is_none());
    world.get(EDGE).await.problem(ProblemKind::NotFound);
    take(world, &first).await;
    let shown: Config = world.read(EDGE).await;
    assert_eq!(shown.latest.number, 1);
}

pub async fn a_webhook_is_let_in_by_its_secret_alone(world: &World<'_>) {
    let body = r#"{"ref":"refs/heads/main"}"#;
    let mut code = HmacSha256::new(WEBHOOK_SECRET.as_bytes());
    code.update(body.as_bytes());
    let digits: String = code
        .finish()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let hook = |header: &'static str, value: String, body: &'static str| {
        let call = world
            .anonymous(Method::POST, WEBHOOK)
            .text("application/json", body);
        async move { call.header(header, &value).send().await }
    };
    const SIGNATURE: &str = "x-hub-signature-256";
    let signed = format!("sha256={digits}");
    let asked = async || {
        let asked = world.source.asked();
        tokio::time::timeout(std::time::Duration::from_millis(20), asked)
            .await
            .is_ok()
    };
    assert!(!asked().await);
    for _ in 0..3 {
        let answer = hook(SIGNATURE, signed.clone(), body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    }
    // However many there were, one look is asked for.
    assert!(asked().await);
    assert!(!asked().await);
    let answer = hook("x-gitlab-token", WEBHOOK_SECRET.to_owned(), body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert!(asked().await);

    let refusals = [
        (SIGNATURE, signed.clone(), r#"{"ref":"refs/heads/other"}"#),
        (SIGNATURE, format!("sha256={}", "00".repeat(32)), body),
        (SIGNATURE, "sha256=".to_owned(), body),
        (SIGNATURE, WEBHOOK_SECRET.to_owned(), body),
        ("x-gitlab-token", signed, body),
        ("x-gitlab-token", String::new(), body),
        (
            "authorization",
            format!("Bearer {}", crate::harness::ADMIN),
            body,
        ),
    ];
    for (header, value, body) in refusals {
        let problem = hook(header, value, body)
            .await
            .problem(ProblemKind::Unauthorized);
        assert!(!problem.detail.unwrap().contains(WEBHOOK_SECRET));
    }
    assert!(!asked().await);
    let audit: Page<AuditEntry> = world.read("/api/v1/audit?limit=500").await;
    let refused = |entry: &&AuditEntry| entry.resource == WEBHOOK;
    assert_eq!(audit.items.iter().filter(refused).count(), 7);
}

pub async fn a_look_is_asked_for_and_told(world: &World<'_>) {
    let shown = status(world).await;
    assert_eq!(
        (&*shown.repository, &*shown.branch),
        ("/srv/git/collectors.git", "main")
    );
    assert!(shown.webhook && shown.last_fetch.is_none() && shown.applied.is_none());
    let asked: Shown = world
        .post(&format!("{STATUS}/sync"), json!({}))
        .await
        .json(StatusCode::ACCEPTED);
    assert_eq!(asked.waiting, []);
    world.source.asked().await;
    assert_eq!(
        world.source.begin(),
        engine::admin::source::Asked::LookAgain
    );
    assert_eq!(world.source.begin(), engine::admin::source::Asked::Look);
    world.source.end(FetchReport {
        at: world.now(),
        outcome: FetchOutcome::Failed {
            reason: "unreachable",
            error: "cannot reach it".to_owned(),
        },
        failures: 3,
    });
    let fetch = status(world).await.last_fetch.unwrap();
    assert_eq!((fetch.success, fetch.failures), (false, 3));
    assert_eq!(fetch.reason.as_deref(), Some("unreachable"));
    // Another namespace has none.
    let path = format!("/api/v1/namespaces/{}/config-source", other());
    world.get(&path).await.problem(ProblemKind::NotFound);
    world
        .post(&format!("{path}/sync"), json!({}))
        .await
        .problem(ProblemKind::NotFound);
    let audit: Page<AuditEntry> = world.read("/api/v1/audit?limit=500").await;
    let synced = |entry: &&AuditEntry| entry.event == "config_source.sync";
    assert_eq!(audit.items.iter().filter(synced).count(), 1);
}
