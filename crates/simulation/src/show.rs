//! A run's events in words, for whoever looks at one seed.

use std::fmt::Write as _;

use opamp::proto;
use prost::Message as _;

use crate::schedule::{Event, Frame, Way};

/// One line on an event.
pub(crate) fn line(event: &Event) -> String {
    match event {
        Event::Arrive {
            conn,
            way,
            frame: Frame::Message(message),
        } => {
            let (to, text) = match way {
                Way::ToServer => ("server", said(message)),
                Way::ToAgent => ("agent", sent(message)),
            };
            format!("arrives at {to} over {}: {text}", conn.0)
        }
        Event::Request {
            host,
            request,
            body,
            ..
        } => format!("request {request} of host {host}: {}", said(body)),
        Event::Response {
            host,
            request,
            body: Some(body),
            ..
        } => {
            format!("response to {request} of host {host}: {}", sent(body))
        }
        Event::Tried {
            host, agent, hash, ..
        } => format!("host {host}, agent {agent} tried {}", short(hash)),
        other => format!("{other:?}"),
    }
}

fn said(message: &[u8]) -> String {
    let Ok(message) = proto::AgentToServer::decode(message) else {
        return "unreadable".to_owned();
    };
    let mut text = format!("{} #{}", short(&message.instance_uid), message.sequence_num);
    let parts = [
        (message.agent_description.is_some(), "description"),
        (message.health.is_some(), "health"),
        (message.effective_config.is_some(), "effective"),
        (message.agent_disconnect.is_some(), "disconnect"),
    ];
    for (_, name) in parts.iter().filter(|(there, _)| *there) {
        write!(text, " {name}").ok();
    }
    if let Some(status) = message.remote_config_status {
        let hash = short(&status.last_remote_config_hash);
        write!(text, " {:?} of {hash}", status.status()).ok();
    }
    text
}

fn sent(message: &[u8]) -> String {
    let Ok(message) = proto::ServerToAgent::decode(message) else {
        return "unreadable".to_owned();
    };
    let mut text = short(&message.instance_uid);
    if message.flags != 0 {
        write!(text, " flags {}", message.flags).ok();
    }
    if let Some(offer) = message.remote_config {
        write!(text, " offers {}", short(&offer.config_hash)).ok();
    }
    if let Some(command) = message.command {
        write!(text, " command {:?}", command.r#type()).ok();
    }
    if let Some(identity) = message.agent_identification {
        write!(text, " you are {}", short(&identity.new_instance_uid)).ok();
    }
    if let Some(error) = message.error_response {
        write!(text, " error {:?}: {}", error.r#type(), error.error_message).ok();
    }
    text
}

fn short(bytes: &[u8]) -> String {
    bytes.iter().take(3).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}
