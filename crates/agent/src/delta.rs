//! Offers that travel as what changed: they are made whole of what this agent keeps, or asked for whole.

use std::borrow::Cow;

use opamp::client::ClientSession;
use opamp::delta::{DeltaError, decode, is_delta};
use opamp::model::{ConfigMap, CustomCapabilities};
use tracing::{debug, info, warn};

use crate::storage::contents::{ContentId, Contents};

/// What a configuration may come to: the largest that a server of ours makes.
const LIMIT_BYTES: usize = 4 << 20;

/// What deltas are made whole of.
#[derive(Debug)]
pub struct Bases(Contents);

impl Bases {
    /// The kept configurations, each just as the server sent it.
    pub fn new(contents: Contents) -> Self {
        Self(contents)
    }

    /// Tells the server that this agent takes deltas.
    pub fn announce(&self, session: &mut ClientSession) {
        session
            .add_custom_capability(CustomCapabilities::DELTA)
            .expect("it is the name of a capability");
    }

    /// The whole of an offered configuration; of one that came whole, that is itself.
    ///
    /// # Errors
    /// It came as a delta, and something else came of that than was offered, or nothing.
    pub fn make_whole(&self, config: ConfigMap, hash: &[u8]) -> Result<ConfigMap, DeltaError> {
        if !is_delta(&config) {
            return Ok(config);
        }
        let kept = |sha256: &[u8; 32]| {
            let bytes = self.0.get(&ContentId::from_sha256(sha256)).ok()?;
            Some(Cow::Owned(bytes))
        };
        let whole = decode(&config, hash, LIMIT_BYTES, kept)?;
        debug!(
            event = "config_delta_taken",
            sent_bytes = bytes_of(&config),
            whole_bytes = bytes_of(&whole),
            "a configuration came as what changed"
        );
        Ok(whole)
    }
}

/// Asks for the whole of an offer. What runs, runs on, and nothing failed.
pub fn ask_for_whole(session: &mut ClientSession, hash: &[u8], why: &DeltaError) {
    info!(
        event = "config_delta_refused",
        config_hash = trust::hex(hash),
        error = %why,
        "a configuration could not be had from what changed: the whole is asked for"
    );
    if let Err(error) = session.ask_for_whole(hash) {
        warn!(event = "config_not_asked_for", error = %error, "the server could not be asked; it offers again with the next connection");
    }
}

fn bytes_of(config: &ConfigMap) -> usize {
    config.values().map(|file| file.body.len()).sum()
}
