//! What the kernel says of processes under `/proc`.

use std::fs;
use std::os::unix::ffi::OsStrExt;

/// Identifies one process beyond the reuse of its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Number of the process group.
    pub group: i32,
    /// Start time in clock ticks since boot.
    pub started_ticks: u64,
    /// Dead, but not yet reaped by its parent.
    pub is_zombie: bool,
}

/// The state of a process, if there is one with this number.
pub fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// An id that the kernel makes anew at each boot.
pub fn boot_id() -> Option<String> {
    Some(
        fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()?
            .trim()
            .to_owned(),
    )
}

/// Seconds since boot at which a process that started at `ticks` began, given the usual 100 ticks a second.
pub fn age_of(ticks: u64) -> Option<std::time::Duration> {
    // USER_HZ is 100 on every architecture that Linux runs on today but Alpha.
    let started = std::time::Duration::from_millis(ticks.checked_mul(10)?);
    let uptime: f64 = fs::read_to_string("/proc/uptime")
        .ok()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()?;
    std::time::Duration::try_from_secs_f64(uptime)
        .ok()?
        .checked_sub(started)
}

/// The processes whose initial environment has `name=value`.
pub fn with_variable(name: &str, value: &str) -> Vec<i32> {
    let wanted = format!("{name}={value}").into_bytes();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let numbers = entries.flatten().filter_map(|entry| {
        std::str::from_utf8(entry.file_name().as_bytes())
            .ok()?
            .parse()
            .ok()
    });
    numbers.filter(|pid| has_variable(*pid, &wanted)).collect()
}

fn has_variable(pid: i32, wanted: &[u8]) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|variable| variable == wanted)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The second field is the program's name in parentheses; it may hold blanks and parentheses itself.
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    let started_ticks = fields.nth(16)?.parse().ok()?;
    Some(Stat {
        group,
        started_ticks,
        is_zombie: matches!(state, "Z" | "X"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_is_skipped() {
        let text = "42 (a) b) (c) S 1 77 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 123456 1 2 3";
        let expected = Stat {
            group: 77,
            started_ticks: 123_456,
            is_zombie: false,
        };
        assert_eq!(parse_stat(text), Some(expected));
        assert_eq!(parse_stat("42 (a"), None);
        assert_eq!(parse_stat("42 (a) S 1"), None);
    }

    #[test]
    fn this_process_is_found() {
        let own = i32::try_from(std::process::id()).unwrap();
        let stat = stat(own).expect("it runs");
        assert!(!stat.is_zombie);
        assert!(age_of(stat.started_ticks).unwrap() < std::time::Duration::from_secs(3_600));
        assert!(boot_id().is_some_and(|id| id.len() == 36));
        let path = std::env::var("PATH").unwrap();
        assert!(with_variable("PATH", &path).contains(&own));
    }
}
