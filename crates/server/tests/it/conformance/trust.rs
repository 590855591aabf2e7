//! Credentials: first use, and requests for certificates.

use fleetsim::certificate::Certificate;
use fleetsim::{Transport, Trust};
use opamp::proto::{
    AgentToServer, CertificateRequest, ConnectionSettingsRequest, OpAmpConnectionSettingsRequest,
    ServerErrorResponseType,
};
use serde_json::Value;
use testkit::fleet::wait_until_connected;
use testkit::{TestServer, wait_until};

use super::raw::exchange;
use super::{ACCEPTS_CONFIG, REPORTS_STATUS, Raw, only_agent, over_each};
use crate::FIRST;

#[tokio::test]
async fn cs_05_a_certificate_request_that_is_not_granted_gets_bad_request() {
    over_each(async |server, transport| {
        let mut raw = Raw::connect(&server, transport, 1, REPORTS_STATUS).await;
        let asked = AgentToServer {
            connection_settings_request: Some(ConnectionSettingsRequest {
                opamp: Some(OpAmpConnectionSettingsRequest {
                    certificate_request: Some(CertificateRequest {
                        csr: b"-----BEGIN CERTIFICATE REQUEST-----".to_vec(),
                    }),
                }),
            }),
            ..raw.described()
        };
        let reply = match transport {
            Transport::Http => {
                let (status, reply) = exchange(&server, &asked).await;
                assert_eq!(status, 200, "clients read the body of no other");
                reply
            }
            _ => raw.say(asked).await,
        };
        let error = reply.error_response.expect("an error");
        assert_eq!(error.r#type(), ServerErrorResponseType::BadRequest);
        assert!(error.error_message.contains("certificates"), "{error:?}");
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

#[tokio::test]
async fn tf_02_a_pending_agent_is_offered_nothing_until_it_is_approved() {
    for transport in super::TRANSPORTS {
        let server = TestServer::builder()
            .config("agents: { approval: manual }\n")
            .start()
            .await;
        server.api().release("base", "", FIRST).await;
        let mut raw = Raw::connect(&server, transport, 1, REPORTS_STATUS | ACCEPTS_CONFIG).await;
        let first = raw.described();
        assert_eq!(raw.say(first).await.remote_config, None);
        for _ in 0..5 {
            let reply = raw.beat().await;
            assert_eq!((reply.remote_config, reply.error_response), (None, None));
        }
        let id = only_agent(&server).await.id;
        let path = format!("/api/v1/agents/{id}/approve");
        server.api().post(&path, &Value::Null).await.ok::<Value>();
        let offer = raw.until_offered().await;
        let files = offer.config.expect("a config").config_map;
        assert_eq!(
            files.values().next().expect("a file").body,
            FIRST.as_bytes()
        );
    }
}
