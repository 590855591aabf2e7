//! TLS on both planes, with certificates as an operator would configure them.

use std::sync::Arc;

use fleetsim::{Transport, Trust, certificate::Certificate};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use testkit::TestServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A server that speaks TLS on both planes, with further keys in `server.tls`.
pub async fn tls_server(
    certificate: &Certificate,
    directory: &std::path::Path,
    more: &str,
) -> TestServer {
    let (cert, key) = certificate.write(directory).expect("files");
    let files = format!(
        "cert_file: '{}', key_file: '{}'",
        cert.display(),
        key.display()
    );
    TestServer::builder()
        .server_config(&format!("tls: {{ enabled: true, {files}{more} }}"))
        .admin_config(&format!("tls: {{ enabled: true, {files} }}"))
        .start()
        .await
}

/// One request by hand over TLS that trusts `certificate` alone; gives the status line.
async fn request(
    certificate: &Certificate,
    address: std::net::SocketAddr,
    method: &str,
    path: &str,
) -> String {
    let mut roots = RootCertStore::empty();
    let root =
        CertificateDer::from_pem_slice(certificate.cert_pem().as_bytes()).expect("a certificate");
    roots.add(root).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .expect("a handshake");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    // A peer that ends without close_notify has still answered.
    drop(stream.read_to_end(&mut answer).await);
    let answer = String::from_utf8_lossy(&answer);
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn both_planes_speak_tls() {
    let directory = tempfile::tempdir().expect("a directory");
    let certificate = Certificate::generate().expect("a certificate");
    let server = tls_server(&certificate, directory.path(), "").await;
    assert_eq!(
        request(&certificate, server.admin_addr(), "GET", "/ready").await,
        "HTTP/1.1 200 OK"
    );
    assert_eq!(
        request(&certificate, server.agent_addr(), "GET", "/health").await,
        "HTTP/1.1 200 OK"
    );
    let mut fleets = Vec::new();
    for transport in [Transport::WebSocket, Transport::Http, Transport::Grpc] {
        let name = format!("{transport:?}").to_lowercase();
        let fleet = server
            .fleet_over(transport, 2, |options| {
                options.name = name;
                options.heartbeat = std::time::Duration::from_millis(100);
                options.trust = Trust::Roots(certificate.cert_pem().to_owned());
            })
            .await;
        testkit::fleet::wait_until_connected(&fleet).await;
        fleets.push(fleet);
    }
    // The API is behind TLS: the engine is asked instead.
    testkit::wait_until("all six to be known", async || {
        server.server().engine().known_agents() == 6
    })
    .await;
}

#[tokio::test]
async fn without_a_client_certificate_only_health_is_open_where_one_is_required() {
    let directory = tempfile::tempdir().expect("a directory");
    let certificate = Certificate::generate().expect("a certificate");
    let authority = directory.path().join("cert.pem");
    let more = format!(
        ", client_ca_file: '{}', client_auth: require_and_verify",
        authority.display()
    );
    let server = tls_server(&certificate, directory.path(), &more).await;
    assert_eq!(
        request(&certificate, server.agent_addr(), "GET", "/health").await,
        "HTTP/1.1 200 OK"
    );
    assert_eq!(
        request(&certificate, server.agent_addr(), "POST", "/v1/opamp").await,
        "HTTP/1.1 401 Unauthorized"
    );
}

#[tokio::test]
async fn a_silent_peer_does_not_keep_others_from_the_admin_plane() {
    let directory = tempfile::tempdir().expect("a directory");
    let certificate = Certificate::generate().expect("a certificate");
    let server = tls_server(&certificate, directory.path(), "").await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(
            TcpStream::connect(server.admin_addr())
                .await
                .expect("a connection"),
        );
    }
    assert_eq!(
        request(&certificate, server.admin_addr(), "GET", "/ready").await,
        "HTTP/1.1 200 OK"
    );
}
