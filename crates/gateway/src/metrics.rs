//! The metrics of the agent plane, declared once. They exist at 0 from the start, so a recorder must be installed before.

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use crate::{admission::Reason, cut::Cut};

/// Handles that are looked up once: a lookup per message would cost more than the message's own bookkeeping.
#[derive(Clone)]
pub(crate) struct Metrics {
    /// From a message's (or request's) arrival to its reply.
    pub request_duration: Histogram,
    /// Messages of peers that could not be read or taken. No faults of this server: those are other counters.
    pub bad_messages: Counter,
    /// Connections that are open, whatever they speak.
    pub connections: Gauge,
    /// Replies and pushes that were over the limit and stayed here.
    pub oversize_dropped: Counter,
    cut: [Counter; Cut::ALL.len()],
}

impl Metrics {
    /// Describes and creates all of them.
    pub fn register() -> Self {
        describe();
        let cut = Cut::ALL
            .map(|cut| counter!("opamp_server_connections_cut_total", "reason" => cut.as_str()));
        for counter in &cut {
            counter.increment(0);
        }
        let metrics = Self {
            request_duration: histogram!("opamp_server_request_duration_seconds"),
            bad_messages: counter!("opamp_server_bad_messages_total"),
            connections: gauge!("opamp_server_connections"),
            oversize_dropped: counter!("opamp_server_oversize_dropped_total"),
            cut,
        };
        metrics.bad_messages.increment(0);
        metrics.oversize_dropped.increment(0);
        metrics.connections.set(0.0);
        metrics
    }

    /// The counter of one kind of refusal.
    pub fn refused(&self, reason: Reason) -> Counter {
        let counter = counter!("opamp_server_refused_total", "reason" => reason.as_str());
        counter.increment(0);
        counter
    }

    /// The counter of connections that this server ended for one reason.
    pub fn cut(&self, cut: Cut) -> &Counter {
        &self.cut[cut as usize]
    }
}

fn describe() {
    describe_histogram!(
        "opamp_server_request_duration_seconds",
        Unit::Seconds,
        "From the arrival of an agent's message to its reply, on every transport."
    );
    describe_counter!(
        "opamp_server_bad_messages_total",
        "Messages of agents that could not be read or taken."
    );
    describe_gauge!(
        "opamp_server_connections",
        "Open connections of the agent plane."
    );
    describe_counter!(
        "opamp_server_oversize_dropped_total",
        "Messages over the limit that were not sent."
    );
    describe_counter!(
        "opamp_server_connections_cut_total",
        "Connections that the server ended, by reason."
    );
    describe_counter!(
        "opamp_server_refused_total",
        "Connections and session starts that were refused, by reason."
    );
}
