//! TLS on the agent plane: versions, ALPN, client certificates, and files that do not do.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use engine::AgentsAuth;
use gateway::{ClientAuth, Tls, TlsError, TlsFiles};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opamp::{grpc::typed::op_amp_service_client::OpAmpServiceClient, proto::ServerToAgent};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Endpoint, Uri};

use crate::{
    peers::{Http, Peer, full_report, uid},
    plane::{PATIENCE, Plane, body_of, within},
    websocket::{HANDSHAKE, message_frame, read_message},
};

/// An authority, a server certificate and the files of both.
struct Pki {
    directory: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, as a client shows it.
type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl Pki {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let authority = authority();
        let (certificate, key) = issue(&authority, &["localhost"], |_| {});
        fs::write(directory.path().join("cert.pem"), certificate.pem()).unwrap();
        fs::write(directory.path().join("key.pem"), key.serialize_pem()).unwrap();
        fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
        Self {
            directory,
            authority,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn files(&self, client_auth: ClientAuth) -> TlsFiles {
        TlsFiles {
            cert_file: self.path("cert.pem"),
            key_file: self.path("key.pem"),
            client_ca_file: Some(self.path("ca.pem")),
            client_auth,
            cipher_suites: Vec::new(),
        }
    }

    fn tls(&self, client_auth: ClientAuth) -> Tls {
        Tls::from_files(&self.files(client_auth)).unwrap()
    }

    /// A client that trusts the authority.
    fn client(&self, identity: Option<Identity>, alpn: &[&[u8]]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            Some((certificate, key)) => builder
                .with_client_auth_cert(vec![certificate], key)
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(
    authority: &CertifiedIssuer<'static, KeyPair>,
    names: &[&str],
    adjust: impl FnOnce(&mut CertificateParams),
) -> (rcgen::Certificate, KeyPair) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    adjust(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap(), key)
}

fn identity(authority: &CertifiedIssuer<'static, KeyPair>) -> Identity {
    let (certificate, key) = issue(authority, &["edge-1"], |_| {});
    (
        certificate.der().clone(),
        PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
    )
}

async fn connect(
    address: SocketAddr,
    config: ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    within(TlsConnector::from(Arc::new(config)).connect(name, tcp)).await
}

async fn plane(tls: Tls) -> Plane {
    Plane::start_with(|setup| setup.gateway.tls = Some(tls)).await
}

#[tokio::test]
async fn a_websocket_over_tls_1_3_reports_and_is_pushed_to() {
    let pki = Pki::new();
    let plane = plane(pki.tls(ClientAuth::None)).await;
    let stream = connect(plane.address, pki.client(None, &[b"http/1.1"]))
        .await
        .unwrap();
    let (_, session) = stream.get_ref();
    assert_eq!(
        session.protocol_version(),
        Some(rustls::ProtocolVersion::TLSv1_3)
    );
    assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut peer = Peer::over(stream, uid(1), None).await.unwrap();
    assert!(
        peer.say(full_report(uid(1), 1))
            .await
            .error_response
            .is_none()
    );
    let body = body_of(900_000);
    plane.release(&body).await;
    let offer = peer.receive().await.remote_config.unwrap();
    assert_eq!(offer.config.unwrap().config_map["config.yaml"].body, body);
    assert!(peer.beat().await.error_response.is_none());
}

#[tokio::test]
async fn plain_http_and_http_2_work_over_tls() {
    let pki = Pki::new();
    let plane = plane(pki.tls(ClientAuth::None)).await;
    let mut http = Http(connect(plane.address, pki.client(None, &[])).await.unwrap());
    assert_eq!(http.post_message(&full_report(uid(1), 1)).await.status, 200);

    let stream = connect(plane.address, pki.client(None, &[b"h2"]))
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get("https://localhost/health")
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let response = within(sender.send_request(request)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "{\"status\":\"ok\"}\n"
    );
    connection.abort();
}

#[tokio::test]
async fn grpc_works_over_tls() {
    let pki = Pki::new();
    let plane = plane(pki.tls(ClientAuth::None)).await;
    let (address, config) = (plane.address, pki.client(None, &[b"h2"]));
    let connector = tower::service_fn(move |_: Uri| {
        let config = config.clone();
        async move { connect(address, config).await.map(TokioIo::new) }
    });
    let channel = Endpoint::from_static("http://localhost")
        .connect_with_connector(connector)
        .await
        .unwrap();
    let messages = futures_util::stream::iter([full_report(uid(1), 1)]);
    let messages = futures_util::StreamExt::chain(messages, futures_util::stream::pending());
    let mut replies = within(OpAmpServiceClient::new(channel).connect(messages))
        .await
        .unwrap()
        .into_inner();
    let reply: ServerToAgent = within(replies.message()).await.unwrap().unwrap();
    assert_eq!(reply.instance_uid, uid(1).as_bytes());
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let pki = Pki::new();
    let plane = plane(pki.tls(ClientAuth::None)).await;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(pki.authority.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    assert!(connect(plane.address, config).await.is_err());
}

#[tokio::test]
async fn without_a_required_client_certificate_only_health_is_answered() {
    let pki = Pki::new();
    let plane = plane(pki.tls(ClientAuth::RequireAndVerify)).await;
    let open = async || Http(connect(plane.address, pki.client(None, &[])).await.unwrap());
    assert_eq!(open().await.get("/health").await.status, 200);
    assert_eq!(
        open()
            .await
            .post_message(&full_report(uid(1), 1))
            .await
            .status,
        401
    );
    assert_eq!(open().await.get("/v1/metrics").await.status, 401);
    let stream = connect(plane.address, pki.client(None, &[])).await.unwrap();
    let refused = Peer::over(stream, uid(1), None).await.err().unwrap();
    let tokio_tungstenite::tungstenite::Error::Http(response) = refused else {
        panic!("{refused}")
    };
    assert_eq!(response.status(), 401);
}

#[tokio::test]
async fn a_client_certificate_of_the_authority_lets_in_and_another_does_not() {
    let pki = Pki::new();
    let plane = plane(pki.tls(ClientAuth::RequireAndVerify)).await;
    let config = pki.client(Some(identity(&pki.authority)), &[]);
    let mut peer = Peer::over(connect(plane.address, config).await.unwrap(), uid(1), None)
        .await
        .unwrap();
    assert!(
        peer.say(full_report(uid(1), 1))
            .await
            .error_response
            .is_none()
    );

    // The client ends its handshake before the server has seen the certificate, so the refusal shows with the first read.
    let stranger = pki.client(Some(identity(&authority())), &[]);
    if let Ok(stream) = connect(plane.address, stranger).await {
        assert!(Peer::over(stream, uid(2), None).await.is_err());
    }
}

#[tokio::test]
async fn a_certificate_whose_time_is_over_at_session_start_is_401() {
    let pki = Pki::new();
    // Valid for the handshake, which goes by the system's clock; over by the server's own, which tells the time of sessions.
    let late = gateway::Clock::new(|| "2999-01-01T00:00:00Z".parse().unwrap());
    let plane = Plane::start_with(|setup| {
        setup.gateway.tls = Some(pki.tls(ClientAuth::Optional));
        setup.gateway.clock = late;
    })
    .await;
    let (certificate, key) = issue(&pki.authority, &["edge-1"], |params| {
        params.not_after = rcgen::date_time_ymd(2900, 1, 1)
    });
    let expired = (
        certificate.der().clone(),
        PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
    );
    let mut http = Http(
        connect(plane.address, pki.client(Some(expired), &[]))
            .await
            .unwrap(),
    );
    assert_eq!(http.post_message(&full_report(uid(1), 1)).await.status, 401);
    let mut http = Http(connect(plane.address, pki.client(None, &[])).await.unwrap());
    assert_eq!(http.post_message(&full_report(uid(1), 1)).await.status, 200);
}

#[tokio::test]
async fn where_a_token_is_asked_for_a_certificate_does_not_replace_it() {
    let pki = Pki::new();
    let plane = Plane::start_with(|setup| {
        setup.gateway.tls = Some(pki.tls(ClientAuth::RequireAndVerify));
        setup.engine.auth = AgentsAuth::Token;
    })
    .await;
    let (token, _) = plane.token();
    let open = async || {
        connect(
            plane.address,
            pki.client(Some(identity(&pki.authority)), &[]),
        )
        .await
        .unwrap()
    };
    assert!(Peer::over(open().await, uid(1), None).await.is_err());
    assert!(Peer::over(open().await, uid(1), Some(&token)).await.is_ok());
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_come_to_its_end_is_cut() {
    let pki = Pki::new();
    let plane = Plane::start_with(|setup| {
        setup.gateway.tls = Some(pki.tls(ClientAuth::None));
        setup.gateway.times.tls_handshake = Duration::from_millis(200);
        setup.gateway.times.head = Duration::from_millis(200);
    })
    .await;
    let mut silent = Http::connect(plane.address).await;
    assert!(silent.is_ended().await);
    let mut dripping = Http::connect(plane.address).await;
    dripping.send(b"\x16\x03\x01\x02\x00\x01").await;
    assert!(dripping.is_ended().await);
    let mut without_request = connect(plane.address, pki.client(None, &[])).await.unwrap();
    assert!(within(without_request.read_u8()).await.is_err());
}

#[tokio::test]
async fn a_tls_hello_without_an_end_is_cut() {
    let pki = Pki::new();
    let tls = pki.tls(ClientAuth::None);
    let plane = Plane::start_with(|setup| {
        setup.gateway.tls = Some(tls);
        // It is not time that ends it.
        setup.gateway.times.tls_handshake = 4 * PATIENCE;
    })
    .await;
    let mut http = Http::connect(plane.address).await;
    // Records of 1,000 bytes of a hello that says it has 60,000, of which half are sent.
    let mut hello = vec![1, 0, 0xea, 0x60];
    hello.resize(30_000, 0);
    for piece in hello.chunks(1_000) {
        let mut record = vec![0x16, 3, 1];
        record.extend(u16::try_from(piece.len()).unwrap().to_be_bytes());
        record.extend(piece);
        // The server may have gone already.
        within(http.0.write_all(&record)).await.ok();
    }
    assert!(http.is_ended().await);
}

/// As many agents as one connection carries, whose answers are a config each: sent at once, and read only then.
#[tokio::test]
async fn answers_that_tls_took_and_the_socket_did_not_arrive_without_a_further_word() {
    const AGENTS: u8 = 250;
    let pki = Pki::new();
    let plane = Plane::start_with(|setup| {
        setup.gateway.tls = Some(pki.tls(ClientAuth::None));
        // Nothing else is written that could push out what waits.
        setup.gateway.times.ping_interval = Duration::from_secs(3600);
        setup.gateway.times.idle = Duration::from_secs(3600);
        setup.gateway.times.write_stall = Duration::from_secs(3600);
    })
    .await;
    let config = Arc::new(pki.client(None, &[b"http/1.1"]));
    let tcp = crate::slow_readers::narrow(plane.address).await;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = within(TlsConnector::from(config).connect(name, tcp)).await;
    let mut raw = Http(stream.unwrap());
    raw.send(HANDSHAKE).await;
    assert_eq!(raw.answer().await.status, 101);
    let reports = |sequence: u64, hash: &[u8]| -> Vec<u8> {
        let report = |byte| {
            let mut report = full_report(uid(byte), sequence);
            let status = report.remote_config_status.as_mut().unwrap();
            status.last_remote_config_hash = hash.to_vec();
            message_frame(&report)
        };
        (0..AGENTS).flat_map(report).collect()
    };
    raw.send(&reports(1, b"")).await;
    for _ in 0..AGENTS {
        read_message(&mut raw).await;
    }
    for (round, bytes) in (0..).zip([20_000, 25_000, 40_000, 60_000]) {
        plane.release(&body_of(bytes)).await;
        for _ in 0..AGENTS {
            assert!(read_message(&mut raw).await.remote_config.is_some());
        }
        // Whoever runs something else is sent it again: all of it together is more than the socket takes.
        raw.send(&reports(u64::from(round) + 2, &[round])).await;
        for _ in 0..AGENTS {
            assert!(read_message(&mut raw).await.remote_config.is_some());
        }
    }
}

#[tokio::test]
async fn plain_http_to_a_tls_port_is_cut() {
    let pki = Pki::new();
    let plane = plane(pki.tls(ClientAuth::None)).await;
    let mut raw = Http::connect(plane.address).await;
    raw.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut rest = Vec::new();
    within(raw.0.read_to_end(&mut rest)).await.ok();
    assert!(!rest.starts_with(b"HTTP"));
}

#[test]
fn files_that_do_not_do_are_named() {
    let pki = Pki::new();
    let check = |adjust: &dyn Fn(&mut TlsFiles), expected: &str| {
        let mut files = pki.files(ClientAuth::RequireAndVerify);
        adjust(&mut files);
        let error = Tls::from_files(&files).unwrap_err();
        let chain = anyhow_chain(&error);
        assert!(chain.contains(expected), "{chain}");
    };
    check(
        &|files| files.cert_file = "/nowhere/cert.pem".into(),
        "certificates from /nowhere/cert.pem: No such file",
    );
    check(
        &|files| files.key_file = pki.path("cert.pem"),
        "private key",
    );
    check(
        &|files| files.cert_file = pki.path("key.pem"),
        "no such section",
    );
    check(
        &|files| files.client_ca_file = None,
        "client_auth needs client_ca_file",
    );
    check(
        &|files| files.cipher_suites = vec!["TLS_NULL".into()],
        "\"TLS_NULL\" (known: TLS_",
    );
    let other = Pki::new();
    check(
        &|files| files.key_file = other.path("key.pem"),
        "using the certificate and key",
    );
}

#[test]
fn cipher_suites_are_known_by_their_iana_names() {
    let pki = Pki::new();
    let suites = [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    ];
    for suite in suites {
        let files = TlsFiles {
            cipher_suites: vec![suite.to_owned()],
            ..pki.files(ClientAuth::None)
        };
        Tls::from_files(&files).unwrap();
    }
    let none: Result<Tls, TlsError> = Tls::from_files(&TlsFiles::default());
    assert!(none.is_err());
    assert!(Path::new(&pki.path("ca.pem")).exists());
}

fn anyhow_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
