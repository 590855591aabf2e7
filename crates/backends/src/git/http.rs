//! Git over HTTP: one request after the other, each under the watch of its fetch.

mod exchange;

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use base64::Engine;
use bytes::Bytes;
use gix_transport::client::blocking_io::http::{
    GetResponse, Http, PostBodyDataKind, PostResponse, Transport,
};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsConnector;

use self::exchange::{Body, Exchange, Headers, Pending, Upload};
use super::location::{HttpLocation, Location};
use super::watch::{TICK, Watch};
use super::{Auth, GitError, GitOptions, tls};

/// The most redirects that are followed.
const MOST_REDIRECTS: usize = 5;

/// A transport to a repository on a web server.
pub(super) fn transport(
    location: &HttpLocation,
    options: &GitOptions,
    watch: &Arc<Watch>,
) -> Result<Transport<Client>, GitError> {
    let address = gix::url::parse(location.url().as_str()).map_err(|error| GitError::Options {
        option: "repository",
        problem: format!("is no address: {error}"),
    })?;
    let client = Client::new(location, options, watch)?;
    let version = gix::protocol::transport::Protocol::V2;
    Ok(Transport::new_http(client, address, version, false))
}

/// What asks the server.
pub(super) struct Client {
    link: Rc<Link>,
    base: HttpLocation,
    is_redirected: bool,
}

/// What all requests of a fetch share.
struct Link {
    runtime: Option<Runtime>,
    watch: Arc<Watch>,
    tls: Option<TlsConnector>,
    authorization: Option<HeaderValue>,
}

impl Drop for Link {
    fn drop(&mut self) {
        // A name that is being looked up would be waited for otherwise.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Client {
    fn new(
        location: &HttpLocation,
        options: &GitOptions,
        watch: &Arc<Watch>,
    ) -> Result<Self, GitError> {
        let tls = location
            .is_tls
            .then(|| tls::connector(options.ca_file.as_deref()));
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| GitError::Missing {
            what: "the network".to_owned(),
            source,
        })?;
        Ok(Self {
            link: Rc::new(Link {
                runtime: Some(runtime),
                watch: Arc::clone(watch),
                tls: tls.transpose()?,
                authorization: authorization(&options.auth)?,
            }),
            base: location.clone(),
            is_redirected: false,
        })
    }

    /// Asks, and follows redirects, after which later requests go where these led.
    fn ask(&mut self, tail: &str, headers: &HeaderMap) -> io::Result<Response<Incoming>> {
        for _ in 0..MOST_REDIRECTS {
            let request =
                self.link
                    .request(&self.base, Method::GET, tail, headers, Bytes::new())?;
            let response = self.link.send(&self.base, request)?;
            if !response.status().is_redirection() {
                self.link.judge(&response)?;
                return Ok(response);
            }
            self.base = self.redirected(&response, tail)?;
            self.is_redirected = true;
        }
        Err(self.link.refuse_answer("too many redirects"))
    }

    /// Where a redirect leads. The login goes to the server that it was given for and to no other.
    fn redirected(&self, response: &Response<Incoming>, tail: &str) -> io::Result<HttpLocation> {
        let target = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        let target = target.unwrap_or_default();
        let address = if target.starts_with('/') {
            let scheme = if self.base.is_tls { "https" } else { "http" };
            format!("{scheme}://{}{target}", self.base.authority())
        } else {
            target.to_owned()
        };
        let base = address.strip_suffix(tail).map(Location::parse);
        match base {
            Some(Ok(Location::Http(to)))
                if to.authority() == self.base.authority() && to.is_tls == self.base.is_tls =>
            {
                Ok(to)
            }
            Some(Ok(Location::Http(to))) => Err(self.link.watch.fail(GitError::Moved {
                remote: self.link.watch.remote().to_owned(),
                to: to.url(),
            })),
            _ => Err(self.link.refuse_answer(
                "it redirects to something that is no repository, perhaps a login page",
            )),
        }
    }
}

/// The header that logs in.
fn authorization(auth: &Auth) -> Result<Option<HeaderValue>, GitError> {
    let Auth::Token { username, token } = auth else {
        return Ok(None);
    };
    if username.contains(':') {
        return Err(GitError::Options {
            option: "username",
            problem: "holds a colon, which would end it".to_owned(),
        });
    }
    let login = format!("{username}:{}", token.expose());
    let encoded = base64::engine::general_purpose::STANDARD.encode(login);
    let mut value =
        HeaderValue::try_from(format!("Basic {encoded}")).expect("base64 is fit for a header");
    value.set_sensitive(true);
    Ok(Some(value))
}

impl Link {
    fn request(
        &self,
        to: &HttpLocation,
        method: Method,
        tail: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> io::Result<Request<Full<Bytes>>> {
        let path = format!("{}{tail}", to.path.trim_end_matches('/'));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, to.authority())
            .body(Full::new(body))
            .map_err(io::Error::other)?;
        request.headers_mut().extend(headers.clone());
        if let Some(value) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        Ok(request)
    }

    /// Sends a request and waits for the answer's head.
    fn send(
        &self,
        to: &HttpLocation,
        request: Request<Full<Bytes>>,
    ) -> io::Result<Response<Incoming>> {
        let answer = self.run(async {
            let stream = TcpStream::connect((to.host.as_str(), to.port)).await?;
            match &self.tls {
                Some(tls) => {
                    let name = ServerName::try_from(to.host.clone()).map_err(io::Error::other)?;
                    exchange(tls.connect(name, stream).await?, request).await
                }
                None => exchange(stream, request).await,
            }
        })?;
        answer.map_err(|error| self.lost(&error))
    }

    /// Runs something to its end, or until the fetch must end.
    fn run<T>(&self, future: impl Future<Output = T>) -> io::Result<T> {
        let Some(runtime) = &self.runtime else {
            return Err(io::Error::other("the network is gone"));
        };
        runtime.block_on(async {
            tokio::pin!(future);
            loop {
                self.watch.check()?;
                if let Ok(done) = tokio::time::timeout(TICK, &mut future).await {
                    return Ok(done);
                }
            }
        })
    }

    fn lost(&self, error: &io::Error) -> io::Error {
        self.watch.fail(GitError::Unreachable {
            remote: self.watch.remote().to_owned(),
            detail: super::error::chain(error),
        })
    }

    fn refuse_answer(&self, detail: &str) -> io::Error {
        self.watch.fail(GitError::Protocol {
            remote: self.watch.remote().to_owned(),
            detail: detail.to_owned(),
        })
    }

    /// What an answer's status means for the fetch.
    fn judge(&self, response: &Response<Incoming>) -> io::Result<()> {
        let remote = self.watch.remote().to_owned();
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(());
        }
        let said = format!("the server answers {status}");
        Err(self.watch.fail(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => GitError::AuthenticationRefused {
                remote,
                detail: match self.authorization {
                    Some(_) => format!("{said}; check user and token, their expiry and rights"),
                    None => format!("{said}; it wants a user and a token"),
                },
            },
            StatusCode::NOT_FOUND | StatusCode::GONE => GitError::NoSuchRepository {
                remote,
                detail: said,
            },
            StatusCode::TOO_MANY_REQUESTS => GitError::Unreachable {
                remote,
                detail: said,
            },
            status if status.is_server_error() => GitError::Unreachable {
                remote,
                detail: said,
            },
            _ => GitError::Protocol {
                remote,
                detail: said,
            },
        }))
    }
}

/// One request over a connection of its own.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> io::Result<Response<Incoming>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // It ends with its answer, or with the runtime; its errors are those of the answer.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(io::Error::other)
}

impl Http for Client {
    type Headers = Headers;
    type ResponseBody = Body;
    type PostBody = Upload;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Headers, Body>> {
        let tail = tail_of(url, base_url);
        let response = self.ask(&tail, &header_map(headers)).map_err(to_gix)?;
        let exchange = Exchange::answered(&self.link, response);
        Ok(GetResponse {
            headers: Headers::of(&exchange),
            body: Body::of(&exchange),
        })
    }

    fn post(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Headers, Body, Upload>> {
        let exchange = Exchange::begun(
            &self.link,
            Pending {
                to: self.base.clone(),
                tail: tail_of(url, base_url),
                headers: header_map(headers),
                body: Vec::new(),
            },
        );
        Ok(PostResponse {
            post_body: Upload::of(&exchange),
            headers: Headers::of(&exchange),
            body: Body::of(&exchange),
        })
    }

    fn configure(&mut self, _: &dyn std::any::Any) -> gix::Result<()> {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.is_redirected.then(|| self.base.url())
    }
}

fn to_gix(error: io::Error) -> gix::Error {
    gix::Error::from_error(error)
}

/// What stands behind the repository's address, with its slash.
fn tail_of(url: &str, base: &str) -> String {
    let tail = url.strip_prefix(base).unwrap_or(url);
    format!("/{}", tail.trim_start_matches('/'))
}

fn header_map(lines: impl IntoIterator<Item = impl AsRef<str>>) -> HeaderMap {
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::try_from(name).ok()?;
        Some((name, HeaderValue::try_from(value.trim()).ok()?))
    };
    lines
        .into_iter()
        .filter_map(|line| header(line.as_ref()))
        .collect()
}
