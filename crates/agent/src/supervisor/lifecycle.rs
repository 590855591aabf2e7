//! Starts, ends and restarts of the collector's process.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::settle::Settled;
use super::{FIRST_PAUSE, LONG_RUN, LONGEST_PAUSE, Supervisor, millis};
use crate::collector::{self, trim};
use crate::health::{self, Phase};
use crate::ledger::Content;
use crate::process::{Exit, Launch, Predecessor, Running, find_predecessor, kill_strays, stamp_of};

/// Of a log only this much is looked at for a reason, in bytes.
const LOG_BYTES: usize = 16 * 1024;

/// Why a collector does not run.
pub(super) enum StartError {
    /// Its files could not be written, which says nothing about the configuration.
    Files(String),
    /// It did not start with this configuration.
    Configuration(String),
}

impl Supervisor {
    /// Brings files and process to what the ledger says, whatever an earlier agent left behind.
    pub(super) async fn boot(&mut self) {
        self.publish_status();
        let current = self.ledger.current().content.clone();
        let placed = self.put_in_force();
        let wanted = match placed {
            Ok(()) => self.site.launch(&current),
            // Whatever runs, nobody knows that it is what is wanted.
            Err(_) => None,
        };
        match find_predecessor(&self.process_record, wanted.as_ref()) {
            Predecessor::Adopted(running) => return self.adopt(running, &current).await,
            Predecessor::Other(running) if placed.is_err() => {
                self.keep_meanwhile(running, &current).await;
            }
            Predecessor::Other(running) => {
                let pid = running.pid();
                info!(
                    event = "predecessor_stopped",
                    pid, "the collector of an earlier agent runs something else and is stopped"
                );
                running.stop(self.site.settings().stop_timeout).await;
            }
            Predecessor::Gone => {}
        }
        self.start_or_retreat().await;
    }

    /// Makes the files say what the ledger says; what says so already is not written again.
    fn put_in_force(&mut self) -> Result<(), StartError> {
        let Err(error) = self.site.put_in_force(&self.ledger.current().content) else {
            self.publish_effective();
            return Ok(());
        };
        let problem = runtime::logging::error_chain(&error);
        error!(
            event = "config_not_in_place",
            error = problem,
            "the configuration could not be put in place"
        );
        let problem = format!("the configuration could not be put in place: {problem}");
        Err(if error.is_loss() {
            StartError::Configuration(problem)
        } else {
            StartError::Files(problem)
        })
    }

    /// Data first: while its files cannot be written, what an earlier agent left running is better than nothing.
    async fn keep_meanwhile(&mut self, running: Running, content: &Content) {
        let Some(launch) = self.site.launch(content) else {
            running.stop(self.site.settings().stop_timeout).await;
            return;
        };
        info!(
            event = "predecessor_kept",
            pid = running.pid(),
            "the collector of an earlier agent runs on until the configuration can be put in place"
        );
        kill_strays(&self.storage_id, Some(running.pid())).await;
        self.running = Some((running, launch));
    }

    /// The collector ended by itself.
    pub(super) async fn on_exit(&mut self, exit: Exit) {
        self.count_run_time();
        let Some((running, _)) = self.running.take() else {
            return;
        };
        if LONG_RUN <= running.age() {
            self.failures = 0;
        }
        let reason = self.reason_of_death(exit, running.age());
        // With a restart ahead it was not what is in force that ran.
        let is_in_force = self.restart_at.is_none();
        warn!(event = "collector_exited", pid = running.pid(), exit = %exit, ran_ms = millis(running.age()), error = reason, "the collector ended by itself");
        if !is_in_force || !self.roll_back(reason.clone()).await {
            self.schedule_restart(&reason);
        }
    }

    pub(super) async fn restart_after_pause(&mut self) {
        self.restart_at = None;
        self.start_or_retreat().await;
    }

    /// A restart that somebody asked for.
    pub(super) async fn restart(&mut self) {
        info!(
            event = "restart_commanded",
            "the server asked for a restart of the collector"
        );
        self.count_run_time();
        self.failures = 0;
        self.start_or_retreat().await;
    }

    /// Gives up what is on trial and runs what ran well before. Returns whether there was a trial.
    pub(super) async fn roll_back(&mut self, reason: String) -> bool {
        let surroundings = self.surroundings();
        if !self.ledger.roll_back(reason.clone(), &surroundings) {
            return false;
        }
        error!(
            event = "config_failed",
            config_hash = self.offer_text(),
            error = reason,
            "the configuration failed; the last good one is put back"
        );
        self.save_ledger();
        self.publish_status();
        self.stop().await;
        match self.bring_up().await {
            Ok(()) => info!(
                event = "rolled_back",
                "the last good configuration runs again"
            ),
            Err(StartError::Files(problem) | StartError::Configuration(problem)) => {
                self.schedule_restart(&problem);
                return true;
            }
        }
        let content = &self.ledger.current().content;
        if *content == Content::Nothing && self.running.is_none() {
            self.show(Phase::Failed, &reason);
        }
        true
    }

    /// Puts the files in place, starts what the ledger says in the place of what runs, and waits until it is ready.
    pub(super) async fn bring_up(&mut self) -> Result<(), StartError> {
        // Each time: an earlier attempt may have failed half way, or somebody may have edited a file.
        self.put_in_force()?;
        self.restart_at = None;
        if self.running.is_some() {
            self.stop().await;
        }
        kill_strays(&self.storage_id, None).await;
        let Some(launch) = self.site.launch(&self.ledger.current().content) else {
            info!(
                event = "collector_idle",
                "there is no configuration: the collector does not run"
            );
            self.show(Phase::Idle, "");
            return Ok(());
        };
        self.tail.begin();
        let log = self.site.log_path();
        let running = Running::start(&launch, &log, &self.storage_id)
            .map_err(|error| StartError::Configuration(runtime::logging::error_chain(&error)))?;
        info!(event = "collector_started", pid = running.pid(), executable = %launch.executable().display(), log = %log.display(), "the collector was started");
        self.note_changing(&running);
        self.started.send_replace(running.stamp().to_owned());
        self.running = Some((running, launch));
        self.counted_at = Instant::now();
        self.show(Phase::Starting, "");
        self.await_ready(self.site.settings().start_timeout)
            .await
            .map_err(StartError::Configuration)
    }

    /// Waits for a start or reload; a collector that lives but does not get ready is stopped.
    pub(super) async fn await_ready(&mut self, limit: Duration) -> Result<(), String> {
        let age = |supervisor: &Self| {
            supervisor
                .running
                .as_ref()
                .map_or(Duration::ZERO, |(running, _)| running.age())
        };
        let before = Instant::now();
        match self.settle(limit).await {
            Settled::Ready => {
                self.note_running();
                self.show(Phase::Running, "");
                info!(
                    event = "collector_ready",
                    pid = self.pid(),
                    after_ms = millis(before.elapsed()),
                    age_ms = millis(age(self)),
                    "the collector is ready"
                );
                Ok(())
            }
            Settled::Interrupted => Ok(()),
            Settled::Died(exit) => Err(self.reason_of_death(exit, before.elapsed())),
            Settled::Silent if self.may_be_ready().await => {
                self.note_running();
                self.show(Phase::Running, "");
                warn!(
                    event = "collector_silent",
                    pid = self.pid(),
                    after_ms = millis(before.elapsed()),
                    "the collector did not say that it is ready, but it lives and counts as running"
                );
                Ok(())
            }
            Settled::Silent => {
                let reason = format!(
                    "the collector did not say that it is ready within {} s",
                    limit.as_secs_f64()
                );
                let reason = self.with_log(reason);
                self.stop().await;
                Err(reason)
            }
        }
    }

    /// Whether a collector that lives and did not say that it is ready may be so. What is trusted is not stopped for its
    /// silence: its log may have nowhere to go. What is on trial is, if other messages are seen and its health endpoint,
    /// where it has one, does not vouch for it.
    async fn may_be_ready(&self) -> bool {
        if !self.ledger.is_on_trial() || !self.tail.is_talkative() {
            return true;
        }
        match self.site.facts(&self.ledger.current().content).health {
            Some(endpoint) => health::is_up(&endpoint).await,
            None => false,
        }
    }

    /// Stops what runs.
    pub(super) async fn stop(&mut self) {
        self.show(
            if self.running.is_some() {
                Phase::Draining
            } else {
                Phase::Crashed
            },
            "",
        );
        if let Some((running, _)) = self.running.take() {
            let (pid, begun) = (running.pid(), Instant::now());
            let stopping = running.stop(self.site.settings().stop_timeout);
            let exit = self.tail.poll_during(stopping).await;
            info!(event = "collector_stopped", pid, exit = %exit, after_ms = millis(begun.elapsed()), "the collector was stopped");
        }
    }

    pub(super) fn pid(&self) -> i32 {
        self.running
            .as_ref()
            .map_or(0, |(running, _)| running.pid())
    }

    /// Notes that what runs is about to change: a successor must not take it for either the old or the new.
    pub(super) fn note_changing(&self, running: &Running) {
        if let Err(error) = self.process_record.note_changing(running) {
            warn!(
                event = "state_not_saved",
                error = &error as &(dyn std::error::Error + 'static),
                "the process was not noted"
            );
        }
    }

    pub(super) fn offer_text(&self) -> String {
        self.ledger
            .status()
            .map(|status| status.offer.as_str().to_owned())
            .unwrap_or_default()
    }

    fn note_running(&self) {
        let Some((running, launch)) = &self.running else {
            return;
        };
        if let Err(error) = self.process_record.note(running, launch) {
            warn!(
                event = "state_not_saved",
                error = &error as &(dyn std::error::Error + 'static),
                "the process was not noted"
            );
        }
    }

    async fn adopt(&mut self, running: Running, content: &Content) {
        let Some(launch) = self.site.launch(content) else {
            return;
        };
        info!(
            event = "collector_adopted",
            pid = running.pid(),
            ran_ms = millis(running.age()),
            "the running collector was taken over from an earlier agent"
        );
        kill_strays(&self.storage_id, Some(running.pid())).await;
        self.running = Some((running, launch));
        self.counted_at = Instant::now();
        self.confirm_start();
        self.show(Phase::Running, "");
    }

    async fn start_or_retreat(&mut self) {
        match self.bring_up().await {
            Ok(()) => self.confirm_start(),
            Err(StartError::Files(problem)) => self.schedule_restart(&problem),
            Err(StartError::Configuration(reason)) => {
                if !self.roll_back(reason.clone()).await {
                    self.schedule_restart(&reason);
                }
            }
        }
    }

    /// What is on trial has started: that is an APPLIED, if nobody said so before.
    fn confirm_start(&mut self) {
        let before = self.ledger.clone();
        if !self.shutdown.is_cancelled() {
            self.ledger.confirm_start();
        }
        if self.ledger != before {
            self.save_ledger();
            self.publish_status();
        }
    }

    pub(super) fn schedule_restart(&mut self, reason: &str) {
        let pause = FIRST_PAUSE
            .saturating_mul(1 << self.failures.min(10))
            .min(LONGEST_PAUSE);
        self.failures += 1;
        self.restart_at = Some(Instant::now() + pause);
        warn!(
            event = "collector_restart_scheduled",
            in_ms = millis(pause),
            failures = self.failures,
            error = reason,
            "the collector is started again after a pause"
        );
        if self.running.is_none() {
            self.show(Phase::Crashed, reason);
        } else {
            self.show(Phase::Running, "");
        }
    }

    fn reason_of_death(&mut self, exit: Exit, after: Duration) -> String {
        self.tail.poll();
        self.with_log(format!(
            "the collector ended with {exit} after {:.1} s",
            after.as_secs_f64()
        ))
    }

    fn with_log(&self, head: String) -> String {
        let log = self.tail.last(LOG_BYTES);
        let said = collector::of_failure(&log);
        let reason = if said.is_empty() {
            head
        } else {
            format!("{head}: {said}")
        };
        trim(&self.redactor.redact(&reason))
    }

    /// The same call of the same program file needs no new process to take a new configuration over. A program that was
    /// replaced does: the one that checked the configuration is not the one that runs.
    pub(super) fn takes_over(&self, launch: &Launch) -> bool {
        self.running.as_ref().is_some_and(|(process, running)| {
            running == launch && process.stamp() == stamp_of(launch.executable())
        })
    }
}
