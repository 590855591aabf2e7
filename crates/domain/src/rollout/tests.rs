//! How single agents are judged, and how a rollout goes on.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::control::Control;
use super::member::{Applied, Failure, Member, Place, Standing};
use super::plan::{
    Against, Gates, Offline, Pace, Plan, Share, SignalGate, Stage, Step, Then, Weight,
};
use super::progress::{
    Action, Advance, Counts, End, Phase, Progress, Reading, Sample, Situation, Tally, Waits,
};
use super::schedule::Schedule;
use crate::ids::ContentHash;
use crate::selector::Selector;

const OLD: ContentHash = ContentHash::from_bytes([1; 32]);
const NEW: ContentHash = ContentHash::from_bytes([2; 32]);
const OTHER: ContentHash = ContentHash::from_bytes([3; 32]);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn gates() -> Gates {
    Gates {
        on_error_rate: Share::new(500),
        observation_window: seconds(100),
        min_sample: 20,
        unhealthy_after: seconds(10),
        silent_after: seconds(30),
        apply_within: seconds(60),
        restarts: 1,
        return_within: seconds(300),
        signals: Vec::new(),
        then: Then::RollBack,
    }
}

fn stage(weights: &[Weight]) -> Stage {
    let step = |weight: &Weight| Step {
        weight: *weight,
        dwell: seconds(5),
    };
    Stage {
        selector: Selector::default(),
        steps: weights.iter().map(step).collect(),
        duration: None,
        needs_approval: false,
        pace: None,
        is_rest: false,
    }
}

fn plan(stages: Vec<Stage>) -> Plan {
    Plan {
        stages,
        max_unavailable: None,
        spread_by: Vec::new(),
        schedule: Schedule::default(),
        offline: Offline::Skip,
        gates: gates(),
    }
}

const WELL: Standing = Standing {
    connected: true,
    desired: Some(OLD),
    answered: Some((OLD, Applied::Done)),
    healthy: Some(true),
    started_ns: 7,
};

const OFFERED: Standing = Standing {
    desired: Some(NEW),
    ..WELL
};

const DONE: Standing = Standing {
    answered: Some((NEW, Applied::Done)),
    ..OFFERED
};

/// Where an agent stands that was so before it was admitted at 0, after these standings at these times, at the time of the last.
fn place_after(before: &Standing, then: &[(i64, Standing)]) -> Place {
    let mut member = Member::admitted(0, before, Some(NEW), at(0));
    for (second, standing) in then {
        member.observe(standing, &gates(), at(*second));
    }
    let now = then.last().map_or(0, |(second, _)| *second);
    member.place(&gates(), Offline::Wait, at(now))
}

#[test]
fn an_agent_counts_as_what_it_says_of_just_the_new() {
    let failed = Standing {
        answered: Some((NEW, Applied::Failed)),
        ..OFFERED
    };
    let applying = Standing {
        answered: Some((NEW, Applied::Applying)),
        ..OFFERED
    };
    let liar = Standing {
        answered: Some((OTHER, Applied::Done)),
        ..OFFERED
    };
    let ill = Standing {
        healthy: Some(false),
        ..DONE
    };
    for (then, place) in [
        (vec![], Place::Waiting),
        (vec![(1, OFFERED)], Place::Offered),
        (
            vec![(1, OFFERED), (61, OFFERED)],
            Place::Failed(Failure::TimedOut),
        ),
        (vec![(1, OFFERED), (2, applying)], Place::Applying),
        (vec![(1, OFFERED), (2, DONE)], Place::Applied),
        (vec![(1, OFFERED), (2, DONE), (200, DONE)], Place::Applied),
        (
            vec![(1, OFFERED), (2, failed)],
            Place::Failed(Failure::ApplyFailed),
        ),
        (vec![(1, liar)], Place::Failed(Failure::Drifted)),
        (vec![(1, ill)], Place::Applying),
        (vec![(1, ill), (11, ill)], Place::Failed(Failure::Unhealthy)),
        (vec![(1, ill), (11, ill), (12, DONE)], Place::Applied),
    ] {
        assert_eq!(place_after(&WELL, &then), place, "{then:?}");
    }
}

/// A standing from before what was decided for the agent was told says nothing of the new.
#[test]
fn a_standing_from_before_counts_for_nothing() {
    assert_eq!(place_after(&WELL, &[(1, WELL)]), Place::Offered);
    let failed = Standing {
        answered: Some((OLD, Applied::Failed)),
        ..WELL
    };
    assert_eq!(place_after(&WELL, &[(1, failed)]), Place::Offered);
    // A report that was under way when the offer left is of the old.
    assert_eq!(
        place_after(&WELL, &[(1, OFFERED), (2, DONE), (3, WELL)]),
        Place::Applied
    );
}

#[test]
fn an_agent_that_goes_away_after_its_offer_fails_until_it_is_back() {
    let gone = |standing: Standing| Standing {
        connected: false,
        ..standing
    };
    let gone_for = |second| {
        place_after(
            &WELL,
            &[(1, OFFERED), (2, gone(OFFERED)), (second, gone(OFFERED))],
        )
    };
    assert_eq!(gone_for(31), Place::Offered);
    assert_eq!(gone_for(32), Place::Failed(Failure::Silent));
    let back = [
        (1, OFFERED),
        (2, gone(OFFERED)),
        (40, gone(OFFERED)),
        (41, DONE),
    ];
    assert_eq!(place_after(&WELL, &back), Place::Applied);
}

#[test]
fn what_was_bad_before_is_no_fault_of_the_new() {
    let ill = |standing: Standing| Standing {
        healthy: Some(false),
        ..standing
    };
    let failed = Standing {
        answered: Some((OLD, Applied::Failed)),
        ..WELL
    };
    let still_failing = Standing {
        answered: Some((NEW, Applied::Failed)),
        ..OFFERED
    };
    assert_eq!(
        place_after(&ill(WELL), &[(1, ill(DONE)), (50, ill(DONE))]),
        Place::Excused
    );
    assert_eq!(place_after(&failed, &[(1, still_failing)]), Place::Excused);
    // It is another thing that is bad now.
    assert_eq!(
        place_after(&ill(WELL), &[(1, still_failing)]),
        Place::Failed(Failure::ApplyFailed)
    );
    assert_eq!(
        place_after(&failed, &[(1, ill(DONE)), (50, ill(DONE))]),
        Place::Failed(Failure::Unhealthy)
    );
}

#[test]
fn restarts_beyond_the_one_that_applying_takes_are_failures() {
    let started = |started_ns| Standing { started_ns, ..DONE };
    assert_eq!(place_after(&WELL, &[(1, started(8))]), Place::Applied);
    let twice = [(1, started(8)), (2, started(9))];
    assert_eq!(
        place_after(&WELL, &twice),
        Place::Failed(Failure::Restarted)
    );
    let never_said = Standing {
        started_ns: 0,
        ..WELL
    };
    assert_eq!(
        place_after(&never_said, &[(1, started(8)), (2, started(8))]),
        Place::Applied
    );
}

#[test]
fn an_agent_that_is_well_again_counts_as_failed_for_a_window() {
    let failed = Standing {
        answered: Some((NEW, Applied::Failed)),
        ..OFFERED
    };
    let mut member = Member::admitted(0, &WELL, Some(NEW), at(0));
    member.observe(&failed, &gates(), at(1));
    member.observe(&DONE, &gates(), at(2));
    let counts = |second| {
        let place = member.place(&gates(), Offline::Wait, at(second));
        (place, member.counts_as_failed(place, &gates(), at(second)))
    };
    assert_eq!(counts(100), (Place::Applied, true));
    assert_eq!(counts(101), (Place::Applied, false));
    assert_eq!(member.due(&gates(), Offline::Wait, at(2)), Some(at(101)));
}

#[test]
fn who_goes_back_is_back_when_it_says_so_and_is_given_up_in_time() {
    let admitted = |then: &[(i64, Standing)]| {
        let mut member = Member::admitted(0, &WELL, Some(NEW), at(0));
        for (second, standing) in then {
            member.observe(standing, &gates(), at(*second));
        }
        member.send_back(at(10));
        member
    };
    let place = |member: &Member, second| member.place(&gates(), Offline::Wait, at(second));
    let mut member = admitted(&[(1, DONE)]);
    // That it runs the new is not that it is back.
    member.observe(&DONE, &gates(), at(11));
    assert_eq!(place(&member, 11), Place::Returning);
    assert_eq!(place(&member, 310), Place::Lost);
    let back = Standing {
        answered: Some((NEW, Applied::Done)),
        ..WELL
    };
    member.observe(&back, &gates(), at(12));
    assert_eq!(place(&member, 12), Place::Returning);
    let ill = Standing {
        healthy: Some(false),
        ..WELL
    };
    member.observe(&ill, &gates(), at(13));
    assert_eq!(place(&member, 13), Place::Returning);
    member.observe(&WELL, &gates(), at(14));
    assert_eq!(place(&member, 14), Place::Returned);
    let failed = Standing {
        answered: Some((OLD, Applied::Failed)),
        ..WELL
    };
    member.observe(&failed, &gates(), at(15));
    assert_eq!(
        place(&member, 15),
        Place::Lost,
        "a way back that fails is not gone again"
    );
    // It never had the new.
    assert_eq!(place(&admitted(&[]), 10), Place::Returned);
    // Nothing of ours is for it without the rollout: it is told nothing, so it keeps the new.
    let mut alone = admitted(&[(1, DONE)]);
    let unassigned = Standing {
        desired: None,
        ..DONE
    };
    alone.observe(&unassigned, &gates(), at(11));
    assert_eq!(place(&alone, 11), Place::Lost);
}

#[test]
fn another_target_is_applied_anew() {
    let mut member = Member::admitted(0, &WELL, Some(NEW), at(0));
    member.observe(&DONE, &gates(), at(1));
    member.aim(Some(OTHER), at(50));
    let other = Standing {
        desired: Some(OTHER),
        ..DONE
    };
    member.observe(&other, &gates(), at(51));
    let place = |member: &Member, second| member.place(&gates(), Offline::Wait, at(second));
    assert_eq!(place(&member, 109), Place::Failed(Failure::Drifted));
}

/// A rollout that is driven by hand.
struct Driven {
    plan: Plan,
    progress: Progress,
    counts: Vec<Counts>,
    eligible: u64,
    is_open_hour: bool,
    control: Sample,
    readings: Vec<Reading>,
}

impl Driven {
    fn new(plan: Plan, eligible: u64) -> Self {
        Self {
            counts: vec![Counts::default(); plan.stages.len()],
            plan,
            progress: Progress::new(),
            eligible,
            is_open_hour: true,
            control: Sample::default(),
            readings: Vec::new(),
        }
    }

    fn step(&mut self, second: i64) -> (Vec<Action>, Option<Waits>) {
        let members = self.counts.iter().map(Counts::admitted).sum();
        let situation = Situation {
            now: at(second),
            counts: &self.counts,
            eligible: self.eligible,
            members,
            is_open_hour: self.is_open_hour,
            control: self.control,
            readings: &self.readings,
        };
        let Advance {
            progress,
            actions,
            waits,
        } = self.progress.advance(&self.plan, &situation);
        self.progress = progress;
        for action in &actions {
            if let Action::Admit { stage, agents } = action {
                self.put(*stage, Place::Offered, *agents);
            }
        }
        (actions, waits)
    }

    fn put(&mut self, stage: u16, place: Place, agents: u64) {
        let tally = Tally {
            stage,
            place,
            newly_failed: place.is_failed(),
        };
        (0..agents).for_each(|_| self.counts[usize::from(stage)].add(tally));
    }

    /// So many that were offered the new come to this.
    fn come(&mut self, stage: u16, place: Place, agents: u64) {
        let offered = Tally {
            stage,
            place: Place::Offered,
            newly_failed: false,
        };
        (0..agents).for_each(|_| self.counts[usize::from(stage)].remove(offered));
        self.put(stage, place, agents);
    }
}

const fn percent(number: u16) -> Weight {
    match Share::new(number * 100) {
        Some(share) => Weight::Share(share),
        None => Weight::ALL,
    }
}

fn admit(stage: u16, agents: u64) -> Vec<Action> {
    vec![Action::Admit { stage, agents }]
}

#[test]
fn steps_and_stages_follow_one_another_in_their_time() {
    let mut first = stage(&[percent(10)]);
    first.duration = Some(seconds(60));
    let mut run = Driven::new(plan(vec![first, stage(&[percent(50), percent(100)])]), 100);
    assert_eq!(run.step(0), (admit(0, 10), Some(Waits::Agents)));
    assert_eq!(run.step(1), (vec![], Some(Waits::Agents)));
    run.come(0, Place::Applied, 10);
    assert_eq!(run.step(59), (vec![], Some(Waits::Time)));
    run.step(60);
    assert_eq!(run.progress.stage, 1);
    assert_eq!(run.step(61), (admit(1, 40), Some(Waits::Agents)));
    run.come(1, Place::Applied, 40);
    assert_eq!(run.step(65), (vec![], Some(Waits::Time)));
    assert_eq!(run.step(66), (admit(1, 50), Some(Waits::Agents)));
    run.come(1, Place::Applied, 50);
    // The last stage ends one observation window after its last agent was offered.
    assert_eq!(run.step(165), (vec![], Some(Waits::Time)));
    assert_eq!(run.step(166), (vec![Action::PutInForce], None));
    assert_eq!(run.progress.phase.as_str(), "completed");
    assert_eq!(run.step(167), (vec![], None));
}

#[test]
fn too_many_failures_send_everybody_back_and_a_rollback_ends() {
    let mut run = Driven::new(
        plan(vec![stage(&[percent(1)]), stage(&[Weight::ALL])]),
        10_000,
    );
    assert_eq!(run.step(0).0, admit(0, 100));
    run.come(0, Place::Failed(Failure::ApplyFailed), 4);
    assert_eq!(run.step(1).0, []);
    run.come(0, Place::Failed(Failure::Silent), 1);
    assert_eq!(run.step(2).0, [Action::SendBack]);
    let Phase::RollingBack { why, .. } = &run.progress.phase else {
        panic!("{:?}", run.progress.phase);
    };
    let why = why.clone();
    run.counts[0] = Counts::default();
    run.put(0, Place::Returning, 1);
    run.put(0, Place::Returned, 97);
    assert_eq!(run.step(3), (vec![], Some(Waits::Agents)));
    run.counts[0] = Counts::default();
    run.put(0, Place::Returned, 97);
    run.put(0, Place::Lost, 3);
    assert_eq!(run.step(4), (vec![], None));
    let end = End::RolledBack { why, lost: 3 };
    assert_eq!(run.progress.phase, Phase::Ended { at: at(4), end });
}

#[test]
fn a_rate_counts_when_enough_agents_were_offered() {
    let mut first = stage(&[Weight::ALL]);
    first.pace = Some(Pace {
        batch: Weight::Count(10),
        every: seconds(10),
    });
    let mut run = Driven::new(plan(vec![first]), 100);
    assert_eq!(run.step(0).0, admit(0, 10));
    run.come(0, Place::Failed(Failure::ApplyFailed), 1);
    // One of ten is a tenth, but ten are no sample of a hundred.
    assert_eq!(run.step(1), (vec![], Some(Waits::Pace)));
    assert_eq!(run.step(10).0, admit(0, 10));
    assert_eq!(run.step(11).0, [Action::SendBack]);
    // Of a stage that never has more, all are sample enough.
    let mut small = Driven::new(plan(vec![stage(&[Weight::Count(2)])]), 100);
    small.step(0);
    small.come(0, Place::Failed(Failure::ApplyFailed), 1);
    assert_eq!(small.step(1).0, [Action::SendBack]);
}

#[test]
fn what_goes_bad_without_the_new_is_subtracted() {
    let mut run = Driven::new(
        plan(vec![stage(&[percent(10)]), stage(&[Weight::ALL])]),
        1_000,
    );
    run.step(0);
    run.come(0, Place::Failed(Failure::Silent), 6);
    run.control = Sample { bad: 18, of: 900 };
    assert_eq!(run.step(1).0, [], "two of these six would have gone anyway");
    run.control = Sample { bad: 9, of: 900 };
    assert_eq!(run.step(2).0, [Action::SendBack]);
}

#[test]
fn a_signal_that_rises_is_a_gate_like_any_other() {
    let mut plan = plan(vec![stage(&[Weight::ALL])]);
    plan.gates.signals.push(SignalGate {
        signal: "exporter_failed".to_owned(),
        may_rise: Share::new(2_000).unwrap(),
        against: Against::Control,
        min_sample: 5,
    });
    let reading = |agents, value| Reading {
        signal: "exporter_failed".to_owned(),
        stage: 0,
        agents,
        value,
        before: 0.0,
        control: 10.0,
    };
    let stops = |reading: Reading| {
        let mut run = Driven::new(plan.clone(), 10);
        run.step(0);
        run.readings = vec![reading];
        run.step(1).0 == [Action::SendBack]
    };
    assert!(!stops(reading(5, 12.0)));
    assert!(stops(reading(5, 12.1)));
    assert!(!stops(reading(4, 99.0)));
    assert!(
        stops(reading(5, f64::NAN)),
        "what cannot be judged is no reason to go on"
    );
}

#[test]
fn no_more_than_so_many_are_unavailable_at_a_time() {
    let mut plan = plan(vec![stage(&[Weight::ALL])]);
    plan.max_unavailable = Some(Weight::Count(30));
    plan.gates.on_error_rate = None;
    let mut run = Driven::new(plan, 100);
    assert_eq!(run.step(0).0, admit(0, 30));
    assert_eq!(run.step(1), (vec![], Some(Waits::Unavailable)));
    run.come(0, Place::Applied, 20);
    run.come(0, Place::Failed(Failure::ApplyFailed), 10);
    assert_eq!(run.step(2).0, admit(0, 20));
}

#[test]
fn nobody_is_let_in_before_it_is_approved_or_outside_of_hours() {
    let mut first = stage(&[Weight::ALL]);
    first.needs_approval = true;
    let mut run = Driven::new(plan(vec![first]), 10);
    assert_eq!(run.step(0), (vec![], Some(Waits::Approval)));
    run.progress = run.progress.control(Control::Approve, at(1)).unwrap().0;
    run.is_open_hour = false;
    assert_eq!(run.step(1), (vec![], Some(Waits::Hour)));
    run.is_open_hour = true;
    assert_eq!(run.step(2).0, admit(0, 10));
}

#[test]
fn a_weight_only_grows() {
    let mut run = Driven::new(plan(vec![stage(&[percent(50)])]), 100);
    run.step(0);
    run.come(0, Place::Applied, 50);
    run.eligible = 40;
    assert_eq!(run.step(1).0, []);
    assert_eq!(run.progress.goal, 50);
    // Who joins later is let in up to the same share.
    run.eligible = 120;
    assert_eq!(run.step(2).0, admit(0, 10));
}

#[test]
fn a_person_pauses_promotes_aborts_and_sends_back() {
    let reason = || "because".to_owned();
    let mut run = Driven::new(
        plan(vec![stage(&[percent(10)]), stage(&[Weight::ALL])]),
        100,
    );
    run.step(0);
    let control = |run: &mut Driven, control, second| {
        let (progress, actions) = run.progress.control(control, at(second)).unwrap();
        run.progress = progress;
        actions
    };
    assert_eq!(
        control(&mut run, Control::Pause { reason: reason() }, 1),
        []
    );
    run.come(0, Place::Applied, 10);
    assert_eq!(run.step(500), (vec![], Some(Waits::Person)));
    assert_eq!(control(&mut run, Control::Resume, 501), []);
    run.step(501);
    assert_eq!(run.step(502).0, admit(1, 90));
    assert_eq!(run.step(503), (vec![], Some(Waits::Agents)));
    assert_eq!(control(&mut run, Control::Promote, 504), []);
    assert_eq!(run.step(504).0, [Action::PutInForce]);
    for wanted in [
        Control::Resume,
        Control::Approve,
        Control::Promote,
        Control::RollBack { reason: reason() },
    ] {
        assert!(run.progress.control(wanted, at(505)).is_err());
    }
    let mut aborted = Driven::new(plan(vec![stage(&[Weight::ALL])]), 100);
    aborted.step(0);
    assert_eq!(
        control(&mut aborted, Control::Abort { reason: reason() }, 1),
        [Action::Keep]
    );
    let mut back = Driven::new(plan(vec![stage(&[Weight::ALL])]), 100);
    back.step(0);
    assert_eq!(
        control(&mut back, Control::RollBack { reason: reason() }, 1),
        [Action::SendBack]
    );
    assert!(
        back.progress
            .control(Control::RollBack { reason: reason() }, at(2))
            .is_err()
    );
}

/// A gate that a person let it go on over is reached again when more is bad.
#[test]
fn a_gate_that_was_overruled_counts_again_when_it_gets_worse() {
    let mut plan = plan(vec![stage(&[Weight::ALL])]);
    plan.gates.then = Then::Pause;
    let mut run = Driven::new(plan, 100);
    run.step(0);
    run.come(0, Place::Failed(Failure::ApplyFailed), 5);
    assert_eq!(run.step(1), (vec![], Some(Waits::Person)));
    run.progress = run.progress.control(Control::Resume, at(2)).unwrap().0;
    assert_eq!(run.step(3), (vec![], Some(Waits::Agents)));
    run.come(0, Place::Failed(Failure::ApplyFailed), 1);
    assert_eq!(run.step(4), (vec![], Some(Waits::Person)));
}

proptest! {
    /// Whatever comes and goes: no weight shrinks, and no more agents are let in than the step is for.
    #[test]
    fn weights_grow_and_are_kept_to(
        weights in proptest::collection::vec(1_u16..=100, 1..4),
        fleet in proptest::collection::vec((0_u64..200, 0_u8..4), 1..30),
    ) {
        let mut weights = weights;
        weights.sort_unstable();
        let steps: Vec<Weight> = weights.iter().map(|weight| percent(*weight)).collect();
        let mut plan = plan(vec![stage(&steps)]);
        plan.gates.on_error_rate = None;
        let mut run = Driven::new(plan, 0);
        let mut goal = 0;
        for (second, (eligible, outcome)) in (0_i64..).step_by(50).zip(fleet) {
            run.eligible = eligible;
            let before: u64 = run.counts[0].admitted();
            run.step(second);
            prop_assert!(goal <= run.progress.goal);
            goal = run.progress.goal;
            let let_in = run.counts[0].admitted() - before;
            prop_assert!(let_in == 0 || run.counts[0].admitted() <= eligible.min(goal));
            let offered = run.counts[0].of(Place::Offered);
            let place = [Place::Applied, Place::Applying, Place::Failed(Failure::Silent), Place::Offered];
            run.come(0, place[usize::from(outcome)], offered);
        }
    }
}
