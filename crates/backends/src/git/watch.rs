//! The watch over a fetch: it ends what takes too long, sends too much, or is no longer wanted.

use std::io::{self, Read};
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{GitError, GitLimits};
use crate::LimitBroken;

/// How soon an interrupt is noticed.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// How long a process may take to end after its last word.
const GRACE: Duration = Duration::from_millis(500);

/// A request to stop what runs, which may be made from any thread.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks to stop.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked to stop.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one fetch may cost, what it has cost, and why it failed.
#[derive(Debug)]
pub(super) struct Watch {
    remote: String,
    timeout: Duration,
    deadline: Instant,
    most_bytes: u64,
    interrupt: Interrupt,
    received: AtomicU64,
    /// Set when a process has closed its end.
    ended: AtomicBool,
    /// Set as soon as the fetch must end.
    stop: AtomicBool,
    failure: Mutex<Option<GitError>>,
    child: Mutex<Option<Child>>,
}

impl Watch {
    /// A watch over a fetch that begins now.
    pub(super) fn begin(remote: &str, limits: &GitLimits, interrupt: &Interrupt) -> Arc<Self> {
        Arc::new(Self {
            remote: remote.to_owned(),
            timeout: limits.timeout,
            deadline: Instant::now() + limits.timeout,
            most_bytes: limits.fetch_bytes,
            interrupt: interrupt.clone(),
            received: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            failure: Mutex::new(None),
            child: Mutex::new(None),
        })
    }

    /// The repository, as errors name it.
    pub(super) fn remote(&self) -> &str {
        &self.remote
    }

    /// Set as soon as the fetch must end.
    pub(super) const fn stop(&self) -> &AtomicBool {
        &self.stop
    }

    /// Whether the other side has said its last.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Why the fetch failed, if anybody knows. What was found first is the reason; the rest follows from it.
    pub(super) fn take_failure(&self) -> Option<GitError> {
        lock(&self.failure).take()
    }

    /// Ends the fetch for a reason; an earlier one stands.
    pub(super) fn fail(&self, error: GitError) -> io::Error {
        lock(&self.failure).get_or_insert(error);
        self.stop.store(true, Ordering::Relaxed);
        self.kill();
        io::Error::other("the fetch has ended")
    }

    /// Whether the fetch may go on.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.interrupt.is_raised() {
            let remote = self.remote.clone();
            return Err(self.fail(GitError::Interrupted { remote }));
        }
        if self.deadline <= Instant::now() {
            return Err(self.fail(GitError::TooSlow {
                remote: self.remote.clone(),
                after: self.timeout,
            }));
        }
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("the fetch has ended"));
        }
        Ok(())
    }

    /// Counts what the remote sent.
    pub(super) fn count(&self, bytes: usize) -> io::Result<()> {
        let before = self.received.fetch_add(bytes as u64, Ordering::Relaxed);
        if self.most_bytes < before + bytes as u64 {
            let most = self.most_bytes;
            return Err(self.fail(GitError::TooLarge(LimitBroken::Fetch { most })));
        }
        Ok(())
    }

    /// Hands over a process that leads a group of its own and ends with the fetch.
    pub(super) fn own(&self, child: Child) {
        *lock(&self.child) = Some(child);
    }

    /// Lets the process end, whose pipes are closed by now, and ends it if it does not.
    pub(super) fn finish(&self) {
        let deadline = Instant::now() + GRACE;
        while self.is_running() && Instant::now() < deadline {
            std::thread::sleep(GRACE / 100);
        }
        self.kill();
    }

    fn is_running(&self) -> bool {
        let mut child = lock(&self.child);
        child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Ends the process, if there is one, and waits until it is gone.
    pub(super) fn kill(&self) {
        if let Some(mut child) = lock(&self.child).take() {
            // With all that it has started itself. One that has been waited for may have left its number to another.
            if matches!(child.try_wait(), Ok(None)) {
                kill_process_group(Pid::from_child(&child), Signal::KILL).ok();
            }
            drop(child.wait());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is inside is a whole value at any time, also where somebody panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks after a watch until it is dropped: also where the fetch is stuck in a read.
#[derive(Debug)]
pub(super) struct Watchdog {
    watch: Arc<Watch>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts to look.
    pub(super) fn over(watch: &Arc<Watch>) -> io::Result<Self> {
        let done = Arc::new(AtomicBool::new(false));
        let (watched, is_done) = (Arc::clone(watch), Arc::clone(&done));
        let look = move || {
            while !is_done.load(Ordering::Relaxed) && watched.check().is_ok() {
                std::thread::park_timeout(TICK);
            }
        };
        let thread = std::thread::Builder::new()
            .name("git-watch".to_owned())
            .spawn(look)?;
        Ok(Self {
            watch: Arc::clone(watch),
            done,
            thread: Some(thread),
        })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It cannot panic, and if it did, the fetch is over all the same.
            drop(thread.join());
        }
        self.watch.finish();
    }
}

/// A reader whose bytes are counted.
#[derive(Debug)]
pub(super) struct Counted<R> {
    inner: R,
    watch: Arc<Watch>,
}

impl<R> Counted<R> {
    pub(super) const fn new(inner: R, watch: Arc<Watch>) -> Self {
        Self { inner, watch }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        if bytes == 0 && !buffer.is_empty() {
            self.watch.ended.store(true, Ordering::Relaxed);
        }
        self.watch.count(bytes)?;
        Ok(bytes)
    }
}
