//! Offered configurations and settings, and commands.

use opamp::client::Event;
use opamp::model::{
    AgentCapabilities, ApplyState, ConfigFile, ConfigMap, ConnectionSettingsStatus,
};
use opamp::proto::{self, CommandType, ServerToAgent, ServerToAgentCommand, ServerToAgentFlags};

use super::{HOUR, Pair, over_each, quiet};
use crate::support::{REPORTING, remote_config};

#[tokio::test]
async fn cf_09_cf_10_a_map_of_files_arrives_as_it_is_whatever_its_names_and_bytes() {
    let offers = [
        ConfigMap::from([(String::new(), ConfigFile::new("a: 1", ""))]),
        ConfigMap::from([
            ("a.yaml".to_owned(), ConfigFile::new("a: 1", "text/yaml")),
            (
                "b/ü".to_owned(),
                ConfigFile::new(vec![0xff, 0x00], "application/x-nobody-knows"),
            ),
        ]),
    ];
    over_each(async |way| {
        let mut pair = Pair::start(way, quiet(REPORTING)).await;
        for (number, offered) in (0_u8..).zip(offers.clone()) {
            if number == 0 {
                pair.next().await;
            } else {
                pair.nudge().await;
            }
            let offer = proto::AgentRemoteConfig {
                config: Some((&offered).into()),
                config_hash: vec![number],
            };
            let told = pair
                .answer(ServerToAgent {
                    remote_config: Some(offer),
                    ..ServerToAgent::default()
                })
                .await;
            let [Event::RemoteConfig(offer)] = &told[..] else {
                panic!("{told:?}")
            };
            assert_eq!(offer.config.as_ref(), Some(&offered));
            assert_eq!(offer.hash, [number]);
        }
    })
    .await;
}

#[tokio::test]
async fn cm_02_a_command_is_told_and_what_comes_with_it_is_not() {
    over_each(async |way| {
        for accepts in [true, false] {
            let restarts = AgentCapabilities::ACCEPTS_RESTART_COMMAND;
            let capabilities = if accepts {
                REPORTING | restarts
            } else {
                REPORTING
            };
            let mut pair = Pair::start(way, quiet(capabilities)).await;
            let first = pair.next().await;
            let mixed = ServerToAgent {
                command: Some(ServerToAgentCommand {
                    r#type: CommandType::Restart.into(),
                }),
                remote_config: Some(remote_config("a: 1", b"h1")),
                flags: ServerToAgentFlags::ReportFullState as u64,
                ..ServerToAgent::default()
            };
            pair.peer.send(&mixed).await;
            pair.said_nothing_since(&first).await;
            let told = pair.answer(ServerToAgent::default()).await;
            let expected: &[Event] = if accepts { &[Event::Restart] } else { &[] };
            assert_eq!(told, expected);
        }
    })
    .await;
}

fn settings(opamp: Option<proto::OpAmpConnectionSettings>) -> ServerToAgent {
    ServerToAgent {
        connection_settings: Some(proto::ConnectionSettingsOffers {
            hash: b"s1".to_vec(),
            opamp,
            own_metrics: Some(proto::TelemetryConnectionSettings {
                destination_endpoint: "https://metrics/v1/metrics".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..ServerToAgent::default()
    }
}

#[tokio::test]
async fn cn_03_settings_that_are_left_out_stay_left_out_and_change_nothing() {
    over_each(async |way| {
        let mut session = quiet(AgentCapabilities::ALL);
        session.set_heartbeat_interval(HOUR);
        let mut pair = Pair::start(way, session).await;
        let first = pair.next().await;
        let told = pair.answer(settings(None)).await;
        let [Event::ConnectionSettings(offers)] = &told[..] else {
            panic!("{told:?}")
        };
        assert!(offers.opamp.is_none() && offers.own_traces.is_none());
        assert!(offers.own_metrics.is_some());
        let interval = pair.client.session(|session| session.heartbeat_interval());
        assert_eq!(interval, HOUR);
        pair.said_nothing_since(&first).await;
        assert_eq!(pair.answer(settings(None)).await, [], "the same hash again");
        pair.client.session(|session| {
            session.set_connection_settings_status(&ConnectionSettingsStatus {
                last_hash: b"s1".to_vec(),
                state: ApplyState::Failed,
                error: "unreachable".to_owned(),
            });
        });
        let failed = pair.next().await.connection_settings_status.unwrap();
        assert_eq!(failed.last_connection_settings_hash, b"s1");
        let again = pair.answer(settings(None)).await;
        assert!(
            matches!(&again[..], [Event::ConnectionSettings(_)]),
            "{again:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn cn_01_settings_of_a_class_that_the_agent_does_not_claim_are_not_told() {
    over_each(async |way| {
        let metrics = REPORTING | AgentCapabilities::REPORTS_OWN_METRICS;
        for (capabilities, told_metrics, told_opamp) in [
            (metrics, true, false),
            (
                REPORTING | AgentCapabilities::ACCEPTS_OPAMP_CONNECTION_SETTINGS,
                false,
                true,
            ),
        ] {
            let mut pair = Pair::start(way, quiet(capabilities)).await;
            pair.next().await;
            let opamp = proto::OpAmpConnectionSettings {
                destination_endpoint: "ws://elsewhere/".to_owned(),
                ..Default::default()
            };
            let told = pair.answer(settings(Some(opamp))).await;
            let [Event::ConnectionSettings(offers)] = &told[..] else {
                panic!("{told:?}")
            };
            assert_eq!(offers.own_metrics.is_some(), told_metrics);
            assert_eq!(offers.opamp.is_some(), told_opamp);
        }
    })
    .await;
}
