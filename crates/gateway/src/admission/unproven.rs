//! Connections that have not proved a principal: bounded in number, and the oldest that said nothing goes first.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// All connections without a principal.
pub(super) struct Unproven {
    most: usize,
    waiting: Mutex<Waiting>,
}

/// By order of arrival. A handle is missing only between a connection's entry and its task's start.
#[derive(Default)]
struct Waiting {
    next: u64,
    silent: BTreeMap<u64, Option<AbortHandle>>,
    spoken: BTreeMap<u64, Option<AbortHandle>>,
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
        let mut waiting = this.waiting.lock();
        let evicted = this.most <= waiting.len() && waiting.evict();
        let number = waiting.next;
        waiting.next += 1;
        waiting.silent.insert(number, None);
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
        while waiting.evict() {}
    }
}

impl Waiting {
    fn len(&self) -> usize {
        self.silent.len() + self.spoken.len()
    }

    fn evict(&mut self) -> bool {
        let oldest = self.silent.pop_first().or_else(|| self.spoken.pop_first());
        if let Some((_, Some(task))) = &oldest {
            task.abort();
        }
        oldest.is_some()
    }
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
        if let Some(task) = waiting.silent.remove(&self.number) {
            waiting.spoken.insert(self.number, task);
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
            *place = Some(task);
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

        let (_third, evicted) = Unproven::enter(&unproven);
        assert!(evicted);
        assert!(is_gone(silent).await);
        assert!(!is_gone(talker).await);
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
