//! One JSON line for each change of what an agent runs: the fleet's own record, which a crash of
//! the server cannot touch.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{fleet::AgentSnapshot, session::ConfigStatus};

/// What happened to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogEvent {
    /// It has a connection.
    Connected,
    /// It has none any more.
    Disconnected,
    /// It was given another uid.
    Renamed,
    /// It says something new about its config or health.
    Changed,
}

/// One line of the log. The newest line of an agent is what it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    pub time: Timestamp,
    /// What.
    pub event: LogEvent,
    /// The agent's number in its fleet.
    pub index: usize,
    /// Its uid, as UUID text.
    pub uid: String,
    /// `config_hash` of its last offer in hex; empty before the first.
    pub offered_hash: String,
    /// What became of that offer.
    pub status: ConfigStatus,
    /// Why it failed; empty otherwise.
    pub error: String,
    /// `config_hash` of the config that it runs in hex; empty while that is its own.
    pub running_hash: String,
    /// Whether it says it is well.
    pub healthy: bool,
    /// The number of its last message.
    pub sequence: u64,
}

/// An open log file.
#[derive(Debug)]
pub(crate) struct Log(Mutex<BufWriter<File>>);

impl Log {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(Mutex::new(BufWriter::new(File::create(path)?))))
    }

    /// Adds a line. What cannot be written is reported once it is flushed.
    pub(crate) fn write(&self, time: Timestamp, event: LogEvent, agent: AgentSnapshot) {
        let line = LogLine {
            time,
            event,
            index: agent.index,
            uid: agent.uid,
            offered_hash: agent.offered_hash,
            status: agent.status,
            error: agent.error,
            running_hash: agent.running_hash,
            healthy: agent.healthy,
            sequence: agent.sequence,
        };
        let mut text = serde_json::to_string(&line).expect("a line has only plain fields");
        text.push('\n');
        if let Err(error) = self.0.lock().write_all(text.as_bytes()) {
            tracing::error!(%error, "writing the fleet's log");
        }
    }

    pub(crate) fn flush(&self) -> io::Result<()> {
        self.0.lock().flush()
    }
}

/// Reads a log back, for tests that compare it with the server's picture.
///
/// # Errors
/// When the file cannot be read or a line of it is no log line.
pub fn read(path: &Path) -> io::Result<Vec<LogLine>> {
    let text = std::fs::read_to_string(path)?;
    text.lines()
        .map(|line| serde_json::from_str(line).map_err(io::Error::other))
        .collect()
}
