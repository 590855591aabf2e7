//! A self-signed certificate for servers under test: P-256, for loopback alone.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

/// A certificate and its key, in PEM form.
pub struct Certificate {
    cert_pem: String,
    key_pem: String,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Making one failed.
    #[error("making a certificate")]
    Make(#[source] rcgen::Error),
    /// It does not serve.
    #[error("serving with the certificate")]
    Serve(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Its files cannot be read or written.
    #[error("certificate file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Certificate {
    /// Makes one for `127.0.0.1`, `::1` and `localhost`.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate() -> Result<Self, CertificateError> {
        let names = ["127.0.0.1", "::1", "localhost"].map(str::to_owned);
        // P-256 is what rcgen takes unless told otherwise; the test below holds it to that.
        let made = rcgen::generate_simple_self_signed(names).map_err(CertificateError::Make)?;
        Ok(Self {
            cert_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
        })
    }

    /// Reads one from two PEM files.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, CertificateError> {
        let read = |path: &Path| {
            let failed = |source| CertificateError::File {
                path: path.to_owned(),
                source,
            };
            std::fs::read_to_string(path).map_err(failed)
        };
        Ok(Self {
            cert_pem: read(cert)?,
            key_pem: read(key)?,
        })
    }

    /// Writes `cert.pem` and `key.pem` into a directory and returns their paths.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(PathBuf, PathBuf), CertificateError> {
        let write = |name, text| {
            let path = directory.join(name);
            match std::fs::write(&path, text) {
                Ok(()) => Ok(path),
                Err(source) => Err(CertificateError::File { path, source }),
            }
        };
        Ok((
            write("cert.pem", &self.cert_pem)?,
            write("key.pem", &self.key_pem)?,
        ))
    }

    /// The certificate, which is also the root that clients trust.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// Settings of a server: TLS 1.3 alone, HTTP/1.1.
    pub(crate) fn server_config(&self) -> Result<Arc<ServerConfig>, CertificateError> {
        let pem = |error| CertificateError::Serve(Box::new(error));
        let chain = CertificateDer::pem_slice_iter(self.cert_pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(pem)?;
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).map_err(pem)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let failed = |error: rustls::Error| CertificateError::Serve(error.into());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(failed)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(failed)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_p_256_and_survives_its_files() {
        let made = Certificate::generate().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (cert, key) = made.write(directory.path()).unwrap();
        let read = Certificate::read(&cert, &key).unwrap();
        assert_eq!(read.cert_pem(), made.cert_pem());
        assert!(read.server_config().is_ok());
        let key = rcgen::KeyPair::from_pem(&read.key_pem).unwrap();
        assert!(key.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256));
    }
}
