//! The agent plane's conversations without its sockets, for a program that brings its own transport and clock: the
//! simulation.

use std::{net::SocketAddr, sync::Arc};

use engine::{Engine, Principal, Transport};

use crate::{options::GatewayOptions, session::Conversation, shared::Shared};

/// What conversations share, as behind a listener. Nothing is listened on, no task runs, and no session is refused for
/// want of room.
#[derive(Clone)]
pub struct Sessions(Arc<Shared>);

impl Sessions {
    /// Sessions of agents with this engine; of the options, limits and the clock count.
    #[must_use]
    pub fn new(options: &GatewayOptions, engine: Engine) -> Self {
        Self(Arc::new(Shared::new(options, engine, u64::MAX)))
    }

    /// The conversation over a new connection that can be woken.
    #[must_use]
    pub fn connection(
        &self,
        principal: Principal,
        transport: Transport,
        peer: SocketAddr,
    ) -> Conversation {
        Conversation::streaming(Arc::clone(&self.0), principal, transport, peer)
    }

    /// The conversation of one plain HTTP request.
    #[must_use]
    pub fn request(&self, principal: Principal, peer: SocketAddr) -> Conversation {
        Conversation::polled(Arc::clone(&self.0), principal, peer)
    }
}
