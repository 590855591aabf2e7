//! A running fleet: start it, order it about, look at it, stop it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::{sync::Semaphore, task::JoinSet};
use uuid::Uuid;

use crate::{
    agent::Agent,
    behavior::BehaviorError,
    capacity::{self, CapacityError},
    latency::Latencies,
    link::{Target, TargetError},
    log::{Log, LogEvent},
    options::{Options, Redial},
    orders::{OrderSet, Orders},
    profile::FleetProfile,
    session::{ConfigStatus, Session},
    shared::{AgentState, Marks, Shared, Slot},
    stats::{Counters, Stats},
    wire::{answer, content::Contents, identity::hex},
};

/// A simulated fleet. Dropping it drops all connections at once.
pub struct Fleet {
    pub(crate) shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// Why a fleet did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// This machine does not allow so many connections.
    #[error("this machine does not allow a fleet of this size")]
    Capacity(#[source] CapacityError),
    /// The behaviors do not fit the fleet.
    #[error("dealing out behaviors")]
    Behaviors(#[source] BehaviorError),
    /// The server cannot be dialed.
    #[error("preparing to dial {endpoint}")]
    Target {
        /// The server.
        endpoint: String,
        /// The cause.
        #[source]
        source: TargetError,
    },
    /// The log cannot be written.
    #[error("creating the log")]
    Log(#[source] io::Error),
}

/// What one simulated agent is and runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSnapshot {
    /// Its number in the fleet.
    pub index: usize,
    /// Its name, which is its `service.instance.id` and `host.name`.
    pub name: String,
    /// Its uid, as UUID text.
    pub uid: String,
    /// Whether it has a connection.
    pub connected: bool,
    /// `config_hash` of its last offer in hex; empty before the first.
    pub offered_hash: String,
    /// What became of that offer.
    pub status: ConfigStatus,
    /// Why it failed; empty otherwise.
    pub error: String,
    /// `config_hash` of the config that it runs in hex; empty while that is its own.
    pub running_hash: String,
    /// SHA-256 in hex of the file that it reports as its effective configuration; empty for several.
    pub effective_sha256: String,
    /// Whether it says it is well.
    pub healthy: bool,
    /// The component that is not well, as its number, if one is.
    pub failing_component: Option<usize>,
    /// The number of its last message.
    pub sequence: u64,
    /// Why its last connection or dial ended.
    pub last_error: Option<String>,
}

impl Fleet {
    /// Starts a fleet in the present runtime; its agents dial as [`Options::ramp`] says.
    ///
    /// # Errors
    /// When this machine, the options or the endpoint do not allow it.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        capacity::raise_descriptor_limit(options.agents).map_err(StartError::Capacity)?;
        let profile = FleetProfile::new(&options).map_err(StartError::Behaviors)?;
        let target = Target::new(&options)
            .await
            .map_err(|source| StartError::Target {
                endpoint: options.endpoint.to_string(),
                source,
            })?;
        let log = options
            .log
            .as_deref()
            .map(Log::create)
            .transpose()
            .map_err(StartError::Log)?;
        let agents = options.agents;
        let mut shared = Shared {
            dials: Semaphore::new(options.dial_window.max(1)),
            redial: Mutex::new(options.redial),
            contents: Contents::default(),
            counters: Counters::default(),
            latencies: Latencies::default(),
            slots: Vec::new(),
            closed_loop: AtomicBool::new(false),
            round_ns: AtomicU64::new(0),
            started: Instant::now(),
            options,
            profile,
            target,
            log,
        };
        let born = shared.wall_ns();
        shared.slots = (0..agents)
            .map(|index| Slot::new(&shared.profile, index, born))
            .collect();
        let shared = Arc::new(shared);
        let mut tasks = JoinSet::new();
        for index in 0..agents {
            tasks.spawn(Agent::new(shared.clone(), index).live());
        }
        Ok(Self { shared, tasks })
    }

    /// How many agents it has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.shared.slots.len()
    }

    /// The options it was started with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Source addresses that it dials from in turn; 0: the kernel chooses.
    #[must_use]
    pub fn source_addresses(&self) -> usize {
        self.shared.target.sources()
    }

    /// What it has counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.read()
    }

    /// What each of its agents is and runs.
    #[must_use]
    pub fn agents(&self) -> Vec<AgentSnapshot> {
        (0..self.size())
            .map(|index| self.shared.snapshot(index))
            .collect()
    }

    /// One of its agents.
    ///
    /// # Panics
    /// If the fleet has no agent of this number.
    #[must_use]
    pub fn agent(&self, index: usize) -> SimAgent<'_> {
        assert!(
            index < self.size(),
            "no agent {index} in a fleet of {}",
            self.size()
        );
        SimAgent {
            shared: &self.shared,
            index,
        }
    }

    /// What agents do from now on whose connection ends.
    pub fn set_redial(&self, redial: Redial) {
        *self.shared.redial.lock() = redial;
    }

    /// Lets every agent without a connection dial at once: a new round.
    pub fn dial(&self) {
        self.begin_round();
        self.order(OrderSet::DIAL);
    }

    /// Drops every connection and keeps all agents from dialing before [`Fleet::dial`].
    pub fn hold(&self) {
        self.order(OrderSet::HOLD);
    }

    /// Drops every connection; the agents dial again at once and without jitter: a new round.
    pub fn storm(&self) {
        self.begin_round();
        self.order(OrderSet::REDIAL);
    }

    /// Lets every connected agent report its health once, only the times in it changed.
    pub fn report(&self) {
        self.order(OrderSet::REPORT);
    }

    /// Lets every agent follow each answer with the next report, until it is ended.
    pub fn begin_closed_loop(&self) {
        self.shared.closed_loop.store(true, Ordering::Relaxed);
        self.report();
    }

    /// Ends what [`Fleet::begin_closed_loop`] began; messages under way are still answered.
    pub fn end_closed_loop(&self) {
        self.shared.closed_loop.store(false, Ordering::Relaxed);
    }

    /// Measures from now on how long answers take: of each message that an agent sends while none is under way.
    pub fn begin_timing(&self) {
        self.shared.latencies.begin();
    }

    /// Ends what [`Fleet::begin_timing`] began, and gives what was measured.
    #[must_use]
    pub fn end_timing(&self) -> Vec<Duration> {
        self.shared.latencies.end()
    }

    /// Waits until `done` says so of the counters; `false` when the time was up first.
    pub async fn wait(&self, limit: Duration, mut done: impl FnMut(&Stats) -> bool) -> bool {
        const LOOK_EVERY: Duration = Duration::from_millis(2);
        let deadline = Instant::now() + limit;
        loop {
            if done(&self.stats()) {
                return true;
            }
            if deadline <= Instant::now() {
                return false;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until every agent of the present round is attached and has had all its answers.
    pub async fn settled(&self, limit: Duration) -> bool {
        let all = self.size() as u64;
        self.wait(limit, |stats| all <= stats.settled).await
    }

    /// Waits until messages under way are answered.
    pub async fn quiet(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if self
                .shared
                .slots
                .iter()
                .all(|slot| slot.state.lock().outstanding == 0)
            {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        false
    }

    /// Writes what the log holds back to its file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush_log(&self) -> io::Result<()> {
        self.shared.log.as_ref().map_or(Ok(()), Log::flush)
    }

    /// Lets all agents say goodbye and close, and waits for that at most so long.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub async fn stop(mut self, limit: Duration) -> io::Result<Stats> {
        self.order(OrderSet::STOP);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, ended).await.is_err() {
            tracing::warn!("some agents did not close in time; their connections are dropped");
        }
        self.flush_log()?;
        Ok(self.stats())
    }

    pub(crate) fn marks(&self) -> Vec<Marks> {
        self.shared
            .slots
            .iter()
            .map(|slot| slot.state.lock().marks)
            .collect()
    }

    fn order(&self, order: OrderSet) {
        for slot in &self.shared.slots {
            slot.orders.give(order);
        }
    }

    fn begin_round(&self) {
        self.shared.counters.answered.reset();
        self.shared.counters.settled.reset();
        self.shared
            .round_ns
            .store(self.shared.mark(), Ordering::Relaxed);
    }
}

/// One agent of a running fleet.
#[derive(Clone, Copy)]
pub struct SimAgent<'a> {
    shared: &'a Shared,
    index: usize,
}

impl SimAgent<'_> {
    /// What it is and runs.
    #[must_use]
    pub fn snapshot(&self) -> AgentSnapshot {
        self.shared.snapshot(self.index)
    }

    /// Its uid now.
    #[must_use]
    pub fn uid(&self) -> [u8; 16] {
        self.slot().state.lock().session.uid()
    }

    /// `config_hash` of the config that it runs; empty while that is its own.
    #[must_use]
    pub fn running_hash(&self) -> Vec<u8> {
        self.slot().state.lock().session.running_hash().to_vec()
    }

    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> Vec<(&str, &str)> {
        self.shared.profile.agent(self.index).labels()
    }

    /// Makes it unwell or well; it reports that at once.
    pub fn set_healthy(&self, healthy: bool) {
        self.set_failing((!healthy).then_some(self.index));
    }

    /// Turns its health over.
    pub fn flip_health(&self) {
        let healthy = self.slot().state.lock().session.failing().is_none();
        self.set_healthy(!healthy);
    }

    /// Lets it report its health, only the times in it changed.
    pub fn report(&self) {
        self.slot().orders.give(OrderSet::REPORT);
    }

    /// Drops its connection without a word; it waits for [`SimAgent::dial`].
    pub fn disconnect(&self) {
        self.slot().orders.give(OrderSet::HOLD);
    }

    /// Drops its connection, if it has one, and dials again at once.
    pub fn redial(&self) {
        self.slot().orders.give(OrderSet::REDIAL);
    }

    /// Dials unless connected.
    pub fn dial(&self) {
        self.slot().orders.give(OrderSet::DIAL);
    }

    /// Says goodbye, closes in order and ends for good.
    pub fn stop(&self) {
        self.slot().orders.give(OrderSet::STOP);
    }

    fn set_failing(&self, component: Option<usize>) {
        self.slot().state.lock().session.set_failing(component);
        if let Some(log) = &self.shared.log {
            log.write(
                self.shared.options.clock.now(),
                LogEvent::Changed,
                self.snapshot(),
            );
        }
        self.slot().orders.give(OrderSet::SPEAK);
    }

    fn slot(&self) -> &Slot {
        &self.shared.slots[self.index]
    }
}

impl Slot {
    fn new(profile: &FleetProfile, index: usize, born_ns: u64) -> Self {
        let session = Session::new(profile.identity.uid(index), born_ns);
        Self {
            orders: Orders::default(),
            state: Mutex::new(AgentState {
                session,
                connected: false,
                outstanding: 0,
                marks: Marks::default(),
                last_error: None,
            }),
        }
    }
}

impl Shared {
    /// What one agent is and runs.
    pub(crate) fn snapshot(&self, index: usize) -> AgentSnapshot {
        let agent = self.profile.agent(index);
        let state = self.slots[index].state.lock();
        let session = &state.session;
        let (offered, status) = session.status();
        let failed = status == ConfigStatus::Failed;
        let mut effective = Vec::new();
        session.write_effective_map(&mut effective, &agent);
        let body = answer::single_body(&effective);
        AgentSnapshot {
            index,
            name: self.profile.identity.agent_name(index),
            uid: Uuid::from_bytes(session.uid()).to_string(),
            connected: state.connected,
            offered_hash: hex(offered),
            status,
            error: if failed {
                agent.rejection().unwrap_or_default().to_owned()
            } else {
                String::new()
            },
            running_hash: hex(session.running_hash()),
            effective_sha256: body
                .map(|body| hex(&Sha256::digest(body)))
                .unwrap_or_default(),
            healthy: session.failing().is_none(),
            failing_component: session.failing(),
            sequence: session.sequence(),
            last_error: state.last_error.clone(),
        }
    }
}
