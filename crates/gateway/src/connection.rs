//! One accepted connection: TLS, the first head, and on to the WebSocket session or to hyper.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Poll, ready},
};

use engine::{Principal, Transport};
use opamp::ws::accept_key;
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    admission::{Reason, Ticket},
    cut::Cut,
    head::{Asked, First, HTTP2_PREFACE, first},
    http::{
        opening::{EMPTY_SETTINGS, GO_AWAY, Opening},
        serve_http,
    },
    identity::Certificate,
    refusal::Refusal,
    roster::Open,
    session::{Conversation, websocket::Session},
    shared::Shared,
    stream::{Prefixed, Socket, Stream, write_all},
};

/// What one read of a head takes at most. Upgrades that agents send fit many times over.
const READ_BYTES: usize = 16 * 1024;

thread_local! {
    /// Where heads are read; what is incomplete is copied, so that a silent connection costs nothing.
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// What a peer may send before the TLS handshake is over: a hello and a chain of certificates fit several times over.
const HANDSHAKE_BYTES: usize = 16 * 1024;

/// A connection as the listener hands it over.
pub(crate) struct Accepted {
    pub shared: Arc<Shared>,
    pub tcp: TcpStream,
    pub peer: SocketAddr,
    pub acceptor: Option<TlsAcceptor>,
    /// Its place among those that have proved nothing.
    pub ticket: Ticket,
    pub open: Open,
    /// Why everything on it is refused, if so.
    pub shed: Option<Reason>,
}

/// What a connection turned out to be.
pub(crate) enum Opened {
    /// An agent's WebSocket, with what came after the request.
    WebSocket {
        stream: Stream,
        unread: Vec<u8>,
        principal: Box<Principal>,
    },
    /// Something for hyper, with what was read.
    Http {
        stream: Prefixed,
        certificate: Option<Certificate>,
        ticket: Ticket,
    },
    /// Nothing more.
    Closed,
}

/// Serves a connection to its end.
///
/// The future of an idle connection is this one, and most are WebSockets: whatever else it goes through is in the first
/// box, and gone by then.
pub(crate) fn serve(accepted: Accepted) -> impl Future<Output = ()> + Send {
    let establishing = Box::pin(establish(accepted));
    async move {
        if let (Some(session), _open) = establishing.await {
            session.run().await;
        }
    }
}

/// Serves a connection for as long as it is anything but a WebSocket.
async fn establish(accepted: Accepted) -> (Option<Box<Session>>, Open) {
    let Accepted {
        shared,
        tcp,
        peer,
        acceptor,
        ticket,
        open,
        shed,
    } = accepted;
    let opening = async {
        let stream = shake_hands(&shared, Socket::new(tcp), acceptor, &ticket).await?;
        read_first(&shared, stream, peer, ticket, shed).await
    };
    let upgraded = match opening.await {
        Ok(Opened::Http {
            stream,
            certificate,
            ticket,
        }) => Box::pin(serve_http(&shared, peer, stream, certificate, ticket)).await,
        Ok(other) => other,
        Err(error) => lost(peer, &error),
    };
    let Opened::WebSocket {
        stream,
        unread,
        principal,
    } = upgraded
    else {
        return (None, open);
    };
    let talk = Conversation::streaming(shared, *principal, Transport::WebSocket, peer);
    (Some(Session::new(stream, unread, talk)), open)
}

fn lost(peer: SocketAddr, error: &io::Error) -> Opened {
    tracing::debug!(event = "connection_lost", peer = %peer, error = %error, "lost before its first request");
    Opened::Closed
}

/// TLS, where there is TLS.
async fn shake_hands(
    shared: &Shared,
    mut socket: Socket,
    acceptor: Option<TlsAcceptor>,
    ticket: &Ticket,
) -> io::Result<Stream> {
    let Some(acceptor) = acceptor else {
        return Ok(Stream::Plain(socket));
    };
    let deadline = Instant::now() + shared.times.tls_handshake;
    let handshake = async {
        // A TLS session is made only for a peer that says something: a silent socket stays small.
        socket.readable().await?;
        ticket.spoke();
        socket.allow(HANDSHAKE_BYTES);
        acceptor.accept(socket).await
    };
    match timeout_at(deadline, handshake).await {
        Ok(Ok(mut stream)) => {
            stream.get_mut().0.allow_all();
            Ok(Stream::Tls(Box::new(stream)))
        }
        Ok(Err(error)) => {
            if error.kind() == io::ErrorKind::QuotaExceeded {
                shared.metrics.cut(Cut::Oversize).increment(1);
            }
            Err(error)
        }
        Err(_) => Err(too_slow(shared)),
    }
}

fn too_slow(shared: &Shared) -> io::Error {
    shared.metrics.cut(Cut::TooSlow).increment(1);
    io::Error::new(io::ErrorKind::TimedOut, "too slow")
}

/// Reads until it is clear what the peer wants.
async fn read_first(
    shared: &Arc<Shared>,
    mut stream: Stream,
    peer: SocketAddr,
    ticket: Ticket,
    shed: Option<Reason>,
) -> io::Result<Opened> {
    let certificate = match &stream {
        Stream::Tls(tls) => Certificate::of(tls),
        Stream::Plain(_) => None,
    };
    if stream.alpn_protocol() == Some(b"h2") && shed.is_none() {
        return open_http2(shared, stream, Vec::new(), certificate, ticket).await;
    }
    let limit = shared.limits.head_bytes;
    let deadline = Instant::now() + shared.times.head;
    let reading = read_head(&mut stream, &ticket, limit, |asked| {
        if shed.is_some() {
            Err(Refusal::Unavailable {
                retry_after: shared.gate.retry_after(),
            })
        } else {
            answer(shared, asked, certificate, peer)
        }
    });
    let Ok(head) = timeout_at(deadline, reading).await else {
        return Err(too_slow(shared));
    };
    match head? {
        Head::Upgrade {
            answer: Ok((principal, answer)),
            unread,
        } => {
            // From here on the connection is an agent's and no longer among those that may be pushed out.
            drop(ticket);
            write_all(&mut stream, &answer).await?;
            Ok(Opened::WebSocket {
                stream,
                unread,
                principal,
            })
        }
        Head::Upgrade {
            answer: Err(refusal),
            ..
        } => refuse(stream, refusal).await,
        Head::Other(_) if shed.is_some() => {
            refuse(
                stream,
                Refusal::Unavailable {
                    retry_after: shared.gate.retry_after(),
                },
            )
            .await
        }
        Head::Other(kept) if kept.starts_with(HTTP2_PREFACE) => {
            open_http2(shared, stream, kept, certificate, ticket).await
        }
        Head::Other(prefix) => Ok(Opened::Http {
            stream: Prefixed::new(prefix.into(), stream),
            certificate,
            ticket,
        }),
        Head::TooLarge => refuse(stream, Refusal::HeadTooLarge).await,
    }
}

/// Waits for the first request of an HTTP/2 connection.
async fn open_http2(
    shared: &Shared,
    mut stream: Stream,
    mut kept: Vec<u8>,
    certificate: Option<Certificate>,
    ticket: Ticket,
) -> io::Result<Opened> {
    let deadline = Instant::now() + shared.times.head;
    let reading = read_opening(&mut stream, &ticket, shared.limits.head_bytes, &mut kept);
    match timeout_at(deadline, reading).await {
        Ok(Ok(())) => Ok(Opened::Http {
            stream: Prefixed::with_own_settings(kept.into(), stream),
            certificate,
            ticket,
        }),
        Ok(Err(error)) if error.kind() == io::ErrorKind::QuotaExceeded => {
            shared.metrics.cut(Cut::Oversize).increment(1);
            write_all(&mut stream, &GO_AWAY).await?;
            Err(error)
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(too_slow(shared)),
    }
}

/// Reads up to the end of the first request's head, and keeps what was read.
async fn read_opening(
    stream: &mut Stream,
    ticket: &Ticket,
    limit: usize,
    kept: &mut Vec<u8>,
) -> io::Result<()> {
    // Some peers say nothing before the server did.
    write_all(stream, &EMPTY_SETTINGS).await?;
    let mut opening = Opening::new(limit);
    let mut is_whole = opening.see(kept)?;
    while !is_whole {
        is_whole = poll_fn(|cx| {
            READ_BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
                let read = buffer.filled();
                if read.is_empty() {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                keep(kept, read);
                Poll::Ready(opening.see(read))
            })
        })
        .await?;
        ticket.spoke();
    }
    Ok(())
}

/// The answer to a handshake: a principal and the bytes of the 101, or a refusal.
type Answer = Result<(Box<Principal>, Vec<u8>), Refusal>;

/// Decides on a WebSocket handshake.
fn answer(
    shared: &Shared,
    asked: &Asked<'_>,
    certificate: Option<Certificate>,
    peer: SocketAddr,
) -> Answer {
    let key = asked.key()?;
    let principal = shared.start_session(asked.bearer(), certificate.as_ref(), peer.ip())?;
    Ok((Box::new(principal), switching_protocols(key)))
}

fn switching_protocols(key: &str) -> Vec<u8> {
    let accept = accept_key(key);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

enum Head {
    Upgrade { answer: Answer, unread: Vec<u8> },
    Other(Vec<u8>),
    TooLarge,
}

/// Reads into the thread's buffer and decides in the same poll; only an incomplete head is copied.
async fn read_head(
    stream: &mut Stream,
    ticket: &Ticket,
    limit: usize,
    mut decide: impl FnMut(&Asked<'_>) -> Answer,
) -> io::Result<Head> {
    let mut kept = Vec::new();
    let mut look = |bytes: &[u8]| match first(bytes) {
        First::Upgrade { asked, length } => Some(Head::Upgrade {
            answer: decide(&asked),
            unread: bytes[length..].to_vec(),
        }),
        First::Other => Some(Head::Other(bytes.to_vec())),
        First::Incomplete if limit <= bytes.len() => Some(Head::TooLarge),
        First::Incomplete => None,
    };
    loop {
        let found = poll_fn(|cx| {
            READ_BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
                let read = buffer.filled();
                if read.is_empty() {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof)));
                }
                if kept.is_empty()
                    && let Some(head) = look(read)
                {
                    return Poll::Ready(Ok(Some(head)));
                }
                keep(&mut kept, read);
                Poll::Ready(Ok(look(&kept)))
            })
        })
        .await?;
        match found {
            Some(head) => return Ok(head),
            None => ticket.spoke(),
        }
    }
}

/// Appends a piece without the room that a vector makes for more to come: strangers decide how much is kept.
fn keep(kept: &mut Vec<u8>, piece: &[u8]) {
    const STEP: usize = 512;
    let needed = kept.len() + piece.len();
    if kept.capacity() < needed {
        kept.reserve_exact(needed.next_multiple_of(STEP) - kept.len());
    }
    kept.extend_from_slice(piece);
}

/// Answers by hand and closes.
async fn refuse(mut stream: Stream, refusal: Refusal) -> io::Result<Opened> {
    write_all(&mut stream, &refusal.to_http1()).await?;
    poll_fn(|cx| tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut stream), cx)).await?;
    Ok(Opened::Closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of what a function returns, which for an async function is all that it keeps across its waits.
    fn size_of_result<A, R>(_: fn(A) -> R) -> usize {
        size_of::<R>()
    }

    #[test]
    fn an_idle_connection_is_a_small_future() {
        let bytes = size_of_result(serve);
        // Half of what an idle agent may cost here; the rest is tokio's task and registration, and the agents' list.
        assert!(bytes <= 1024, "{bytes} bytes");
    }

    #[test]
    fn the_answer_to_a_handshake_is_the_one_of_the_rfc() {
        let answer = String::from_utf8(switching_protocols("dGhlIHNhbXBsZSBub25jZQ==")).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "));
        assert!(answer.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(answer.ends_with("\r\n\r\n"));
    }
}
