//! What operators do, through the engine's own use cases.

use std::collections::BTreeMap;

use domain::{AgentId, ConfigName, HoldScope, Namespace, RevisionNumber, Selector};
use engine::Engine;
use engine::admin::configs::{Aim, NewRevision, Origin, Precondition, Put, Version};
use engine::admin::rollouts::Release;
use engine::admin::{Caller, Creation};
use jiff::Timestamp;

use crate::work::{Fate, Obstacles, Outcome};

/// An operator's wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Make a revision and put it in force.
    Release(NewConfig),
    /// Put an earlier revision in force again.
    GoBack {
        config: &'static str,
        revision: u64,
    },
    /// Let no offer leave.
    Hold,
    Lift,
    /// Have an agent try its config again.
    Retry(AgentId),
    /// Have an agent restart its process.
    Restart(AgentId),
    /// Forget an agent.
    Delete(AgentId),
}

/// A revision to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewConfig {
    pub config: &'static str,
    pub selector: &'static str,
    pub priority: i64,
    pub body: String,
}

/// What a wish came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub intent: Intent,
    /// The revision that was to be put in force.
    pub revision: Option<u64>,
    /// Whether it is committed, whatever the operator heard.
    pub happened: bool,
    /// Whether the operator was told that it is done.
    pub acknowledged: bool,
}

/// Does it. The obstacles are in the way of the commit that puts a revision in force, or of whichever there is.
pub(crate) async fn perform(
    engine: Engine,
    mut obstacles: Obstacles,
    intent: Intent,
    now: Timestamp,
) -> Outcome {
    let caller = Caller::anonymous();
    let mut revision = None;
    let acknowledged = match &intent {
        Intent::Release(new) => match put(&engine, &caller, new, now).await {
            Some(number) => {
                revision = Some(number);
                obstacles.arm();
                release(&engine, &caller, (new.config, number), now).await
            }
            None => {
                return Outcome::Operated(Done {
                    intent,
                    revision,
                    happened: false,
                    acknowledged: false,
                });
            }
        },
        Intent::GoBack {
            config,
            revision: number,
        } => {
            revision = Some(*number);
            obstacles.arm();
            release(&engine, &caller, (config, *number), now).await
        }
        Intent::Hold => {
            obstacles.arm();
            engine
                .put_hold(&caller, everything(), "simulated", now)
                .await
                .is_ok()
        }
        Intent::Lift => {
            obstacles.arm();
            engine.lift_hold(&caller, &everything(), now).await.is_ok()
        }
        Intent::Retry(agent) => {
            obstacles.arm();
            engine.retry_agent(&caller, *agent, now).await.is_ok()
        }
        Intent::Restart(agent) => {
            obstacles.arm();
            engine.restart_agent(&caller, *agent, now).await.is_ok()
        }
        Intent::Delete(agent) => {
            obstacles.arm();
            engine
                .delete_agent(&caller, *agent, None, now)
                .await
                .is_ok()
        }
    };
    let came_to_commit = obstacles.clear();
    let happened = acknowledged || (obstacles.fate == Fate::Lost && came_to_commit);
    Outcome::Operated(Done {
        intent,
        revision,
        happened,
        acknowledged,
    })
}

async fn put(engine: &Engine, caller: &Caller, new: &NewConfig, now: Timestamp) -> Option<u64> {
    let revision = NewRevision {
        template: None,
        kind: "collector".to_owned(),
        aim: Aim {
            selector: new.selector.parse::<Selector>().expect("a selector"),
            priority: new.priority,
        },
        body: new.body.clone().into_bytes(),
        message: String::new(),
        version: Version::Counted,
        origin: Origin::Api,
    };
    let put = engine
        .put_config(
            caller,
            &name(new.config),
            &revision,
            &Precondition::None,
            now,
        )
        .await;
    match put {
        Ok(Put::Made { revision, .. } | Put::Stands { revision, .. }) => Some(revision.number.0),
        Err(_) => None,
    }
}

async fn release(
    engine: &Engine,
    caller: &Caller,
    (config, revision): (&str, u64),
    now: Timestamp,
) -> bool {
    let release = Release {
        revision: Some(RevisionNumber(revision)),
        on_errors: engine::admin::rollouts::OnErrors::Force,
        ..Release::default()
    };
    engine
        .start_rollout(caller, &name(config), &release, &Creation::default(), now)
        .await
        .is_ok()
}

/// What is in force by config, as the database has it.
pub(crate) async fn in_force(engine: &Engine) -> BTreeMap<String, u64> {
    let mut conn = engine.db().read().await.expect("the database is readable");
    let mut found = BTreeMap::new();
    for overview in store::configs::list(&mut conn, &Namespace::default(), None, 100)
        .await
        .expect("the database is readable")
    {
        if let Some(baseline) = overview.baseline {
            found.insert(overview.config.name.to_string(), baseline.0);
        }
    }
    found
}

fn name(config: &str) -> ConfigName {
    ConfigName::new(config).expect("a config's name")
}

fn everything() -> HoldScope {
    HoldScope::Namespace(Namespace::default())
}
