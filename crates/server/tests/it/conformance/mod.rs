//! The protocol's rules over real sockets: a whole server, and peers that say what a test wants.
//!
//! A [`Raw`] peer says odd things over any transport; an [`Agent`] is our own client as programs use it. What counts is what
//! comes back on the wire, and what the REST API then shows.

mod agent;
mod clients;
mod identity;
mod liveness;
mod offers;
mod raw;
mod state;
mod transports;
mod trust;

use api_types::agents::AgentSummary;
use fleetsim::Transport;
use opamp::proto::{AgentCapabilities, ServerToAgent, ServerToAgentFlags};
use testkit::{TestServer, wait_until};

use self::agent::Agent;
use self::raw::Raw;

const REPORTS_STATUS: u64 = AgentCapabilities::ReportsStatus as u64;
const ACCEPTS_CONFIG: u64 = AgentCapabilities::AcceptsRemoteConfig as u64;
const REPORTS_EFFECTIVE_CONFIG: u64 = AgentCapabilities::ReportsEffectiveConfig as u64;
const REPORTS_HEALTH: u64 = AgentCapabilities::ReportsHealth as u64;
const REPORTS_CONFIG: u64 = AgentCapabilities::ReportsRemoteConfig as u64;
const REPORTS_COMPONENTS: u64 = AgentCapabilities::ReportsAvailableComponents as u64;

const TRANSPORTS: [Transport; 3] = [Transport::WebSocket, Transport::Http, Transport::Grpc];

/// Runs a test over each transport in turn, each on a server of its own.
async fn over_each(test: impl AsyncFn(TestServer, Transport)) {
    for transport in TRANSPORTS {
        eprintln!("over {transport:?}");
        test(TestServer::start().await, transport).await;
    }
}

/// The one agent that there is, once it is listed.
async fn only_agent(server: &TestServer) -> AgentSummary {
    let mut agents = Vec::new();
    wait_until("the agent to be listed", async || {
        agents = server.api().agents("").await;
        !agents.is_empty()
    })
    .await;
    assert_eq!(agents.len(), 1, "{agents:?}");
    agents.remove(0)
}

fn asks_for_full_state(reply: &ServerToAgent) -> bool {
    reply.flags & ServerToAgentFlags::ReportFullState as u64 != 0
}

fn asks_for_components(reply: &ServerToAgent) -> bool {
    reply.flags & ServerToAgentFlags::ReportAvailableComponents as u64 != 0
}
