//! The heart of the agent: one collector kept running, and configurations brought to it one after the other.
//!
//! One task owns process, files and ledger, so that nothing happens twice at once. An offer may be replaced by a newer
//! one until its commit point, the save of the ledger; after it the change is carried through, or taken back.

mod apply;
mod lifecycle;
mod settle;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opamp::model::ConfigMap;
use runtime::{CancellationToken, Clock};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{error, info};

use crate::check::redactor;
use crate::collector::Redactor;
use crate::health::{Phase, ProcessView, nanos};
use crate::ledger::{Ledger, OfferHash};
use crate::process::{Launch, LogTail, ProcessRecord, Running};
use crate::report::ReportSender;
use crate::settings::OnAgentExit;
use crate::site::Site;
use crate::storage::record::Record;

const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// The first pause before a restart; it doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A run of this length makes the failures before it forgotten.
const LONG_RUN: Duration = Duration::from_secs(60);
/// While a deployment is on trial its run time is saved this often.
const SAVE_TRIAL: Duration = Duration::from_secs(30);

/// An offered configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The server's hash of it.
    pub hash: OfferHash,
    /// The configuration.
    pub config: ConfigMap,
    /// Whether somebody wants it tried again who knows that it failed.
    pub is_retry: bool,
}

/// What else the server may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Stop the collector and start it again.
    Restart,
}

/// What a supervisor is made of.
#[derive(Debug)]
pub struct Parts {
    /// The collector's files.
    pub site: Site,
    /// Marks the collector's processes.
    pub storage_id: String,
    /// Where the status is reported.
    pub report: ReportSender,
    /// Where the process is shown.
    pub view: watch::Sender<ProcessView>,
    /// Tells the stamp of the program file of each start.
    pub started: watch::Sender<String>,
    /// Cancelled once the collector was started or taken over, or cannot be: the server may be dialed.
    pub begun: CancellationToken,
}

/// The inbox of a supervisor.
#[derive(Debug)]
pub struct Inbox {
    /// The newest offer; it replaces those before.
    pub offers: watch::Receiver<Option<Offer>>,
    /// Commands, in order.
    pub commands: mpsc::Receiver<Command>,
}

/// Keeps one collector running.
pub struct Supervisor {
    site: Site,
    storage_id: String,
    report: ReportSender,
    view: watch::Sender<ProcessView>,
    clock: Arc<dyn Clock>,
    started: watch::Sender<String>,
    begun: CancellationToken,
    shutdown: CancellationToken,
    redactor: Redactor,
    ledger: Ledger,
    ledger_record: Record<Ledger>,
    process_record: ProcessRecord,
    tail: LogTail,
    running: Option<(Running, Launch)>,
    failures: u32,
    restart_at: Option<Instant>,
    counted_at: Instant,
    trial_saved_at: Instant,
}

impl Supervisor {
    /// A supervisor with its state in `directory`, which runs until `shutdown`.
    pub fn new(
        parts: Parts,
        directory: &Path,
        clock: Arc<dyn Clock>,
        shutdown: CancellationToken,
    ) -> Self {
        let ledger_record = Record::new(directory, "ledger");
        let now = Instant::now();
        Self {
            redactor: redactor(&parts.site.settings().env),
            tail: LogTail::follow(parts.site.log_path()),
            ledger: ledger_record.load().unwrap_or_default(),
            ledger_record,
            process_record: ProcessRecord::new(directory),
            site: parts.site,
            storage_id: parts.storage_id,
            report: parts.report,
            view: parts.view,
            clock,
            started: parts.started,
            begun: parts.begun,
            shutdown,
            running: None,
            failures: 0,
            restart_at: None,
            counted_at: now,
            trial_saved_at: now,
        }
    }

    /// Takes over or starts the collector, then serves the inbox until shutdown.
    pub async fn run(mut self, mut inbox: Inbox) {
        self.boot().await;
        let mut housekeeping = interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shutdown = self.shutdown.clone();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                exit = exit_of(&mut self.running) => self.on_exit(exit).await,
                () = at(self.restart_at) => self.restart_after_pause().await,
                Ok(()) = inbox.offers.changed() => self.serve_offers(&mut inbox.offers).await,
                Some(Command::Restart) = inbox.commands.recv() => self.restart().await,
                _ = housekeeping.tick() => self.keep_house(),
            }
        }
        self.finish().await;
    }

    /// All that an offer meets on this machine, for what holds only as long as it is the same.
    fn surroundings(&self) -> String {
        self.site.local_launch().fingerprint()
    }

    fn save_ledger(&self) {
        match self.ledger_record.save(&self.ledger) {
            // Only now nothing on disk refers to what is swept.
            Ok(()) => self.site.contents().sweep(&self.ledger.contents()),
            Err(error) => {
                error!(
                    event = "state_not_saved",
                    error = &error as &(dyn std::error::Error + 'static),
                    "the ledger was not saved"
                );
            }
        }
    }

    fn publish_status(&self) {
        if let Some(status) = self.ledger.status() {
            self.report.set_remote_config_status(status);
        }
    }

    fn publish_effective(&self) {
        let content = &self.ledger.current().content;
        let effective = if self.ledger.is_from_server() {
            self.site.effective(content)
        } else {
            self.site.effective_local(content)
        };
        self.report.set_effective_config(effective);
    }

    fn show(&self, phase: Phase, problem: &str) {
        let facts = self.site.facts(&self.ledger.current().content);
        let running = self.running.as_ref().map(|(running, _)| running);
        let age = running.map_or(0, |running| {
            u64::try_from(running.age().as_nanos()).unwrap_or(u64::MAX)
        });
        let began = running.map_or(0, |_| nanos(&*self.clock).saturating_sub(age));
        let pid = running.map(Running::pid);
        self.begun.cancel();
        self.view.send_if_modified(|view| {
            // The start of one process is one moment, however often and inexactly it is computed.
            let start_time_unix_nano = if view.pid == pid {
                view.start_time_unix_nano
            } else {
                began
            };
            let next = ProcessView {
                phase,
                pid,
                start_time_unix_nano,
                problem: problem.to_owned(),
                endpoint: facts.health,
            };
            let changed = *view != next;
            *view = next;
            changed
        });
    }

    fn keep_house(&mut self) {
        self.tail.poll();
        self.count_run_time();
    }

    fn count_run_time(&mut self) {
        let now = Instant::now();
        let ran = now.duration_since(std::mem::replace(&mut self.counted_at, now));
        // With a restart ahead it is not what is in force that runs.
        let is_in_force = self.running.is_some() && self.restart_at.is_none();
        if !is_in_force || !self.ledger.is_on_trial() {
            return;
        }
        let probation = millis(self.site.settings().probation);
        if self.ledger.count_run_time(millis(ran), probation) {
            info!(
                event = "config_trusted",
                "the configuration has passed its probation"
            );
            self.save_ledger();
        } else if SAVE_TRIAL <= now.duration_since(self.trial_saved_at) {
            self.trial_saved_at = now;
            self.save_ledger();
        }
    }

    async fn finish(mut self) {
        self.count_run_time();
        if self.ledger.is_on_trial() {
            self.save_ledger();
        }
        let Some((running, _)) = self.running.take() else {
            return;
        };
        match self.site.settings().on_agent_exit {
            OnAgentExit::Leave => {
                info!(
                    event = "collector_left",
                    pid = running.pid(),
                    "the collector runs on for the next agent"
                );
                running.leave();
            }
            OnAgentExit::Stop => {
                let pid = running.pid();
                let stopping = running.stop(self.site.settings().stop_timeout);
                let exit = self.tail.poll_during(stopping).await;
                info!(event = "collector_stopped", pid, exit = %exit, "the collector was stopped");
            }
        }
    }
}

/// The end of what runs; never, while nothing runs. Cancel-safe.
async fn exit_of(running: &mut Option<(Running, Launch)>) -> crate::process::Exit {
    match running {
        Some((running, _)) => running.exited().await,
        None => std::future::pending().await,
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
