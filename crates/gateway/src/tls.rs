//! TLS of the agent plane: TLS 1.3 only, HTTP/2 and HTTP/1.1 by ALPN, client certificates optional and verified when they come.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{
        NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier,
        danger::ClientCertVerifier,
    },
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// What the listener needs to speak TLS.
#[derive(Clone)]
pub struct Tls {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) client_auth: ClientAuth,
}

/// What a client certificate is to this server (`server.tls.client_auth`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// None is asked for.
    #[default]
    None,
    /// One is asked for and verified when it comes; without one the request goes on.
    Optional,
    /// As `Optional`, and a request without one gets 401 on everything but `/health`.
    RequireAndVerify,
}

/// The files and choices of `server.tls`.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// Certificate chain, PEM, the server's own certificate first.
    pub cert_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
    /// Authorities that sign client certificates, PEM. Needed unless `client_auth` is `None`.
    pub client_ca_file: Option<PathBuf>,
    /// What a client certificate is to this server.
    pub client_auth: ClientAuth,
    /// TLS 1.3 cipher suites by their IANA names; empty takes all that the library has.
    pub cipher_suites: Vec<String>,
}

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, unreadable or holds no PEM of the wanted kind.
    #[error("reading {what} from {}", path.display())]
    Read {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        #[source]
        source: PemError,
    },
    /// `client_auth` asks for certificates and nothing says who signs them.
    #[error("client_auth needs client_ca_file")]
    NoClientCa,
    /// A certificate in the client authorities' file cannot be used.
    #[error("building the client verifier")]
    ClientVerifier(#[source] VerifierBuilderError),
    /// No such TLS 1.3 cipher suite.
    #[error("unknown TLS 1.3 cipher suite {name:?} (known: {known})")]
    UnknownCipherSuite {
        /// The name as it was written.
        name: String,
        /// The names that would do.
        known: String,
    },
    /// Certificate and key do not fit together, or the key is of an unknown kind.
    #[error("using the certificate and key")]
    Certificate(#[source] rustls::Error),
}

/// Why a PEM file gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is not PEM.
    #[error("not valid PEM: {0}")]
    Malformed(String),
    /// The file holds no section of the wanted kind.
    #[error("no such section in the file")]
    Nothing,
}

impl Tls {
    /// Loads certificate, key and client authorities.
    ///
    /// # Errors
    /// Names the file, and what was wrong with it.
    pub fn from_files(files: &TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(provider(&files.cipher_suites)?);
        let chain = read_certificates("certificates", &files.cert_file)?;
        let key = read_key(&files.key_file)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Certificate)?;
        let config = match client_verifier(files, provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        }
        .with_single_cert(chain, key)
        .map_err(TlsError::Certificate)?;
        Ok(Self::from_config(config, files.client_auth))
    }

    /// Takes a configuration that the caller made; sets ALPN and switches session resumption off.
    ///
    /// A resumed session does not run the client-certificate verifier; without resumption there is none.
    #[must_use]
    pub fn from_config(mut config: ServerConfig, client_auth: ClientAuth) -> Self {
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Self {
            config: Arc::new(config),
            client_auth,
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("client_auth", &self.client_auth)
            .finish_non_exhaustive()
    }
}

fn provider(names: &[String]) -> Result<CryptoProvider, TlsError> {
    let mut provider = aws_lc_rs::default_provider();
    provider
        .cipher_suites
        .retain(|suite| suite.tls13().is_some());
    if names.is_empty() {
        return Ok(provider);
    }
    let known: Vec<String> = provider.cipher_suites.iter().map(suite_name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        return Err(TlsError::UnknownCipherSuite {
            name: unknown.clone(),
            known: known.join(", "),
        });
    }
    provider
        .cipher_suites
        .retain(|suite| names.contains(&suite_name(suite)));
    Ok(provider)
}

/// The IANA name; rustls writes `TLS13_` where IANA has `TLS_`.
fn suite_name(suite: &rustls::SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1)
}

fn client_verifier(
    files: &TlsFiles,
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    if files.client_auth == ClientAuth::None {
        return Ok(None);
    }
    let path = files.client_ca_file.as_ref().ok_or(TlsError::NoClientCa)?;
    let mut roots = RootCertStore::empty();
    for authority in read_certificates("client authorities", path)? {
        roots.add(authority).map_err(TlsError::Certificate)?;
    }
    // Optional in the handshake even where it is required: a peer without one still reaches /health and learns 401 elsewhere.
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map(Some)
        .map_err(TlsError::ClientVerifier)
}

fn read_certificates(
    what: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = || {
        let pem = std::fs::read(path)?;
        let certificates = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| PemError::Malformed(error.to_string()))?;
        if certificates.is_empty() {
            Err(PemError::Nothing)
        } else {
            Ok(certificates)
        }
    };
    read().map_err(|source| TlsError::Read {
        what,
        path: path.to_owned(),
        source,
    })
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let read = || {
        let pem = std::fs::read(path)?;
        PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
            rustls_pki_types::pem::Error::NoItemsFound => PemError::Nothing,
            error => PemError::Malformed(error.to_string()),
        })
    };
    read().map_err(|source| TlsError::Read {
        what: "private key",
        path: path.to_owned(),
        source,
    })
}
