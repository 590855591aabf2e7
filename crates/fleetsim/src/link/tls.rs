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
    let verifier = Verifier {
        algorithms: provider.signature_verification_algorithms,
        roots: match trust {
            Trust::Anything => None,
            Trust::Roots(pem) => Some(root_verifier(pem, &provider)?),
        },
        seen: Mutex::default(),
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

fn root_verifier(
    pem: &str,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| TlsError::Roots)?;
        roots.add(certificate).map_err(|_| TlsError::Roots)?;
    }
    if roots.is_empty() {
        return Err(TlsError::Roots);
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
    seen: Mutex<Vec<CertificateDer<'static>>>,
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
        if self.seen.lock().iter().any(|seen| seen == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let verified =
            roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        self.seen.lock().push(end_entity.clone().into_owned());
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
