//! Connections that come, go and compete for the same agent.

use std::time::Duration;

use domain::{
    AgentId, Approval, Epoch, EventId, EventKind, Namespace,
    model::{Changes, InstanceUid},
};
use engine::{
    Attach, Attachment, AuthMethod, CloseReason, Contest, DisconnectReason, ExchangeError, Mailbox,
    Principal, Refusal, admin::Caller,
};
use jiff::ToSpan;
use store::agents::{AgentReport, NewAgent};

use crate::harness::{World, described, health};

#[tokio::test]
async fn id_06_a_second_connection_takes_over_from_a_dead_one() {
    let world = World::start().await;
    let (mut old, _) = world.connect(1, &[]);
    let mailbox = Mailbox::new();
    let Attach::Contested(contest) = world.attach(old.uid, Some(&mailbox)) else {
        panic!("not contested")
    };
    assert!(!contest.probe(Duration::from_millis(10)).await);
    let attachment = world
        .engine
        .settle(contest, false, world.now)
        .unwrap()
        .unwrap();
    assert_eq!(attachment.agent_id(), old.attachment.agent_id());
    assert!(matches!(
        old.try_say(&world, Changes::default()),
        Err(ExchangeError::Superseded)
    ));
    // The old connection's end does not end the new claim.
    world.engine.detach(
        &old.attachment,
        DisconnectReason::ConnectionClosed,
        world.now,
    );
    let standing = world
        .engine
        .standing(&Namespace::default(), attachment.agent_id())
        .unwrap();
    assert!(standing.connected);
}

#[tokio::test]
async fn id_06_of_two_that_take_over_at_once_the_one_that_was_settled_last_is_not_taken_for_the_newer()
 {
    let world = World::start().await;
    let (old, _) = world.connect(1, &[]);
    let contest = |mailbox| match world.attach(old.uid, Some(mailbox)) {
        Attach::Contested(contest) => contest,
        other => panic!("not contested: {other:?}"),
    };
    let (late, newest) = (Mailbox::new(), Mailbox::new());
    let (of_late, of_newest) = (contest(&late), contest(&newest));
    let attached = world.engine.settle(of_newest, false, world.now).unwrap();
    let again = world.engine.settle(of_late, false, world.now).unwrap();
    assert!(
        again.is_none(),
        "the newest connection is to be asked first"
    );
    // It is alive, and keeps the agent.
    let once_more = contest(&late);
    let (alive, ()) = tokio::join!(once_more.probe(Duration::from_secs(60)), async {
        newest
            .wait()
            .await
            .probes
            .into_iter()
            .for_each(engine::Probe::alive);
    });
    assert!(alive && attached.is_some());
}

#[tokio::test]
async fn id_06_id_07_a_second_connection_beside_a_live_one_gets_a_uid_of_its_own() {
    let world = World::start().await;
    let (mut old, _) = world.connect(1, &[]);
    let mailbox = Mailbox::new();
    let Attach::Contested(contest) = world.attach(old.uid, Some(&mailbox)) else {
        panic!("not contested")
    };
    let (alive, ()) = tokio::join!(contest.probe(Duration::from_secs(5)), async {
        for probe in old.mailbox.wait().await.probes {
            probe.alive();
        }
    });
    assert!(alive);
    let twin = world
        .engine
        .settle(contest, alive, world.now)
        .unwrap()
        .unwrap();
    assert_ne!(twin.agent_id(), old.attachment.agent_id());
    let outgoing = world.engine.take(&twin, world.now);
    assert_eq!(outgoing.new_uid, Some(twin.uid()));
    assert!(old.try_say(&world, Changes::default()).is_ok());

    // It adopts the uid: the same agent, no longer told.
    let Attach::Ready(adopted) = world.attach(twin.uid(), Some(&mailbox)) else {
        panic!("not ready")
    };
    assert!(adopted.is_same(&twin));
    assert_eq!(world.engine.take(&adopted, world.now).new_uid, None);
}

#[tokio::test]
async fn id_03_an_agent_that_asks_gets_a_uid_and_stays_the_same_agent() {
    let world = World::start().await;
    let (mut agent, _) = world.connect(1, &[]);
    let answer = agent.say(
        &world,
        Changes {
            requests_uid: true,
            ..Changes::default()
        },
    );
    let new_uid = answer.new_uid.unwrap();
    let Attach::Ready(adopted) = world.attach(new_uid, Some(&agent.mailbox)) else {
        panic!("not ready")
    };
    assert_eq!(adopted.agent_id(), agent.attachment.agent_id());
    world.commit().await;
    let namespace = Namespace::default();
    let mut reader = world.db.read().await.unwrap();
    let stored = store::agents::find_by_uid(&mut reader, &namespace, &new_uid)
        .await
        .unwrap();
    assert_eq!(stored, Some(adopted.agent_id()));
    assert_eq!(world.engine.find_by_uid(&namespace, agent.uid), None);
}

async fn stored_under(world: &World, uid: InstanceUid) -> Option<AgentId> {
    let mut reader = world.db.read().await.unwrap();
    store::agents::find_by_uid(&mut reader, &Namespace::default(), &uid)
        .await
        .unwrap()
}

#[tokio::test]
async fn id_03_a_newcomer_under_a_uid_that_was_just_given_up_is_stored() {
    for commits_between in [true, false] {
        let world = World::start().await;
        let (mut first, _) = world.connect(1, &[]);
        if commits_between {
            world.commit().await;
        }
        let asks = Changes {
            requests_uid: true,
            ..Changes::default()
        };
        let new_uid = first.say(&world, asks).new_uid.unwrap();
        attached(world.attach(new_uid, Some(&first.mailbox)));
        let (second, _) = world.connect(1, &[]);
        world.commit().await;
        let ids = [&first, &second].map(|agent| Some(agent.attachment.agent_id()));
        assert_ne!(ids[0], ids[1]);
        let stored = [
            stored_under(&world, new_uid).await,
            stored_under(&world, second.uid).await,
        ];
        assert_eq!(stored, ids, "{commits_between}");
    }
}

#[tokio::test]
async fn a_newcomer_whose_uid_is_not_given_up_yet_is_stored_later() {
    let world = World::start().await;
    let uid = InstanceUid::new([1; 16]);
    // Somebody stands in the database under its uid of whom memory does not know.
    let other = AgentId::from_bytes([9; 16]);
    let mut report = AgentReport::new(other, Namespace::default(), Epoch(1), world.now);
    let approval = Approval::Approved;
    report.created = Some(NewAgent { uid, approval });
    world.db.apply_reports(&[report]).await.unwrap();
    let (mut agent, _) = world.connect(1, &[]);
    world.commit().await;
    assert_eq!(stored_under(&world, uid).await, Some(other));
    agent.say(&world, health(true, 1));
    let mut tx = world.db.begin().await.unwrap();
    store::agents::delete(&mut tx, &Namespace::default(), other)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    world.commit().await;
    let id = agent.attachment.agent_id();
    assert_eq!(stored_under(&world, uid).await, Some(id));
    let mut reader = world.db.read().await.unwrap();
    let detail = store::agents::find(&mut reader, &Namespace::default(), id).await;
    assert_eq!(detail.unwrap().unwrap().summary.healthy, Some(true));
}

#[tokio::test]
async fn dc_05_a_polling_agent_that_falls_silent_is_disconnected() {
    let mut world = World::start().await;
    let uid = InstanceUid::new([3; 16]);
    let Attach::Ready(first) = world.attach(uid, None) else {
        panic!("not ready")
    };
    world.pass(60);
    let Attach::Ready(second) = world.attach(uid, None) else {
        panic!("not ready")
    };
    assert!(first.is_same(&second));
    world
        .engine
        .exchange(&second, world.now, |_| Ok::<_, ()>(Default::default()))
        .unwrap();
    for seconds in [0, 40, 40] {
        world.pass(seconds);
        assert_eq!(world.engine.expire(world.now), 0);
    }
    world.pass(11);
    assert_eq!(world.engine.expire(world.now), 1);
    assert!(
        !world
            .engine
            .standing(&Namespace::default(), first.agent_id())
            .unwrap()
            .connected
    );
}

#[tokio::test]
async fn what_happens_to_an_agent_is_kept_as_events_in_order() {
    let world = World::start().await;
    let (mut agent, _) = world.connect(1, &[]);
    agent.say(&world, health(true, 5));
    agent.say(&world, health(false, 5));
    agent.say(&world, health(true, 9));
    world.engine.detach(
        &agent.attachment,
        DisconnectReason::AgentDisconnect,
        world.now,
    );
    world.commit().await;
    let mut reader = world.db.read().await.unwrap();
    let events =
        store::events::list_after(&mut reader, &Namespace::default(), EventId::default(), 100)
            .await
            .unwrap();
    let kinds: Vec<EventKind> = events.iter().map(|event| event.kind).collect();
    let wanted = [
        EventKind::AgentCreated,
        EventKind::AgentConnected,
        EventKind::AgentUnhealthy,
        EventKind::AgentHealthy,
        EventKind::AgentRestarted,
        EventKind::AgentDisconnected,
    ];
    assert_eq!(kinds, wanted);
}

#[tokio::test]
async fn beyond_the_limit_of_agents_unknown_ones_are_refused_and_known_ones_are_not() {
    let world = World::start_with(|options| options.limits.agents = 1).await;
    let (agent, _) = world.connect(1, &[]);
    let mailbox = Mailbox::new();
    assert!(matches!(
        world.attach(InstanceUid::new([2; 16]), Some(&mailbox)),
        Attach::Refused(_)
    ));
    world.engine.detach(
        &agent.attachment,
        DisconnectReason::ConnectionClosed,
        world.now,
    );
    assert!(matches!(
        world.attach(agent.uid, Some(&mailbox)),
        Attach::Ready(_)
    ));
}

#[tokio::test]
async fn rt_06_when_reports_are_not_stored_changes_are_refused_and_heartbeats_are_not() {
    let world = World::start_with(|options| options.limits.pending_reports = 1).await;
    let (mut first, _) = world.connect(1, &[]);
    let mailbox = Mailbox::new();
    let Attach::Ready(second) = world.attach(InstanceUid::new([2; 16]), Some(&mailbox)) else {
        panic!("not ready")
    };
    let refused = first.try_say(&world, described(&[("a", "b")]));
    assert!(matches!(refused, Err(ExchangeError::Overloaded { .. })));
    assert!(
        world
            .engine
            .exchange(&second, world.now, |_| Ok::<_, ()>(Default::default()))
            .is_ok()
    );
    world.commit().await;
    assert!(first.try_say(&world, described(&[("a", "b")])).is_ok());
}

fn attached(attach: Attach) -> Attachment {
    match attach {
        Attach::Ready(attachment) => attachment,
        other => panic!("not attached: {other:?}"),
    }
}

fn is_connected(world: &World, attachment: &Attachment) -> bool {
    let standing = world
        .engine
        .standing(&Namespace::default(), attachment.agent_id());
    standing.unwrap().connected
}

async fn revoke(world: &World, principal: &Principal) {
    let AuthMethod::Token(id) = principal.method else {
        panic!("no token")
    };
    let caller = Caller::anonymous();
    let revoked = world.engine.revoke_operators_token(&caller, id, world.now);
    assert!(revoked.await.unwrap());
}

#[tokio::test]
async fn a_revoked_token_ends_the_sessions_that_were_opened_with_it() {
    let world = World::start().await;
    let (mine, other) = (world.token(None, &[]).await, world.token(None, &[]).await);
    let (stream, its_neighbor) = (Mailbox::new(), Mailbox::new());
    let uids = [1, 2, 3, 4].map(|byte| InstanceUid::new([byte; 16]));
    attached(world.attach_as(&mine, uids[0], Some(&stream)));
    attached(world.attach_as(&other, uids[1], Some(&its_neighbor)));
    let polls = attached(world.attach_as(&mine, uids[2], None));
    revoke(&world, &mine).await;
    assert_eq!(stream.take().close, Some(CloseReason::CredentialRevoked));
    assert_eq!(its_neighbor.take().close, None);
    world.engine.expire(world.now);
    assert!(!is_connected(&world, &polls));
    // Nor does another agent join on the connection while it is being closed.
    assert!(matches!(
        world.attach_as(&mine, uids[3], Some(&stream)),
        Attach::Refused(Refusal::CredentialEnded)
    ));
}

#[tokio::test]
async fn a_token_that_expires_ends_the_sessions_that_were_opened_with_it() {
    let mut world = World::start().await;
    let ends = world.now.checked_add(60.seconds()).unwrap();
    let principal = world.token(Some(ends), &[]).await;
    let stream = Mailbox::new();
    attached(world.attach_as(&principal, InstanceUid::new([1; 16]), Some(&stream)));
    let polls = attached(world.attach_as(&principal, InstanceUid::new([2; 16]), None));
    world.pass(59);
    world.engine.expire(world.now);
    assert_eq!(stream.take().close, None);
    world.pass(1);
    world.engine.expire(world.now);
    assert_eq!(stream.take().close, Some(CloseReason::CredentialRevoked));
    assert!(!is_connected(&world, &polls));
}

#[tokio::test]
async fn a_polled_claim_goes_on_for_its_own_credential_only() {
    let world = World::start().await;
    world
        .release("edge", "team=red", 0, "receivers: {}\n")
        .await;
    let blue = world.token(None, &[("team", "blue")]).await;
    let red = world.token(None, &[("team", "red")]).await;
    let uid = InstanceUid::new([1; 16]);
    let first = attached(world.attach_as(&blue, uid, None));
    let next = attached(world.attach_as(&blue, uid, None));
    assert!(first.is_same(&next));
    // Its token was rotated: the same agent, under the labels that the new one gives.
    let rotated = attached(world.attach_as(&red, uid, None));
    assert_eq!(rotated.agent_id(), first.agent_id());
    assert!(!rotated.is_same(&first));
    world.engine.reconcile(world.now).await.unwrap();
    let standing = world
        .engine
        .standing(&Namespace::default(), first.agent_id());
    assert!(standing.unwrap().desired.is_some());
}

fn contested(attach: Attach) -> Contest {
    match attach {
        Attach::Contested(contest) => contest,
        other => panic!("not contested: {other:?}"),
    }
}

#[tokio::test]
async fn id_06_a_poll_that_contests_again_and_again_makes_one_agent() {
    let world = World::start().await;
    let (stream, _) = world.connect(1, &[]);
    let other = world.token(None, &[]).await;
    let poll = |principal: &Principal| {
        let contest = contested(world.attach_as(principal, stream.uid, None));
        world
            .engine
            .settle(contest, true, world.now)
            .unwrap()
            .unwrap()
    };
    let (first, second) = (poll(&Principal::anonymous()), poll(&Principal::anonymous()));
    assert!(first.is_same(&second));
    // Each answer tells it the uid that it is to use.
    assert_eq!(
        world.engine.take(&second, world.now).new_uid,
        Some(first.uid())
    );
    assert_eq!(world.engine.known_agents(), 2);
    assert_ne!(poll(&other).agent_id(), first.agent_id());
    // Once it uses the uid, whoever uses the old one is yet another agent.
    attached(world.attach_as(&other, first.uid(), None));
    assert_eq!(world.engine.known_agents(), 3);
}

#[tokio::test]
async fn beyond_the_limit_of_agents_a_contest_makes_none() {
    let world = World::start_with(|options| options.limits.agents = 1).await;
    let (stream, _) = world.connect(1, &[]);
    let contest = contested(world.attach(stream.uid, None));
    let settled = world.engine.settle(contest, true, world.now);
    assert!(matches!(settled, Err(Refusal::TooManyAgents)));
    // The connection that takes over from a dead one is no agent more.
    let contest = contested(world.attach(stream.uid, None));
    assert!(world.engine.settle(contest, false, world.now).is_ok());
    assert_eq!(world.engine.known_agents(), 1);
}
