//! The collector's log: a file that both sides can lose without harm, of which the last part is kept in memory.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tracing::{debug, warn};

/// The file is emptied when it grows beyond this many bytes.
const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;
/// At most this much is read of what came at once; a flood is skipped.
const MAX_READ_BYTES: u64 = 256 * 1024;
const MAX_LINES: usize = 200;
const MAX_LINE_BYTES: usize = 4 * 1024;

/// What a collector writes when all its components have started.
const READY: &str = "Everything is ready.";
/// The level of that message, as it stands in a line of every encoding.
const INFO: &str = "info";

/// Follows the log file.
#[derive(Debug)]
pub struct LogTail {
    path: PathBuf,
    offset: u64,
    unfinished: Vec<u8>,
    lines: VecDeque<String>,
    is_ready: bool,
    is_talkative: bool,
}

impl LogTail {
    /// Follows the file at `path` from its present end.
    pub fn follow(path: PathBuf) -> Self {
        let offset = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        Self {
            path,
            offset,
            unfinished: Vec::new(),
            lines: VecDeque::new(),
            is_ready: false,
            is_talkative: false,
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets all lines: a new run, or a new configuration of the same run, begins.
    pub fn begin(&mut self) {
        self.poll();
        self.unfinished.clear();
        self.lines.clear();
        self.is_ready = false;
        self.is_talkative = false;
    }

    /// Whether the collector has said that it is ready since the beginning.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Whether messages as small as the one of being ready arrive here: only then does it mean something if that is missing.
    pub fn is_talkative(&self) -> bool {
        self.is_talkative
    }

    /// Reads what is new. Where that fails there is nothing new.
    pub fn poll(&mut self) {
        if let Err(error) = self.try_poll() {
            debug!(error = %error, "the collector's log cannot be read");
        }
    }

    /// The last lines since the beginning, at most `max_bytes` of them.
    pub fn last(&self, max_bytes: usize) -> String {
        let mut bytes = 0;
        let fits = |line: &&String| {
            bytes += line.len() + 1;
            bytes <= max_bytes
        };
        let mut lines: Vec<&str> = self
            .lines
            .iter()
            .rev()
            .take_while(fits)
            .map(String::as_str)
            .collect();
        lines.reverse();
        lines.join("\n")
    }

    fn try_poll(&mut self) -> io::Result<()> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        let length = file.metadata()?.len();
        if length < self.offset {
            self.offset = 0;
        }
        if self.offset + MAX_READ_BYTES < length {
            self.offset = length - MAX_READ_BYTES;
            self.unfinished.clear();
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        self.offset += file.take(MAX_READ_BYTES).read_to_end(&mut bytes)? as u64;
        self.take_in(&bytes);
        if MAX_FILE_BYTES < length {
            self.empty()?;
        }
        Ok(())
    }

    /// The collector appends, so that it goes on at the beginning. What it writes in between is lost.
    fn empty(&mut self) -> io::Result<()> {
        warn!(event = "collector_log_emptied", file = %self.path.display(), max_bytes = MAX_FILE_BYTES, "the collector's log was emptied");
        fs::OpenOptions::new()
            .write(true)
            .open(&self.path)?
            .set_len(0)?;
        self.offset = 0;
        Ok(())
    }

    fn take_in(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.unfinished.extend_from_slice(part);
            if part.ends_with(b"\n") || MAX_LINE_BYTES <= self.unfinished.len() {
                self.finish_line();
            }
        }
    }

    fn finish_line(&mut self) {
        let line = String::from_utf8_lossy(&self.unfinished)
            .trim_end()
            .to_owned();
        self.unfinished.clear();
        self.is_ready |= line.contains(READY);
        self.is_talkative |= line.contains(INFO);
        debug!(target: "collector", event = "collector_log", line);
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn append(path: &Path, text: &str) {
        fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    #[test]
    fn only_what_came_since_the_beginning_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("collector.log");
        append(&path, "an earlier run\n");
        let mut tail = LogTail::follow(path.clone());
        append(&path, "one\ntwo Everything is ready. Begin");
        tail.poll();
        assert_eq!(tail.last(100), "one");
        assert!(!tail.is_ready(), "the line is not whole yet");
        append(&path, " running\n");
        tail.poll();
        assert!(tail.is_ready() && !tail.is_talkative());
        append(&path, "2026-01-01\tinfo\tx\n");
        tail.poll();
        assert!(tail.is_talkative());
        assert_eq!(
            tail.last(100),
            "one\ntwo Everything is ready. Begin running\n2026-01-01\tinfo\tx"
        );
        tail.begin();
        assert!(!tail.is_ready());
        assert_eq!(tail.last(100), "");
    }

    #[test]
    fn the_last_lines_win_when_there_are_too_many() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("collector.log");
        let mut tail = LogTail::follow(path.clone());
        append(
            &path,
            &(0..1_000)
                .map(|n| format!("line {n}\n"))
                .collect::<String>(),
        );
        tail.poll();
        assert_eq!(tail.lines.len(), MAX_LINES);
        assert_eq!(tail.last(20), "line 998\nline 999");
    }

    #[test]
    fn a_flood_costs_bounded_memory_and_disk() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("collector.log");
        let mut tail = LogTail::follow(path.clone());
        append(
            &path,
            &"x".repeat(usize::try_from(MAX_FILE_BYTES).unwrap() + 10),
        );
        append(&path, "\nthe end\n");
        tail.poll();
        assert!(tail.last(100).ends_with("the end"));
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        append(&path, "goes on\n");
        tail.poll();
        assert!(tail.last(100).ends_with("the end\ngoes on"));
    }
}
