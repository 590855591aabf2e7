//! Many seeds, on every processor.

use std::fmt;
use std::ops::{BitXor, Range};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::{Plan, Summary, Violation, run};

/// What many runs came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Runs in which everything held.
    pub runs: u64,
    /// Their events.
    pub steps: u64,
    /// Their agents' messages.
    pub messages: u64,
    /// Their offers.
    pub offers: u64,
    /// Those of them that were sent as what changed.
    pub deltas: u64,
    /// Those of which the whole was asked for.
    pub refused_deltas: u64,
    /// Their server processes.
    pub servers: u64,
    /// Their traces, one over the other: the same seeds have the same, in whichever order they ran.
    pub trace: u64,
}

impl Batch {
    fn add(&mut self, run: &Summary) {
        self.runs += 1;
        self.steps += run.steps;
        self.messages += run.messages;
        self.offers += run.offers;
        self.deltas += run.deltas;
        self.refused_deltas += run.refused_deltas;
        self.servers += run.servers;
        let words = run.trace.as_chunks().0;
        self.trace ^= words
            .iter()
            .copied()
            .map(u64::from_le_bytes)
            .fold(0, BitXor::bitxor);
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            runs,
            steps,
            messages,
            offers,
            deltas,
            refused_deltas,
            servers,
            trace,
        } = self;
        write!(
            f,
            "{runs} seeds: {steps} events, {messages} messages of agents, {offers} offers ({deltas} as what changed, {refused_deltas} refused), {servers} server processes, trace {trace:016x}"
        )
    }
}

/// Runs these seeds, in order, as many at a time as there are processors; ends soon after the first that fails.
///
/// # Errors
/// The [`Violation`] of the lowest seed that was found to fail.
///
/// # Panics
/// As [`run`].
pub fn run_all(seeds: Range<u64>) -> Result<Batch, Violation> {
    let next = AtomicU64::new(seeds.start);
    let done = Mutex::new((Batch::default(), None::<Violation>));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seeds.end <= seed {
                return;
            }
            let outcome = run(Plan::of(seed));
            let mut done = done.lock().expect("no run panics while it holds this");
            match outcome {
                Ok(summary) => done.0.add(&summary),
                Err(violation) => {
                    next.store(seeds.end, Ordering::Relaxed);
                    let first = done
                        .1
                        .as_ref()
                        .is_none_or(|known| violation.seed < known.seed);
                    if first {
                        done.1 = Some(violation);
                    }
                }
            }
        }
    };
    thread::scope(|scope| {
        for processor in processors() {
            scope.spawn(move || {
                stay_on(processor);
                work();
            });
        }
    });
    let (batch, violation) = done.into_inner().expect("every thread has ended");
    violation.map_or(Ok(batch), Err)
}

/// The processors to run on. None is named where not all that this process may use are its own.
fn processors() -> Vec<Option<usize>> {
    let count = thread::available_parallelism().map_or(1, usize::from);
    let allowed = sched_getaffinity(None).map_or_else(
        |_| Vec::new(),
        |set| {
            (0..CpuSet::MAX_CPU)
                .filter(|cpu| set.is_set(*cpu))
                .map(Some)
                .collect()
        },
    );
    if allowed.len() == count {
        allowed
    } else {
        vec![None; count]
    }
}

/// Keeps this thread, and those that it starts, on one processor. A run and its database take turns, statement by
/// statement: on two processors each turn would wake the other one, which costs a fifth of the whole.
fn stay_on(processor: Option<usize>) {
    if let Some(processor) = processor {
        let mut set = CpuSet::new();
        set.set(processor);
        // Where it is refused, the run is only slower.
        sched_setaffinity(None, &set).ok();
    }
}
