//! An offered configuration on its way: checked beside what runs, committed, taken over, reported.

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::lifecycle::StartError;
use super::{Offer, Supervisor, millis};
use crate::check::{Rejection, check};
use crate::health::Phase;
use crate::ledger::{Consideration, Content, Ledger, OfferHash, Outcome, Status};
use crate::process::{Launch, Running};
use crate::settings::ReloadMode;
use crate::site::{Offered, SiteError, Stage};
use crate::storage::contents::ContentId;

impl Supervisor {
    /// Serves the newest offer, and any newer one that comes before it is committed.
    pub(super) async fn serve_offers(&mut self, offers: &mut watch::Receiver<Option<Offer>>) {
        let shutdown = self.shutdown.clone();
        loop {
            let Some(offer) = offers.borrow_and_update().clone() else {
                return;
            };
            let hash = offer.hash.as_str();
            info!(
                event = "config_received",
                config_hash = hash,
                "Received remote config, hash: {hash}"
            );
            if offer.is_retry {
                self.ledger.release(&offer.hash);
            }
            if !self.is_to_be_tried(&offer.hash) {
                return;
            }
            let begun = Instant::now();
            self.report.set_remote_config_status(&Status {
                offer: offer.hash.clone(),
                outcome: Outcome::Applying,
            });
            let checked = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                // A newer offer wins. Dropping the check ends it; it has changed nothing that runs.
                Ok(()) = offers.changed() => {
                    info!(event = "config_superseded", config_hash = hash, "a newer configuration came before this one was checked");
                    continue;
                }
                checked = self.tail.poll_during(check(&self.site, Stage::Offer, &self.redactor, &offer.config)) => checked,
            };
            match checked {
                Ok(offered) => self.take(offer, &offered, begun).await,
                Err(Rejection::Bad(reason)) => {
                    let surroundings = self.surroundings();
                    self.ledger.quarantine(offer.hash, reason, &surroundings);
                    self.tell_refusal();
                }
                Err(Rejection::Unable(reason)) => {
                    self.ledger.fail(offer.hash, reason);
                    self.tell_refusal();
                }
            }
            return;
        }
    }

    fn is_to_be_tried(&mut self, hash: &OfferHash) -> bool {
        match self.ledger.consider(hash, &self.surroundings()) {
            Consideration::Try => return true,
            Consideration::Runs => {
                self.ledger.note_runs(hash.clone());
                self.save_ledger();
                self.publish_status();
            }
            Consideration::Refused(reason) => {
                self.ledger.fail(hash.clone(), reason);
                self.tell_refusal();
            }
        }
        false
    }

    fn tell_refusal(&self) {
        self.save_ledger();
        self.publish_status();
        if let Some(Status {
            offer,
            outcome: Outcome::Failed(reason),
        }) = self.ledger.status()
        {
            warn!(
                event = "config_failed",
                config_hash = offer.as_str(),
                success = false,
                error = reason,
                "the configuration was refused; what runs, runs on"
            );
        }
    }

    /// What stood on the machine before the first offer.
    fn base(&self) -> Result<Content, SiteError> {
        self.ledger
            .base()
            .cloned()
            .map_or_else(|| self.site.capture(), Ok)
    }

    /// What stood on the machine before, the offered content, and the files it is made of if they are several, all kept.
    fn keep(
        &self,
        offer: &Offer,
        offered: &Offered,
    ) -> Result<(Content, Content, Vec<ContentId>), SiteError> {
        let base = self.base()?;
        let content = match offered {
            Offered::Empty => base.clone(),
            Offered::Bytes(bytes) => Content::Kept(self.site.keep(bytes)?),
        };
        Ok((base, content, self.site.keep_parts(&offer.config)?))
    }

    /// Puts what was checked in force and sees it through.
    async fn take(&mut self, offer: Offer, offered: &Offered, begun: Instant) {
        // Before the new content is kept: what becomes trusted here has the contents that nothing refers to swept.
        self.count_run_time();
        let kept = self.keep(&offer, offered);
        let hash = offer.hash;
        let (base, content, parts) = match kept {
            Ok(kept) => kept,
            Err(error) => {
                self.ledger
                    .fail(hash, runtime::logging::error_chain(&error));
                return self.tell_refusal();
            }
        };
        let before = self.ledger.clone();
        self.ledger.switch(hash.clone(), content, || base);
        self.ledger.note_parts(parts);
        // The commit point: from here on an agent that is killed comes back to the new configuration.
        if let Err(error) = self.ledger_record.save(&self.ledger) {
            self.ledger = before;
            self.ledger
                .fail(hash, runtime::logging::error_chain(&error));
            return self.tell_refusal();
        }
        if let Err(error) = self.site.put_in_force(&self.ledger.current().content) {
            return self.take_back(before, hash, &error);
        }
        match self.activate().await {
            Err(StartError::Configuration(reason)) => {
                self.roll_back(reason).await;
            }
            Err(StartError::Files(problem)) => self.schedule_restart(&problem),
            // On its way out the agent leaves the verdict to its successor.
            Ok(()) if self.shutdown.is_cancelled() => {}
            Ok(()) => self.tell_success(&hash, begun),
        }
    }

    /// The files could not be written, which says nothing about the offer. What runs is untouched and stays.
    fn take_back(&mut self, before: Ledger, hash: OfferHash, error: &SiteError) {
        self.ledger = before;
        self.ledger.fail(hash, runtime::logging::error_chain(error));
        if let Err(error) = self.site.put_in_force(&self.ledger.current().content) {
            let error = runtime::logging::error_chain(&error);
            error!(
                event = "config_not_in_place",
                error, "the files of what runs could not be put back"
            );
        }
        self.tell_refusal();
    }

    fn tell_success(&mut self, hash: &OfferHash, begun: Instant) {
        self.failures = 0;
        self.ledger.confirm_start();
        self.save_ledger();
        self.publish_effective();
        self.publish_status();
        info!(
            event = "config_applied",
            config_hash = hash.as_str(),
            duration_ms = millis(begun.elapsed()),
            success = true,
            pid = self.pid(),
            "Applied config successfully"
        );
    }

    /// Has the collector run what is now in force: in the same process where that can be had.
    async fn activate(&mut self) -> Result<(), StartError> {
        self.bury().await;
        let launch = self.site.launch(&self.ledger.current().content);
        let can_reload = self.site.settings().reload == ReloadMode::Auto
            && launch.is_some_and(|launch| self.takes_over(&launch));
        if can_reload {
            return self.reload().await;
        }
        self.bring_up().await
    }

    /// Forgets a process that ended while an offer was checked: its death is no fault of what comes now.
    async fn bury(&mut self) {
        let has_ended = |(running, _): &(Running, Launch)| running.has_ended();
        if let Some((mut ended, _)) = self.running.take_if(|running| has_ended(running)) {
            let exit = ended.exited().await;
            warn!(event = "collector_exited", pid = ended.pid(), exit = %exit, ran_ms = millis(ended.age()), "the collector had ended before the new configuration came");
        }
    }

    async fn reload(&mut self) -> Result<(), StartError> {
        let Some((running, _)) = &self.running else {
            return self.bring_up().await;
        };
        self.note_changing(running);
        self.restart_at = None;
        self.tail.begin();
        info!(
            event = "reload",
            pid = self.pid(),
            config_hash = self.offer_text(),
            "reload: the running collector takes the new configuration over"
        );
        let Some((running, _)) = &self.running else {
            return self.bring_up().await;
        };
        if let Err(error) = running.hang_up() {
            error!(error = %error, "the collector could not be told to reload and is restarted");
            return self.bring_up().await;
        }
        // A reload begins with a clean stop of the old service, which may have to wait for hanging exporters.
        let settings = self.site.settings();
        let limit = settings.start_timeout + settings.stop_timeout;
        let outcome = self.await_ready(limit).await;
        if outcome.is_err() {
            self.show(Phase::Crashed, "");
        }
        outcome.map_err(StartError::Configuration)
    }
}
