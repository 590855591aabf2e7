//! What both sides claim decides what travels.

use opamp::client::Event;
use opamp::model::{
    AgentCapabilities, ConnectionSettingsStatus, PackageStatuses, RemoteConfigStatus,
    ServerCapabilities,
};
use opamp::proto::{self, AgentToServer, ServerToAgent, ServerToAgentFlags};
use prost::Message as _;

use super::peer::to;
use super::{Pair, is_bare, over_each, quiet};
use crate::support::{REPORTING, UID, config, health, remote_config};

fn claiming(capabilities: ServerCapabilities) -> ServerToAgent {
    ServerToAgent {
        capabilities: capabilities.bits(),
        ..ServerToAgent::default()
    }
}

/// Everything that a server can offer.
fn everything() -> ServerToAgent {
    ServerToAgent {
        remote_config: Some(remote_config("a: 1", b"h1")),
        connection_settings: Some(proto::ConnectionSettingsOffers {
            hash: b"s1".to_vec(),
            opamp: Some(proto::OpAmpConnectionSettings {
                destination_endpoint: "ws://elsewhere/".to_owned(),
                heartbeat_interval_seconds: 7,
                ..Default::default()
            }),
            own_metrics: Some(proto::TelemetryConnectionSettings::default()),
            ..Default::default()
        }),
        packages_available: Some(proto::PackagesAvailable::default()),
        flags: ServerToAgentFlags::ReportAvailableComponents as u64,
        custom_message: Some(proto::CustomMessage {
            capability: "org.nobody.claims".to_owned(),
            ..Default::default()
        }),
        ..ServerToAgent::default()
    }
}

#[tokio::test]
async fn cp_04_changed_capabilities_are_said_at_once() {
    over_each(async |way| {
        let mut pair = Pair::settled(way, quiet(REPORTING)).await;
        let less = REPORTING.without(AgentCapabilities::ACCEPTS_REMOTE_CONFIG);
        pair.client
            .session(|session| session.set_capabilities(less));
        let message = pair.next().await;
        assert_eq!(message.capabilities, less.bits());
        assert!(is_bare(&message));
        let events = pair.answer(everything()).await;
        let offered = |event: &Event| matches!(event, Event::RemoteConfig(_));
        assert!(!events.iter().any(offered), "{events:?}");
    })
    .await;
}

#[tokio::test]
async fn cp_06_cp_09_what_the_server_does_not_claim_is_not_sent_to_it() {
    over_each(async |way| {
        let mut session = quiet(AgentCapabilities::ALL);
        session.request_certificate(b"a request".to_vec());
        let mut pair = Pair::start(way, session).await;
        let first = pair.next().await;
        pair.answer(claiming(ServerCapabilities::ACCEPTS_STATUS))
            .await;
        pair.client.session(|session| {
            session.set_effective_config(&config("a: 1"));
            session.set_package_statuses(&PackageStatuses::default());
        });
        pair.said_nothing_since(&first).await;
        pair.answer(claiming(ServerCapabilities::ALL)).await;
        let message = pair.next().await;
        assert!(message.effective_config.is_some() && message.package_statuses.is_some());
        assert!(message.connection_settings_request.is_some());
    })
    .await;
}

#[tokio::test]
async fn cp_07_cf_01_an_agent_that_claims_nothing_makes_nothing_of_offers() {
    over_each(async |way| {
        let mut pair = Pair::start(way, quiet(AgentCapabilities::REPORTS_HEALTH)).await;
        let first = pair.next().await;
        assert_eq!(pair.answer(everything()).await, []);
        pair.said_nothing_since(&first).await;
        assert_eq!(pair.answer(ServerToAgent::default()).await, []);
        // The same offers to an agent that claims all: each is told, so that the silence above means something.
        let mut pair = Pair::start(way, quiet(AgentCapabilities::ALL)).await;
        pair.next().await;
        let told = pair.answer(everything()).await;
        assert!(
            matches!(
                &told[..],
                [
                    Event::RemoteConfig(_),
                    Event::ConnectionSettings(_),
                    Event::Packages(_)
                ]
            ),
            "{told:?}"
        );
    })
    .await;
}

/// Whether a message has a part.
type Reports = fn(&AgentToServer) -> bool;

/// Sets every part that a capability promises.
fn report_all(pair: &Pair) {
    pair.client.session(|session| {
        session.set_health(&health(true, 1, 1_000));
        session.set_remote_config_status(&RemoteConfigStatus::default());
        session.set_package_statuses(&PackageStatuses::default());
        session.set_connection_settings_status(&ConnectionSettingsStatus::default());
    });
}

#[tokio::test]
async fn cp_08_each_promised_status_is_reported_and_no_other() {
    let promises: [(AgentCapabilities, Reports); 4] = [
        (AgentCapabilities::REPORTS_HEALTH, |message| {
            message.health.is_some()
        }),
        (AgentCapabilities::REPORTS_REMOTE_CONFIG, |message| {
            message.remote_config_status.is_some()
        }),
        (AgentCapabilities::REPORTS_PACKAGE_STATUSES, |message| {
            message.package_statuses.is_some()
        }),
        (
            AgentCapabilities::REPORTS_CONNECTION_SETTINGS_STATUS,
            |message| message.connection_settings_status.is_some(),
        ),
    ];
    over_each(async |way| {
        for (promise, _) in promises {
            let mut pair = Pair::settled(way, quiet(promise)).await;
            report_all(&pair);
            let message = pair.next().await;
            for (other, reports) in promises {
                assert_eq!(
                    reports(&message),
                    other == promise,
                    "{promise:?} {message:?}"
                );
            }
        }
    })
    .await;
}

#[tokio::test]
async fn cs_01_a_certificate_is_asked_for_once_and_only_of_a_server_that_takes_requests() {
    over_each(async |way| {
        let mut session = quiet(REPORTING);
        session.request_certificate(b"a PEM request".to_vec());
        let mut pair = Pair::start(way, session).await;
        assert_eq!(pair.next().await.connection_settings_request, None);
        pair.answer(claiming(
            ServerCapabilities::ACCEPTS_CONNECTION_SETTINGS_REQUEST,
        ))
        .await;
        let asked = pair.next().await;
        let opamp = asked.connection_settings_request.clone().unwrap().opamp;
        let csr = opamp.unwrap().certificate_request.unwrap().csr;
        assert_eq!(csr, b"a PEM request");
        pair.answer(ServerToAgent::default()).await;
        pair.said_nothing_since(&asked).await;
    })
    .await;
}

#[tokio::test]
async fn in_01_unknown_fields_and_bits_of_a_server_are_passed_over() {
    over_each(async |way| {
        let mut pair = Pair::start(way, quiet(REPORTING)).await;
        let first = pair.next().await;
        let mut message = to(UID);
        message.capabilities = u64::MAX;
        message.flags = 1 << 60;
        message.remote_config = Some(remote_config("a: 1", b"h1"));
        let mut bytes = message.encode_to_vec();
        // Fields 1000 to 1003: a number, 8 bytes, text, 4 bytes.
        bytes.extend([0xc0, 0x3e, 0x05]);
        bytes.extend([0xc9, 0x3e, 1, 2, 3, 4, 5, 6, 7, 8]);
        bytes.extend([0xd2, 0x3e, 2, b'h', b'i']);
        bytes.extend([0xdd, 0x3e, 1, 2, 3, 4]);
        pair.peer.send_bytes(bytes).await;
        let next = pair.said_nothing_since(&first).await;
        assert_eq!(next.capabilities, REPORTING.bits());
        let told = pair.answer(ServerToAgent::default()).await;
        assert!(
            matches!(
                &told[..],
                [Event::ServerCapabilities(all), Event::RemoteConfig(offer)]
                if *all == ServerCapabilities::ALL && offer.hash == b"h1"
            ),
            "{told:?}"
        );
    })
    .await;
}
