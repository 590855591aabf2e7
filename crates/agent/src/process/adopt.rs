//! What became of the collector of an agent that was killed: taken over, or ended, but never left in the way.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::{Launch, Running, STORAGE_VARIABLE, proc, stamp_of};
use crate::storage::record::{Record, SaveError};

/// What is written down of a running collector, for an agent that comes after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    pid: i32,
    started_ticks: u64,
    boot_id: String,
    fingerprint: String,
}

/// The record of the running collector.
#[derive(Debug)]
pub struct ProcessRecord(Record<Note>);

/// What is left of the collector of an earlier agent.
#[derive(Debug)]
pub enum Predecessor {
    /// Nothing.
    Gone,
    /// It runs just what is wanted: it was taken over.
    Adopted(Running),
    /// It runs something else.
    Other(Running),
}

impl ProcessRecord {
    /// The record in `directory`.
    pub fn new(directory: &Path) -> Self {
        Self(Record::new(directory, "process"))
    }

    /// Notes that `running` runs what `launch` describes.
    ///
    /// # Errors
    /// When it cannot be saved. The process is then found by its mark, but can only be replaced.
    pub fn note(&self, running: &Running, launch: &Launch) -> Result<(), SaveError> {
        self.note_as(running, launch.fingerprint_with(running.stamp()))
    }

    /// Notes that `running` is about to change: an agent that finds this must not take it over.
    ///
    /// # Errors
    /// When it cannot be saved.
    pub fn note_changing(&self, running: &Running) -> Result<(), SaveError> {
        self.note_as(running, "changing".to_owned())
    }

    fn note_as(&self, running: &Running, fingerprint: String) -> Result<(), SaveError> {
        let pid = running.pid();
        match (proc::stat(pid), proc::boot_id()) {
            (Some(stat), Some(boot_id)) => self.0.save(&Note {
                pid,
                started_ticks: stat.started_ticks,
                boot_id,
                fingerprint,
            }),
            _ => Ok(()),
        }
    }
}

/// Looks for the collector that the record speaks of, and takes it over if it runs what `launch` describes.
pub fn find_predecessor(record: &ProcessRecord, launch: Option<&Launch>) -> Predecessor {
    let Some(note) = record.0.load() else {
        return Predecessor::Gone;
    };
    if proc::boot_id().is_none_or(|boot_id| boot_id != note.boot_id) {
        return Predecessor::Gone;
    }
    let Ok(running) = Running::take_over(note.pid, note.started_ticks) else {
        return Predecessor::Gone;
    };
    match launch {
        Some(launch) if launch.fingerprint() == note.fingerprint => {
            Predecessor::Adopted(running.with_stamp(stamp_of(launch.executable())))
        }
        _ => Predecessor::Other(running),
    }
}

/// Ends every process that bears the mark of `storage_id`, but not those of the group of `keep`: children that outlived
/// their collector, or a collector that was started an instant before its agent was killed.
pub async fn kill_strays(storage_id: &str, keep: Option<i32>) {
    let patience = Duration::from_secs(10);
    let begun = Instant::now();
    let mut strays = strays(storage_id, keep);
    if strays.is_empty() {
        return;
    }
    warn!(event = "strays_stopped", pids = ?strays, "processes of an earlier agent are in the way and are stopped");
    signal_all(&strays, Signal::TERM);
    while !strays.is_empty() {
        if patience < begun.elapsed() {
            signal_all(&strays, Signal::KILL);
        }
        if 2 * patience < begun.elapsed() {
            warn!(event = "strays_left", pids = ?strays, "processes of an earlier agent cannot be killed");
            return;
        }
        sleep(Duration::from_millis(20)).await;
        strays = self::strays(storage_id, keep);
    }
    info!("the way is free");
}

fn strays(storage_id: &str, keep: Option<i32>) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let marked = proc::with_variable(STORAGE_VARIABLE, storage_id);
    let is_stray = |pid: &i32| {
        let stat = proc::stat(*pid);
        *pid != own && stat.is_some_and(|stat| !stat.is_zombie && Some(stat.group) != keep)
    };
    marked.into_iter().filter(is_stray).collect()
}

fn signal_all(pids: &[i32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        // An error means that it has ended meanwhile.
        kill_process(pid, signal).ok();
    }
}
