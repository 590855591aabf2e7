//! What the server decides about the agent plane before it starts: address, limits, times and admission.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::tls::Tls;

/// Everything [`crate::Gateway::bind`] needs beside the engine.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// Where to listen. Port 0 takes a free one; see [`crate::Gateway::local_addr`].
    pub address: SocketAddr,
    /// Certificate and client verification; `None` serves without TLS.
    pub tls: Option<Tls>,
    /// Sizes and counts that a peer may not exceed.
    pub limits: Limits,
    /// Deadlines and intervals.
    pub times: Times,
    /// When connections and sessions are refused.
    pub admission: Admission,
    /// The clock of stored and shown time.
    pub clock: Clock,
    /// Seeds what is spread at random (retry times, first pings). It protects nothing.
    pub seed: u64,
}

impl GatewayOptions {
    /// The defaults, without TLS.
    #[must_use]
    pub fn new(address: SocketAddr, clock: Clock) -> Self {
        Self {
            address,
            tls: None,
            limits: Limits::default(),
            times: Times::default(),
            admission: Admission::default(),
            clock,
            seed: 0,
        }
    }
}

/// Tells the time that is stored and shown; timers run on tokio's clock.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// Wraps a function, for example `move || clock.now()` over the program's clock.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// Sizes and counts that a peer may not exceed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What one received message may be, on the wire and again after decompression (4 MiB; [`opamp::Limits::SERVER`]).
    pub received: opamp::Limits,
    /// Bytes of one sent message before compression; a larger one is dropped and counted (8 MiB: the largest merged config fits).
    pub reply_bytes: usize,
    /// Bytes of one request's head, request line included (8 KiB). A peer that has proved nothing may make the server keep so
    /// much; with more than 14 KiB the allocator, too, becomes wasteful.
    pub head_bytes: usize,
    /// Agents that one connection may carry (256).
    pub agents_per_connection: usize,
    /// Requests and streams that one HTTP/2 connection may have open (256).
    pub streams_per_connection: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            received: opamp::Limits::SERVER,
            reply_bytes: 8 * 1024 * 1024,
            head_bytes: 8 * 1024,
            agents_per_connection: 256,
            streams_per_connection: 256,
        }
    }
}

/// Deadlines and intervals of the agent plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// From the connection (or the end of the TLS handshake) to a complete request head (10 s).
    pub head: Duration,
    /// From the connection to the end of the TLS handshake; long, because in a storm handshakes queue for the processor (30 s).
    pub tls_handshake: Duration,
    /// From a request's head to the end of its body (30 s).
    pub body: Duration,
    /// From the upgrade (or the stream's start) to the first agent that is known on it (30 s).
    pub first_message: Duration,
    /// How long a connection is silent before the server pings it; the first ping comes earlier (30 s).
    pub ping_interval: Duration,
    /// A connection on which nothing arrived for this long is cut (90 s).
    pub idle: Duration,
    /// A write that makes no progress for this long cuts the connection (20 s).
    pub write_stall: Duration,
    /// How long an old connection has to answer when a second one claims its agent (5 s).
    pub probe: Duration,
    /// How long the peer may take to answer a Close frame (5 s).
    pub close: Duration,
    /// How long a drain waits for connections to end before it drops them (10 s).
    pub drain: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            tls_handshake: Duration::from_secs(30),
            body: Duration::from_secs(30),
            first_message: Duration::from_secs(30),
            ping_interval: Duration::from_secs(30),
            idle: Duration::from_secs(90),
            write_stall: Duration::from_secs(20),
            probe: Duration::from_secs(5),
            close: Duration::from_secs(5),
            drain: Duration::from_secs(10),
        }
    }
}

/// When the agent plane refuses, and when it asks those that it refused to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Session starts (upgrades, streams, plain requests) a second that are let in for good (10,000).
    pub sessions_per_second: u32,
    /// Session starts that may come at once; a fleet that returns together must fit (20,000).
    pub burst: u32,
    /// Connections that have not proved a principal yet; above it the oldest that said nothing goes (20,000, and at most
    /// nine tenths of the descriptors that may be used).
    pub unproven_connections: usize,
    /// Share of the descriptor limit at which new connections are refused, in percent (95); in the second half of what is
    /// left they are not even told so.
    pub descriptor_percent: u8,
    /// The descriptor limit to go by; `None` asks the system.
    pub descriptor_limit: Option<u64>,
    /// The soonest that a refused peer is asked to come back (5 s).
    pub retry_after: Duration,
    /// Refused peers are spread evenly over this window after it (60 s).
    pub retry_window: Duration,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            sessions_per_second: 10_000,
            burst: 20_000,
            unproven_connections: 20_000,
            descriptor_percent: 95,
            descriptor_limit: None,
            retry_after: Duration::from_secs(5),
            retry_window: Duration::from_secs(60),
        }
    }
}
