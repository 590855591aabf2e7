//! Our own client against our own server: both sessions over real sockets, and the picture that the server has in the end.

use fleetsim::Transport;
use opamp::client::Event;
use opamp::model::{
    AgentCapabilities, ApplyState, AvailableComponents, ComponentDetails, ConfigFile, ConfigMap,
    Health, InstanceUid, RemoteConfigStatus,
};
use serde_json::Value;
use testkit::fleet::sha256_hex;
use testkit::{TestServer, wait_until};

use super::{Agent, only_agent, over_each};
use crate::{FIRST, SECOND};

const REPORTING: AgentCapabilities = AgentCapabilities::REPORTS_HEALTH
    .union(AgentCapabilities::REPORTS_EFFECTIVE_CONFIG)
    .union(AgentCapabilities::REPORTS_AVAILABLE_COMPONENTS)
    .union(AgentCapabilities::REPORTS_REMOTE_CONFIG)
    .union(AgentCapabilities::ACCEPTS_REMOTE_CONFIG)
    .union(AgentCapabilities::ACCEPTS_RESTART_COMMAND)
    .union(AgentCapabilities::REPORTS_HEARTBEAT);

fn health(status: &str) -> Health {
    Health {
        healthy: true,
        status: status.to_owned(),
        ..Health::default()
    }
}

fn files(body: &str) -> ConfigMap {
    ConfigMap::from([("config.yaml".to_owned(), ConfigFile::new(body, "text/yaml"))])
}

/// Whether the API shows this health and this effective config.
async fn shows(server: &TestServer, status: &str, body: &str) -> bool {
    let id = only_agent(server).await.id;
    let agent = server.api().agent(&id).await;
    let effective = agent.config.effective.map(|config| config.hash);
    agent.health.is_some_and(|health| health.status == status)
        && effective == Some(sha256_hex(body))
}

#[tokio::test]
async fn st_01_st_03_co_03_all_that_an_agent_reports_is_what_the_server_shows() {
    over_each(async |server, transport| {
        let mut session = Agent::session(1, REPORTING);
        session.set_health(&health("fine"));
        session.set_effective_config(&files(FIRST));
        session.set_available_components(&AvailableComponents {
            hash: b"all of them".to_vec(),
            components: Some([("otlp".to_owned(), ComponentDetails::default())].into()),
        });
        let agent = Agent::start(&server, transport, session);
        wait_until("the first report", async || {
            shows(&server, "fine", FIRST).await
        })
        .await;
        let id = only_agent(&server).await.id;
        wait_until("the inventory", async || {
            let components = server.api().agent(&id).await.components;
            components
                .and_then(|all| all.components)
                .is_some_and(|all| all.contains_key("otlp"))
        })
        .await;
        agent.client.session(|session| {
            session.set_health(&health("busy"));
            session.set_effective_config(&files(SECOND));
        });
        wait_until("the change", async || shows(&server, "busy", SECOND).await).await;
    })
    .await;
}

#[tokio::test]
async fn st_08_sq_08_what_changed_while_the_server_was_away_is_there_when_it_is_back() {
    over_each(async |mut server, transport| {
        let mut session = Agent::session(1, REPORTING);
        session.set_health(&health("fine"));
        session.set_effective_config(&files(FIRST));
        let agent = Agent::start(&server, transport, session);
        wait_until("the first report", async || {
            shows(&server, "fine", FIRST).await
        })
        .await;
        server.stop().await;
        for number in 0..20 {
            agent.client.session(|session| {
                session.set_health(&health(&number.to_string()));
                session.set_effective_config(&files(SECOND));
            });
        }
        server.start_again().await;
        wait_until("the newest", async || shows(&server, "19", SECOND).await).await;
    })
    .await;
}

#[tokio::test]
async fn cf_03_cf_06_cf_07_an_offer_is_told_and_the_answer_to_it_is_shown() {
    over_each(async |server, transport| {
        let mut session = Agent::session(1, REPORTING);
        session.set_effective_config(&files("{}"));
        let mut agent = Agent::start(&server, transport, session);
        only_agent(&server).await;
        for (body, state) in [(FIRST, ApplyState::Applied), (SECOND, ApplyState::Failed)] {
            server.api().release("base", "", body).await;
            let offer = agent
                .told(|event| match event {
                    Event::RemoteConfig(offer) => Some(offer),
                    _ => None,
                })
                .await;
            assert_eq!(offer.config, Some(files(body)));
            let error = if state == ApplyState::Failed {
                "no such exporter"
            } else {
                ""
            };
            agent.client.session(|session| {
                session.set_remote_config_status(&RemoteConfigStatus {
                    last_hash: offer.hash.clone(),
                    state,
                    error: error.to_owned(),
                });
            });
            let id = only_agent(&server).await.id;
            wait_until("the answer", async || {
                let reported = server.api().agent(&id).await.config.reported;
                reported.is_some_and(|reported| {
                    reported.hash == sha256_hex(body) && reported.error == error
                })
            })
            .await;
        }
    })
    .await;
}

#[tokio::test]
async fn cm_01_cm_02_a_restart_that_an_operator_asks_for_is_told() {
    over_each(async |server, transport| {
        let mut agent = Agent::start(&server, transport, Agent::session(1, REPORTING));
        let id = only_agent(&server).await.id;
        let path = format!("/api/v1/agents/{id}/restart");
        let answer = server.api().post(&path, &Value::Null).await;
        assert!(answer.status.is_success(), "{answer:?}");
        agent
            .told(|event| (event == Event::Restart).then_some(()))
            .await;
    })
    .await;
}

#[tokio::test]
async fn id_05_id_06_an_agent_that_shares_anothers_uid_goes_on_under_a_new_one() {
    for transport in [Transport::WebSocket, Transport::Grpc] {
        let server = TestServer::start().await;
        let _first = Agent::start(&server, transport, Agent::session(1, REPORTING));
        only_agent(&server).await;
        let mut second = Agent::start(&server, transport, Agent::session(1, REPORTING));
        let (old, new) = second
            .told(|event| match event {
                Event::UidChanged { old, new } => Some((old, new)),
                _ => None,
            })
            .await;
        assert_eq!(old, InstanceUid::new([1; 16]));
        assert_eq!(second.client.session(|session| session.uid()), new);
        wait_until("both to be listed", async || {
            let agents = server.api().agents("").await;
            agents.len() == 2
                && agents.iter().all(|agent| agent.connected)
                && agents
                    .iter()
                    .any(|agent| agent.instance_uid == new.to_string())
        })
        .await;
    }
}

#[tokio::test]
async fn id_03_id_05_an_agent_that_asks_for_a_uid_reports_under_the_one_it_is_given() {
    over_each(async |server, transport| {
        let mut session = Agent::session(1, REPORTING);
        session.request_uid();
        session.set_health(&health("fine"));
        let mut agent = Agent::start(&server, transport, session);
        let new = agent
            .told(|event| match event {
                Event::UidChanged { new, .. } => Some(new),
                _ => None,
            })
            .await;
        assert_eq!(agent.client.session(|session| session.uid()), new);
        wait_until("the new uid to be listed", async || {
            let agents = server.api().agents("").await;
            agents
                .iter()
                .any(|agent| agent.instance_uid == new.to_string())
        })
        .await;
    })
    .await;
}
