//! The engine's words as the protocol's bytes. A config is encoded once, whoever sends it first.

use engine::{Command, DesiredContent, Outgoing};
use opamp::{
    dry_run,
    model::{CustomCapabilities, DRY_RUN, ServerCapabilities, WireUid},
    server::{self, Encoded, Reply, encode_remote_config},
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
        let asked = dry_run::ask(question.id, &content.files, content.hash.as_bytes());
        // Each time: a process that took the place of another has not heard it. For all others it changes nothing.
        reply = reply
            .custom_capabilities(&CustomCapabilities(vec![DRY_RUN.to_owned()]))
            .custom_message(&asked);
    }
    if let Some(content) = &outgoing.config {
        reply = reply.remote_config(content.encoded(encode_content).clone());
    }
    reply.encode()
}

fn encode_content(content: &DesiredContent) -> bytes::Bytes {
    encode_remote_config(&content.files, content.hash.as_bytes())
}
