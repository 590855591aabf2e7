//! Where fuzzers begin: whole messages, frames, bodies and configurations, which they then damage.

use opamp::gzip::compress;
use opamp::model::{AgentDescription, Attribute};
use opamp::proto::{
    AgentConfigFile, AgentConfigMap, AgentRemoteConfig, AgentToServer, AvailableComponents, ComponentDetails,
    ComponentHealth, ConnectionSettingsOffers, EffectiveConfig, OpAmpConnectionSettings, PackageAvailable,
    PackagesAvailable, ServerErrorResponse, ServerToAgent, ServerToAgentFlags,
};
use opamp::ws::{put_close, put_masked_message, put_ping};
use prost::Message as _;

/// A configuration with something of everything.
pub const CONFIG: &str =
    "a: &a {x: 1, y: [b, 'c', \"d\"]}\nb:\n  <<: *a\n  token: |\n    s\n  e: >-\n    f\n    g\nc::d: !!str 1\n";

/// Three configurations, as an offer has them.
pub const CONFIGS: &str = "extensions: {health_check: {endpoint: '0.0.0.0:1'}}\nservice: {extensions: [health_check]}\n\
    \0a: {b: 1}\nc: [d]\n\0a::b: 2\na::e: !!str 3\nc: ~\n";

/// Each target with its seeds.
pub fn all() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    vec![
        ("ws_decoder", vec![frames(), server_frames(), handshake()]),
        ("server_receive", vec![report()]),
        ("server_session", vec![reports()]),
        ("client_receive", vec![answers()]),
        ("gunzip", vec![compressed(), [compressed(), compressed()].concat()]),
        ("otelcol_yaml", vec![CONFIG.into()]),
        ("otelcol_merge", vec![CONFIGS.into()]),
    ]
}

fn description() -> AgentDescription {
    AgentDescription {
        identifying: vec![Attribute::new("service.name", "edge")],
        non_identifying: vec![Attribute::new("os.type", "linux")],
    }
}

fn config_map() -> AgentConfigMap {
    let file = |body: &[u8]| AgentConfigFile { body: body.to_vec(), content_type: "text/yaml".to_owned() };
    AgentConfigMap { config_map: [("a".to_owned(), file(b"a: 1\n")), ("b".to_owned(), file(b"b: 2\n"))].into() }
}

fn components() -> AvailableComponents {
    let details =
        ComponentDetails { sub_component_map: [("otlp".to_owned(), Default::default())].into(), ..Default::default() };
    AvailableComponents { components: [("receivers".to_owned(), details)].into(), hash: vec![1; 4] }
}

fn health() -> ComponentHealth {
    let part =
        ComponentHealth { healthy: true, start_time_unix_nano: 5, status: "ok".to_owned(), ..Default::default() };
    ComponentHealth {
        component_health_map: [("a".to_owned(), part.clone()), ("b".to_owned(), part.clone())].into(),
        ..part
    }
}

fn message(sequence_num: u64) -> AgentToServer {
    AgentToServer { instance_uid: vec![7; 16], sequence_num, capabilities: 0xffff, ..Default::default() }
}

fn full(sequence_num: u64) -> AgentToServer {
    AgentToServer {
        agent_description: Some((&description()).into()),
        health: Some(health()),
        effective_config: Some(EffectiveConfig { config_map: Some(config_map()) }),
        remote_config_status: Some(Default::default()),
        package_statuses: Some(Default::default()),
        available_components: Some(components()),
        ..message(sequence_num)
    }
}

/// A report of everything.
pub fn report() -> Vec<u8> {
    full(8).encode_to_vec()
}

/// What an agent says in a session, each message behind two bytes of its length.
pub fn reports() -> Vec<u8> {
    let told = AgentToServer { health: Some(health()), ..message(2) };
    let goodbye = AgentToServer { agent_disconnect: Some(Default::default()), ..message(9) };
    let messages = [full(1), told, message(3), message(3), full(7), message(8), goodbye];
    messages.iter().flat_map(|message| with_length(&message.encode_to_vec())).collect()
}

fn with_length(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("seeds are short");
    [&length.to_be_bytes()[..], message].concat()
}

/// What a server says in a session, each message behind two bytes of its length.
pub fn answers() -> Vec<u8> {
    let head = || ServerToAgent { instance_uid: vec![7; 16], capabilities: 0x7f, ..Default::default() };
    let config = AgentRemoteConfig { config: Some(config_map()), config_hash: vec![1; 8] };
    let package = PackageAvailable { version: "1".to_owned(), hash: vec![2; 8], ..Default::default() };
    let packages = [("p".to_owned(), package)].into();
    let opamp = OpAmpConnectionSettings {
        destination_endpoint: "wss://x".to_owned(),
        heartbeat_interval_seconds: 3,
        ..Default::default()
    };
    let messages = [
        head(),
        ServerToAgent { flags: ServerToAgentFlags::ReportFullState as u64, remote_config: Some(config), ..head() },
        ServerToAgent {
            packages_available: Some(PackagesAvailable { packages, all_packages_hash: vec![3; 8] }),
            connection_settings: Some(ConnectionSettingsOffers {
                hash: vec![4; 8],
                opamp: Some(opamp),
                ..Default::default()
            }),
            agent_identification: Some(Default::default()),
            command: Some(Default::default()),
            custom_capabilities: Some(Default::default()),
            custom_message: Some(Default::default()),
            ..head()
        },
        ServerToAgent {
            error_response: Some(ServerErrorResponse {
                r#type: 2,
                error_message: "busy".to_owned(),
                ..Default::default()
            }),
            ..head()
        },
    ];
    messages.iter().flat_map(|message| with_length(&message.encode_to_vec())).collect()
}

/// Frames of a client, in chunks of four bytes.
pub fn frames() -> Vec<u8> {
    let mut frames = vec![3];
    for _ in 0..3 {
        put_masked_message(&mut frames, &report()[..60], [1, 2, 3, 4]);
        put_ping(&mut frames, b"there?", Some([5, 6, 7, 8]));
    }
    // Two fragments of a message without its header.
    frames.extend([0x02, 0x82, 0, 0, 0, 0, 0x10, 0x05, 0x80, 0x82, 0, 0, 0, 0, 0x18, 0x05]);
    put_close(&mut frames, 1000, "bye", Some([9, 9, 9, 9]));
    frames
}

/// Frames of a server, in chunks of eight bytes.
fn server_frames() -> Vec<u8> {
    let mut frames = vec![0x87, 0x82, 3, 0, 0x10, 1, 0x89, 1, 7];
    put_close(&mut frames, 1001, "", None);
    frames
}

/// A server's answer to an opening handshake.
fn handshake() -> Vec<u8> {
    let key = "BwcHBwcHBwcHBwcHBwcHBw==";
    let accept = opamp::ws::accept_key(key);
    format!("\u{7}HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {accept}\r\n\r\n").into()
}

/// A compressed body.
pub fn compressed() -> Vec<u8> {
    compress(&[&report()[..], &[7; 900]].concat())
}
