//! Commits that happened while their caller was told that the database was lost: what is asked again must become true.

use std::collections::BTreeMap;

use domain::{Approval, HoldScope, Namespace};
use engine::{
    ApprovalMode, AuthenticationError,
    admin::{
        Caller, Created, Creation,
        rollouts::Release,
        tokens::{NewToken, TokenKind},
    },
};

use crate::harness::{World, body};

const BODY: &str = "receivers: {}\n";

#[tokio::test]
async fn a_hold_whose_lifting_was_lost_is_off_when_it_is_lifted_again() {
    let world = World::start().await;
    let (agent, _) = world.connect(1, &[("env", "prod")]);
    let caller = Caller::anonymous();
    let scope = HoldScope::Namespace(Namespace::default());
    let put = world.engine.put_hold(&caller, scope.clone(), "", world.now);
    put.await.unwrap();
    world.release("edge", "env=prod", 0, BODY).await;
    world.lose_next_commit();
    let lifted = world.engine.lift_hold(&caller, &scope, world.now).await;
    assert!(lifted.is_err());
    assert!(agent.pushed(&world).is_none());
    let lifted = world.engine.lift_hold(&caller, &scope, world.now).await;
    lifted.unwrap();
    assert_eq!(body(&agent.pushed(&world).unwrap()).as_deref(), Some(BODY));
}

#[tokio::test]
async fn a_hold_whose_setting_was_lost_is_on_by_the_next_reconcile() {
    let world = World::start().await;
    let (agent, _) = world.connect(1, &[("env", "prod")]);
    let scope = HoldScope::Namespace(Namespace::default());
    let caller = Caller::anonymous();
    world.lose_next_commit();
    let put = world.engine.put_hold(&caller, scope, "", world.now);
    assert!(put.await.is_err());
    world.engine.reconcile(world.now).await.unwrap();
    world.release("edge", "env=prod", 0, BODY).await;
    assert!(agent.pushed(&world).is_none());
}

#[tokio::test]
async fn a_token_whose_revocation_was_lost_lets_nobody_in_once_it_is_revoked_again() {
    let world = World::start().await;
    let caller = Caller::anonymous();
    let new = NewToken {
        kind: TokenKind::Agent,
        description: String::new(),
        labels: Vec::new(),
        expires_at: None,
    };
    let creation = Creation::default();
    let made = world
        .engine
        .create_token(&caller, &new, &creation, world.now);
    let Created::New(made) = made.await.unwrap() else {
        panic!("made before")
    };
    let (id, secret) = (made.record.id, made.secret.unwrap());
    world.lose_next_commit();
    let revoke = || world.engine.revoke_operators_token(&caller, id, world.now);
    assert!(revoke().await.is_err());
    assert!(revoke().await.unwrap());
    assert_eq!(
        world.engine.authenticate(Some(secret.expose()), world.now),
        Err(AuthenticationError::Revoked)
    );
}

#[tokio::test]
async fn labels_and_approval_whose_commits_were_lost_count_when_they_are_set_again() {
    let world = World::start_with(|options| options.approval = ApprovalMode::Manual).await;
    world.release("edge", "tier=gold", 0, BODY).await;
    let (agent, _) = world.connect(1, &[]);
    world.commit().await;
    let (caller, id) = (Caller::anonymous(), agent.attachment.agent_id());
    world.lose_next_commit();
    let approved = world.engine.approve_agent(&caller, id, world.now);
    assert!(approved.await.is_err());
    let edits = BTreeMap::from([("tier".to_owned(), Some("gold".to_owned()))]);
    let edit = || {
        world
            .engine
            .edit_labels(&caller, id, &edits, None, world.now)
    };
    world.lose_next_commit();
    assert!(edit().await.is_err());
    edit().await.unwrap();
    assert_eq!(
        world.engine.approval(&Namespace::default(), id),
        Some(Approval::Approved)
    );
    world.engine.reconcile(world.now).await.unwrap();
    assert_eq!(body(&agent.pushed(&world).unwrap()).as_deref(), Some(BODY));
}

#[tokio::test]
async fn an_agent_whose_deletion_was_lost_is_gone_when_it_is_deleted_again() {
    let world = World::start().await;
    let (agent, _) = world.connect(1, &[]);
    let (unsaved, _) = world.connect(2, &[]);
    world.commit().await;
    let (third, _) = world.connect(3, &[]);
    let (caller, id) = (Caller::anonymous(), agent.attachment.agent_id());
    world.lose_next_commit();
    let delete = || world.engine.delete_agent(&caller, id, None, world.now);
    assert!(delete().await.is_err());
    assert!(delete().await.is_err(), "it is not found any more");
    let namespace = Namespace::default();
    assert!(world.engine.standing(&namespace, id).is_none());
    for other in [unsaved, third] {
        let id = other.attachment.agent_id();
        assert!(world.engine.standing(&namespace, id).is_some());
    }
}

#[tokio::test]
async fn a_release_whose_commit_was_lost_is_in_force_when_it_is_asked_for_again() {
    let world = World::start().await;
    let (agent, _) = world.connect(1, &[("env", "prod")]);
    let revision = world.revise("edge", "env=prod", 0, BODY).await;
    let (caller, config) = (Caller::anonymous(), revision.config.clone());
    let release = Release {
        revision: None,
        strategy: None,
        message: String::new(),
        precondition: engine::admin::configs::Precondition::None,
        on_errors: engine::admin::rollouts::OnErrors::Force,
        require_dry_run: None,
    };
    let creation = Creation {
        key: Some("once".to_owned()),
        request: b"release".to_vec(),
    };
    let start = || {
        world
            .engine
            .start_rollout(&caller, &config, &release, &creation, world.now)
    };
    world.lose_next_commit();
    assert!(start().await.is_err());
    assert!(agent.pushed(&world).is_none());
    assert!(matches!(start().await.unwrap(), Created::Earlier(_)));
    // Its content was stored with it; the reconciler reads it back.
    world.engine.reconcile(world.now).await.unwrap();
    assert_eq!(body(&agent.pushed(&world).unwrap()).as_deref(), Some(BODY));
}
