//! One connection of one agent: what it says, hears and measures until the connection ends.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use tokio::time::Sleep;

use crate::{
    agent::Agent,
    behavior::Vanish,
    link::{Link, LinkError},
    log::LogEvent,
    orders::OrderSet,
    session::Reaction,
    wire::answer::{Answer, REPORT_FULL_STATE, RetryAfter},
};

/// How a connection ended.
pub(crate) enum End {
    /// The fleet stops.
    Stopped,
    /// It was ordered to dial again at once.
    Redial,
    /// It was ordered to wait for an order.
    Held,
    /// The script made it vanish.
    Vanished(Vanish),
    /// The server is overloaded.
    Unavailable(RetryAfter),
    /// It broke, or the server closed it.
    Lost(LinkError),
}

/// A sleep that ends on its own no earlier than this.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// One connection of an agent.
pub(crate) struct Conversation<'a> {
    agent: &'a mut Agent,
    /// Whether it must say something even if it owes nothing.
    must_speak: bool,
    answered: bool,
    last_sent: Instant,
    apply_at: Option<Instant>,
    flap_at: Option<Instant>,
    reads: bool,
}

impl<'a> Conversation<'a> {
    pub(crate) fn new(agent: &'a mut Agent) -> Self {
        let now = Instant::now();
        let flaps = agent
            .profile()
            .behavior()
            .and_then(|behavior| behavior.flap_every);
        Self {
            agent,
            must_speak: true,
            answered: false,
            last_sent: now,
            apply_at: None,
            flap_at: flaps.map(|interval| now + interval),
            reads: true,
        }
    }

    /// Talks until the connection ends.
    pub(crate) async fn run(mut self, mut link: Link) -> End {
        let shared = self.agent.shared.clone();
        let orders = &shared.slots[self.agent.index].orders;
        let timer = tokio::time::sleep_until((Instant::now() + FAR).into());
        let mut timer = std::pin::pin!(timer);
        loop {
            if let Err(error) = self.speak(&mut link).await {
                return End::Lost(error);
            }
            self.arm(timer.as_mut());
            let ended = tokio::select! {
                biased;
                taken = orders.next() => self.obey(taken),
                heard = link.receive(&shared.contents, self.reads) => match heard {
                    Ok(answer) => self.hear(answer),
                    Err(error) => Some(End::Lost(error)),
                },
                () = timer.as_mut() => {
                    self.tick(timer.as_mut());
                    None
                }
            };
            match ended {
                None => {}
                Some(End::Stopped) => return self.leave(link).await,
                Some(end) => return end,
            }
        }
    }

    /// Sends what is owed, as far as the transport lets it.
    async fn speak(&mut self, link: &mut Link) -> Result<(), LinkError> {
        let shared = self.agent.shared.clone();
        let slot = &shared.slots[self.agent.index];
        if !self.must_speak && !slot.state.lock().session.owes() || !link.can_send() {
            return Ok(());
        }
        self.must_speak = false;
        let mut message = Vec::with_capacity(512);
        {
            let mut state = slot.state.lock();
            state.outstanding += 1;
            state
                .session
                .write(&mut message, &self.agent.profile(), shared.wall_ns());
        }
        shared.counters.sent.add();
        self.last_sent = Instant::now();
        link.send(&message).await
    }

    /// Takes a message; says how the connection ends if it does.
    fn hear(&mut self, answer: Answer) -> Option<End> {
        let shared = self.agent.shared.clone();
        let counters = &shared.counters;
        counters.received.add();
        count(&answer, counters);
        let offered = answer.offer.is_some();
        let renamed = answer.new_uid.is_some();
        let mark = shared.mark();
        let first = !std::mem::replace(&mut self.answered, true);

        let mut state = shared.slots[self.agent.index].state.lock();
        if state.outstanding == 1 {
            shared.latencies.note(self.last_sent);
        }
        state.outstanding = state.outstanding.saturating_sub(1);
        let before = state.session.version();
        let reaction = state
            .session
            .receive(answer, &self.agent.profile(), shared.wall_ns());
        let changed = before != state.session.version();
        if first {
            state.marks.answered = mark;
        }
        if offered {
            state.marks.checked = mark;
        }
        if offered && changed {
            state.count_outcome(&shared);
        }
        let settled = state.outstanding == 0 && !state.session.owes() && state.marks.settled == 0;
        if settled {
            state.marks.settled = mark;
        }
        drop(state);

        if first {
            self.agent.count_answered();
            self.reads = !self
                .agent
                .profile()
                .behavior()
                .is_some_and(|script| script.never_read);
        }
        if settled {
            self.agent.count_settled();
        }
        if renamed {
            self.agent.log(LogEvent::Renamed);
        }
        if changed && !renamed {
            self.agent.log(LogEvent::Changed);
        }
        if self.agent.in_closed_loop() {
            self.report();
        }
        self.react(reaction)
    }

    fn react(&mut self, reaction: Reaction) -> Option<End> {
        let counters = &self.agent.shared.counters;
        match reaction {
            Reaction::Stay => None,
            Reaction::ApplyAfter(delay) => {
                self.apply_at = Some(Instant::now() + delay);
                None
            }
            Reaction::Vanish(vanish) => {
                counters.vanished.add();
                Some(End::Vanished(vanish))
            }
            Reaction::Leave(retry) => {
                counters.unavailable.add();
                Some(End::Unavailable(retry))
            }
            Reaction::Refused(message) => {
                counters.bad_requests.add();
                self.agent.slot().state.lock().last_error = Some(message);
                None
            }
        }
    }

    /// Follows orders; says how the connection ends if it does.
    fn obey(&mut self, orders: OrderSet) -> Option<End> {
        if orders.has(OrderSet::STOP) {
            return Some(End::Stopped);
        }
        if orders.has(OrderSet::HOLD) {
            return Some(End::Held);
        }
        if orders.has(OrderSet::REDIAL) {
            return Some(End::Redial);
        }
        if orders.has(OrderSet::REPORT) {
            self.report();
        }
        if orders.has(OrderSet::DIAL) {
            self.join_round();
        }
        None
    }

    /// Counts a connection that stands already in a round that was ordered just now.
    fn join_round(&mut self) {
        self.agent.enter_round();
        if self.answered {
            self.agent.count_answered();
        }
        if self.agent.slot().state.lock().marks.settled != 0 {
            self.agent.count_settled();
        }
    }

    fn report(&mut self) {
        self.agent.slot().state.lock().session.touch_health();
    }

    /// Does what is due.
    fn tick(&mut self, mut timer: Pin<&mut Sleep>) {
        let now = Instant::now();
        if self.apply_at.is_some_and(|due| due <= now) {
            self.apply_at = None;
            self.finish_applying();
        }
        let behavior = self.agent.profile().behavior();
        let interval = behavior.and_then(|behavior| behavior.flap_every);
        if let (Some(due), Some(interval)) = (self.flap_at, interval)
            && due <= now
        {
            self.flap_at = Some(now + interval);
            self.flap();
        }
        let heartbeat = self.agent.shared.options.heartbeat;
        if !heartbeat.is_zero() && self.last_sent + heartbeat <= now {
            self.must_speak = true;
        }
        // Armed anew by the caller: an elapsed sleep would fire again at once.
        timer.as_mut().reset((now + FAR).into());
    }

    fn finish_applying(&mut self) {
        let shared = self.agent.shared.clone();
        let mut state = shared.slots[self.agent.index].state.lock();
        state.session.finish_applying(&self.agent.profile());
        state.count_outcome(&shared);
        drop(state);
        self.agent.log(LogEvent::Changed);
    }

    fn flap(&mut self) {
        let index = self.agent.index;
        let mut state = self.agent.slot().state.lock();
        let failing = match state.session.failing() {
            Some(_) => None,
            None => Some(index),
        };
        state.session.set_failing(failing);
        drop(state);
        self.agent.log(LogEvent::Changed);
    }

    /// Sets the timer when something is due before it; a heartbeat that moved away is left to
    /// fire early once, which is cheaper than moving the timer with every message.
    fn arm(&self, mut timer: Pin<&mut Sleep>) {
        let heartbeat = self.agent.shared.options.heartbeat;
        // One that is due already waits for the transport, not for the timer.
        let waits = !heartbeat.is_zero() && !self.must_speak;
        let heartbeat = waits.then(|| self.last_sent + heartbeat);
        let due = [heartbeat, self.apply_at, self.flap_at]
            .into_iter()
            .flatten()
            .min();
        if let Some(due) = due
            && due < timer.deadline().into_std()
        {
            timer.as_mut().reset(due.into());
        }
    }

    /// Says goodbye and closes in order.
    async fn leave(self, mut link: Link) -> End {
        let mut goodbye = Vec::new();
        self.agent
            .slot()
            .state
            .lock()
            .session
            .write_goodbye(&mut goodbye);
        let closing = async {
            if link.can_send() {
                link.send(&goodbye).await?;
            }
            link.close().await
        };
        match closing.await {
            Ok(()) => End::Stopped,
            Err(error) => {
                tracing::debug!(agent = self.agent.index, %error, "closing");
                End::Stopped
            }
        }
    }
}

fn count(answer: &Answer, counters: &crate::stats::Counters) {
    if answer.flags & REPORT_FULL_STATE != 0 {
        counters.full_state_requests.add();
    }
    if answer.new_uid.is_some() {
        counters.new_uids.add();
    }
    if let Some(offer) = &answer.offer {
        counters.offers.add();
        if !offer.hash_matches {
            counters.hash_mismatches.add();
        }
    }
}
