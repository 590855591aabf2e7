//! The whole of a run: hosts, network, server, operators and mishaps, step by step.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use domain::EventId;
use opamp::client::Mode;
use opamp::model::InstanceUid;
use sha2::{Digest, Sha256};

use crate::dice::Dice;
use crate::host::Host;
use crate::machine::{ENVIRONMENTS, Machine};
use crate::network::Network;
use crate::node::Node;
use crate::operator::Intent;
use crate::schedule::{Event, Schedule, Way};
use crate::truth::Truth;
use crate::{Plan, Summary, Violation};

/// When every run begins: 2026-01-01T00:00:00Z, in microseconds since 1970.
const START_US: i64 = 1_767_225_600_000_000;
/// How long all is left in peace at the end: longer than any timeout of either side.
const QUIET: Duration = Duration::from_secs(400);
/// The last part of it, in which nothing is left to agree on.
const SILENCE: Duration = Duration::from_secs(90);

/// A run.
pub(crate) struct World {
    pub plan: Plan,
    pub dice: Dice,
    pub schedule: Schedule,
    /// What time 0 is on the clock of sessions; only differences count.
    pub epoch: Instant,
    /// The time of day in microseconds since 1970, which the server reads.
    pub clock: Arc<AtomicI64>,
    pub network: Network,
    pub hosts: Vec<Host>,
    pub node: Node,
    pub truth: Truth,
    pub trace: Trace,
    /// No mishaps any more.
    pub calm: bool,
    /// What operators wait for.
    pub wishes: VecDeque<Intent>,
    pub requests: u64,
    pub offers: u64,
    pub deltas: u64,
    pub refused_deltas: u64,
    /// Identities that the server gave.
    pub uids_given: u64,
    /// Agents that may have been made of one that came twice.
    pub twins: u64,
    pub former_uids: BTreeMap<InstanceUid, Vec<InstanceUid>>,
    pub last_event: EventId,
    /// Commits whose outcome was looked at.
    pub commits_checked: u64,
    violation: Option<Violation>,
    steps: u64,
}

/// A digest of everything that was said, and when: two runs of one seed have the same.
#[derive(Default)]
pub(crate) struct Trace(Sha256);

impl Trace {
    pub fn note(&mut self, at: Duration, message: &[u8]) {
        self.0.update(at.as_micros().to_le_bytes());
        self.0.update(message);
    }

    fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

impl World {
    /// A server on an empty database, and agents that are about to dial it.
    pub async fn new(plan: Plan) -> Self {
        let mut dice = Dice::new(plan.seed);
        let clock = Arc::new(AtomicI64::new(START_US));
        let node = Node::new(plan.seed, plan.on_file, &clock).await;
        let hosts = hosts(&plan, &mut dice);
        let mut world = Self {
            plan,
            dice,
            schedule: Schedule::default(),
            epoch: Instant::now(),
            clock,
            network: Network::default(),
            hosts,
            node,
            truth: Truth {
                held: Some(false),
                ..Truth::default()
            },
            trace: Trace::default(),
            calm: false,
            wishes: VecDeque::new(),
            requests: 0,
            offers: 0,
            deltas: 0,
            refused_deltas: 0,
            uids_given: 0,
            twins: 0,
            former_uids: BTreeMap::new(),
            last_event: EventId::default(),
            commits_checked: 0,
            violation: None,
            steps: 0,
        };
        world.drive_server();
        for host in 0..world.hosts.len() {
            let wait = world.dice.time(0..2_000);
            world.schedule.after(wait, Event::Dial { host, life: 0 });
        }
        world.plan_mishap();
        world.plan_wish();
        world
    }

    /// Lets everything happen, then lets it rest, and compares.
    pub async fn run(mut self) -> Result<Summary, Violation> {
        let stormy = self.plan.storm;
        self.run_until(stormy).await?;
        self.calm_down().await;
        let quiet = stormy + QUIET;
        self.run_until(quiet).await?;
        let before: Vec<_> = self.hosts.iter().map(|host| host.sent).collect();
        self.run_until(quiet + SILENCE).await?;
        self.check_quiet(&before, SILENCE.as_secs() / 30 + 1);
        self.settle_database().await;
        self.check_agreement().await;
        self.outcome()?;
        Ok(Summary {
            steps: self.steps,
            messages: self.hosts.iter().map(|host| host.sent).sum(),
            offers: self.offers,
            deltas: self.deltas,
            refused_deltas: self.refused_deltas,
            servers: u64::from(self.node.life),
            trace: self.trace.finish(),
        })
    }

    async fn run_until(&mut self, end: Duration) -> Result<(), Violation> {
        while let Some(event) = self.schedule.next_before(end) {
            self.set_clock();
            self.steps += 1;
            let concerns_server = event.concerns_server();
            if let Some(event) = self.step(event) {
                // In a box: it is large, and most events are none of these.
                Box::pin(self.use_database(event)).await;
            }
            if concerns_server {
                self.check_memory();
            }
            self.outcome()?;
        }
        self.set_clock();
        Ok(())
    }

    fn set_clock(&self) {
        let now = i64::try_from(self.schedule.now().as_micros()).unwrap_or(i64::MAX - START_US);
        self.clock.store(START_US + now, Ordering::Relaxed);
    }

    fn outcome(&mut self) -> Result<(), Violation> {
        self.violation.take().map_or(Ok(()), Err)
    }

    /// Lets an event happen, or gives it back if it needs the database.
    fn step(&mut self, event: Event) -> Option<Event> {
        if self.plan.tells {
            self.tell(&event);
        }
        match event {
            Event::Dial { host, life } if self.is_live(host, life) => self.dial(host),
            Event::Wake { host, life } if self.is_live(host, life) => self.wake(host),
            Event::Tried {
                host,
                life,
                agent,
                hash,
            } if self.is_live(host, life) => {
                self.hosts[host].machines[agent].tried(&hash);
                self.speak(host);
            }
            Event::HostStart { host, life } if self.hosts[host].life == life => self.revive(host),
            Event::Dialled { conn } => self.dialled(conn),
            Event::Accepted { conn, taken } => self.accepted(conn, taken),
            Event::Arrive { conn, way, frame } if self.network.delivers(conn) => match way {
                Way::ToServer => self.arrive_at_server(conn, frame),
                Way::ToAgent => self.arrive_at_host(conn, frame),
            },
            Event::Request {
                host,
                life,
                request,
                body,
            } if !self.is_succeeded(host, life) => self.requested(host, life, request, body),
            Event::Response {
                host,
                life,
                request,
                body,
            } if self.is_live(host, life) => {
                self.answered(host, request, body);
            }
            Event::RequestTimeout {
                host,
                life,
                request,
            } if self.is_live(host, life) => {
                self.gave_up_asking(host, request);
            }
            Event::Standings { life } if self.serves(life) => self.note_standings(),
            Event::Expire { life } if self.serves(life) => self.expire(),
            Event::LookAfter { life, conn } if self.serves(life) => self.look_after(conn),
            Event::ProbeOver { life, contest } if self.serves(life) => self.probe_over(contest),
            Event::Mishap => self.mishap(),
            Event::Commit { .. }
            | Event::Flush { .. }
            | Event::Reconcile { .. }
            | Event::WorkDone { .. }
            | Event::ServerCrash { .. }
            | Event::ServerStart
            | Event::Operate(_) => return Some(event),
            // About a process that is no more, or lost on its way.
            _ => {}
        }
        None
    }

    async fn use_database(&mut self, event: Event) {
        match event {
            Event::Commit { life } if self.serves(life) => self.commit().await,
            Event::Flush { life } if self.serves(life) => self.flush().await,
            Event::Reconcile { life, again } if self.serves(life) => self.reconcile(again).await,
            Event::WorkDone { life } if self.serves(life) => self.finish_work().await,
            Event::ServerCrash { life } if self.serves(life) => self.crash_server().await,
            Event::ServerStart => self.start_server().await,
            Event::Operate(intent) => self.operate(intent).await,
            _ => {}
        }
    }

    fn is_live(&self, host: usize, life: u32) -> bool {
        self.hosts[host].running && self.hosts[host].life == life
    }

    /// Whether this process is gone and another has taken its place: its requests ended with its connections.
    fn is_succeeded(&self, host: usize, life: u32) -> bool {
        self.hosts[host].running && self.hosts[host].life != life
    }

    fn serves(&self, life: u32) -> bool {
        self.node.running.is_some() && self.node.life == life
    }

    pub async fn start_server(&mut self) {
        if self.node.running.is_none() {
            self.node.start(&self.clock).await;
            self.truth.doubtful.clear();
            self.drive_server();
        }
    }

    /// Ends all mishaps: what runs goes on, what is down comes up, and what was asked for last is done.
    async fn calm_down(&mut self) {
        self.calm = true;
        self.wishes.clear();
        self.start_server().await;
        self.finish_work().await;
        for host in 0..self.hosts.len() {
            if self.hosts[host].machines.iter().any(|machine| machine.lies) {
                self.crash_host(host, false);
            }
            self.revive(host);
        }
        self.schedule
            .after(Duration::ZERO, Event::Operate(Intent::Lift));
    }

    /// Has everything stored that is only in memory.
    async fn settle_database(&mut self) {
        self.finish_work().await;
        if let Some(running) = &self.node.running {
            running
                .engine
                .note_standings(crate::node::time(&self.clock));
            let committed = running.engine.commit_reports().await;
            let flushed = running.engine.flush_liveness().await;
            if committed.is_err() || flushed.is_err() {
                self.violated(
                    "the database works at the end",
                    format!("{committed:?}, {flushed:?}"),
                );
            }
        }
    }

    /// Notes that something does not hold; the first stands.
    pub fn violated(&mut self, what: &'static str, detail: String) {
        let (seed, at) = (self.plan.seed, self.schedule.now());
        self.violation.get_or_insert(Violation {
            seed,
            what,
            at,
            detail,
        });
    }

    #[expect(clippy::print_stderr, reason = "asked for, to see what a seed does")]
    fn tell(&self, event: &Event) {
        let text = crate::show::line(event);
        eprintln!("{:>12.6} {text}", self.schedule.now().as_secs_f64());
    }

    pub fn instant(&self) -> Instant {
        self.epoch + self.schedule.now()
    }

    pub fn unix_nano(&self) -> u64 {
        u64::try_from(self.clock.load(Ordering::Relaxed)).unwrap_or(0) * 1_000
    }

    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.hosts.iter().flat_map(|host| &host.machines)
    }
}

fn hosts(plan: &Plan, dice: &mut Dice) -> Vec<Host> {
    let mut number = 0;
    (0..plan.hosts)
        .map(|_| {
            let mode = if dice.percent(30) {
                Mode::Polling
            } else {
                Mode::Stream
            };
            let several = mode == Mode::Stream && dice.percent(30);
            let machines = (0..if several { 2 } else { 1 })
                .map(|_| {
                    number += 1;
                    let uid = InstanceUid::new(dice.bytes());
                    let env = ENVIRONMENTS[dice.index(ENVIRONMENTS.len())];
                    Machine::new(number, uid, env, if plan.veterans { 1_000 } else { 0 })
                })
                .collect();
            Host::new(mode, machines)
        })
        .collect()
}
