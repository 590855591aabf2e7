//! What attackers know of the server, how they reach it, and what they count.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use runtime::CancellationToken;
use rustls_pki_types::ServerName;
use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

use crate::{stream::Stream, wire::encode};

/// Longest wait of an attacker for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Loopback addresses that attackers dial from; the fleet has others.
const SOURCES: u8 = 50;

/// The server under attack.
pub(super) struct Victim {
    pub agents: SocketAddr,
    pub admin: SocketAddr,
    /// TLS to the agent plane that offers HTTP/2 as well, where the plane speaks TLS.
    pub tls: Option<TlsConnector>,
    /// A token of an agent that went over to the attackers.
    pub token: String,
    /// A token that was revoked.
    pub revoked: String,
    /// Uids of agents of the fleet.
    pub uids: Vec<[u8; 16]>,
    /// Cancelled when the attack is to end.
    pub stop: CancellationToken,
    /// Cancelled when everything that is to be held is there.
    pub ready: CancellationToken,
    pub tally: Tally,
    next_source: AtomicUsize,
}

/// What attackers count.
#[derive(Default)]
pub(super) struct Tally {
    opened: AtomicU64,
    ended: AtomicU64,
    tries: AtomicU64,
    refused: AtomicU64,
    served: AtomicU64,
}

/// What the counters show at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Hostile connections that were opened.
    pub opened: u64,
    /// Those that the server ended.
    pub ended: u64,
    /// Requests, messages or floods that were sent.
    pub tries: u64,
    /// Those that were refused: with a status, an error, or by the connection's end.
    pub refused: u64,
    /// Those that were served.
    pub served: u64,
}

impl Tally {
    pub fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub fn ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// One try, and whether it was refused.
    pub fn tried(&self, refused: bool) {
        self.tries.fetch_add(1, Ordering::Relaxed);
        let outcome = if refused { &self.refused } else { &self.served };
        outcome.fetch_add(1, Ordering::Relaxed);
    }

    pub fn read(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            opened: get(&self.opened),
            ended: get(&self.ended),
            tries: get(&self.tries),
            refused: get(&self.refused),
            served: get(&self.served),
        }
    }
}

impl Victim {
    pub fn new(agents: SocketAddr, admin: SocketAddr, tls: Option<TlsConnector>) -> Self {
        Self {
            agents,
            admin,
            tls,
            token: String::new(),
            revoked: String::new(),
            uids: Vec::new(),
            stop: CancellationToken::new(),
            ready: CancellationToken::new(),
            tally: Tally::default(),
            next_source: AtomicUsize::new(0),
        }
    }

    /// Connects from the next of the attackers' addresses.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        self.connect_with(to, |_| Ok(())).await
    }

    /// Connects with a receive buffer as small as the system allows.
    pub async fn connect_narrow(&self, to: SocketAddr) -> io::Result<TcpStream> {
        self.connect_with(to, |socket| socket.set_recv_buffer_size(4096))
            .await
    }

    async fn connect_with(
        &self,
        to: SocketAddr,
        prepare: impl FnOnce(&TcpSocket) -> io::Result<()>,
    ) -> io::Result<TcpStream> {
        let number = self.next_source.fetch_add(1, Ordering::Relaxed) % usize::from(SOURCES);
        let last = u8::try_from(number).unwrap_or(0) + 1;
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 66, last));
        let socket = TcpSocket::new_v4()?;
        prepare(&socket)?;
        socket.bind(SocketAddr::new(source, 0))?;
        socket.set_nodelay(true)?;
        socket.connect(to).await
    }

    /// Connects to the agent plane in its own transport, shaking hands where it speaks TLS.
    pub async fn connect_to_agents(&self) -> io::Result<Stream> {
        let tcp = self.connect(self.agents).await?;
        let Some(connector) = &self.tls else {
            return Ok(Stream::Plain(tcp));
        };
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = connector.connect(name, tcp).await?;
        Ok(Stream::Tls(Box::new(stream.into())))
    }

    /// Opens a WebSocket; gives the status if it was refused.
    pub async fn open_websocket(&self, bearer: &str) -> io::Result<Result<Peer<TcpStream>, u16>> {
        let mut peer = Peer(self.connect(self.agents).await?);
        let status = peer.ask(&upgrade(bearer)).await?;
        Ok(if status == 101 { Ok(peer) } else { Err(status) })
    }

    /// Whether the attack is over.
    pub fn is_over(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Repeats something in `workers` tasks until the attack is over. A failure is a refusal: the server had enough.
    pub async fn repeat<F, W>(self: &Arc<Self>, workers: usize, work: W)
    where
        W: Fn(Arc<Self>) -> F,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let mut tasks = tokio::task::JoinSet::new();
        self.ready.cancel();
        for _ in 0..workers {
            tasks.spawn(work(Arc::clone(self)));
        }
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                done = tasks.join_next() => {
                    if !matches!(done, Some(Ok(Ok(())))) {
                        self.tally.tried(true);
                        tokio::task::yield_now().await;
                    }
                    tasks.spawn(work(Arc::clone(self)));
                }
            }
        }
    }

    /// Does something at an even rate until the attack is over, whatever becomes of what was begun.
    pub async fn pace<F, W>(self: &Arc<Self>, per_second: u32, mut work: W)
    where
        W: FnMut(Arc<Self>, u64) -> F,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        const MOST_UNDER_WAY: usize = 2_000;
        let began = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        let mut number = 0_u64;
        self.ready.cancel();
        while !self.is_over() {
            let due = (began.elapsed().as_secs_f64() * f64::from(per_second)) as u64;
            while number < due && tasks.len() < MOST_UNDER_WAY {
                tasks.spawn(work(Arc::clone(self), number));
                number += 1;
            }
            number = number.max(due);
            while tasks.try_join_next().is_some() {}
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A connection on which an attacker writes by hand.
pub(super) struct Peer<S>(pub S);

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        timed(self.0.write_all(bytes)).await?;
        timed(self.0.flush()).await
    }

    /// Sends an HTTP/1.1 request and gives the status of its answer, whose body is read.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<u16> {
        // A server that refuses may close before it has read all; its answer counts.
        let sent = self.send(request).await;
        let answered = self.status().await;
        answered.or_else(|error| sent.and(Err(error)))
    }

    async fn status(&mut self) -> io::Result<u16> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if 16 * 1024 < head.len() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            head.push(timed(self.0.read_u8()).await?);
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
        let length = head
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
        let mut body = vec![0; length.unwrap_or(0).min(1 << 20)];
        timed(self.0.read_exact(&mut body)).await?;
        status.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The next message on a WebSocket, without its header byte; pings are passed over.
    pub async fn message(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let mut head = [0; 2];
            timed(self.0.read_exact(&mut head)).await?;
            let length = match head[1] {
                126 => usize::from(timed(self.0.read_u16()).await?),
                127 => usize::try_from(timed(self.0.read_u64()).await?).unwrap_or(usize::MAX),
                length => usize::from(length),
            };
            if (16 << 20) < length {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut payload = vec![0; length];
            timed(self.0.read_exact(&mut payload)).await?;
            match head[0] {
                0x82 => return Ok(payload.split_off(1.min(length))),
                0x88 => return Err(io::ErrorKind::ConnectionAborted.into()),
                _ => {}
            }
        }
    }

    /// Reads and forgets until the server ends the connection.
    pub async fn drain(&mut self) {
        let mut piece = [0; 4096];
        while self.0.read(&mut piece).await.is_ok_and(|read| 0 < read) {}
    }
}

pub(super) async fn timed<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(ANSWER_LIMIT, work)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A WebSocket handshake.
pub(super) fn upgrade(bearer: &str) -> Vec<u8> {
    let authorization = format!("Bearer {bearer}");
    opamp::ws::client_request(
        "localhost",
        "/v1/opamp",
        [7; 16],
        &[("Authorization", &authorization)],
    )
}

/// A POST of a message.
pub(super) fn post(bearer: &str, encoding: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/opamp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n\
         Content-Type: application/x-protobuf\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A frame as a client sends it, masked with zeros.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut frame = vec![first];
    match u16::try_from(length) {
        Ok(short) if short < 126 => frame.push(0x80 | short as u8),
        Ok(medium) => {
            frame.push(0x80 | 126);
            frame.extend(medium.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// A message in a binary frame.
pub(super) fn message_frame(message: &[u8]) -> Vec<u8> {
    frame(0x82, &[&[0], message].concat())
}

/// A report with a description of these attributes.
pub(super) fn report(uid: [u8; 16], sequence: u64, attributes: &[(String, String)]) -> Vec<u8> {
    let mut message = Vec::new();
    encode::bytes(&mut message, 1, &uid);
    encode::uint(&mut message, 2, sequence);
    encode::message(&mut message, 3, |description| {
        encode::attribute(description, 1, "service.name", "attacker");
        for (key, value) in attributes {
            encode::attribute(description, 2, key, value);
        }
    });
    // It reports its status and takes configs.
    encode::uint(&mut message, 4, 0b11);
    message
}

/// A uid that no agent of the fleet has.
pub(super) fn uid(kind: u8, number: u64) -> [u8; 16] {
    let mut uid = [0xee; 16];
    uid[1] = kind;
    uid[8..].copy_from_slice(&number.to_be_bytes());
    uid
}
