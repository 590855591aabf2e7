//! What all connections of one gateway share, and how a session starts.

use std::{net::IpAddr, sync::Arc, time::Duration};

use engine::{AuthMethod, Engine, Principal};
use jiff::Timestamp;

use crate::{
    admission::{Claimant, Gate, Reason},
    identity::Certificate,
    metrics::Metrics,
    options::{Clock, GatewayOptions, Limits, Times},
    refusal::Refusal,
    roster::Roster,
    tls::ClientAuth,
};

/// One gateway's state, shared by its connections.
pub(crate) struct Shared {
    pub engine: Engine,
    pub limits: Limits,
    pub times: Times,
    pub gate: Gate,
    pub metrics: Metrics,
    pub roster: Arc<Roster>,
    pub client_auth: ClientAuth,
    pub clock: Clock,
}

impl Shared {
    /// The state of a gateway whose process may have so many descriptors.
    pub fn new(options: &GatewayOptions, engine: Engine, descriptor_limit: u64) -> Self {
        let metrics = Metrics::register();
        let gate = Gate::new(&options.admission, descriptor_limit, options.seed, &metrics);
        let client_auth = options
            .tls
            .as_ref()
            .map_or(ClientAuth::None, |tls| tls.client_auth);
        let roster = Roster::new(metrics.connections.clone());
        Self {
            engine,
            limits: options.limits.clone(),
            times: options.times.clone(),
            gate,
            metrics,
            roster,
            client_auth,
            clock: options.clock.clone(),
        }
    }

    /// The time that is stored and shown.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether a request may go on at all without a session: a certificate may be required.
    pub fn check_certificate(&self, certificate: Option<&Certificate>) -> Result<(), Refusal> {
        match (self.client_auth, certificate) {
            (_, Some(certificate)) if !certificate.is_valid(self.now()) => Err(self.unauthorized()),
            (ClientAuth::RequireAndVerify, None) => Err(self.unauthorized()),
            _ => Ok(()),
        }
    }

    /// Starts a session: proves the principal and passes the gate. The credential comes first, so that strangers cannot
    /// use up what is meant for the fleet, nor one of the fleet what is meant for the others.
    pub fn start_session(
        &self,
        bearer: Option<&str>,
        certificate: Option<&Certificate>,
        peer: IpAddr,
    ) -> Result<Principal, Refusal> {
        if self.roster.is_draining() {
            self.gate.refuse(Reason::Draining);
            return Err(Refusal::Unavailable {
                retry_after: self.drain_retry(),
            });
        }
        self.check_certificate(certificate)?;
        let principal = self
            .engine
            .authenticate(bearer, self.now())
            .map_err(|_| self.unauthorized())?;
        self.gate
            .admit_session(Claimant::of(&principal, peer))
            .map_err(|retry_after| Refusal::Unavailable { retry_after })?;
        // A verified certificate says more than nothing; where a token is asked for, the token decides the namespace.
        Ok(match (principal.method, certificate) {
            (AuthMethod::None, Some(_)) => Principal::certificate(),
            _ => principal,
        })
    }

    /// When a peer is asked to come back that is sent away because the server goes down: spread so that all who were
    /// connected return at a rate that is let in.
    pub fn drain_retry(&self) -> Duration {
        self.gate.spread_returns(self.roster.open_at_drain())
    }

    fn unauthorized(&self) -> Refusal {
        self.gate.refuse(Reason::Unauthenticated);
        Refusal::Unauthorized
    }
}
