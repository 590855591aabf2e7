//! Which offered connection settings an agent takes: the same rule on both sides.

use opamp_model::AgentCapabilities;

use crate::proto::ConnectionSettingsOffers;

impl ConnectionSettingsOffers {
    /// Takes out every class of settings whose capability the agent lacks.
    pub(crate) fn retain_supported(&mut self, agent: AgentCapabilities) {
        let lacks = |capability| !agent.contains(capability);
        self.opamp
            .take_if(|_| lacks(AgentCapabilities::ACCEPTS_OPAMP_CONNECTION_SETTINGS));
        self.own_metrics
            .take_if(|_| lacks(AgentCapabilities::REPORTS_OWN_METRICS));
        self.own_traces
            .take_if(|_| lacks(AgentCapabilities::REPORTS_OWN_TRACES));
        self.own_logs
            .take_if(|_| lacks(AgentCapabilities::REPORTS_OWN_LOGS));
        if lacks(AgentCapabilities::ACCEPTS_OTHER_CONNECTION_SETTINGS) {
            self.other_connections.clear();
        }
    }

    /// Whether there are no settings of any class.
    pub(crate) fn is_empty(&self) -> bool {
        self.opamp.is_none()
            && self.own_metrics.is_none()
            && self.own_traces.is_none()
            && self.own_logs.is_none()
            && self.other_connections.is_empty()
    }
}
