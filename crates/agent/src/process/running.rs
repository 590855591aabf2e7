//! One running collector.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use super::{Launch, LaunchError, proc, stamp_of};

/// A collector that was started or taken over by this agent.
#[derive(Debug)]
pub struct Running {
    pid: Pid,
    pidfd: AsyncFd<OwnedFd>,
    /// The handle of a child; a process that was taken over is nobody's child here.
    child: Option<Child>,
    started_ticks: Option<u64>,
    since: Instant,
    /// Of the program file that runs; empty where it is not known.
    stamp: String,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// Nobody can know: it was another's child.
    Unseen,
}

impl Running {
    /// Starts the collector.
    ///
    /// # Errors
    /// When the program cannot be run or watched, or its log cannot be opened.
    pub fn start(launch: &Launch, log: &Path, storage_id: &str) -> Result<Self, LaunchError> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(log)
            .map_err(|source| LaunchError::Log {
                path: log.to_owned(),
                source,
            })?;
        let spawn = |source| LaunchError::Spawn {
            executable: launch.executable().to_owned(),
            source,
        };
        // Before it is run: if the file is replaced in between, it counts as older than it is and is restarted once more.
        let stamp = stamp_of(launch.executable());
        let command = launch.run_command(&file, storage_id).map_err(spawn)?;
        let child = Command::from(command).spawn().map_err(spawn)?;
        let number = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        let pid = number
            .ok_or_else(|| LaunchError::Watch(io::Error::other("the process has no number")))?;
        match open(pid) {
            Ok(pidfd) => {
                let started_ticks = proc::stat(number_of(pid)).map(|stat| stat.started_ticks);
                Ok(Self {
                    pid,
                    pidfd,
                    child: Some(child),
                    started_ticks,
                    since: Instant::now(),
                    stamp,
                })
            }
            Err(source) => {
                // Unwatched it must not stay. The group ends with the process, which nobody has reaped yet.
                kill_process_group(pid, Signal::KILL).ok();
                Err(LaunchError::Watch(source))
            }
        }
    }

    /// Takes over a process that another agent started, if it is still the one that began at `started_ticks`.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn take_over(pid: i32, started_ticks: u64) -> io::Result<Self> {
        let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        let pidfd = open(pid)?;
        // Only with the handle open is the number certain not to be used anew.
        match proc::stat(number_of(pid)) {
            Some(stat) if stat.started_ticks == started_ticks && !stat.is_zombie => {}
            _ => return Err(io::ErrorKind::NotFound.into()),
        }
        let age = proc::age_of(started_ticks).unwrap_or_default();
        let now = Instant::now();
        let since = now.checked_sub(age).unwrap_or(now);
        Ok(Self {
            pid,
            pidfd,
            child: None,
            started_ticks: Some(started_ticks),
            since,
            stamp: String::new(),
        })
    }

    /// The same process, known to run the program file of this stamp.
    pub fn with_stamp(self, stamp: String) -> Self {
        Self { stamp, ..self }
    }

    /// The stamp of the program file that runs, which another may have replaced since; empty where it is not known.
    pub fn stamp(&self) -> &str {
        &self.stamp
    }

    /// The process's number.
    pub fn pid(&self) -> i32 {
        number_of(self.pid)
    }

    /// How long it has run.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Whether it has ended, without waiting.
    pub fn has_ended(&self) -> bool {
        proc::stat(self.pid())
            .is_none_or(|stat| stat.is_zombie || Some(stat.started_ticks) != self.started_ticks)
    }

    /// Waits for its end. Cancel-safe.
    pub async fn exited(&mut self) -> Exit {
        if let Err(error) = self.pidfd.readable().await {
            tracing::error!(error = %error, pid = self.pid(), "the collector's process can no longer be watched");
        }
        self.kill_group();
        match &mut self.child {
            Some(child) => child.wait().await.map_or(Exit::Unseen, Exit::from),
            None => Exit::Unseen,
        }
    }

    /// Asks it to read its configuration again.
    ///
    /// # Errors
    /// When it has ended.
    pub fn hang_up(&self) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.pidfd, Signal::HUP)?)
    }

    /// Stops it: SIGTERM, and after `patience` SIGKILL to the whole group.
    pub async fn stop(mut self, patience: Duration) -> Exit {
        // An error means that it has ended already.
        pidfd_send_signal(&self.pidfd, Signal::TERM).ok();
        if let Ok(exit) = timeout(patience, self.exited()).await {
            return exit;
        }
        tracing::warn!(
            event = "collector_killed",
            pid = self.pid(),
            after_ms = millis(patience),
            "the collector did not stop in time and was killed"
        );
        self.kill_group();
        pidfd_send_signal(&self.pidfd, Signal::KILL).ok();
        self.exited().await
    }

    /// Forgets the process without ending it.
    pub fn leave(self) {
        drop(self);
    }

    /// Kills what is left of the process's group, as long as the process itself is there, dead or alive: no other group
    /// can have its number then. Whatever outlives a process that init has reaped is found by its mark.
    fn kill_group(&self) {
        let stat = proc::stat(self.pid());
        if stat.is_some_and(|stat| Some(stat.started_ticks) == self.started_ticks) {
            kill_process_group(self.pid, Signal::KILL).ok();
        }
    }
}

fn number_of(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for types that may change their descriptor; an OwnedFd cannot"
)]
fn open(pid: Pid) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(
        pidfd_open(pid, PidfdFlags::empty())?,
        tokio::io::Interest::READABLE,
    )
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unseen,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unseen => f.write_str("unknown status"),
        }
    }
}
