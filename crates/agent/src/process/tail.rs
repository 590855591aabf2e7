//! The collector's log: a file that both sides can lose without harm, of which the last part is kept in memory.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{debug, info, warn};

/// While something else is waited for, the file is looked at this often.
const LOOK: Duration = Duration::from_secs(1);
/// The file is emptied when it grows beyond this many bytes; so many of its last ones are kept in a second file.
const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;
/// At most this much is read of what came at once; a flood is skipped.
const MAX_READ_BYTES: u64 = 256 * 1024;
const MAX_LINES: usize = 200;
/// A line is cut at so many bytes.
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

    /// Waits for `other` and goes on reading meanwhile, so that the file stays bounded however long it takes.
    pub async fn poll_during<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = pin!(other);
        loop {
            tokio::select! {
                biased;
                outcome = &mut other => return outcome,
                () = sleep(LOOK) => self.poll(),
            }
        }
    }

    /// The last lines since the beginning, at most `max_bytes` of them; of the first one that does not fit, the end.
    pub fn last(&self, max_bytes: usize) -> String {
        let mut room = max_bytes;
        let mut lines: Vec<&str> = Vec::new();
        for line in self.lines.iter().rev() {
            let part = end_of(line, room);
            if !part.is_empty() || line.is_empty() {
                lines.push(part);
            }
            if room <= line.len() {
                break;
            }
            room -= line.len() + 1;
        }
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
        let before = self.path.with_added_extension("1");
        if let Err(error) = copy_end(&self.path, &before) {
            warn!(event = "collector_log_lost", file = %before.display(), error = %error, "the collector's log could not be kept");
        }
        info!(event = "collector_log_rotated", file = %self.path.display(), max_bytes = MAX_FILE_BYTES, "the collector's log was begun anew");
        fs::OpenOptions::new()
            .write(true)
            .open(&self.path)?
            .set_len(0)?;
        self.offset = 0;
        Ok(())
    }

    fn take_in(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = MAX_LINE_BYTES.saturating_sub(self.unfinished.len());
            self.unfinished
                .extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
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

/// The end of `text`, of at most `max_bytes`.
fn end_of(text: &str, max_bytes: usize) -> &str {
    let mut start = text.len().saturating_sub(max_bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

fn copy_end(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let length = source.metadata()?.len();
    source.seek(SeekFrom::Start(length.saturating_sub(MAX_FILE_BYTES)))?;
    let mut target = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(to)?;
    io::copy(&mut source.take(MAX_FILE_BYTES), &mut target)?;
    Ok(())
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
        assert_eq!(tail.last(17), "line 998\nline 999");
        assert_eq!(tail.last(14), "e 998\nline 999");
        assert_eq!(tail.last(8), "line 999");
        assert_eq!(tail.last(3), "999");
        append(&path, &format!("{}\nshort\n", "x".repeat(100_000)));
        tail.poll();
        assert_eq!(tail.lines[MAX_LINES - 2].len(), MAX_LINE_BYTES);
        assert_eq!(tail.last(10), "xxxx\nshort");
    }

    #[tokio::test]
    async fn the_file_stays_bounded_while_something_else_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("collector.log");
        let mut tail = LogTail::follow(path.clone());
        append(
            &path,
            &"x".repeat(usize::try_from(MAX_FILE_BYTES).unwrap() + 10),
        );
        let emptied = async {
            while fs::metadata(&path).unwrap().len() != 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        tail.poll_during(emptied).await;
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
        let kept = fs::read(directory.path().join("collector.log.1")).unwrap();
        assert_eq!(kept.len() as u64, MAX_FILE_BYTES);
        assert!(kept.ends_with(b"\nthe end\n"));
        append(&path, "goes on\n");
        tail.poll();
        assert!(tail.last(100).ends_with("the end\ngoes on"));
    }
}
