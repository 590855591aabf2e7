//! The server's process: the shipped engine and conversations, on a database that outlives it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use engine::{AgentsAuth, Contest, Engine, EngineOptions, Principal, Probe, Transport};
use gateway::{Clock, Conversation, GatewayOptions, Sessions};
use jiff::Timestamp;
use opamp::model::{InstanceUid, WireUid};
use store::{Db, DbOptions, Location};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::schedule::ConnId;
use crate::work::Work;

/// Longer than any run.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// What outlives a server process, and the process while it runs.
pub(crate) struct Node {
    pub db: Db,
    place: Place,
    seed: u64,
    /// Counts processes.
    pub life: u32,
    pub running: Option<Running>,
}

enum Place {
    /// The same open database for all processes: quick.
    Memory,
    /// A file that each process opens anew.
    File(TempDir),
}

/// A server process.
pub(crate) struct Running {
    pub engine: Engine,
    pub sessions: Sessions,
    pub links: BTreeMap<ConnId, Link>,
    /// Requests that wait until it is known who their agent is.
    pub asking: Vec<Asking>,
    /// What uses the database now.
    pub work: Option<Work>,
    /// Whether a commit is to come.
    pub commit_due: bool,
    pub reconcile_due: bool,
    pub contests: u64,
}

/// The server's end of a connection.
pub(crate) struct Link {
    pub talk: Conversation,
    pub opened: Duration,
    pub heard: Duration,
    /// The agents whose messages were taken over it.
    pub spoke: BTreeSet<InstanceUid>,
    pub probes: Vec<Probe>,
    pub contests: Vec<Held>,
}

/// A request that waits for a contest.
pub(crate) struct Asking {
    pub host: usize,
    pub life: u32,
    pub request: u64,
    pub talk: Conversation,
    pub held: Held,
}

/// Messages that wait for a contest.
pub(crate) struct Held {
    pub number: u64,
    pub uid: WireUid,
    pub messages: Vec<Vec<u8>>,
    outcome: Pin<Box<dyn Future<Output = (Contest, bool)>>>,
    too_late: Option<oneshot::Sender<()>>,
}

impl Held {
    /// Asks the other connection.
    pub fn new(number: u64, uid: WireUid, contest: Contest, message: Vec<u8>) -> Self {
        let (too_late, over) = oneshot::channel::<()>();
        let outcome = Box::pin(async move {
            let alive = tokio::select! {
                biased;
                alive = contest.probe(NEVER) => alive,
                _ = over => false,
            };
            (contest, alive)
        });
        Self {
            number,
            uid,
            messages: vec![message],
            outcome,
            too_late: Some(too_late),
        }
    }

    /// The other connection had its time.
    pub fn is_over(&mut self) {
        self.too_late = None;
    }

    /// Whether the other connection lives, once that is known.
    pub fn settled(&mut self) -> Option<(Contest, bool)> {
        match self
            .outcome
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }
}

impl Node {
    /// A database, with a server on it.
    pub async fn new(seed: u64, on_file: bool, clock: &Arc<AtomicI64>) -> Self {
        let place = if on_file {
            Place::File(directory())
        } else {
            Place::Memory
        };
        let db = open(&place, time(clock)).await;
        let mut node = Self {
            db,
            place,
            seed,
            life: 0,
            running: None,
        };
        node.start(clock).await;
        node
    }

    /// Starts a process on what is stored.
    pub async fn start(&mut self, clock: &Arc<AtomicI64>) {
        let now = time(clock);
        if matches!(self.place, Place::File(_)) && 0 < self.life {
            self.db.close().await;
            self.db = open(&self.place, now).await;
        }
        self.life += 1;
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..12].copy_from_slice(&self.life.to_le_bytes());
        let options = EngineOptions {
            auth: AgentsAuth::None,
            deltas: Some(gateway::encode_delta),
            ..EngineOptions::new(seed)
        };
        let engine = Engine::open(self.db.clone(), options, now)
            .await
            .expect("the database is readable");
        let clock = Arc::clone(clock);
        let options = GatewayOptions::new(
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            Clock::new(move || time(&clock)),
        );
        self.running = Some(Running {
            sessions: Sessions::new(&options, engine.clone()),
            engine,
            links: BTreeMap::new(),
            asking: Vec::new(),
            work: None,
            commit_due: false,
            reconcile_due: false,
            contests: 0,
        });
    }
}

impl Running {
    /// Takes a connection.
    pub fn connect(&mut self, conn: ConnId, host: usize, now: Duration) {
        let talk =
            self.sessions
                .connection(Principal::anonymous(), Transport::WebSocket, peer_of(host));
        self.links.insert(
            conn,
            Link {
                talk,
                opened: now,
                heard: now,
                spoke: BTreeSet::new(),
                probes: Vec::new(),
                contests: Vec::new(),
            },
        );
    }

    pub fn request(&self, host: usize) -> Conversation {
        self.sessions.request(Principal::anonymous(), peer_of(host))
    }

    /// Whether reports wait to be committed.
    pub fn has_reports(&self) -> bool {
        is_ready(self.engine.reports_waiting())
    }

    /// Whether contents wait to be made.
    pub fn has_missing(&self) -> bool {
        is_ready(self.engine.reconcile_waiting())
    }
}

fn is_ready(waiting: impl Future<Output = ()>) -> bool {
    std::pin::pin!(waiting)
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_ready()
}

fn peer_of(host: usize) -> SocketAddr {
    let last = u8::try_from(host + 1).unwrap_or(u8::MAX);
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), 4_000))
}

/// A directory for a database: in memory where the system has such a place. Processes are killed here and machines are
/// not, so nothing is learnt from waiting for a disk.
fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a temporary directory")
}

async fn open(place: &Place, now: Timestamp) -> Db {
    let location = match place {
        Place::Memory => Location::SqliteMemory,
        Place::File(dir) => Location::Sqlite(dir.path().join("opamp.db")),
    };
    let options = DbOptions {
        // The simulated clock alone decides what takes too long, however slow the machine is.
        acquire_timeout: NEVER,
        ..DbOptions::new(location)
    };
    Db::open(&options, now).await.expect("the database opens")
}

/// The simulated time of day.
pub(crate) fn time(clock: &AtomicI64) -> Timestamp {
    Timestamp::from_microsecond(clock.load(Ordering::Relaxed)).expect("a time of this century")
}
