//! A clock that jumps, both ways: nobody is disconnected, forgotten or held up for it.

use domain::{Namespace, model::Changes};
use engine::{Attach, Attachment};
use jiff::ToSpan;

use crate::harness::{World, body, described, health};

const BODY: &str = "receivers: {}\n";
const OTHER: &str = "exporters: {}\n";
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// Five days ahead, five hours back, and so on: what a machine's clock does that is set by hand, or at last.
const JUMPS: [i64; 4] = [5 * DAY, -5 * HOUR, -5 * DAY, 400 * DAY];

/// A polling agent's first request, or its next.
fn poll(world: &World, uid: u8, sequence: u64) -> Attachment {
    let uid = domain::model::InstanceUid::new([uid; 16]);
    let Attach::Ready(attachment) = world.attach(uid, None) else {
        panic!("not attached")
    };
    let heard = world.engine.exchange(&attachment, world.now, |wire| {
        wire.sequence_num = Some(sequence);
        let changes = if sequence == 1 {
            described(&[("env", "prod")])
        } else {
            Changes::default()
        };
        Ok::<_, std::convert::Infallible>(engine::Heard {
            changes,
            ..engine::Heard::default()
        })
    });
    heard.unwrap();
    attachment
}

fn is_connected(world: &World, agent: &Attachment) -> bool {
    let standing = world
        .engine
        .standing(&Namespace::default(), agent.agent_id());
    standing.is_some_and(|standing| standing.connected)
}

/// Time goes by as the server drives it: a step each ten seconds.
fn go_on(world: &mut World, seconds: i64) -> usize {
    let mut expired = 0;
    for _ in 0..seconds / 10 {
        world.pass(10);
        expired += world.engine.expire(world.now);
    }
    expired
}

#[tokio::test]
async fn a_jump_of_the_clock_disconnects_nobody_and_silence_is_still_noticed() {
    for jump in JUMPS {
        let mut world = World::start().await;
        let (_stream, _) = world.connect(1, &[("env", "prod")]);
        let polls = poll(&world, 2, 1);
        assert_eq!(go_on(&mut world, 60), 0);
        world.pass(jump);
        assert_eq!(world.engine.expire(world.now), 0, "{jump}");
        assert_eq!(go_on(&mut world, 60), 0, "{jump}");
        let still = poll(&world, 2, 2);
        assert!(still.is_same(&polls), "{jump}: the claim goes on");
        // Silent for its liveness, counted from the last poll, and not from the jump's other side.
        assert_eq!(go_on(&mut world, 80), 0, "{jump}");
        assert_eq!(go_on(&mut world, 20), 1, "{jump}");
        assert!(!is_connected(&world, &polls));
    }
}

#[tokio::test]
async fn an_agent_that_is_silent_since_a_jump_is_noticed_after_its_liveness() {
    for jump in JUMPS {
        let mut world = World::start().await;
        let polls = poll(&world, 1, 1);
        world.engine.expire(world.now);
        world.pass(jump);
        assert_eq!(world.engine.expire(world.now), 0, "{jump}");
        assert_eq!(go_on(&mut world, 90), 0, "{jump}");
        assert_eq!(go_on(&mut world, 10), 1, "{jump}");
        assert!(!is_connected(&world, &polls));
    }
}

#[tokio::test]
async fn offers_reports_and_takeovers_go_on_over_a_jump() {
    for jump in JUMPS {
        let mut world = World::start().await;
        let (mut agent, _) = world.connect(1, &[("env", "prod")]);
        world.release("edge", "env=prod", 0, BODY).await;
        let hash = agent.pushed(&world).unwrap().config.unwrap().hash;
        agent.answers(&world, &hash, domain::model::ApplyState::Applied, "");
        world.commit().await;
        world.pass(jump);
        world.engine.reconcile(world.now).await.unwrap();
        assert!(
            agent.pushed(&world).is_none(),
            "{jump}: what it runs is not offered again"
        );
        world.release("edge", "env=prod", 0, OTHER).await;
        let pushed = agent.pushed(&world).unwrap();
        assert_eq!(body(&pushed).as_deref(), Some(OTHER), "{jump}");
        let hash = pushed.config.unwrap().hash;
        agent.answers(&world, &hash, domain::model::ApplyState::Applied, "");
        agent.say(&world, health(false, 1));
        world.commit().await;
        world.engine.flush_liveness().await.unwrap();
        // Its next connection is newer than the one before, whatever the clock says, also after a restart.
        let old = agent.attachment.clone();
        world
            .engine
            .detach(&old, engine::DisconnectReason::ConnectionClosed, world.now);
        world.commit().await;
        world.crash().await;
        let (mut again, offer) = world.connect(1, &[("env", "prod")]);
        assert!(
            offer.config.is_none(),
            "{jump}: what it runs is not offered again"
        );
        again.say(&world, health(true, 1));
        world.commit().await;
        let mut reader = world.db.read().await.unwrap();
        let (ns, id) = (Namespace::default(), again.attachment.agent_id());
        let stored = store::agents::find(&mut reader, &ns, id)
            .await
            .unwrap()
            .unwrap();
        assert!(stored.summary.connected, "{jump}");
        assert_eq!(
            stored.summary.healthy,
            Some(true),
            "{jump}: the newest report stands"
        );
    }
}

#[tokio::test]
async fn a_jump_ahead_forgets_nobody_by_itself() {
    let mut world = World::start().await;
    let (gone, _) = world.connect(1, &[]);
    world.engine.detach(
        &gone.attachment,
        engine::DisconnectReason::ConnectionClosed,
        world.now,
    );
    let (_stays, _) = world.connect(2, &[]);
    world.commit().await;
    world.engine.flush_liveness().await.unwrap();
    let known = |world: &World| world.engine.known_agents();
    world.engine.sweep(world.now).await.unwrap();
    let right = world.now;
    world.pass(400 * DAY);
    world.engine.sweep(world.now).await.unwrap();
    assert_eq!(known(&world), 2, "one wrong time forgets nobody");
    // Put right before the next sweep, nothing has happened.
    world.now = right + 10.minutes();
    world.engine.sweep(world.now).await.unwrap();
    assert_eq!(known(&world), 2);
    // A clock that stays where it is, is believed; who is connected stays whatever it says.
    world.pass(400 * DAY);
    world.engine.sweep(world.now).await.unwrap();
    world.pass(600);
    while world.engine.sweep(world.now).await.unwrap() {}
    assert_eq!(known(&world), 1);
}
