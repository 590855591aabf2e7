//! One line on a terminal that says how the fleet is doing.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    time::{Duration, Instant},
};

use crate::{
    Fleet, Stats,
    process::{Process, Usage},
};

/// Shows the fleet's counters on standard error: in place on a terminal, else one line in ten seconds.
pub(super) struct Progress {
    terminal: bool,
    server: Option<Process>,
    last: Option<(Instant, Stats, Option<Usage>)>,
}

impl Progress {
    pub(super) fn new(server: Option<Process>) -> Self {
        Self {
            terminal: stderr().is_terminal(),
            server,
            last: None,
        }
    }

    /// Time between two looks.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_secs(if self.terminal { 1 } else { 10 })
    }

    /// Shows how things are now.
    pub(super) fn show(&mut self, fleet: &Fleet) {
        let (now, stats) = (Instant::now(), fleet.stats());
        let usage = self.server.and_then(|server| server.usage().ok());
        let (since, rate) = match &self.last {
            Some((then, earlier, _)) => (stats.since(earlier), per_second(now - *then)),
            None => (Stats::default(), 0.0),
        };
        let mut line = format!(
            "connected {}/{}  answers {:.0}/s  offers {}  applied {}  failed {}",
            stats.connected,
            fleet.size(),
            since.received as f64 * rate,
            stats.offers,
            stats.applied,
            stats.failed,
        );
        let troubles = stats.refusals() + stats.dial_errors + stats.lost;
        if troubles != 0 {
            line.push_str(&format!(
                "  refused {}  dial errors {}  lost {}",
                stats.refusals(),
                stats.dial_errors,
                stats.lost
            ));
        }
        if let Some(trouble) = fleet.trouble().filter(|_| troubles != 0) {
            // A terminal's line is short, and a wrapped one could not be written over.
            let trouble: String = trouble.chars().take(60).collect();
            line.push_str(&format!(" ({trouble})"));
        }
        if let Some(usage) = usage {
            let before = self.last.as_ref().and_then(|(_, _, usage)| *usage);
            let cpu = before.map_or(0.0, |before| {
                usage.cpu().saturating_sub(before.cpu()).as_secs_f64() * rate * 100.0
            });
            line.push_str(&format!(
                "  server {cpu:.0}% CPU {} MiB",
                usage.rss_kib / 1024
            ));
        }
        self.last = Some((now, stats, usage));
        self.write(&line);
    }

    /// Leaves the last line standing.
    pub(super) fn end(&self) {
        if self.terminal && self.last.is_some() {
            eprintln!();
        }
    }

    fn write(&self, line: &str) {
        if !self.terminal {
            return eprintln!("{line}");
        }
        // Back to the line's begin, and whatever was longer is erased.
        let mut out = stderr().lock();
        if write!(out, "\r{line}\x1b[K")
            .and_then(|()| out.flush())
            .is_err()
        {
            tracing::debug!("standard error is closed");
        }
    }
}

fn per_second(elapsed: Duration) -> f64 {
    1.0 / elapsed.as_secs_f64().max(0.001)
}
