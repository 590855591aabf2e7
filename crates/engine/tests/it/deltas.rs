//! Which agents are sent a config as what changed, and what follows when they cannot use it.

use domain::{
    ContentHash, HoldScope, Namespace,
    model::{ApplyState, Changes, CustomCapabilities, CustomMessage},
};
use engine::{Delta, DesiredContent, Outgoing, admin::Caller};

use crate::harness::{Agent, World, body};

/// A delta that says what it is of; a content that has `dear` in it is not worth one.
fn encode(base: &DesiredContent, content: &DesiredContent) -> Option<Delta> {
    let of = |content: &DesiredContent| content.files["config.yaml"].body.clone();
    let text = [of(base), b" -> ".to_vec(), of(content)].concat();
    let is_dear = text.windows(4).any(|part| part == b"dear");
    (!is_dear).then(|| Delta {
        encoded: text.into(),
        saved_bytes: 7,
    })
}

async fn world() -> World {
    World::start_with(|options| options.deltas = Some(encode)).await
}

fn delta(outgoing: &Outgoing) -> Option<String> {
    let bytes = outgoing.delta.as_ref()?;
    Some(String::from_utf8(bytes.to_vec()).unwrap())
}

fn hash(body: &str) -> ContentHash {
    ContentHash::from_bytes(trust::sha256(body.as_bytes()))
}

fn whole_wanted(body: &str) -> Changes {
    Changes {
        custom_message: Some(CustomMessage {
            capability: CustomCapabilities::DELTA.to_owned(),
            kind: CustomMessage::WHOLE.to_owned(),
            data: hash(body).as_bytes().to_vec(),
        }),
        ..Changes::default()
    }
}

/// An agent that takes deltas and has applied what it was offered first.
async fn applied(world: &World, uid: u8, body: &str) -> Agent {
    let (mut agent, _) = world.connect(uid, &[]);
    world.engine.reconcile(world.now).await.unwrap();
    agent.pushed(world);
    agent.announces_deltas(world, true);
    agent.answers(world, &hash(body), ApplyState::Applied, "");
    agent
}

#[tokio::test]
async fn a_release_is_sent_as_what_changed_to_those_that_take_it_and_run_the_one_before() {
    let world = world().await;
    world.release("base", "", 0, "v: one").await;
    let able = applied(&world, 1, "v: one").await;
    let (mut plain, _) = world.connect(2, &[]);
    plain.answers(&world, &hash("v: one"), ApplyState::Applied, "");
    let (mut failed, _) = world.connect(3, &[]);
    failed.announces_deltas(&world, true);
    failed.answers(&world, &hash("v: one"), ApplyState::Failed, "no");
    world.release("base", "", 0, "v: two").await;
    let sent = able.pushed(&world).unwrap();
    assert_eq!(delta(&sent).unwrap(), "v: one -> v: two");
    assert_eq!(body(&sent).unwrap(), "v: two");
    for other in [plain, failed] {
        let sent = other.pushed(&world).unwrap();
        assert_eq!(
            (delta(&sent), body(&sent).unwrap().as_str()),
            (None, "v: two")
        );
    }
}

#[tokio::test]
async fn where_it_is_switched_off_or_not_worth_it_the_whole_is_sent() {
    let off = World::start().await;
    off.release("base", "", 0, "v: one").await;
    let agent = applied(&off, 1, "v: one").await;
    off.release("base", "", 0, "v: two").await;
    assert_eq!(delta(&agent.pushed(&off).unwrap()), None);

    let world = world().await;
    world.release("base", "", 0, "v: one").await;
    let agent = applied(&world, 1, "v: one").await;
    world.release("base", "", 0, "v: dear two").await;
    assert_eq!(delta(&agent.pushed(&world).unwrap()), None);
}

#[tokio::test]
async fn going_back_travels_as_what_changed_too() {
    let world = world().await;
    world.release("base", "", 0, "v: one").await;
    let mut agent = applied(&world, 1, "v: one").await;
    world.release("base", "", 0, "v: two").await;
    agent.pushed(&world).unwrap();
    agent.answers(&world, &hash("v: two"), ApplyState::Applied, "");
    world.release("base", "", 0, "v: one").await;
    assert_eq!(
        delta(&agent.pushed(&world).unwrap()).unwrap(),
        "v: two -> v: one"
    );
}

#[tokio::test]
async fn an_agent_that_cannot_use_it_gets_the_whole_and_no_other_delta_of_that_content() {
    let mut world = world().await;
    world.release("base", "", 0, "v: one").await;
    let mut agent = applied(&world, 1, "v: one").await;
    world.release("base", "", 0, "v: two").await;
    assert!(delta(&agent.pushed(&world).unwrap()).is_some());
    let sent = agent.say(&world, whole_wanted("v: two"));
    assert_eq!(
        (delta(&sent), body(&sent).unwrap().as_str()),
        (None, "v: two")
    );
    // A new connection does not begin anew.
    agent.leaves(&world);
    world.pass(1);
    let mut agent = world.attached(1);
    let again = agent.reports(&world, &hash("v: one"));
    assert_eq!(
        (delta(&again), body(&again).unwrap().as_str()),
        (None, "v: two")
    );
    agent.answers(&world, &hash("v: two"), ApplyState::Applied, "");
    // The next content is another matter.
    world.release("base", "", 0, "v: three").await;
    assert_eq!(
        delta(&agent.pushed(&world).unwrap()).unwrap(),
        "v: two -> v: three"
    );
}

#[tokio::test]
async fn an_agent_that_asks_again_and_again_is_answered_seldom() {
    let mut world = world().await;
    world.release("base", "", 0, "v: one").await;
    let mut agent = applied(&world, 1, "v: one").await;
    world.release("base", "", 0, "v: two").await;
    agent.pushed(&world).unwrap();
    let mut sends = 0;
    for _ in 0..1000 {
        let sent = agent.say(&world, whole_wanted("v: two"));
        assert_eq!(delta(&sent), None);
        sends += u32::from(sent.config.is_some());
    }
    assert_eq!(sends, 2, "three sends with the delta");
    world.pass(30);
    assert!(agent.say(&world, whole_wanted("v: two")).config.is_some());
    assert!(agent.say(&world, whole_wanted("v: two")).config.is_none());
}

#[tokio::test]
async fn asking_for_something_else_than_the_offer_does_nothing() {
    let world = world().await;
    world.release("base", "", 0, "v: one").await;
    let mut agent = applied(&world, 1, "v: one").await;
    assert!(agent.say(&world, whole_wanted("v: one")).is_empty());
    world.release("base", "", 0, "v: two").await;
    agent.pushed(&world).unwrap();
    assert!(agent.say(&world, whole_wanted("other")).is_empty());
}

#[tokio::test]
async fn what_must_be_sent_again_is_sent_whole() {
    let world = world().await;
    world.release("base", "", 0, "v: one").await;
    let mut agent = applied(&world, 1, "v: one").await;
    world.release("base", "", 0, "v: two").await;
    assert!(delta(&agent.pushed(&world).unwrap()).is_some());
    // It does not know the content, so it names the old one.
    let again = agent.answers(&world, &hash("v: one"), ApplyState::Applied, "");
    assert_eq!(
        (delta(&again), body(&again).unwrap().as_str()),
        (None, "v: two")
    );
}

#[tokio::test]
async fn another_connection_has_to_say_again_that_it_takes_deltas() {
    let mut world = world().await;
    world.release("base", "", 0, "v: one").await;
    applied(&world, 1, "v: one").await.leaves(&world);
    world.pass(1);
    // Another program with the same uid, which says nothing of deltas.
    let (mut agent, _) = world.connect(1, &[]);
    agent.answers(&world, &hash("v: one"), ApplyState::Applied, "");
    world.release("base", "", 0, "v: two").await;
    assert_eq!(delta(&agent.pushed(&world).unwrap()), None);
    agent.announces_deltas(&world, true);
    agent.announces_deltas(&world, false);
    agent.answers(&world, &hash("v: two"), ApplyState::Applied, "");
    world.release("base", "", 0, "v: three").await;
    assert_eq!(delta(&agent.pushed(&world).unwrap()), None);
}

#[tokio::test]
async fn what_nobody_foresaw_is_sent_whole_once_and_then_as_what_changed() {
    let mut world = world().await;
    world.release("base", "", 0, "v: one").await;
    // One that stays, so that all three are made.
    world.connect(9, &[]);
    world.engine.reconcile(world.now).await.unwrap();
    world.release("base", "", 0, "v: two").await;
    world.release("base", "", 0, "v: three").await;
    world.commit().await;
    world.crash().await;
    let first = world.attached(1).reports(&world, &hash("v: one"));
    assert_eq!(
        (delta(&first), body(&first).unwrap().as_str()),
        (None, "v: three")
    );
    world.engine.reconcile(world.now).await.unwrap();
    let second = world.attached(2).reports(&world, &hash("v: one"));
    assert_eq!(delta(&second).unwrap(), "v: one -> v: three");
}

#[tokio::test]
async fn who_claims_to_run_what_nobody_made_gets_the_whole() {
    let mut world = world().await;
    world.release("base", "", 0, "v: one").await;
    world.connect(9, &[]).0.leaves(&world);
    for n in 0..100_u32 {
        world.pass(1);
        let mut agent = world.attached(1);
        let sent = agent.reports(&world, &hash(&n.to_string()));
        assert_eq!(delta(&sent), None);
        world.engine.reconcile(world.now).await.unwrap();
        agent.leaves(&world);
    }
}

#[tokio::test]
async fn nothing_leaves_under_a_hold_as_a_delta_either() {
    let world = world().await;
    world.release("base", "", 0, "v: one").await;
    let agent = applied(&world, 1, "v: one").await;
    let (caller, scope) = (
        Caller::anonymous(),
        HoldScope::Namespace(Namespace::default()),
    );
    let put = world.engine.put_hold(&caller, scope.clone(), "", world.now);
    put.await.unwrap();
    world.release("base", "", 0, "v: two").await;
    assert!(agent.pushed(&world).is_none());
    let lifted = world.engine.lift_hold(&caller, &scope, world.now);
    lifted.await.unwrap();
    assert_eq!(
        delta(&agent.pushed(&world).unwrap()).unwrap(),
        "v: one -> v: two"
    );
}
