//! TLS of the client transports: whom they trust, and who they say they are.

use std::sync::Arc;

use opamp::transport::{ConnectError, ConnectOptions, Connection, TlsOptions, TlsVersion};
use rcgen::ExtendedKeyUsagePurpose;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::certificates::Authority;
use crate::peers::{listen, options, within};
use crate::support::UID;

/// What a server sees of a handshake: the protocol, and whether there was a client certificate.
type Seen = std::io::Result<(Option<Vec<u8>>, bool, Option<rustls::ProtocolVersion>)>;

async fn accept(listener: &TcpListener, config: &Arc<ServerConfig>) -> Seen {
    let (stream, _) = listener.accept().await?;
    let stream = TlsAcceptor::from(Arc::clone(config)).accept(stream).await?;
    let tls = stream.get_ref().1;
    Ok((
        tls.alpn_protocol().map(<[u8]>::to_vec),
        tls.peer_certificates().is_some(),
        tls.protocol_version(),
    ))
}

/// Handshakes over plain HTTP's transport, which speaks nothing after it.
async fn handshake(
    tls: TlsOptions,
    config: &Arc<ServerConfig>,
) -> (Result<Connection, ConnectError>, Seen) {
    let listener = listen().await;
    let options = ConnectOptions {
        tls,
        ..options("https", &listener)
    };
    within(async {
        tokio::join!(
            Connection::connect(&options, UID),
            accept(&listener, config)
        )
    })
    .await
}

fn trusting(authority: &Authority) -> TlsOptions {
    TlsOptions {
        ca_pem: Some(authority.pem.clone().into()),
        ..TlsOptions::default()
    }
}

#[tokio::test]
async fn cn_15_a_given_ca_is_trusted_and_no_client_certificate_is_shown() {
    let authority = Authority::new();
    let (connected, seen) = handshake(
        trusting(&authority),
        &authority.server("localhost", b"http/1.1"),
    )
    .await;
    assert!(connected.is_ok(), "{connected:?}");
    let expected = (
        Some(b"http/1.1".to_vec()),
        false,
        Some(rustls::ProtocolVersion::TLSv1_3),
    );
    assert_eq!(seen.unwrap(), expected);
}

#[tokio::test]
async fn an_unknown_ca_and_a_wrong_name_are_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let config = authority.server("localhost", b"http/1.1");
    let (connected, _) = handshake(trusting(&other), &config).await;
    assert!(
        matches!(connected, Err(ConnectError::Tls(_))),
        "{connected:?}"
    );
    let wrong_name = authority.server("elsewhere", b"http/1.1");
    let (connected, _) = handshake(trusting(&authority), &wrong_name).await;
    assert!(
        matches!(connected, Err(ConnectError::Tls(_))),
        "{connected:?}"
    );
}

#[tokio::test]
async fn cn_15_verification_can_be_skipped() {
    let config = Authority::new().server("elsewhere", b"http/1.1");
    let tls = TlsOptions {
        insecure_skip_verify: true,
        ..TlsOptions::default()
    };
    assert!(handshake(tls, &config).await.0.is_ok());
}

#[tokio::test]
async fn cn_12_a_client_certificate_is_shown_where_there_is_one() {
    let authority = Authority::new();
    let identity = authority.issue("agent", ExtendedKeyUsagePurpose::ClientAuth);
    let tls = TlsOptions {
        cert_pem: Some(identity.cert.into()),
        key_pem: Some(identity.key.into()),
        ..trusting(&authority)
    };
    let (connected, seen) = handshake(tls, &authority.server("localhost", b"http/1.1")).await;
    assert!(connected.is_ok() && seen.unwrap().1);
}

#[tokio::test]
async fn cn_15_older_versions_can_be_excluded() {
    let authority = Authority::new();
    let mut config = (*authority.server("localhost", b"http/1.1")).clone();
    config = {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let resolver = Arc::clone(&config.cert_resolver);
        let mut old = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        old.alpn_protocols = config.alpn_protocols.clone();
        old
    };
    let config = Arc::new(config);
    let (connected, seen) = handshake(trusting(&authority), &config).await;
    assert!(connected.is_ok());
    assert_eq!(seen.unwrap().2, Some(rustls::ProtocolVersion::TLSv1_2));
    let modern = TlsOptions {
        min_version: TlsVersion::V1_3,
        ..trusting(&authority)
    };
    assert!(matches!(
        handshake(modern, &config).await.0,
        Err(ConnectError::Tls(_))
    ));
}

#[tokio::test]
async fn each_transport_names_its_protocol() {
    let authority = Authority::new();
    for (scheme, protocol) in [("wss", b"http/1.1".to_vec()), ("grpcs", b"h2".to_vec())] {
        let config = authority.server("localhost", &protocol);
        let listener = listen().await;
        let options = ConnectOptions {
            tls: trusting(&authority),
            ..options(scheme, &listener)
        };
        // The server hangs up after the handshake: what comes of the connection does not matter.
        let (_, seen) = within(async {
            tokio::join!(
                Connection::connect(&options, UID),
                accept(&listener, &config)
            )
        })
        .await;
        assert_eq!(seen.unwrap().0, Some(protocol), "{scheme}");
    }
}

#[tokio::test]
async fn unusable_settings_are_named() {
    let listener = listen().await;
    let problem = async |tls: TlsOptions| {
        let options = ConnectOptions {
            tls,
            ..options("https", &listener)
        };
        within(Connection::connect(&options, UID))
            .await
            .unwrap_err()
            .to_string()
    };
    let authority = Authority::new();
    let garbage = TlsOptions {
        ca_pem: Some(b"garbage".to_vec()),
        ..TlsOptions::default()
    };
    assert_eq!(
        problem(garbage).await,
        "TLS settings: CA: no certificate in the PEM text"
    );
    let no_key = TlsOptions {
        cert_pem: Some(authority.pem.clone().into()),
        ..trusting(&authority)
    };
    assert_eq!(
        problem(no_key).await,
        "TLS settings: a client certificate needs both certificate and key"
    );
    let bad_key = TlsOptions {
        cert_pem: Some(authority.pem.clone().into()),
        key_pem: Some(b"garbage".to_vec()),
        ..trusting(&authority)
    };
    assert!(
        problem(bad_key)
            .await
            .starts_with("TLS settings: private key: ")
    );
}

#[test]
fn secrets_are_not_shown() {
    let tls = TlsOptions {
        key_pem: Some(b"secret".to_vec()),
        ..TlsOptions::default()
    };
    assert!(!format!("{tls:?}").contains("secret") && !format!("{tls:?}").contains("115"));
    let header = opamp::proto::Header {
        key: "authorization".into(),
        value: "secret".into(),
    };
    assert_eq!(
        format!("{header:?}"),
        r#"Header { key: "authorization", value: "[redacted]" }"#
    );
    let certificate = opamp::proto::TlsCertificate {
        private_key: b"secret".to_vec(),
        ..Default::default()
    };
    assert!(!format!("{certificate:?}").contains("115"));
}
