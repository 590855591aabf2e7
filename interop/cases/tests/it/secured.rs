//! The agent on a server that trusts nobody without a token and a certificate, over each transport.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use api_types::agents::ConfigState;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use runtime::{Environment, SystemClock};
use serde_json::json;
use server::Server;
use server::config::Settings;
use testkit::Api;

use crate::harness::{Agent, collector};
use crate::managed::{push, until_agent};
use crate::telemetry::Pipeline;

const ADMIN_TOKEN: &str = "test-administrators-token";

/// An authority and what it signed, as files.
struct Certificates {
    directory: tempfile::TempDir,
}

impl Certificates {
    fn make() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"))
            .expect("an authority");
        std::fs::write(directory.path().join("ca.pem"), authority.pem()).expect("written");
        for (name, usage) in [
            ("server", ExtendedKeyUsagePurpose::ServerAuth),
            ("agent", ExtendedKeyUsagePurpose::ClientAuth),
        ] {
            let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("parameters");
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate().expect("a key");
            let certificate = params.signed_by(&key, &authority).expect("a certificate");
            let path = |ending: &str| directory.path().join(format!("{name}.{ending}"));
            std::fs::write(path("pem"), certificate.pem()).expect("written");
            std::fs::write(path("key"), key.serialize_pem()).expect("written");
        }
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The keys of `tls` for one side.
    fn keys(&self, side: &str) -> String {
        format!(
            "cert_file: '{}', key_file: '{}'",
            self.path(&format!("{side}.pem")).display(),
            self.path(&format!("{side}.key")).display()
        )
    }
}

async fn start(certificates: &Certificates, data: &Path) -> Server {
    let text = format!(
        "server:\n  listen: {{ grpc: '127.0.0.1:0', http: '127.0.0.1:0' }}\n\
         \x20 tls: {{ enabled: true, {}, client_ca_file: '{}', client_auth: require_and_verify }}\n\
         agents: {{ auth: token }}\ndata_dir: '{}'\nadmin: {{ bootstrap_token: {ADMIN_TOKEN} }}\n",
        certificates.keys("server"),
        certificates.path("ca.pem").display(),
        data.display(),
    );
    let settings = Settings::parse("test.yaml", &text, &Environment::default()).expect("settings");
    Server::start(settings, Arc::new(SystemClock))
        .await
        .expect("a server")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_and_a_certificate_open_every_transport() {
    let Some(collector) = collector() else { return };
    let certificates = Certificates::make();
    let data = tempfile::tempdir().expect("a directory");
    let server = start(&certificates, data.path()).await;
    let api = Api::new(
        format!("http://{}", server.admin_addr()),
        Some(ADMIN_TOKEN.to_owned()),
    );
    let (token, _) = api.agent_token(&json!({"team": "edge"})).await;
    for scheme in ["wss", "https", "grpcs"] {
        let keys = |token: &str, ca: &Path| {
            format!(
                "endpoint: '{scheme}://{}/v1/opamp', headers: {{ authorization: 'Bearer {token}' }}, \
                 tls: {{ {}, ca_file: '{}' }}",
                server.agent_addr(),
                certificates.keys("agent"),
                ca.display(),
            )
        };
        let agent = Agent::start_with(&collector, &keys(&token, &certificates.path("ca.pem")));
        let pipeline = Pipeline::new(agent.directory.path().join("out.json"));
        let seen = until_agent(&api, "the agent", |agent| {
            agent.summary.connected && agent.description.is_some()
        })
        .await;
        assert_eq!(seen.summary.labels["team"], "edge", "the token's label");
        let applied = push(&api, &pipeline.config(100, "red")).await;
        assert_eq!(applied.config.state, ConfigState::Applied, "{scheme}");
        assert!(
            !agent.log().contains(&token),
            "the token stays out of the log"
        );
        drop(agent);
        until_agent(&api, "its end", |agent| !agent.summary.connected).await;
        let answer = api
            .delete(&format!("/api/v1/agents/{}", seen.summary.id))
            .await;
        assert!(answer.status.is_success(), "{}", answer.text);

        let stranger = Agent::start_with(
            &collector,
            &keys("opamp_agt_none", &certificates.path("ca.pem")),
        );
        stranger.until_logged("401").await;
        let lost = Agent::start_with(&collector, &keys(&token, &certificates.path("server.pem")));
        lost.until_logged("connect_failed").await;
        assert!(api.agents("").await.is_empty(), "nobody came in");
    }
    server.stop().await.expect("a good end");
}
