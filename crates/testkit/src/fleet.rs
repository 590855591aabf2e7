//! Fleets of simulated agents, and what tests ask of them.

use fleetsim::{AgentSnapshot, ConfigStatus, Fleet, Options, Ramp, Redial};
use sha2::Digest as _;
use std::time::Duration;

use crate::wait::wait_until;

/// Small and quick: no heartbeats to wait for, all agents dial at once, redials each 50 ms.
pub fn quick(options: &mut Options) {
    options.effective_bytes = 256;
    options.health_components = 2;
    options.attributes = 4;
    options.heartbeat = Duration::from_secs(1);
    options.ramp = Ramp::Storm;
    options.redial = Redial::Every(Duration::from_millis(50));
}

/// Waits until every agent has a connection.
pub async fn wait_until_connected(fleet: &Fleet) {
    wait_until("every agent to be connected", async || {
        fleet.agents().iter().all(|agent| agent.connected)
    })
    .await;
}

/// Waits until every agent runs exactly `body`, as its own record has it.
pub async fn wait_until_all_run(fleet: &Fleet, body: &str) {
    wait_until("every agent to run the config", async || {
        fleet.agents().iter().all(|agent| runs(agent, body))
    })
    .await;
}

/// Whether an agent says that it applied something and its effective file is exactly `body`.
pub fn runs(agent: &AgentSnapshot, body: &str) -> bool {
    agent.status == ConfigStatus::Applied && agent.effective_sha256 == sha256_hex(body)
}

/// The SHA-256 of a text in hex, which is the hash of a config with that one file.
pub fn sha256_hex(text: &str) -> String {
    sha256_hex_of(text.as_bytes())
}

/// The SHA-256 of bytes in hex.
pub fn sha256_hex_of(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
