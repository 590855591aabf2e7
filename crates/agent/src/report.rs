//! What the agent has to tell the server, kept current by its parts and read by whoever talks to the server.

use opamp::model::{
    AgentCapabilities, AgentDescription, ApplyState, AvailableComponents, ConfigMap, Health,
    RemoteConfigStatus,
};
use tokio::sync::watch;

use crate::ledger::{Outcome, Status};
use crate::settings::CapabilitySettings;

/// The agent's whole status, as it is now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// Who and where it is.
    pub description: AgentDescription,
    /// How the collector is, where that is reported.
    pub health: Option<Health>,
    /// What the collector was given to run, where that is reported.
    pub effective_config: Option<ConfigMap>,
    /// What became of the newest offer, where there was one.
    pub remote_config_status: Option<RemoteConfigStatus>,
    /// What the collector was built with, where that is reported.
    pub available_components: Option<AvailableComponents>,
}

/// The report as its writers see it.
#[derive(Debug, Clone)]
pub struct ReportSender {
    sender: watch::Sender<Report>,
    capabilities: AgentCapabilities,
}

/// The capabilities that these settings come to.
pub fn capabilities(settings: &CapabilitySettings) -> AgentCapabilities {
    let remote =
        AgentCapabilities::ACCEPTS_REMOTE_CONFIG.union(AgentCapabilities::REPORTS_REMOTE_CONFIG);
    let choices = [
        (settings.accepts_remote_config, remote),
        (
            settings.reports_effective_config,
            AgentCapabilities::REPORTS_EFFECTIVE_CONFIG,
        ),
        (settings.reports_health, AgentCapabilities::REPORTS_HEALTH),
        (
            settings.reports_available_components,
            AgentCapabilities::REPORTS_AVAILABLE_COMPONENTS,
        ),
        (
            settings.accepts_restart_command,
            AgentCapabilities::ACCEPTS_RESTART_COMMAND,
        ),
    ];
    let always = AgentCapabilities::REPORTS_STATUS.union(AgentCapabilities::REPORTS_HEARTBEAT);
    choices
        .into_iter()
        .filter(|(chosen, _)| *chosen)
        .fold(always, |all, (_, bits)| all.union(bits))
}

impl ReportSender {
    /// An empty report of an agent with these capabilities; what they do not cover is never in it.
    pub fn new(capabilities: AgentCapabilities) -> (Self, watch::Receiver<Report>) {
        let (sender, receiver) = watch::channel(Report::default());
        (
            Self {
                sender,
                capabilities,
            },
            receiver,
        )
    }

    /// Replaces the description.
    pub fn set_description(&self, description: AgentDescription) {
        self.change(|report| replace(&mut report.description, description));
    }

    /// Replaces the health.
    pub fn set_health(&self, health: Health) {
        let health = self.if_able(AgentCapabilities::REPORTS_HEALTH, health);
        self.change(|report| replace(&mut report.health, health));
    }

    /// Replaces the effective configuration.
    pub fn set_effective_config(&self, config: ConfigMap) {
        let config = self.if_able(AgentCapabilities::REPORTS_EFFECTIVE_CONFIG, config);
        self.change(|report| replace(&mut report.effective_config, config));
    }

    /// Replaces the status of the newest offer.
    pub fn set_remote_config_status(&self, status: &Status) {
        let status = self.if_able(AgentCapabilities::REPORTS_REMOTE_CONFIG, to_wire(status));
        self.change(|report| replace(&mut report.remote_config_status, status));
    }

    /// Replaces the inventory.
    pub fn set_available_components(&self, components: AvailableComponents) {
        let components = self.if_able(AgentCapabilities::REPORTS_AVAILABLE_COMPONENTS, components);
        self.change(|report| replace(&mut report.available_components, components));
    }

    fn if_able<T>(&self, capability: AgentCapabilities, value: T) -> Option<T> {
        self.capabilities.contains(capability).then_some(value)
    }

    fn change(&self, change: impl FnOnce(&mut Report) -> bool) {
        self.sender.send_if_modified(change);
    }
}

fn replace<T: PartialEq>(slot: &mut T, value: T) -> bool {
    let changed = *slot != value;
    if changed {
        *slot = value;
    }
    changed
}

/// The status as the protocol has it.
pub fn to_wire(status: &Status) -> RemoteConfigStatus {
    let (state, error) = match &status.outcome {
        Outcome::Applying => (ApplyState::Applying, String::new()),
        Outcome::Applied => (ApplyState::Applied, String::new()),
        Outcome::Failed(reason) => (ApplyState::Failed, reason.clone()),
    };
    RemoteConfigStatus {
        last_hash: status.offer.to_bytes(),
        state,
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c14_the_bits_follow_the_settings() {
        let bits = capabilities(&CapabilitySettings::default());
        assert!(bits.contains(AgentCapabilities::REPORTS_STATUS));
        assert!(bits.contains(AgentCapabilities::REPORTS_HEALTH));
        assert!(!bits.contains(AgentCapabilities::ACCEPTS_REMOTE_CONFIG));
        let all = CapabilitySettings {
            accepts_remote_config: true,
            accepts_packages: true,
            ..CapabilitySettings::default()
        };
        assert!(capabilities(&all).contains(AgentCapabilities::ACCEPTS_REMOTE_CONFIG));
        assert!(
            !capabilities(&all).contains(AgentCapabilities::ACCEPTS_PACKAGES),
            "packages are not there yet"
        );
    }

    #[test]
    fn cp_08_what_no_capability_promises_is_not_reported() {
        let (sender, receiver) = ReportSender::new(AgentCapabilities::REPORTS_STATUS);
        sender.set_health(Health {
            healthy: true,
            ..Health::default()
        });
        assert_eq!(receiver.borrow().health, None);
        assert!(!receiver.has_changed().unwrap());
    }

    #[test]
    fn an_unchanged_report_wakes_nobody() {
        let (sender, mut receiver) = ReportSender::new(AgentCapabilities::ALL);
        sender.set_health(Health {
            healthy: true,
            ..Health::default()
        });
        receiver.mark_unchanged();
        sender.set_health(Health {
            healthy: true,
            ..Health::default()
        });
        assert!(!receiver.has_changed().unwrap());
    }
}
