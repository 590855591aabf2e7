//! The life of one simulated agent: wait, dial, talk, and do it again.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use opamp::client::{Backoff, BackoffOptions};
use rand::{RngExt as _, SeedableRng, rngs::SmallRng};
use tokio::time::{sleep_until, timeout};

use crate::{
    behavior::Vanish,
    conversation::{Conversation, End},
    link::{Link, LinkError},
    log::LogEvent,
    options::{Ramp, Redial},
    orders::OrderSet,
    profile::AgentProfile,
    shared::{Shared, Slot},
    wire::answer::RetryAfter,
};

/// One agent's task.
pub(crate) struct Agent {
    pub(crate) shared: Arc<Shared>,
    pub(crate) index: usize,
    pub(crate) random: SmallRng,
    backoff: Backoff,
    /// Whether it still has to be counted in the present round.
    in_round: bool,
    answered_in_round: bool,
}

/// When to dial.
enum Wait {
    Until(Instant),
    ForOrder,
    /// Gone for good: only the end of the fleet is waited for.
    Forever,
}

impl Agent {
    pub(crate) fn new(shared: Arc<Shared>, index: usize) -> Self {
        let seed = shared.options.seed ^ (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            shared,
            index,
            random: SmallRng::seed_from_u64(seed),
            backoff: Backoff::new(BackoffOptions::default()),
            in_round: true,
            answered_in_round: false,
        }
    }

    /// Lives until it is told to stop.
    pub(crate) async fn live(mut self) {
        let mut wait = self.first_wait();
        while self.rest(wait).await {
            wait = match self.dial().await {
                Dialed::Stopped => return,
                Dialed::Held => Wait::ForOrder,
                Dialed::Failed(error) => self.after_failure(error),
                Dialed::Connected(link) => match self.talk(link).await {
                    Some(wait) => wait,
                    None => return,
                },
            };
        }
    }

    pub(crate) fn slot(&self) -> &Slot {
        &self.shared.slots[self.index]
    }

    pub(crate) fn profile(&self) -> AgentProfile<'_> {
        self.shared.profile.agent(self.index)
    }

    /// Writes the agent's present state to the fleet's log, if there is one.
    pub(crate) fn log(&self, event: LogEvent) {
        if let Some(log) = &self.shared.log {
            log.write(
                self.shared.options.clock.now(),
                event,
                self.shared.snapshot(self.index),
            );
        }
    }

    fn first_wait(&self) -> Wait {
        match self.shared.options.ramp {
            Ramp::Held => Wait::ForOrder,
            Ramp::Storm => Wait::Until(self.shared.started),
            Ramp::PerSecond(rate) => {
                let after = Duration::from_secs_f64(self.index as f64 / rate.max(0.001));
                Wait::Until(self.shared.started + after)
            }
        }
    }

    /// Waits without a connection; `false` when the agent is to stop.
    async fn rest(&mut self, wait: Wait) -> bool {
        let shared = self.shared.clone();
        let orders = &shared.slots[self.index].orders;
        let (deadline, forever) = match wait {
            Wait::Until(deadline) if deadline <= Instant::now() => return true,
            Wait::Until(deadline) => (Some(deadline), false),
            Wait::ForOrder => (None, false),
            Wait::Forever => (None, true),
        };
        let mut deadline = deadline;
        loop {
            let taken = tokio::select! {
                biased;
                taken = orders.next() => taken,
                () = until(deadline) => return true,
            };
            if taken.has(OrderSet::STOP) {
                return false;
            }
            if taken.has(OrderSet::HOLD) {
                deadline = None;
            }
            if !forever && (taken.has(OrderSet::DIAL) || taken.has(OrderSet::REDIAL)) {
                self.enter_round();
                return true;
            }
        }
    }

    async fn dial(&mut self) -> Dialed {
        let shared = self.shared.clone();
        let nonce = self.random.random();
        let index = self.index;
        let slot = &shared.slots[index];
        let attempt = async {
            // The semaphore is never closed, so this waits and does not fail.
            let _permit = shared.dials.acquire().await;
            shared.counters.dials.add();
            let uid = {
                let mut state = slot.state.lock();
                state.marks.dialed = shared.mark();
                state.session.uid()
            };
            let connect = shared.target.connect(index, uid, nonce);
            match timeout(shared.options.dial_timeout, connect).await {
                Ok(connected) => connected,
                Err(_) => Err(LinkError::TimedOut),
            }
        };
        let mut attempt = std::pin::pin!(attempt);
        loop {
            let taken = tokio::select! {
                biased;
                taken = slot.orders.next() => taken,
                connected = &mut attempt => {
                    return connected.map_or_else(Dialed::Failed, Dialed::Connected);
                }
            };
            if taken.has(OrderSet::STOP) {
                return Dialed::Stopped;
            }
            if taken.has(OrderSet::HOLD) {
                return Dialed::Held;
            }
            // It is dialing already, which then counts for the round that was just ordered.
            if taken.has(OrderSet::DIAL) || taken.has(OrderSet::REDIAL) {
                self.enter_round();
            }
        }
    }

    fn after_failure(&mut self, error: LinkError) -> Wait {
        let counters = &self.shared.counters;
        let retry_after = match &error {
            LinkError::Refused { retry_after, .. } => {
                counters.refused.add();
                *retry_after
            }
            _ => {
                counters.dial_errors.add();
                None
            }
        };
        self.slot().state.lock().last_error = Some(told(&error));
        self.again(retry_after)
    }

    /// Talks until the connection ends; `None` when the agent is to stop.
    async fn talk(&mut self, link: Link) -> Option<Wait> {
        self.backoff.connected(Instant::now());
        self.shared.counters.connected.add();
        {
            let mark = self.shared.mark();
            let mut state = self.slot().state.lock();
            state.connected = true;
            state.outstanding = 0;
            state.marks = crate::shared::Marks {
                dialed: state.marks.dialed,
                connected: mark,
                checked: state.marks.checked,
                applied: state.marks.applied,
                ..Default::default()
            };
        }
        self.log(LogEvent::Connected);
        let end = Conversation::new(self).run(link).await;
        self.shared.counters.connected.remove();
        self.slot().state.lock().connected = false;
        self.log(LogEvent::Disconnected);
        match end {
            End::Stopped => None,
            End::Redial => {
                self.enter_round();
                Some(Wait::Until(Instant::now()))
            }
            End::Held => Some(Wait::ForOrder),
            End::Vanished(Vanish::ForGood) => Some(Wait::Forever),
            End::Vanished(Vanish::BackAfter(after)) => Some(Wait::Until(Instant::now() + after)),
            End::Unavailable(retry) => Some(self.again(match retry {
                RetryAfter::Told(after) => Some(after),
                RetryAfter::Unsaid => None,
            })),
            End::Lost(error) => {
                self.shared.counters.lost.add();
                self.slot().state.lock().last_error = Some(told(&error));
                Some(self.again(match error {
                    LinkError::Refused { retry_after, .. } => retry_after,
                    _ => None,
                }))
            }
        }
    }

    /// When to dial after a connection or a dial failed.
    fn again(&mut self, retry_after: Option<Duration>) -> Wait {
        let now = Instant::now();
        match *self.shared.redial.lock() {
            Redial::Held => Wait::ForOrder,
            Redial::Every(interval) => Wait::Until(now + retry_after.unwrap_or(interval)),
            Redial::Backoff => {
                Wait::Until(now + self.backoff.lost(now, retry_after, self.random.random()))
            }
        }
    }

    /// From now on it has to be counted in the present round.
    pub(crate) fn enter_round(&mut self) {
        self.in_round = true;
        self.answered_in_round = false;
    }

    /// Counts the agent's first answer in this round.
    pub(crate) fn count_answered(&mut self) {
        if self.in_round && !std::mem::replace(&mut self.answered_in_round, true) {
            self.shared.counters.answered.add();
        }
    }

    /// Counts the agent as settled, once a round.
    pub(crate) fn count_settled(&mut self) {
        if std::mem::take(&mut self.in_round) {
            self.shared.counters.settled.add();
        }
    }

    /// Whether each answer is followed by the next report at once.
    pub(crate) fn in_closed_loop(&self) -> bool {
        self.shared.closed_loop.load(Ordering::Relaxed)
    }
}

enum Dialed {
    Connected(Link),
    Failed(LinkError),
    Held,
    Stopped,
}

/// Until a moment that may never come.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// An error with its causes, as one line.
fn told(error: &LinkError) -> String {
    runtime::logging::error_chain(error)
}
