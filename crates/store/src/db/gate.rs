//! The turn at SQLite's one writer: the API first, agents' reports in between, nobody starved.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Who asks for the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// A write that somebody waits for.
    Api,
    /// A batch of agents' reports.
    Reports,
}

/// So many API writes may pass waiting reports before one batch of reports has its turn.
const API_IN_A_ROW: u32 = 8;
/// So many may wait in a lane; more are refused, because the disk has stopped keeping up.
const MAX_WAITING: usize = 1024;

/// The line before the writer.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    taken: bool,
    api_in_a_row: u32,
    api: VecDeque<oneshot::Sender<Turn>>,
    reports: VecDeque<oneshot::Sender<Turn>>,
}

/// The turn at the writer; it passes on when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    gate: Gate,
    // False for a turn that could not be handed over and is not one any more.
    held: bool,
}

/// Too many wait already.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Gate {
    /// Waits for a turn. A caller that stops waiting leaves the line.
    pub(super) async fn enter(&self, lane: Lane) -> Result<Turn, Full> {
        let waiting = {
            let mut state = self.state.lock();
            if !state.taken {
                state.taken = true;
                return Ok(Turn {
                    gate: self.clone(),
                    held: true,
                });
            }
            let line = match lane {
                Lane::Api => &mut state.api,
                Lane::Reports => &mut state.reports,
            };
            line.retain(|waiting| !waiting.is_closed());
            if MAX_WAITING <= line.len() {
                return Err(Full);
            }
            let (sender, receiver) = oneshot::channel();
            line.push_back(sender);
            receiver
        };
        // Invariant: a sender is never dropped without a turn while the gate lives, and we hold the gate.
        waiting.await.map_err(|_| Full)
    }
}

impl State {
    /// Who is next; `None` leaves the writer free.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let api_goes = self.reports.is_empty() || self.api_in_a_row < API_IN_A_ROW;
        if let Some(next) = self.api.pop_front_if(|_| api_goes) {
            self.api_in_a_row += 1;
            return Some(next);
        }
        self.api_in_a_row = 0;
        self.reports.pop_front().or_else(|| self.api.pop_front())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.held {
            return;
        }
        loop {
            let next = {
                let mut state = self.gate.state.lock();
                let next = state.next();
                state.taken = next.is_some();
                next
            };
            let Some(next) = next else { return };
            let turn = Turn {
                gate: self.gate.clone(),
                held: true,
            };
            match next.send(turn) {
                Ok(()) => return,
                // The one in line has gone: try the next.
                Err(mut turn) => turn.held = false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn enter(gate: &Gate, lane: Lane) -> Pin<Box<dyn Future<Output = Result<Turn, Full>> + '_>> {
        let mut entering: Pin<Box<dyn Future<Output = _>>> = Box::pin(gate.enter(lane));
        assert!(poll(entering.as_mut()).is_pending());
        entering
    }

    fn first_turn(gate: &Gate) -> Turn {
        let mut entering = pin!(gate.enter(Lane::Reports));
        let Poll::Ready(Ok(turn)) = poll(entering.as_mut()) else {
            panic!("a free gate makes nobody wait")
        };
        turn
    }

    #[test]
    fn the_api_goes_before_reports_that_came_earlier() {
        let gate = Gate::default();
        let turn = first_turn(&gate);
        let mut reports = enter(&gate, Lane::Reports);
        let mut api = enter(&gate, Lane::Api);
        drop(turn);
        assert!(poll(reports.as_mut()).is_pending());
        let Poll::Ready(Ok(turn)) = poll(api.as_mut()) else {
            panic!("the API is next")
        };
        drop(turn);
        assert!(poll(reports.as_mut()).is_ready());
    }

    #[test]
    fn reports_are_not_starved() {
        let gate = Gate::default();
        let mut turn = first_turn(&gate);
        let mut reports = enter(&gate, Lane::Reports);
        for _ in 0..API_IN_A_ROW {
            let mut api = enter(&gate, Lane::Api);
            drop(turn);
            let Poll::Ready(Ok(next)) = poll(api.as_mut()) else {
                panic!("the API is next")
            };
            turn = next;
        }
        let mut api = enter(&gate, Lane::Api);
        drop(turn);
        assert!(poll(api.as_mut()).is_pending());
        assert!(poll(reports.as_mut()).is_ready());
    }

    #[test]
    fn who_stops_waiting_keeps_nobody_waiting() {
        let gate = Gate::default();
        let turn = first_turn(&gate);
        let gone = enter(&gate, Lane::Api);
        let mut next = enter(&gate, Lane::Api);
        drop(gone);
        drop(turn);
        let Poll::Ready(Ok(turn)) = poll(next.as_mut()) else {
            panic!("the next is next")
        };
        // A turn that was handed over and never looked at passes on too.
        let handed = enter(&gate, Lane::Api);
        drop(turn);
        drop(handed);
        assert!(poll(pin!(gate.enter(Lane::Api))).is_ready());
    }

    #[test]
    fn the_line_is_bounded() {
        let gate = Gate::default();
        let _turn = first_turn(&gate);
        let waiting: Vec<_> = (0..MAX_WAITING).map(|_| enter(&gate, Lane::Api)).collect();
        assert_eq!(
            poll(pin!(gate.enter(Lane::Api))).map(Result::err),
            Poll::Ready(Some(Full))
        );
        drop(waiting);
        assert!(poll(pin!(gate.enter(Lane::Api))).is_pending());
    }
}
