//! Every way that a rollout over five agents and three stages can go, with mishaps: agents that fail, turn ill or go away,
//! late and doubled reports, a leader that is killed, and one that does not know yet that it leads no more.
//!
//! The shipped [`Run`] and [`Progress`] decide. What is stored, the agents and the network are of this model. Times are
//! ages, capped above the longest that any rule looks at, so the states are finite and all of them are visited.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use crate::ids::{AgentId, ContentHash};
use crate::rollout::member::{Applied, Member, Standing};
use crate::rollout::plan::{Gates, Offline, Plan, Share, Stage, Step, Then, Weight};
use crate::rollout::progress::{Action, Breach, End, Phase, Progress, Sample, Why};
use crate::rollout::run::{Fleet, Run};
use crate::rollout::schedule::Schedule;

const AGENTS: usize = 5;
const OLD: ContentHash = ContentHash::from_bytes([1; 32]);
const NEW: ContentHash = ContentHash::from_bytes([2; 32]);
/// In ticks: above every duration of the plan.
const CAP: i64 = 4;

const fn ticks(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// Now, always: times are moved instead.
fn now() -> Timestamp {
    Timestamp::from_second(1_000).unwrap()
}

/// Agent 0; then one of agents 1 and 2; then all, in steps of three and five.
fn plan(then: Then) -> Plan {
    let stage = |weights: &[u64], duration: Option<u64>| Stage {
        selector: crate::Selector::default(),
        steps: weights
            .iter()
            .map(|count| Step {
                weight: Weight::Count(*count),
                dwell: ticks(1),
            })
            .collect(),
        duration: duration.map(ticks),
        needs_approval: false,
        pace: None,
        is_rest: false,
    };
    Plan {
        stages: vec![
            stage(&[1], Some(2)),
            stage(&[1], None),
            stage(&[3, 5], None),
        ],
        max_unavailable: None,
        spread_by: Vec::new(),
        schedule: Schedule::default(),
        offline: Offline::FailAfter(ticks(2)),
        gates: Gates {
            on_error_rate: Share::new(5_000),
            observation_window: ticks(1),
            min_sample: 2,
            unhealthy_after: ticks(1),
            silent_after: ticks(1),
            apply_within: ticks(2),
            restarts: 1,
            return_within: ticks(2),
            signals: Vec::new(),
            then,
        },
    }
}

/// The agents that a stage is for.
fn is_for(stage: usize, agent: usize) -> bool {
    match stage {
        0 => agent == 0,
        1 => agent == 1 || agent == 2,
        _ => true,
    }
}

fn id(agent: usize) -> AgentId {
    AgentId::from_bytes([u8::try_from(agent).unwrap(); 16])
}

fn agent_of(id: AgentId) -> usize {
    usize::from(id.as_bytes()[0])
}

/// What is committed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Stored {
    progress: Progress,
    members: BTreeMap<AgentId, Member>,
}

/// One agent: what it is, and what the server was told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Agent {
    connected: bool,
    ill: bool,
    /// What it was sent last, and what came of it.
    answered: (ContentHash, Applied),
    /// What the server knows.
    told: Told,
    /// A report that is under way, or comes a second time.
    late: Option<Told>,
    /// It went for good.
    dead: bool,
    /// It has other labels: no stage is for it any more.
    moved: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Told {
    connected: bool,
    ill: bool,
    answered: (ContentHash, Applied),
}

impl Agent {
    const fn report(&self) -> Told {
        Told {
            connected: self.connected,
            ill: self.ill,
            answered: self.answered,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct World {
    stored: Stored,
    leader: Run,
    /// A leader that was succeeded and does not know it.
    old_leader: Option<Run>,
    agents: [Agent; AGENTS],
    /// The stages that opened so far, as bits.
    opened: u8,
    /// How many there were, and how many there may be.
    mishaps: u8,
    most_mishaps: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// The leader takes its next step.
    Step,
    /// One who no longer leads does.
    OldStep,
    /// An agent takes what it is offered.
    Take(usize, Outcome),
    /// What an agent has to say arrives, and the leader looks at it.
    Report(usize),
    /// The leader looks at a report that is older than what is known, or at the same again.
    Late(usize),
    Disconnect(usize),
    /// It goes for good.
    Die(usize),
    /// It gets labels that no stage is for.
    Move(usize),
    Reconnect(usize),
    /// A leader is killed and another one reads what is stored.
    Crash,
    /// Another one leads; the one before goes on for a while.
    Succeed,
    Tick,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Applied,
    Failed,
    Ill,
}

impl World {
    fn new(then: Then, most_mishaps: u8) -> Self {
        let answered = (OLD, Applied::Done);
        let told = Told {
            connected: true,
            ill: false,
            answered,
        };
        let agent = Agent {
            connected: true,
            ill: false,
            answered,
            told,
            late: None,
            dead: false,
            moved: false,
        };
        Self {
            stored: Stored {
                progress: Progress::new(),
                members: BTreeMap::new(),
            },
            leader: Run::new(plan(then), Progress::new(), [], now()),
            old_leader: None,
            agents: [agent; AGENTS],
            opened: 0,
            mishaps: 0,
            most_mishaps,
        }
    }

    fn is_eligible(&self, stage: usize, agent: usize) -> bool {
        is_for(stage, agent) && !self.agents[agent].moved
    }

    /// What an agent should run, by what is stored alone.
    fn desired(&self, agent: usize) -> ContentHash {
        let is_in_force = matches!(
            self.stored.progress.phase,
            Phase::Ended {
                end: End::Completed,
                ..
            }
        );
        let member = self.stored.members.get(&id(agent));
        if is_in_force || member.is_some_and(|member| member.returning.is_none()) {
            NEW
        } else {
            OLD
        }
    }

    fn standing(&self, agent: usize, told: Told) -> Standing {
        Standing {
            connected: told.connected,
            desired: Some(self.desired(agent)),
            answered: Some(told.answered),
            healthy: Some(!told.ill),
            started_ns: 0,
        }
    }

    /// All events that can happen now, those that are no mishap first. Time passes where nobody has anything to do; that it
    /// passes all the same is a mishap.
    fn events(&self, mishaps: u8) -> Vec<Event> {
        let mut events = Vec::new();
        for (at, agent) in self.agents.iter().enumerate() {
            if agent.told != agent.report() {
                events.push(Event::Report(at));
            }
            if agent.connected && agent.answered.0 != self.desired(at) {
                events.push(Event::Take(at, Outcome::Applied));
            }
            if !agent.connected && !agent.dead {
                events.push(Event::Reconnect(at));
            }
        }
        events.push(Event::Step);
        if self.old_leader.is_some() {
            events.push(Event::OldStep);
        }
        let is_calm = events.iter().all(|event| {
            matches!(event, Event::Reconnect(_) | Event::OldStep) || self.after(*event) == *self
        });
        if is_calm || self.mishaps < mishaps {
            events.push(Event::Tick);
        }
        if mishaps <= self.mishaps {
            return events;
        }
        for (at, agent) in self.agents.iter().enumerate() {
            if agent.connected && agent.answered.0 != self.desired(at) {
                events.push(Event::Take(at, Outcome::Failed));
                events.push(Event::Take(at, Outcome::Ill));
            }
            if agent.connected {
                events.push(Event::Disconnect(at));
                events.push(Event::Die(at));
            }
            if !agent.moved {
                events.push(Event::Move(at));
            }
            if agent.late.is_some() {
                events.push(Event::Late(at));
            }
        }
        events.push(Event::Crash);
        if self.old_leader.is_none() {
            events.push(Event::Succeed);
        }
        events
    }

    /// What goes on when nothing goes wrong any more: whoever can do something does, then time passes.
    fn fair(&self) -> Event {
        let is_free = |event: &Event| !matches!(event, Event::Tick | Event::Step);
        let free = self
            .events(0)
            .into_iter()
            .filter(is_free)
            .chain([Event::Step]);
        let changes = |event: &Event| self.after(*event) != *self;
        free.into_iter().find(changes).unwrap_or(Event::Tick)
    }

    fn after(&self, event: Event) -> Self {
        let mut next = self.clone();
        match event {
            Event::Step => next.step(false),
            Event::OldStep => next.step(true),
            Event::Take(at, outcome) => {
                next.mishaps += u8::from(outcome != Outcome::Applied);
                let desired = next.desired(at);
                let agent = &mut next.agents[at];
                let answer = if outcome == Outcome::Failed {
                    Applied::Failed
                } else {
                    Applied::Done
                };
                agent.answered = (desired, answer);
                agent.ill = outcome == Outcome::Ill;
            }
            Event::Report(at) => {
                let agent = &mut next.agents[at];
                agent.late = Some(agent.told);
                agent.told = agent.report();
                let standing = next.standing(at, next.agents[at].told);
                next.leader.observe(id(at), &standing, now());
            }
            Event::Late(at) => {
                next.mishaps += 1;
                if let Some(told) = next.agents[at].late.take() {
                    let standing = next.standing(at, told);
                    next.leader.observe(id(at), &standing, now());
                    // What is known is looked at again, in the end.
                    let standing = next.standing(at, next.agents[at].told);
                    next.leader.observe(id(at), &standing, now());
                }
            }
            Event::Disconnect(at) => {
                next.mishaps += 1;
                next.agents[at].connected = false;
            }
            Event::Die(at) => {
                next.mishaps += 1;
                (next.agents[at].connected, next.agents[at].dead) = (false, true);
            }
            Event::Move(at) => {
                next.mishaps += 1;
                next.agents[at].moved = true;
            }
            Event::Reconnect(at) => next.agents[at].connected = true,
            Event::Crash => {
                next.mishaps += 1;
                next.take_over();
            }
            Event::Succeed => {
                next.mishaps += 1;
                next.old_leader = Some(next.leader.clone());
                next.take_over();
            }
            Event::Tick => next.tick(),
        }
        next
    }

    /// The state after an event, with what it costs that time passes although somebody could do something.
    fn reached(&self, event: Event) -> Self {
        let mut next = self.after(event);
        if event == Event::Tick {
            let could = |event: &Event| {
                !matches!(event, Event::Tick | Event::Reconnect(_) | Event::OldStep)
                    && self.after(*event) != *self
            };
            next.mishaps += u8::from(self.events(0).iter().any(could));
        }
        next
    }

    /// Reads what is stored, claims it, and looks at where all agents stand.
    fn take_over(&mut self) {
        self.stored.progress = self.stored.progress.claimed();
        let Stored { progress, members } = self.stored.clone();
        let plan = self.leader.plan().clone();
        self.leader = Run::new(plan, progress, members, now());
        for at in 0..AGENTS {
            let standing = self.standing(at, self.agents[at].told);
            self.leader.observe(id(at), &standing, now());
        }
    }

    fn step(&mut self, by_old: bool) {
        let Some(mut run) = (if by_old {
            self.old_leader.clone()
        } else {
            Some(self.leader.clone())
        }) else {
            return;
        };
        run.pass(now());
        let stage = usize::from(run.progress().stage);
        let eligible: Vec<usize> = (0..AGENTS)
            .filter(|agent| self.is_eligible(stage, *agent))
            .collect();
        let known: Vec<bool> = (0..AGENTS)
            .map(|agent| run.member(id(agent)).is_some())
            .collect();
        let is_member = |agent: &&usize| known[**agent];
        let fleet = Fleet {
            eligible: eligible.len() as u64,
            members: eligible.iter().filter(is_member).count() as u64,
            is_open_hour: true,
            control: Sample::default(),
            readings: &[],
        };
        let advance = run.advance(&fleet, now());
        // Whoever stores a step checks that nobody stored another.
        if run.progress().sequence != self.stored.progress.sequence {
            assert!(by_old, "the leader knows what is stored");
            self.old_leader = None;
            return;
        }
        assert!(!by_old, "one who no longer leads goes on");
        let before = self.clone();
        run.stands(advance.progress.clone());
        for action in &advance.actions {
            match action {
                Action::Admit { stage, agents } => {
                    let free = eligible.iter().filter(|agent| !is_member(agent)).copied();
                    let free: Vec<usize> = free.take(usize::try_from(*agents).unwrap()).collect();
                    assert_eq!(free.len() as u64, *agents, "there are so many");
                    for agent in free {
                        let standing = self.standing(agent, self.agents[agent].told);
                        run.admit(id(agent), *stage, &standing, Some(NEW), now());
                    }
                }
                Action::SendBack => run.send_back(now()),
                Action::Keep | Action::PutInForce => {}
            }
        }
        self.stored = Stored {
            progress: run.progress().clone(),
            members: run
                .members()
                .map(|(id, member, _)| (id, member.clone()))
                .collect(),
        };
        if advance.progress.opened_at.is_some() && before.stored.progress.opened_at.is_none() {
            let bit = 1 << advance.progress.stage;
            assert!(
                self.opened & bit == 0,
                "stage {} opens twice",
                advance.progress.stage
            );
            assert!(
                self.opened + 1 == bit,
                "a stage was skipped: {:b}",
                self.opened
            );
            self.opened |= bit;
        }
        self.leader = run;
        self.look_at_all();
        self.check_step(&before, &advance.actions);
    }

    /// What agents should run may be another now, so the leader looks at where they stand.
    fn look_at_all(&mut self) {
        for at in 0..AGENTS {
            let standing = self.standing(at, self.agents[at].told);
            self.leader.observe(id(at), &standing, now());
        }
    }

    fn check_step(&self, before: &Self, actions: &[Action]) {
        let (old, new) = (&before.stored, &self.stored);
        assert!(
            old.members.keys().all(|id| new.members.contains_key(id)),
            "a member was let go"
        );
        if old.progress.stage == new.progress.stage {
            assert!(old.progress.goal <= new.progress.goal, "a weight shrank");
        }
        for (id, member) in &old.members {
            assert_eq!(
                member.stage, new.members[id].stage,
                "a member is of another stage"
            );
            assert!(member.returning.is_none() || new.members[id].returning.is_some());
        }
        let step = &self.leader.plan().stages[usize::from(new.progress.stage)].steps
            [usize::from(new.progress.step)];
        let admitted = (0..AGENTS).filter(|agent| {
            !old.members.contains_key(&id(*agent)) && new.members.contains_key(&id(*agent))
        });
        let stage = usize::from(new.progress.stage);
        if 0 < admitted.count() {
            let having = (0..AGENTS).filter(|agent| {
                self.is_eligible(stage, *agent) && new.members.contains_key(&id(*agent))
            });
            assert!(
                having.count() as u64 <= step.weight.of(AGENTS as u64),
                "more are let in than the step says"
            );
        }
        if old.progress.stage < new.progress.stage {
            for (id, member) in &old.members {
                assert!(
                    before.is_known(agent_of(*id), member),
                    "a stage is over before its agents said how it went"
                );
            }
        }
        let is_admitting = actions
            .iter()
            .any(|action| matches!(action, Action::Admit { .. }));
        assert!(
            !is_admitting || !before.has_too_many_failures(),
            "agents are let in although too many failed"
        );
        if actions.contains(&Action::PutInForce) {
            assert_eq!(self.opened, 0b111, "a stage was skipped");
            assert!(
                !before.has_too_many_failures(),
                "it is put in force although too many failed"
            );
        }
    }

    /// Whether an agent said how it went with what it is given, or is given up.
    fn is_known(&self, agent: usize, member: &Member) -> bool {
        let gates = &self.leader.plan().gates;
        let told = self.agents[agent].told;
        let failed = member
            .place(gates, self.leader.plan().offline, now())
            .is_failed();
        told.answered.0 == NEW || failed || !told.connected
    }

    /// By what the leader was told: in some stage half of the agents failed, of two or of all there are.
    fn has_too_many_failures(&self) -> bool {
        (0..3).any(|stage| {
            let of: Vec<usize> = self
                .stored
                .members
                .iter()
                .filter(|(_, member)| usize::from(member.stage) == stage)
                .map(|(id, _)| agent_of(*id))
                .collect();
            let has_failed =
                |agent: &&usize| self.agents[**agent].told.answered == (NEW, Applied::Failed);
            let failed = of.iter().filter(has_failed).count();
            let most = [1, 1, 4][stage];
            2.min(most) <= of.len() && of.len() <= 2 * failed && 0 < failed
        })
    }

    fn tick(&mut self) {
        let older = |at: Timestamp| {
            let age = now().duration_since(at).as_secs();
            now() - Duration::from_secs(u64::try_from((age + 1).min(CAP)).unwrap())
        };
        self.leader = moved(&self.leader, older);
        self.old_leader = self.old_leader.as_ref().map(|run| moved(run, older));
        self.stored = Stored {
            progress: aged(&self.stored.progress, older),
            members: self
                .stored
                .members
                .iter()
                .map(|(id, member)| (*id, member.with_times(older)))
                .collect(),
        };
    }

    /// What must hold in every state.
    fn check(&self) {
        let progress = &self.stored.progress;
        for agent in 0..AGENTS {
            let member = self.stored.members.get(&id(agent));
            if self.desired(agent) == NEW && !matches!(progress.phase, Phase::Ended { .. }) {
                let stage = usize::from(member.expect("only members have the new").stage);
                assert!(
                    self.opened & (1 << stage) != 0,
                    "agent {agent} has it of a stage that is not open"
                );
                assert!(
                    is_for(stage, agent),
                    "agent {agent} has it of a stage that is not for it"
                );
                assert!(
                    !matches!(progress.phase, Phase::RollingBack { .. }),
                    "agent {agent} is let on"
                );
            }
            // An agent has nothing but what it was to have: it was admitted, or nothing came of it.
            if self.agents[agent].answered.0 == NEW {
                let is_in_force = matches!(
                    progress.phase,
                    Phase::Ended {
                        end: End::Completed,
                        ..
                    }
                );
                assert!(
                    member.is_some() || is_in_force,
                    "agent {agent} got it and nobody let it in"
                );
            }
        }
        for stage in 0..3_u16 {
            // One that a stage is no longer for is replaced by another one.
            let in_it =
                self.stored.members.iter().filter(|(id, member)| {
                    member.stage == stage && !self.agents[agent_of(**id)].moved
                });
            let most = [1, 1, 4][usize::from(stage)];
            assert!(in_it.count() <= most, "too many agents in stage {stage}");
        }
        let again = Run::new(
            self.leader.plan().clone(),
            self.leader.progress().clone(),
            self.leader
                .members()
                .map(|(id, member, _)| (id, member.clone())),
            now(),
        );
        assert_eq!(
            again.counts(),
            self.leader.counts(),
            "the counts moved away from the agents"
        );
    }

    /// The same state whatever numbers it goes by.
    fn normal(&self) -> Key {
        let base = self.stored.progress.sequence;
        let plain = |progress: &Progress| Progress {
            // Behind by how much does not matter.
            sequence: u64::from(progress.sequence == base),
            phase: plain_phase(&progress.phase),
            ..progress.clone()
        };
        let of_run = |run: &Run| {
            let members = run
                .members()
                .map(|(id, member, _)| (id, member.clone()))
                .collect();
            Stored {
                progress: plain(run.progress()),
                members,
            }
        };
        Key {
            stored: Stored {
                progress: plain(&self.stored.progress),
                members: self.stored.members.clone(),
            },
            leader: of_run(&self.leader),
            old_leader: self.old_leader.as_ref().map(of_run),
            agents: self.agents.map(|agent| Agent {
                // Where nothing may go wrong any more, nothing comes late.
                late: agent.late.filter(|_| self.mishaps < self.most_mishaps),
                ..agent
            }),
            opened: self.opened,
            mishaps: self.mishaps,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    stored: Stored,
    leader: Stored,
    old_leader: Option<Stored>,
    agents: [Agent; AGENTS],
    opened: u8,
    mishaps: u8,
}

/// How many were bad is for people.
fn plain_phase(phase: &Phase) -> Phase {
    let plain = |why: &Why| match why {
        Why::Gate(breach) => Why::Gate(Breach {
            bad: 0,
            of: 0,
            stage: 0,
            ..breach.clone()
        }),
        asked => asked.clone(),
    };
    match phase {
        Phase::RollingBack { at, why } => Phase::RollingBack {
            at: *at,
            why: plain(why),
        },
        Phase::Paused { at, why } => Phase::Paused {
            at: *at,
            why: plain(why),
        },
        Phase::Ended {
            at,
            end: End::RolledBack { why, .. },
        } => Phase::Ended {
            at: *at,
            end: End::RolledBack {
                why: plain(why),
                lost: 0,
            },
        },
        other => other.clone(),
    }
}

/// A leader at a later time.
fn moved(run: &Run, older: impl Fn(Timestamp) -> Timestamp) -> Run {
    let members = run.members();
    let members = members.map(|(id, member, _)| (id, member.with_times(&older)));
    let members: Vec<_> = members.collect();
    let progress = aged(run.progress(), &older);
    Run::new(run.plan().clone(), progress, members, now())
}

fn aged(progress: &Progress, older: impl Fn(Timestamp) -> Timestamp) -> Progress {
    let phase = match progress.phase.clone() {
        Phase::Running => Phase::Running,
        Phase::Paused { at, why } => Phase::Paused { at: older(at), why },
        Phase::RollingBack { at, why } => Phase::RollingBack { at: older(at), why },
        Phase::Ended { at, end } => Phase::Ended { at: older(at), end },
    };
    Progress {
        phase,
        opened_at: progress.opened_at.map(&older),
        step_at: progress.step_at.map(&older),
        admitted_at: progress.admitted_at.map(&older),
        ..progress.clone()
    }
}

/// What was found.
struct Explored {
    states: usize,
    ended: BTreeMap<&'static str, usize>,
}

/// Visits every state that can be reached with at most so many mishaps, and checks that each has a way out.
fn explore(then: Then, mishaps: u8) -> Explored {
    let mut known: HashMap<u128, u32> = HashMap::new();
    let mut fair: Vec<u128> = Vec::new();
    let mut is_out: Vec<bool> = Vec::new();
    let mut ended = BTreeMap::new();
    let mut queue = VecDeque::from([World::new(then, mishaps)]);
    known.insert(digest(&queue[0].normal()), 0);
    while let Some(world) = queue.pop_front() {
        world.check();
        let phase = &world.stored.progress.phase;
        let is_over = world.stored.progress.is_ended() || matches!(phase, Phase::Paused { .. });
        if is_over {
            *ended.entry(phase.as_str()).or_default() += 1;
        }
        is_out.push(is_over);
        fair.push(digest(&world.after(world.fair()).normal()));
        // What happens to agents after the end is theirs alone.
        if is_over {
            continue;
        }
        for event in world.events(mishaps) {
            let next = world.reached(event);
            let number = u32::try_from(known.len()).unwrap();
            if let std::collections::hash_map::Entry::Vacant(entry) =
                known.entry(digest(&next.normal()))
            {
                entry.insert(number);
                queue.push_back(next);
            }
        }
    }
    every_state_has_a_way_out(&known, &fair, is_out);
    Explored {
        states: known.len(),
        ended,
    }
}

/// Follows from each state what goes on when nothing goes wrong any more, until it is over.
fn every_state_has_a_way_out(known: &HashMap<u128, u32>, fair: &[u128], mut is_out: Vec<bool>) {
    for start in 0..fair.len() {
        let mut way = Vec::new();
        let mut at = start;
        while !is_out[at] {
            way.push(at);
            assert!(way.len() < 1_000, "state {start} goes on for ever");
            at = known[&fair[at]] as usize;
        }
        way.into_iter().for_each(|at| is_out[at] = true);
    }
}

fn digest(key: &Key) -> u128 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let half = |salt: u64| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        key.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

/// How many mishaps: `MISHAPS`, or one.
fn mishaps() -> u8 {
    let text = std::env::var("MISHAPS").unwrap_or_default();
    text.parse().unwrap_or(1)
}

#[test]
fn whatever_happens_only_open_stages_have_the_new_and_every_rollback_ends() {
    let Explored { states, ended } = explore(Then::RollBack, mishaps());
    println!(
        "{states} states with at most {} mishaps; ends: {ended:?}",
        mishaps()
    );
    assert!(ended.contains_key("completed") && ended.contains_key("rolled_back"));
}

#[test]
fn a_gate_that_pauses_lets_nobody_in_until_a_person_decides() {
    let Explored { states, ended } = explore(Then::Pause, mishaps().min(1));
    println!("{states} states; ends: {ended:?}");
    assert!(ended.contains_key("completed") && ended.contains_key("paused"));
}
