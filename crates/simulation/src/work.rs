//! What the server does with its database: one thing at a time, while agents go on speaking, and what may go wrong with it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use engine::Engine;
use jiff::Timestamp;
use store::Db;
use store::testing::{CommitStop, Stop, StopAt};

use crate::node::time;
use crate::operator::{self, Done, Intent};
use crate::schedule::Event;
use crate::world::World;

/// Between flushes and resyncs, as the server has them by default.
const MINUTE: Duration = Duration::from_secs(60);
const STANDINGS: Duration = Duration::from_secs(2);
const EXPIRE: Duration = Duration::from_secs(10);
/// After a commit that failed ([`server`]'s loops wait so long).
const RETRY: Duration = Duration::from_secs(1);
/// Until what uses the database may be done.
const BUSY: Duration = Duration::from_millis(20);

/// What becomes of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It happens.
    Sound,
    /// It happens, and the server hears that the database was lost.
    Lost,
    /// It is rolled back, and the server hears that the database was lost.
    Refused,
}

/// Something that waits in the middle of a commit.
pub(crate) struct Work {
    future: Pin<Box<dyn Future<Output = Outcome>>>,
    stop: CommitStop,
}

/// What is in the way of a commit.
pub(crate) struct Obstacles {
    pub fate: Fate,
    stop: Option<Stop>,
    db: Db,
}

/// What came of it.
pub(crate) enum Outcome {
    Committed(bool),
    Flushed,
    Reconciled(bool),
    Operated(Done),
}

impl Obstacles {
    /// Puts them in the way of the next commit.
    pub fn arm(&mut self) {
        match self.fate {
            Fate::Sound => {}
            Fate::Lost => store::testing::lose_next_commit(&self.db),
            Fate::Refused => store::testing::refuse_next_commit(&self.db),
        }
        if let Some(stop) = self.stop.take() {
            store::testing::stop_next_commit(&self.db, stop);
        }
    }

    /// Takes away what was not met. Says whether the commit was come to.
    pub fn clear(&self) -> bool {
        !store::testing::spare_next_commit(&self.db)
    }
}

impl World {
    /// Sets the timers of a server that has just started.
    pub fn drive_server(&mut self) {
        let life = self.node.life;
        self.plan_flush();
        self.schedule
            .after(Duration::ZERO, Event::Reconcile { life, again: true });
        self.schedule.after(STANDINGS, Event::Standings { life });
        self.schedule.after(EXPIRE, Event::Expire { life });
        self.plan_steps();
    }

    /// Plans the steps that the engine's state asks for.
    pub fn plan_steps(&mut self) {
        let life = self.node.life;
        let interval = self.plan.commit_interval;
        let Some(running) = &mut self.node.running else {
            return;
        };
        if !running.commit_due && running.has_reports() {
            running.commit_due = true;
            self.schedule.after(interval, Event::Commit { life });
        }
        if !running.reconcile_due && running.has_missing() {
            running.reconcile_due = true;
            self.schedule
                .after(BUSY, Event::Reconcile { life, again: false });
        }
    }

    pub async fn commit(&mut self) {
        let life = self.node.life;
        if self.is_busy() {
            return self.schedule.after(BUSY, Event::Commit { life });
        }
        self.start_work(|engine, mut obstacles, _| async move {
            obstacles.arm();
            Outcome::Committed(engine.commit_reports().await.is_ok())
        })
        .await;
    }

    pub async fn flush(&mut self) {
        let life = self.node.life;
        if self.is_busy() {
            return self.schedule.after(BUSY, Event::Flush { life });
        }
        self.plan_flush();
        self.start_work(|engine, mut obstacles, _| async move {
            obstacles.arm();
            engine.flush_liveness().await.ok();
            Outcome::Flushed
        })
        .await;
    }

    fn plan_flush(&mut self) {
        let life = self.node.life;
        let wait = match self.calm {
            true => MINUTE,
            false => self.plan.flush_interval,
        };
        self.schedule.after(wait, Event::Flush { life });
    }

    pub async fn reconcile(&mut self, again: bool) {
        let life = self.node.life;
        if self.is_busy() {
            return self.schedule.after(BUSY, Event::Reconcile { life, again });
        }
        if again {
            self.schedule
                .after(MINUTE, Event::Reconcile { life, again });
        }
        self.start_work(|engine, mut obstacles, now| async move {
            obstacles.arm();
            Outcome::Reconciled(engine.reconcile(now).await.is_ok())
        })
        .await;
    }

    pub fn note_standings(&mut self) {
        let now = time(&self.clock);
        if let Some(running) = &self.node.running {
            running.engine.note_standings(now);
        }
        let life = self.node.life;
        self.schedule.after(STANDINGS, Event::Standings { life });
        self.look_around();
    }

    pub fn expire(&mut self) {
        let now = time(&self.clock);
        if let Some(running) = &self.node.running {
            running.engine.expire(now);
        }
        let life = self.node.life;
        self.schedule.after(EXPIRE, Event::Expire { life });
        self.look_around();
    }

    /// An operator wishes something; it waits for its turn. Without a server there is nobody to ask.
    pub async fn operate(&mut self, intent: Intent) {
        let comes_too_late = self.calm && intent != Intent::Lift;
        if self.node.running.is_some() && !comes_too_late {
            self.wishes.push_back(intent);
            self.next_wish().await;
        }
    }

    /// Begins what an operator wishes, when the database is free.
    async fn next_wish(&mut self) {
        while !self.is_busy() {
            let Some(intent) = self.wishes.pop_front() else {
                return;
            };
            self.truth.attempt(&intent);
            self.start_work(move |engine, obstacles, now| {
                operator::perform(engine, obstacles, intent, now)
            })
            .await;
        }
    }

    /// Whether there is no server, or its database is in use.
    fn is_busy(&self) -> bool {
        self.node
            .running
            .as_ref()
            .is_none_or(|running| running.work.is_some())
    }

    /// Chooses what becomes of the next commit.
    fn fate(&mut self) -> Fate {
        match (self.calm, self.dice.below(100)) {
            (false, 0..5) => Fate::Lost,
            (false, 5..10) => Fate::Refused,
            _ => Fate::Sound,
        }
    }

    /// Begins something that commits. Half of it stops at a commit, while everybody else goes on.
    async fn start_work<F>(&mut self, begin: impl FnOnce(Engine, Obstacles, Timestamp) -> F)
    where
        F: Future<Output = Outcome> + 'static,
    {
        let (now, life) = (time(&self.clock), self.node.life);
        let fate = self.fate();
        let stops = self.dice.percent(50);
        let at = match self.dice.percent(50) {
            true => StopAt::BeforeIt,
            false => StopAt::AfterIt,
        };
        let (stop, mut hold) = store::testing::commit_stop(at);
        let obstacles = Obstacles {
            fate,
            stop: stops.then_some(stop),
            db: self.node.db.clone(),
        };
        let Some(running) = &mut self.node.running else {
            return;
        };
        let mut future: Pin<Box<dyn Future<Output = Outcome>>> =
            Box::pin(begin(running.engine.clone(), obstacles, now));
        let finished = tokio::select! {
            biased;
            () = hold.reached() => None,
            outcome = &mut future => Some(outcome),
        };
        if let Some(outcome) = finished {
            return self.conclude(outcome).await;
        }
        running.work = Some(Work { future, stop: hold });
        let takes = self.dice.time(1..400);
        if !self.calm && self.dice.percent(10) {
            self.schedule.after(takes / 2, Event::ServerCrash { life });
        }
        self.schedule.after(takes, Event::WorkDone { life });
        self.look_around();
    }

    /// Lets the database finish, and takes in what came of it.
    pub async fn finish_work(&mut self) {
        if let Some(outcome) = self.outlast_work().await {
            self.conclude(outcome).await;
            Box::pin(self.next_wish()).await;
        }
    }

    async fn conclude(&mut self, outcome: Outcome) {
        self.take_in(outcome);
        self.check_stored().await;
        self.look_around();
    }

    /// Lets the database finish, whoever still listens.
    async fn outlast_work(&mut self) -> Option<Outcome> {
        let work = self.node.running.as_mut()?.work.take()?;
        drop(work.stop);
        Some(work.future.await)
    }

    fn take_in(&mut self, outcome: Outcome) {
        // A commit that did not come after all is no business of the next step.
        store::testing::spare_next_commit(&self.node.db);
        let life = self.node.life;
        let Some(running) = &mut self.node.running else {
            return;
        };
        match outcome {
            Outcome::Committed(done) => {
                running.commit_due = !done;
                if !done {
                    self.schedule.after(RETRY, Event::Commit { life });
                }
            }
            Outcome::Flushed => {}
            Outcome::Reconciled(done) => {
                running.reconcile_due = !done;
                if !done {
                    self.schedule
                        .after(RETRY, Event::Reconcile { life, again: false });
                }
            }
            Outcome::Operated(done) => self.truth.learn(done),
        }
    }

    /// The server's process is killed.
    pub async fn crash_server(&mut self) {
        // What was sent to the database is done or not, as was decided when it began.
        if let Some(Outcome::Operated(done)) = self.outlast_work().await {
            self.truth.learn(done);
        }
        store::testing::spare_next_commit(&self.node.db);
        self.wishes.clear();
        let Some(running) = self.node.running.take() else {
            return;
        };
        let conns: Vec<_> = running.links.keys().copied().collect();
        drop(running);
        for conn in conns {
            // Where the system says nothing, the host finds out when it speaks.
            if self.dice.percent(80) {
                self.transmit(
                    conn,
                    crate::schedule::Way::ToAgent,
                    crate::schedule::Frame::Reset,
                );
            }
        }
        let wait = self.dice.time(50..8_000);
        self.schedule.after(wait, Event::ServerStart);
    }
}
