//! TLS of a client, with rustls.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion,
    version,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::dial::Io;
use super::{ConnectError, ConnectOptions, TlsOptions, TlsVersion};

/// Encrypts a connection and checks the server's certificate.
pub(super) async fn handshake(
    stream: TcpStream,
    options: &ConnectOptions,
    alpn: &'static [u8],
) -> Result<Io, ConnectError> {
    let tls = options.tls.clone();
    // The system's roots are files, hundreds of them on some systems.
    let mut config = tokio::task::spawn_blocking(move || client_config(&tls))
        .await
        .map_err(|error| settings(&format!("loading them failed: {error}")))??;
    config.alpn_protocols = vec![alpn.to_vec()];
    let name = ServerName::try_from(options.endpoint.host().to_owned())
        .map_err(|_| settings("the endpoint's host is no server name"))?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(ConnectError::Tls)?;
    Ok(Box::new(stream))
}

fn client_config(options: &TlsOptions) -> Result<ClientConfig, ConnectError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(options.min_version))
        .map_err(|error| settings(&error.to_string()))?;
    let builder = if options.insecure_skip_verify {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unchecked(provider)))
    } else {
        builder.with_root_certificates(roots(options)?)
    };
    match (&options.cert_pem, &options.key_pem) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(chain), Some(key)) => builder
            .with_client_auth_cert(
                certificates(chain, "client certificate")?,
                private_key(key)?,
            )
            .map_err(|error| settings(&format!("client certificate: {error}"))),
        _ => Err(settings(
            "a client certificate needs both certificate and key",
        )),
    }
}

static FROM_1_2: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
static FROM_1_3: [&SupportedProtocolVersion; 1] = [&version::TLS13];

fn versions(oldest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match oldest {
        TlsVersion::V1_2 => &FROM_1_2,
        TlsVersion::V1_3 => &FROM_1_3,
    }
}

fn roots(options: &TlsOptions) -> Result<RootCertStore, ConnectError> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = &options.ca_pem {
        for certificate in certificates(pem, "CA")? {
            roots
                .add(certificate)
                .map_err(|error| settings(&format!("CA: {error}")))?;
        }
    }
    if options.ca_pem.is_none() || options.include_system_roots {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
    }
    if roots.is_empty() {
        return Err(settings(
            "no trusted root certificates, neither given nor of the system",
        ));
    }
    Ok(roots)
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| settings(&format!("{what}: {error}")))?;
    if certificates.is_empty() {
        return Err(settings(&format!("{what}: no certificate in the PEM text")));
    }
    Ok(certificates)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, ConnectError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| settings(&format!("private key: {error}")))
}

fn settings(problem: &str) -> ConnectError {
    ConnectError::TlsSettings {
        problem: problem.to_owned(),
    }
}

/// Accepts every certificate; signatures are still checked, so that the peer holds its key.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
