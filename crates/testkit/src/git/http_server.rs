//! A web server for one repository, with `git http-backend` behind it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;

use super::{Repository, run};

/// What the server asks of those who come, and how it answers.
#[derive(Debug, Clone, Default)]
pub struct Manners {
    /// The value of the header that logs in, where one is needed.
    pub authorization: Option<String>,
    /// An answer to everything: status line and headers, body.
    pub always: Option<(String, String)>,
    /// Where the repository has moved to from `/old.git`.
    pub moved_to: Option<String>,
}

impl Manners {
    /// Lets nobody in but this user with this token.
    #[must_use]
    pub fn guarded(user: &str, token: &str) -> Self {
        let login = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{token}"));
        Self {
            authorization: Some(format!("Basic {login}")),
            ..Self::default()
        }
    }
}

/// A running server; it ends with the process.
pub struct HttpServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its certificate in PEM, where it speaks TLS.
    pub certificate: Option<String>,
    requests: Arc<AtomicUsize>,
}

impl HttpServer {
    /// One over plain HTTP.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(repository: &Repository, manners: Manners) -> Self {
        Self::start_with(repository, manners, None)
    }

    /// One over TLS, with a certificate that it signs itself.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_tls(repository: &Repository, manners: Manners) -> Self {
        let made =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a configuration");
        let server = Self::start_with(repository, manners, Some(Arc::new(config)));
        Self {
            certificate: Some(made.cert.pem()),
            ..server
        }
    }

    fn start_with(
        repository: &Repository,
        manners: Manners,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(AtomicUsize::new(0));
        let backend = Backend {
            program: PathBuf::from(run(Command::new("git").arg("--exec-path")))
                .join("git-http-backend"),
            root: repository.root().to_owned(),
            manners,
            requests: Arc::clone(&requests),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (backend, tls) = (backend.clone(), tls.clone());
                std::thread::spawn(move || backend.serve_on(stream, tls));
            }
        });
        Self {
            address,
            certificate: None,
            requests,
        }
    }

    /// The repository's address.
    pub fn url(&self) -> String {
        let scheme = if self.certificate.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}/origin.git", self.address)
    }

    /// How many requests it has had.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Backend {
    program: PathBuf,
    root: PathBuf,
    manners: Manners,
    requests: Arc<AtomicUsize>,
}

struct Asked {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Asked {
    fn read(stream: impl Read) -> Option<Self> {
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        lines.read_line(&mut line).ok()?;
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, target) = (words.next()?, words.next()?);
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            lines.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut asked = Self {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: Vec::new(),
        };
        let length = asked.header("content-length").parse().unwrap_or(0);
        asked.body = vec![0; length];
        lines.read_exact(&mut asked.body).ok()?;
        Some(asked)
    }

    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }
}

impl Backend {
    fn serve_on(&self, stream: TcpStream, tls: Option<Arc<ServerConfig>>) {
        match tls {
            Some(config) => {
                let connection = ServerConnection::new(config).expect("a connection");
                let mut stream = StreamOwned::new(connection, stream);
                self.serve(&mut stream);
                stream.conn.send_close_notify();
                stream.flush().ok();
            }
            None => {
                self.serve(&mut &stream);
                stream.shutdown(Shutdown::Write).ok();
            }
        }
    }

    fn serve(&self, stream: &mut (impl Read + Write)) {
        let Some(asked) = Asked::read(&mut *stream) else {
            return;
        };
        self.requests.fetch_add(1, Ordering::Relaxed);
        let (head, body) = self.answer(&asked);
        let length = body.len();
        let head =
            format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).ok();
        stream.write_all(&body).ok();
    }

    fn answer(&self, asked: &Asked) -> (String, Vec<u8>) {
        if let Some((head, body)) = &self.manners.always {
            return (head.clone(), body.clone().into_bytes());
        }
        if let Some(wanted) = &self.manners.authorization
            && asked.header("authorization") != wanted
        {
            let head = "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"";
            return (head.to_owned(), Vec::new());
        }
        if let (Some(to), Some(tail)) =
            (&self.manners.moved_to, asked.path.strip_prefix("/old.git"))
        {
            let head = format!(
                "301 Moved Permanently\r\nLocation: {to}{tail}?{}",
                asked.query
            );
            return (head, Vec::new());
        }
        self.run(asked)
    }

    fn run(&self, asked: &Asked) -> (String, Vec<u8>) {
        let mut child = Command::new(&self.program)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REQUEST_METHOD", &asked.method)
            .env("PATH_INFO", &asked.path)
            .env("QUERY_STRING", &asked.query)
            .env("CONTENT_TYPE", asked.header("content-type"))
            .env("CONTENT_LENGTH", asked.body.len().to_string())
            .env("GIT_PROTOCOL", asked.header("git-protocol"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("git http-backend starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(&asked.body).ok();
        drop(stdin);
        let output = child.wait_with_output().expect("it ends").stdout;
        let end = output
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a head");
        let head = String::from_utf8_lossy(&output[..end]).into_owned();
        let body = output[end + 4..].to_vec();
        match head.strip_prefix("Status: ") {
            Some(head) => (head.to_owned(), body),
            None => (format!("200 OK\r\n{head}"), body),
        }
    }
}
