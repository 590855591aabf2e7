//! What a process costs, read from `/proc/<pid>`: CPU time, resident memory, open descriptors.

use std::{io, time::Duration};

use serde::Serialize;

/// CPU time and memory of one process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Time in user mode, in milliseconds, all threads.
    pub user_ms: u64,
    /// Time in the kernel, in milliseconds, all threads.
    pub system_ms: u64,
    /// Resident memory (`VmRSS`), in KiB.
    pub rss_kib: u64,
    /// The most it ever was (`VmHWM`), in KiB.
    pub peak_rss_kib: u64,
    /// Threads.
    pub threads: u64,
}

impl Usage {
    /// User and system time together.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        Duration::from_millis(self.user_ms + self.system_ms)
    }
}

/// A process whose `/proc` files are read.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    pid: u32,
    ticks_per_second: u64,
}

impl Process {
    /// The process with this id.
    #[must_use]
    pub fn new(pid: u32) -> Self {
        Self {
            pid,
            ticks_per_second: rustix::param::clock_ticks_per_second().max(1),
        }
    }

    /// This process.
    #[must_use]
    pub fn own() -> Self {
        Self::new(std::process::id())
    }

    /// Its id.
    #[must_use]
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// CPU time and memory now.
    ///
    /// # Errors
    /// When the process is gone or the system has no `/proc`.
    pub fn usage(self) -> io::Result<Usage> {
        let stat = self.read("stat")?;
        let status = self.read("status")?;
        let (user, system) = cpu_ticks(&stat).ok_or_else(|| unreadable("stat"))?;
        let in_ms = |ticks: u64| ticks * 1000 / self.ticks_per_second;
        let field = |name| status_field(&status, name).ok_or_else(|| unreadable(name));
        Ok(Usage {
            user_ms: in_ms(user),
            system_ms: in_ms(system),
            rss_kib: field("VmRSS")?,
            peak_rss_kib: field("VmHWM")?,
            threads: field("Threads")?,
        })
    }

    /// How many descriptors it has open.
    ///
    /// # Errors
    /// When the process is gone or belongs to another user.
    pub fn open_files(self) -> io::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.pid))?.count())
    }

    /// Bytes that it had the system write to a disk so far.
    ///
    /// # Errors
    /// When the process is gone or belongs to another user.
    pub fn written_bytes(self) -> io::Result<u64> {
        let io = self.read("io")?;
        status_field(&io, "write_bytes").ok_or_else(|| unreadable("write_bytes"))
    }

    fn read(self, file: &str) -> io::Result<String> {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.pid))
    }
}

fn unreadable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no {what} in /proc"))
}

/// User and system ticks of `/proc/<pid>/stat`. The program's name may hold spaces and brackets.
fn cpu_ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn status_field(status: &str, name: &str) -> Option<u64> {
    let line = status
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_ticks_survive_a_name_with_spaces_and_brackets() {
        let stat = "42 (a b) c) S 1 1 1 0 -1 4194304 100 0 0 0 123 45 0 0 20 0 3 0";
        assert_eq!(cpu_ticks(stat), Some((123, 45)));
        assert_eq!(cpu_ticks("nonsense"), None);
    }

    #[test]
    fn status_fields_are_found_by_their_whole_name() {
        let status = "VmRSSX:\t1 kB\nVmRSS:\t 2048 kB\nThreads:\t4\n";
        assert_eq!(status_field(status, "VmRSS"), Some(2048));
        assert_eq!(status_field(status, "Threads"), Some(4));
        assert_eq!(status_field(status, "VmHWM"), None);
    }

    #[test]
    fn this_process_has_memory_and_threads() {
        let usage = Process::own().usage().unwrap();
        assert!(0 < usage.rss_kib && usage.rss_kib <= usage.peak_rss_kib);
        assert!(0 < usage.threads);
        assert!(Process::own().open_files().is_ok_and(|open| 0 < open));
    }
}
