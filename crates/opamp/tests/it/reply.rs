//! The server's messages: what excludes what, and content that is encoded once.

use std::time::Duration;

use opamp::model::{
    AgentCapabilities, CustomCapabilities, CustomMessage, InstanceUid, ServerCapabilities,
};
use opamp::proto::{self, ServerToAgent, ServerToAgentFlags};
use opamp::server::{Command, Encoded, ErrorKind, Reply, encode_remote_config};
use prost::Message as _;

use crate::support::{UID, config, remote_config};

const OFFERS: ServerCapabilities =
    ServerCapabilities::ACCEPTS_STATUS.union(ServerCapabilities::OFFERS_REMOTE_CONFIG);

fn decoded(encoded: &Encoded) -> ServerToAgent {
    ServerToAgent::decode(&encoded.to_vec()[..]).unwrap()
}

fn bare() -> ServerToAgent {
    ServerToAgent {
        instance_uid: UID.as_bytes().to_vec(),
        capabilities: OFFERS.bits(),
        ..Default::default()
    }
}

#[test]
fn st_05_st_11_cp_02_amb_02_an_acknowledgement_has_uid_and_capabilities() {
    assert_eq!(decoded(&Reply::to(UID, OFFERS).encode()), bare());
    let none = decoded(&Reply::to(UID, ServerCapabilities::NONE).encode());
    assert_eq!(none.capabilities, ServerCapabilities::ACCEPTS_STATUS.bits());
}

#[test]
fn st_10_rt_04_an_error_excludes_everything_but_the_uid() {
    let error = Reply::error(
        Some(UID.into()),
        ErrorKind::BadRequest,
        "no uid",
        Some(Duration::from_secs(1)),
    );
    let expected = ServerToAgent {
        instance_uid: UID.as_bytes().to_vec(),
        error_response: Some(proto::ServerErrorResponse {
            r#type: proto::ServerErrorResponseType::BadRequest.into(),
            error_message: "no uid".into(),
            details: None,
        }),
        ..ServerToAgent::default()
    };
    assert_eq!(
        decoded(&error),
        expected,
        "retry_info belongs to Unavailable only"
    );
    assert!(
        decoded(&Reply::error(None, ErrorKind::Unknown, "", None))
            .instance_uid
            .is_empty()
    );
}

#[test]
fn rt_06_unavailable_says_when_to_come_back_in_nanoseconds() {
    let error = Reply::error(
        Some(UID.into()),
        ErrorKind::Unavailable,
        "busy",
        Some(Duration::from_millis(1500)),
    );
    let details = decoded(&error).error_response.unwrap().details.unwrap();
    let proto::server_error_response::Details::RetryInfo(info) = details;
    assert_eq!(info.retry_after_nanoseconds, 1_500_000_000);
    let endless = Reply::error(None, ErrorKind::Unavailable, "", Some(Duration::MAX));
    assert!(decoded(&endless).error_response.unwrap().details.is_some());
}

#[test]
fn cm_01_a_command_travels_with_uid_and_capabilities_only() {
    let command = Some(proto::ServerToAgentCommand {
        r#type: proto::CommandType::Restart.into(),
    });
    let encoded = Reply::command(UID, OFFERS, Command::Restart);
    assert_eq!(decoded(&encoded), ServerToAgent { command, ..bare() });
}

#[test]
fn everything_else_can_share_a_message() {
    let new = InstanceUid::new([8; 16]);
    let settings = settings();
    let packages = proto::PackagesAvailable {
        all_packages_hash: vec![2],
        ..Default::default()
    };
    let custom = CustomMessage {
        capability: "io.x.y".into(),
        kind: "k".into(),
        data: vec![3],
    };
    let reply = Reply::to(UID, OFFERS)
        .report_full_state()
        .report_available_components()
        .new_uid(new)
        .connection_settings(&settings)
        .packages(&packages)
        .custom_capabilities(&CustomCapabilities(vec!["io.x.y".into()]))
        .custom_message(&custom)
        .remote_config(encode_remote_config(&config("a: 1"), b"hash"))
        .encode();
    let flags = ServerToAgentFlags::ReportFullState as u64
        | ServerToAgentFlags::ReportAvailableComponents as u64;
    let expected = ServerToAgent {
        flags,
        agent_identification: Some(proto::AgentIdentification {
            new_instance_uid: vec![8; 16],
        }),
        connection_settings: Some(settings),
        packages_available: Some(packages),
        custom_capabilities: Some(proto::CustomCapabilities {
            capabilities: vec!["io.x.y".into()],
        }),
        custom_message: Some((&custom).into()),
        remote_config: Some(remote_config("a: 1", b"hash")),
        ..bare()
    };
    assert_eq!(decoded(&reply), expected);
    assert_eq!(reply.len(), reply.to_vec().len());
}

#[test]
fn cf_05_a_config_is_encoded_once_with_its_hash_and_shared() {
    let encoded = encode_remote_config(&config(&"x".repeat(8192)), &[9; 32]);
    let replies: Vec<_> = (0..3)
        .map(|index| {
            Reply::to(InstanceUid::new([index; 16]), OFFERS)
                .remote_config(encoded.clone())
                .encode()
        })
        .collect();
    for reply in &replies {
        assert_eq!(reply.shared().as_ptr(), encoded.as_ptr());
        assert!(reply.head().len() < 32);
        assert_eq!(reply.to_vec(), [reply.head(), &encoded[..]].concat());
        assert_eq!(
            decoded(reply).remote_config,
            Some(remote_config(&"x".repeat(8192), &[9; 32]))
        );
    }
}

#[test]
fn cp_03_only_defined_bits_are_sent() {
    let all = ServerCapabilities::from_bits_truncate(u64::MAX);
    assert_eq!(decoded(&Reply::to(UID, all).encode()).capabilities, 0x7f);
    assert_eq!(
        AgentCapabilities::from_bits_truncate(u64::MAX),
        AgentCapabilities::ALL
    );
}

fn settings() -> proto::ConnectionSettingsOffers {
    proto::ConnectionSettingsOffers {
        hash: vec![1],
        opamp: Some(proto::OpAmpConnectionSettings::default()),
        own_logs: Some(proto::TelemetryConnectionSettings::default()),
        ..Default::default()
    }
}

#[test]
fn cp_05_cf_01_cn_01_pk_01_what_the_agent_does_not_claim_is_left_out() {
    let offering = |capabilities| {
        let reply = Reply::to(UID, OFFERS)
            .for_agent(capabilities)
            .report_available_components()
            .connection_settings(&settings())
            .packages(&proto::PackagesAvailable::default())
            .remote_config(encode_remote_config(&config("a: 1"), b"hash"));
        decoded(&reply.encode())
    };
    assert_eq!(offering(AgentCapabilities::REPORTS_STATUS), bare());
    let all = offering(AgentCapabilities::ALL);
    assert!(all.flags != 0 && all.remote_config.is_some() && all.packages_available.is_some());
    assert_eq!(all.connection_settings, Some(settings()));
    let logs = offering(AgentCapabilities::REPORTS_OWN_LOGS)
        .connection_settings
        .unwrap();
    assert!(logs.opamp.is_none() && logs.own_logs.is_some());
}

#[test]
fn bytes_that_are_a_message_already_are_sent_as_they_are() {
    let bytes = bare().encode_to_vec();
    let message = Encoded::from(bytes.clone());
    assert_eq!(
        (message.head(), message.to_vec()),
        (&bytes[..], bytes.clone())
    );
    assert!(!message.is_empty() && Encoded::default().is_empty());
}
