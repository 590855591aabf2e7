//! Connections that have not proved a principal: bounded in number, and the oldest that said nothing goes first.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{task::AbortHandle, time::Instant};

/// How long a newcomer is not held against it that nothing came yet: a few round trips.
const GRACE: Duration = Duration::from_secs(1);

/// All connections without a principal.
pub(super) struct Unproven {
    most: usize,
    waiting: Mutex<Waiting>,
}

/// By order of arrival.
#[derive(Default)]
struct Waiting {
    next: u64,
    silent: BTreeMap<u64, Place>,
    spoken: BTreeMap<u64, Place>,
}

struct Place {
    entered_at: Instant,
    /// Missing only between a connection's entry and its task's start.
    task: Option<AbortHandle>,
}

/// One connection's place among those without a principal; dropping it gives the place back.
pub(crate) struct Ticket {
    number: u64,
    unproven: Arc<Unproven>,
}

impl Unproven {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(1),
            waiting: Mutex::default(),
        })
    }

    /// Takes a place; the second value says whether another connection lost its own for it.
    pub fn enter(this: &Arc<Self>) -> (Ticket, bool) {
        Self::enter_at(this, Instant::now())
    }

    fn enter_at(this: &Arc<Self>, now: Instant) -> (Ticket, bool) {
        let mut waiting = this.waiting.lock();
        let evicted = this.most <= waiting.len() && waiting.evict(now);
        let number = waiting.next;
        waiting.next += 1;
        let place = Place {
            entered_at: now,
            task: None,
        };
        waiting.silent.insert(number, place);
        drop(waiting);
        (
            Ticket {
                number,
                unproven: Arc::clone(this),
            },
            evicted,
        )
    }
}

impl Unproven {
    /// Ends all of them.
    pub fn abort_all(&self) {
        let mut waiting = self.waiting.lock();
        let now = Instant::now();
        while waiting.evict(now) {}
    }

    /// Ends all that had their time to prove something.
    pub fn abort_overdue(&self) {
        let mut waiting = self.waiting.lock();
        let now = Instant::now();
        while waiting.evict_overdue(now) {}
    }

    /// Ends one that had its time to prove something, if there is one.
    pub fn evict_overdue(&self) -> bool {
        self.waiting.lock().evict_overdue(Instant::now())
    }
}

impl Waiting {
    fn len(&self) -> usize {
        self.silent.len() + self.spoken.len()
    }

    /// Ends the oldest that is silent for longer than a newcomer is, else the oldest that has spoken.
    fn evict(&mut self, now: Instant) -> bool {
        let overdue = pop_overdue(&mut self.silent, now);
        let place = overdue
            .or_else(|| pop(&mut self.spoken))
            .or_else(|| pop(&mut self.silent));
        end(place)
    }

    fn evict_overdue(&mut self, now: Instant) -> bool {
        let silent = pop_overdue(&mut self.silent, now);
        end(silent.or_else(|| pop_overdue(&mut self.spoken, now)))
    }
}

fn pop(places: &mut BTreeMap<u64, Place>) -> Option<Place> {
    places.pop_first().map(|(_, place)| place)
}

fn pop_overdue(places: &mut BTreeMap<u64, Place>, now: Instant) -> Option<Place> {
    let oldest = places.first_entry()?;
    (oldest.get().entered_at + GRACE <= now).then(|| oldest.remove())
}

fn end(place: Option<Place>) -> bool {
    let Some(place) = place else {
        return false;
    };
    if let Some(task) = place.task {
        task.abort();
    }
    true
}

impl Ticket {
    /// The number under which [`Ticket::attach_task`] finds the place after the ticket moved into its task.
    pub fn number(&self) -> TicketNumber {
        TicketNumber {
            number: self.number,
            unproven: Arc::clone(&self.unproven),
        }
    }

    /// The peer has sent something.
    pub fn spoke(&self) {
        let mut waiting = self.unproven.waiting.lock();
        if let Some(place) = waiting.silent.remove(&self.number) {
            waiting.spoken.insert(self.number, place);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut waiting = self.unproven.waiting.lock();
        if waiting.silent.remove(&self.number).is_none() {
            waiting.spoken.remove(&self.number);
        }
    }
}

/// A ticket's number, for the task's owner.
pub(crate) struct TicketNumber {
    number: u64,
    unproven: Arc<Unproven>,
}

impl TicketNumber {
    /// Says which task to end when the place is lost.
    ///
    /// Whoever enters calls this before the next one enters, so a place is never lost without its task being known.
    pub fn attach_task(self, task: AbortHandle) {
        let mut waiting = self.unproven.waiting.lock();
        let Waiting { silent, spoken, .. } = &mut *waiting;
        if let Some(place) = silent
            .get_mut(&self.number)
            .or_else(|| spoken.get_mut(&self.number))
        {
            place.task = Some(task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting_task() -> tokio::task::JoinHandle<()> {
        tokio::spawn(std::future::pending())
    }

    async fn is_gone(task: tokio::task::JoinHandle<()>) -> bool {
        tokio::time::timeout(std::time::Duration::from_millis(20), task)
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn the_oldest_that_said_nothing_goes_first() {
        let unproven = Unproven::new(2);
        let (talker, silent) = (waiting_task(), waiting_task());
        let (first, _) = Unproven::enter(&unproven);
        first.number().attach_task(talker.abort_handle());
        first.spoke();
        let (second, _) = Unproven::enter(&unproven);
        second.number().attach_task(silent.abort_handle());

        let (_third, evicted) = Unproven::enter_at(&unproven, Instant::now() + GRACE);
        assert!(evicted);
        assert!(is_gone(silent).await);
        assert!(!is_gone(talker).await);
    }

    #[tokio::test]
    async fn who_came_only_now_is_not_taken_for_silent() {
        let unproven = Unproven::new(2);
        let (dripping, newcomer) = (waiting_task(), waiting_task());
        let (first, _) = Unproven::enter(&unproven);
        first.number().attach_task(dripping.abort_handle());
        first.spoke();
        let (second, _) = Unproven::enter(&unproven);
        second.number().attach_task(newcomer.abort_handle());

        let (_third, evicted) = Unproven::enter(&unproven);
        assert!(evicted);
        assert!(is_gone(dripping).await);
        assert!(!is_gone(newcomer).await);
    }

    #[tokio::test]
    async fn overdue_are_those_that_had_their_time() {
        let unproven = Unproven::new(9);
        let (old, new) = (waiting_task(), waiting_task());
        let before = Instant::now().checked_sub(GRACE).unwrap();
        let (first, _) = Unproven::enter_at(&unproven, before);
        first.number().attach_task(old.abort_handle());
        first.spoke();
        let (second, _) = Unproven::enter(&unproven);
        second.number().attach_task(new.abort_handle());
        unproven.abort_overdue();
        assert!(!unproven.evict_overdue());
        assert!(is_gone(old).await);
        assert!(!is_gone(new).await);
    }

    #[tokio::test]
    async fn one_that_proved_itself_is_not_counted() {
        let unproven = Unproven::new(1);
        let (first, _) = Unproven::enter(&unproven);
        drop(first);
        let (_second, evicted) = Unproven::enter(&unproven);
        assert!(!evicted);
    }

    #[tokio::test]
    async fn where_all_have_spoken_the_oldest_goes() {
        let unproven = Unproven::new(1);
        let task = waiting_task();
        let (first, _) = Unproven::enter(&unproven);
        first.number().attach_task(task.abort_handle());
        first.spoke();
        let (_second, evicted) = Unproven::enter(&unproven);
        assert!(evicted);
        assert!(is_gone(task).await);
    }
}
