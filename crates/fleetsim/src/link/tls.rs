//! TLS of the lean WebSocket: full handshakes without resumption, and a certificate verifier that
//! thousands of agents can afford.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    },
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};

use crate::options::Trust;

/// Why no TLS settings could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The trusted roots are no PEM certificates.
    #[error("the trusted roots are no certificates in PEM form")]
    Roots,
    /// The library refused the settings.
    #[error("TLS settings")]
    Settings(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Settings for every connection of a fleet.
pub(crate) fn client_config(trust: &Trust) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (roots, trusted) = match trust {
        Trust::Anything => (None, Vec::new()),
        Trust::Roots(pem) => {
            let trusted = certificates(pem)?;
            (Some(root_verifier(&trusted, &provider)?), trusted)
        }
    };
    let verifier = Verifier {
        algorithms: provider.signature_verification_algorithms,
        roots,
        accepted: Mutex::new(trusted),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| TlsError::Settings(error.into()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsError::Roots),
    }
}

fn root_verifier(
    trusted: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots
            .add(certificate.clone())
            .map_err(|_| TlsError::Roots)?;
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| TlsError::Settings(error.into()))
}

/// Checks the server's certificate chain once, and its signature in every handshake.
///
/// The chain is the same for all agents: checking it 15,000 times would be the load generator's
/// work, not the server's.
#[derive(Debug)]
struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    /// `None` accepts any certificate.
    roots: Option<Arc<WebPkiServerVerifier>>,
    /// Server certificates that are good: those trusted by name, and those whose chain was.
    accepted: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(roots) = &self.roots else {
            return Ok(ServerCertVerified::assertion());
        };
        if self.accepted.lock().iter().any(|good| good == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let verified =
            roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        self.accepted.lock().push(end_entity.clone().into_owned());
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
