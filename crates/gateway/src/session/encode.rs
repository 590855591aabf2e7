//! The engine's words as the protocol's bytes. A config is encoded once, whoever sends it first.

use engine::{Command, Delta, DesiredContent, Outgoing};
use opamp::{
    delta, dry_run,
    model::{CustomCapabilities, DRY_RUN, ServerCapabilities, WireUid},
    server::{self, Encoded, Reply, encode_remote_config, encode_remote_config_delta},
};

/// What this server can do. Sent with every reply: the specification asks for it in the first and allows it in all.
const CAPABILITIES: ServerCapabilities = ServerCapabilities::ACCEPTS_STATUS
    .union(ServerCapabilities::OFFERS_REMOTE_CONFIG)
    .union(ServerCapabilities::ACCEPTS_EFFECTIVE_CONFIG);

/// Encodes one message to the agent that last used this uid.
pub(super) fn encode(uid: WireUid, outgoing: &Outgoing) -> Encoded {
    if let Some(command) = outgoing.command {
        let command = match command {
            Command::Restart => server::Command::Restart,
        };
        return Reply::command(uid, CAPABILITIES, command);
    }
    let mut reply = Reply::to(uid, CAPABILITIES);
    if outgoing.full_state {
        reply = reply.report_full_state();
    }
    if outgoing.components_wanted {
        reply = reply.report_available_components();
    }
    if let Some(new_uid) = outgoing.new_uid {
        reply = reply.new_uid(new_uid);
    }
    if let Some(message) = &outgoing.custom {
        reply = reply.custom_message(message);
    }
    if let Some(question) = &outgoing.dry_run {
        let content = &question.content;
        let asked = dry_run::ask(question.id, &content.offered(), content.hash.as_bytes());
        // Each time: a process that took the place of another has not heard it. For all others it changes nothing.
        reply = reply
            .custom_capabilities(&custom_capabilities())
            .custom_message(&asked);
    }
    if let Some(content) = &outgoing.config {
        let whole = || content.encoded(encode_content).clone();
        reply = reply.remote_config(outgoing.delta.clone().unwrap_or_else(whole));
    }
    reply.encode()
}

/// The offer of a content as what changed against a base that agents have, if it has at most three quarters of the bytes:
/// for less, nobody is to look for a base.
pub fn encode_delta(base: &DesiredContent, content: &DesiredContent) -> Option<Delta> {
    let files = delta::encode(&base.offered(), &content.offered())?;
    let hash = content.hash.as_bytes();
    let encoded = encode_remote_config_delta(&files, hash, &custom_capabilities());
    let whole_bytes = content.encoded(encode_content).len();
    let saved_bytes = whole_bytes.checked_sub(encoded.len())?;
    (whole_bytes / 4 <= saved_bytes && 0 < saved_bytes).then(|| Delta {
        encoded,
        saved_bytes: u32::try_from(saved_bytes).unwrap_or(u32::MAX),
    })
}

/// All that this server has, whichever of them a message is about: the list that comes last is the one that counts.
fn custom_capabilities() -> CustomCapabilities {
    CustomCapabilities(
        [CustomCapabilities::DELTA, DRY_RUN]
            .map(str::to_owned)
            .into(),
    )
}

fn encode_content(content: &DesiredContent) -> bytes::Bytes {
    encode_remote_config(&content.offered(), content.hash.as_bytes())
}
