//! Requirements of the protocol that only a whole server shows, over real sockets: two transports side by side, what a reply
//! is, and who counts as gone.

use api_types::agents::AgentSummary;
use fleetsim::certificate::Certificate;
use fleetsim::{Transport, Trust};
use futures_util::{SinkExt as _, StreamExt as _};
use opamp::proto::{
    AgentCapabilities, AgentConfigFile, AgentConfigMap, AgentDescription, AgentToServer,
    CertificateRequest, ConnectionSettingsRequest, EffectiveConfig, OpAmpConnectionSettingsRequest,
    ServerErrorResponseType, ServerToAgent, ServerToAgentFlags,
};
use prost::Message as _;
use testkit::fleet::wait_until_connected;
use testkit::{TestServer, wait_until};
use tokio_tungstenite::tungstenite::Message;

const REPORTS_STATUS: u64 = AgentCapabilities::ReportsStatus as u64;
const REPORTS_EFFECTIVE_CONFIG: u64 = AgentCapabilities::ReportsEffectiveConfig as u64;

/// A report with everything that the server would else ask for.
fn report(uid: u8, capabilities: u64) -> AgentToServer {
    AgentToServer {
        instance_uid: vec![uid; 16],
        sequence_num: 1,
        capabilities,
        agent_description: Some(AgentDescription::default()),
        ..AgentToServer::default()
    }
}

/// One exchange over plain HTTP: the status and the reply.
async fn exchange(server: &TestServer, message: &AgentToServer) -> (u16, ServerToAgent) {
    let answer = reqwest::Client::new()
        .post(format!("http://{}/v1/opamp", server.agent_addr()))
        .header("content-type", "application/x-protobuf")
        .body(message.encode_to_vec())
        .send()
        .await
        .expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.bytes().await.expect("a body");
    (status, ServerToAgent::decode(body).expect("a reply"))
}

/// The one agent that there is, once it is listed.
async fn only_agent(server: &TestServer) -> AgentSummary {
    let mut agents = Vec::new();
    wait_until("the agent to be listed", async || {
        agents = server.api().agents("").await;
        !agents.is_empty()
    })
    .await;
    assert_eq!(agents.len(), 1, "{agents:?}");
    agents.remove(0)
}

fn asks_for_full_state(reply: &ServerToAgent) -> bool {
    reply.flags & ServerToAgentFlags::ReportFullState as u64 != 0
}

#[tokio::test]
async fn tr_01_plain_http_and_websocket_are_served_side_by_side() {
    let server = TestServer::start().await;
    let over_websocket = server.fleet(2, |_| {}).await;
    let over_http = server
        .fleet_over(Transport::Http, 2, |options| options.name = "http".into())
        .await;
    wait_until_connected(&over_websocket).await;
    wait_until_connected(&over_http).await;
    wait_until("all four in one list", async || {
        let agents = server.api().agents("").await;
        agents.len() == 4 && agents.iter().all(|agent| agent.connected)
    })
    .await;
}

#[tokio::test]
async fn tr_03_without_a_word_agents_dial_port_4320() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("config.yaml");
    std::fs::write(&file, "").expect("a file");
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_opamp-server"))
        .arg("check-config")
        .arg(&file)
        .output()
        .await
        .expect("an answer");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("agent plane: 127.0.0.1:4320"), "{text}");
}

#[tokio::test]
async fn st_09_an_error_response_is_there_exactly_if_the_report_was_not_taken() {
    let server = TestServer::start().await;
    let (status, reply) = exchange(&server, &report(1, REPORTS_STATUS)).await;
    assert_eq!(status, 200);
    assert_eq!(reply.error_response, None);
    let short = AgentToServer {
        instance_uid: vec![1; 3],
        ..report(1, REPORTS_STATUS)
    };
    let (status, reply) = exchange(&server, &short).await;
    assert_eq!(status, 400);
    assert!(reply.error_response.is_some());
}

#[tokio::test]
async fn cs_05_a_certificate_request_that_is_not_granted_gets_bad_request() {
    let server = TestServer::start().await;
    let asked = AgentToServer {
        connection_settings_request: Some(ConnectionSettingsRequest {
            opamp: Some(OpAmpConnectionSettingsRequest {
                certificate_request: Some(CertificateRequest {
                    csr: b"-----BEGIN CERTIFICATE REQUEST-----".to_vec(),
                }),
            }),
        }),
        ..report(1, REPORTS_STATUS)
    };
    let (_, reply) = exchange(&server, &asked).await;
    let error = reply.error_response.expect("an error");
    assert_eq!(error.r#type(), ServerErrorResponseType::BadRequest);
    assert!(error.error_message.contains("certificates"), "{error:?}");
}

#[tokio::test]
async fn cf_02_no_effective_config_is_expected_of_an_agent_that_does_not_report_any() {
    let server = TestServer::start().await;
    let first = report(1, REPORTS_STATUS);
    exchange(&server, &first).await;
    for sequence_num in 2..5 {
        let heartbeat = AgentToServer {
            sequence_num,
            agent_description: None,
            ..first.clone()
        };
        let (_, reply) = exchange(&server, &heartbeat).await;
        assert!(!asks_for_full_state(&reply), "{reply:?}");
    }
    let id = only_agent(&server).await.id;
    assert!(server.api().agent(&id).await.config.effective.is_none());
}

#[tokio::test]
async fn cf_10_a_reported_file_is_opaque_bytes_of_any_content_type() {
    let server = TestServer::start().await;
    let body = vec![0xff, 0x00, 0xfe];
    let file = AgentConfigFile {
        body: body.clone(),
        content_type: "application/x-nobody-knows".to_owned(),
    };
    let mut message = report(1, REPORTS_STATUS | REPORTS_EFFECTIVE_CONFIG);
    message.effective_config = Some(EffectiveConfig {
        config_map: Some(AgentConfigMap {
            config_map: [("odd.bin".to_owned(), file)].into(),
        }),
    });
    let (status, reply) = exchange(&server, &message).await;
    assert_eq!((status, reply.error_response), (200, None));
    let id = only_agent(&server).await.id;
    wait_until("the file to be shown", async || {
        let agent = server.api().agent(&id).await;
        let effective = agent.config.effective;
        let file = effective
            .as_ref()
            .and_then(|config| config.files.get("odd.bin"));
        file.is_some_and(|file| {
            file.size_bytes == body.len() as u64
                && file.content_type == "application/x-nobody-knows"
                && file.body.is_none()
        })
    })
    .await;
}

#[tokio::test]
async fn hb_04_who_promised_no_heartbeats_is_not_gone_for_sending_none() {
    let server = TestServer::builder()
        .config("timing: { ping_interval: 200ms, liveness: 1s }\n")
        .start()
        .await;
    let url = format!("ws://{}/v1/opamp", server.agent_addr());
    let (mut socket, _) = tokio_tungstenite::connect_async(url)
        .await
        .expect("a WebSocket");
    let message = [&[0], &report(1, REPORTS_STATUS).encode_to_vec()[..]].concat();
    socket.send(Message::binary(message)).await.expect("sent");
    // It answers pings and says no more, for twice its liveness.
    let mut pings = 0;
    while pings < 10 {
        let received = socket.next().await.expect("an open connection");
        pings += u32::from(received.expect("a frame").is_ping());
    }
    assert!(only_agent(&server).await.connected);
}

#[tokio::test]
async fn hb_05_who_is_silent_for_its_liveness_counts_as_gone() {
    let server = TestServer::builder()
        .config("timing: { ping_interval: 500ms, liveness: 1s }\n")
        .start()
        .await;
    exchange(&server, &report(1, REPORTS_STATUS)).await;
    only_agent(&server).await;
    wait_until("the agent to count as gone", async || {
        !only_agent(&server).await.connected
    })
    .await;
}

#[tokio::test]
async fn tf_01_an_agent_without_a_certificate_connects_over_verified_tls_and_reports() {
    let certificate = Certificate::generate().expect("a certificate");
    let directory = tempfile::tempdir().expect("a directory");
    let server = crate::tls::tls_server(&certificate, directory.path(), "").await;
    let fleet = server
        .fleet(1, |options| {
            options.trust = Trust::Roots(certificate.cert_pem().to_owned())
        })
        .await;
    wait_until_connected(&fleet).await;
    // The API is behind TLS: the engine is asked instead.
    wait_until("its report", async || {
        server.server().engine().known_agents() == 1
    })
    .await;
}
