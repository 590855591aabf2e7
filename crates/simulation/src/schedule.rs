//! What happens next: the simulated clock and the events in their order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use gateway::Cut;

use crate::operator::Intent;

/// A connection's number; a new dial makes a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnId(pub u64);

/// Which way a frame travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToAgent,
}

/// What travels over a connection.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    Message(Vec<u8>),
    Ping,
    Pong,
    /// The other side's end of the connection is gone.
    Reset,
}

/// Why the server closes a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Closing {
    Cut(Cut),
    Asked,
}

/// Something that happens at a time. `life` is that of the process which it is about: a later one is not concerned.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A host may speak to the server (again).
    Dial {
        host: usize,
        life: u32,
    },
    /// A host that crashed starts again.
    HostStart {
        host: usize,
        life: u32,
    },
    /// A timer of a host's sessions.
    Wake {
        host: usize,
        life: u32,
    },
    /// An agent is done with trying a config.
    Tried {
        host: usize,
        life: u32,
        agent: usize,
        hash: Vec<u8>,
    },
    /// A dial reaches the server.
    Dialled {
        conn: ConnId,
    },
    /// The answer to a dial reaches the host.
    Accepted {
        conn: ConnId,
        taken: bool,
    },
    /// A frame arrives.
    Arrive {
        conn: ConnId,
        way: Way,
        frame: Frame,
    },
    /// A request over plain HTTP reaches the server.
    Request {
        host: usize,
        life: u32,
        request: u64,
        body: Vec<u8>,
    },
    /// Its answer reaches the host; `None`: there is no server.
    Response {
        host: usize,
        life: u32,
        request: u64,
        body: Option<Vec<u8>>,
    },
    /// A host has waited long enough for an answer.
    RequestTimeout {
        host: usize,
        life: u32,
        request: u64,
    },

    /// Steps of the server that its loops drive.
    Commit {
        life: u32,
    },
    Flush {
        life: u32,
    },
    Reconcile {
        life: u32,
        again: bool,
    },
    Standings {
        life: u32,
    },
    Expire {
        life: u32,
    },
    /// The server looks after one connection: is it idle, is it to be pinged?
    LookAfter {
        life: u32,
        conn: ConnId,
    },
    /// An old connection had its time to prove that it lives.
    ProbeOver {
        life: u32,
        contest: u64,
    },
    /// What the database was doing is done.
    WorkDone {
        life: u32,
    },
    ServerCrash {
        life: u32,
    },
    ServerStart,

    /// An operator does something.
    Operate(Intent),
    /// Something happens on a host or to its network.
    Mishap,
}

impl Event {
    /// Whether what the server knows of agents may change at it. At most others it does not even learn that they
    /// happen; at [`Self::Standings`] it only lists what is to be stored.
    pub fn concerns_server(&self) -> bool {
        match self {
            Self::Dial { .. }
            | Self::HostStart { .. }
            | Self::Wake { .. }
            | Self::Tried { .. }
            | Self::Accepted { .. }
            | Self::Response { .. }
            | Self::RequestTimeout { .. }
            | Self::Mishap
            | Self::Standings { .. }
            | Self::Arrive {
                way: Way::ToAgent, ..
            } => false,
            Self::Dialled { .. }
            | Self::Arrive {
                way: Way::ToServer, ..
            }
            | Self::Request { .. }
            | Self::Commit { .. }
            | Self::Flush { .. }
            | Self::Reconcile { .. }
            | Self::Expire { .. }
            | Self::LookAfter { .. }
            | Self::ProbeOver { .. }
            | Self::WorkDone { .. }
            | Self::ServerCrash { .. }
            | Self::ServerStart
            | Self::Operate(_) => true,
        }
    }
}

/// The events to come.
#[derive(Default)]
pub(crate) struct Schedule {
    now: Duration,
    number: u64,
    queue: BinaryHeap<Entry>,
}

struct Entry {
    at: Duration,
    number: u64,
    event: Event,
}

impl Schedule {
    /// The time since the start.
    pub fn now(&self) -> Duration {
        self.now
    }

    pub fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.now + wait, event);
    }

    pub fn at(&mut self, at: Duration, event: Event) {
        self.number += 1;
        let (at, number) = (at.max(self.now), self.number);
        self.queue.push(Entry { at, number, event });
    }

    /// The next event, if it comes before `end`. The clock moves to it, or to the end.
    pub fn next_before(&mut self, end: Duration) -> Option<Event> {
        if self.queue.peek().is_none_or(|next| end <= next.at) {
            self.now = self.now.max(end);
            return None;
        }
        let Entry { at, event, .. } = self.queue.pop()?;
        self.now = at;
        Some(event)
    }
}

impl Ord for Entry {
    /// The earliest is the greatest; of two at one time, the one that was scheduled first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}
