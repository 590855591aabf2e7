//! The agents' side: processes that dial, speak, listen and come back.

use std::time::Duration;

use opamp::client::{Backoff, BackoffOptions, Event as ServerSays, Mode, Reconnect};

use crate::machine::Machine;
use crate::schedule::{ConnId, Event, Frame, Way};
use crate::world::World;

/// How long a host waits for the answer to a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// One process with a connection of its own, which the agents in it share.
pub(crate) struct Host {
    pub mode: Mode,
    pub machines: Vec<Machine>,
    pub life: u32,
    pub running: bool,
    pub backoff: Backoff,
    /// The stream that is dialled or open.
    pub conn: Option<ConnId>,
    /// Whether it may speak.
    pub open: bool,
    /// Over plain HTTP: the request that has no answer yet.
    pub asked: Option<u64>,
    /// Over plain HTTP: a message that may not have arrived, to be sent again as it was.
    pub unanswered: Option<Vec<u8>>,
    /// The timer that is set.
    wake: Option<Duration>,
    /// Messages sent since the start.
    pub sent: u64,
}

impl Host {
    pub fn new(mode: Mode, machines: Vec<Machine>) -> Self {
        Self {
            mode,
            machines,
            life: 0,
            running: true,
            backoff: Backoff::new(BackoffOptions::default()),
            conn: None,
            open: false,
            asked: None,
            unanswered: None,
            wake: None,
            sent: 0,
        }
    }

    /// The process ends without a word.
    pub fn crash(&mut self) {
        self.life += 1;
        self.running = false;
        self.conn = None;
        self.open = false;
        self.asked = None;
        self.unanswered = None;
        self.wake = None;
        self.backoff = Backoff::new(BackoffOptions::default());
    }
}

impl World {
    /// The host may speak to the server: it dials, or over plain HTTP just asks.
    pub fn dial(&mut self, host: usize) {
        match self.hosts[host].mode {
            Mode::Stream => {
                let life = self.hosts[host].life;
                let conn = self.network.open(host, life);
                self.hosts[host].conn = Some(conn);
                let wait = self.dice.time(1..60);
                self.schedule.after(wait, Event::Dialled { conn });
            }
            Mode::Polling => {
                self.hosts[host].open = true;
                self.start_sessions(host, Mode::Polling);
                self.speak(host);
            }
        }
    }

    /// The answer to a dial.
    pub fn accepted(&mut self, conn: ConnId, taken: bool) {
        let Some(host) = self.host_of(conn) else {
            return self.reset_server(conn);
        };
        if !taken {
            return self.lost(host, None);
        }
        let now = self.instant();
        self.hosts[host].open = true;
        self.hosts[host].backoff.connected(now);
        self.start_sessions(host, Mode::Stream);
        self.speak(host);
    }

    fn start_sessions(&mut self, host: usize, mode: Mode) {
        let now = self.instant();
        for machine in &mut self.hosts[host].machines {
            if mode == Mode::Stream || machine.session.next_wake().is_none() {
                machine.session.connected(mode, now);
            }
        }
    }

    /// Sends whatever the host's agents have to say, and sets its timer.
    pub fn speak(&mut self, host: usize) {
        let now = self.instant();
        if !self.hosts[host].open {
            return;
        }
        match self.hosts[host].mode {
            Mode::Stream => {
                for index in 0..self.hosts[host].machines.len() {
                    while let Some(message) =
                        self.hosts[host].machines[index].session.poll_send(now)
                    {
                        self.say(host, message);
                    }
                }
            }
            Mode::Polling if self.hosts[host].asked.is_none() => {
                let again = self.hosts[host].unanswered.take();
                let message = again.or_else(|| self.hosts[host].machines[0].session.poll_send(now));
                if let Some(message) = message {
                    self.ask(host, message);
                }
            }
            Mode::Polling => return,
        }
        self.set_timer(host);
    }

    fn set_timer(&mut self, host: usize) {
        let this = &mut self.hosts[host];
        let sessions = this.machines.iter().map(|machine| &machine.session);
        let next = sessions
            .filter_map(opamp::client::ClientSession::next_wake)
            .min();
        let Some(next) = next.map(|next| next.duration_since(self.epoch)) else {
            return;
        };
        if this.wake.is_none_or(|set| next < set) {
            this.wake = Some(next);
            let life = this.life;
            self.schedule.at(next, Event::Wake { host, life });
        }
    }

    pub fn wake(&mut self, host: usize) {
        self.hosts[host].wake = None;
        self.speak(host);
    }

    fn say(&mut self, host: usize, message: Vec<u8>) {
        self.note_said(host, &message);
        if let Some(conn) = self.hosts[host].conn {
            self.transmit(conn, Way::ToServer, Frame::Message(message));
        }
    }

    fn ask(&mut self, host: usize, body: Vec<u8>) {
        self.note_said(host, &body);
        self.requests += 1;
        let (request, life) = (self.requests, self.hosts[host].life);
        self.hosts[host].asked = Some(request);
        self.hosts[host].unanswered = Some(body.clone());
        self.schedule.after(
            REQUEST_TIMEOUT,
            Event::RequestTimeout {
                host,
                life,
                request,
            },
        );
        let copies = match (self.calm, self.dice.below(100)) {
            (false, 0..8) => 0,
            (false, 8..14) => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let wait = self.delay();
            let body = body.clone();
            self.schedule.after(
                wait,
                Event::Request {
                    host,
                    life,
                    request,
                    body,
                },
            );
        }
    }

    /// An answer over plain HTTP.
    pub fn answered(&mut self, host: usize, request: u64, body: Option<Vec<u8>>) {
        if self.hosts[host].asked != Some(request) {
            return;
        }
        self.hosts[host].asked = None;
        match body {
            Some(body) => {
                self.hosts[host].unanswered = None;
                let now = self.instant();
                self.hosts[host].backoff.connected(now);
                self.listen(host, &body);
            }
            None => self.lost(host, None),
        }
    }

    pub fn gave_up_asking(&mut self, host: usize, request: u64) {
        if self.hosts[host].asked == Some(request) {
            self.hosts[host].asked = None;
            self.lost(host, None);
        }
    }

    /// A message of the server, for whichever of the host's agents it is.
    pub fn listen(&mut self, host: usize, message: &[u8]) {
        let now = self.instant();
        let mut reconnect = None;
        for index in 0..self.hosts[host].machines.len() {
            match self.hosts[host].machines[index]
                .session
                .receive(message, now)
            {
                Ok(received) => {
                    reconnect = reconnect.or(received.reconnect);
                    for event in received.events {
                        self.act_on(host, index, event);
                    }
                }
                Err(malformed) => {
                    self.violated("a reply that agents can read", format!("{malformed:?}"))
                }
            }
        }
        match reconnect {
            Some(Reconnect { after }) => self.leave(host, after),
            None => self.speak(host),
        }
    }

    fn act_on(&mut self, host: usize, index: usize, event: ServerSays) {
        let (life, says_so, takes) = (
            self.hosts[host].life,
            self.dice.percent(50),
            self.dice.time(1..4_000),
        );
        let started = self.unix_nano();
        let machine = &mut self.hosts[host].machines[index];
        match event {
            ServerSays::RemoteConfig(offer) => {
                let Some(offer) = machine.whole(offer) else {
                    self.refused_deltas += 1;
                    return;
                };
                let hash = offer.hash.clone();
                machine.take(offer, says_so);
                let tried = Event::Tried {
                    host,
                    life,
                    agent: index,
                    hash,
                };
                self.schedule.after(takes, tried);
            }
            ServerSays::UidChanged { old, new } => {
                machine.disk.uid = new;
                self.uids_given += 1;
                let mut former = self.former_uids.get(&old).cloned().unwrap_or_default();
                former.push(old);
                self.former_uids.insert(new, former);
            }
            ServerSays::Restart => machine.restart_process(started),
            _ => {}
        }
    }

    /// The server asked the host to go and come back.
    fn leave(&mut self, host: usize, after: Option<Duration>) {
        if self.hosts[host].mode == Mode::Stream {
            for index in 0..self.hosts[host].machines.len() {
                let goodbye = self.hosts[host].machines[index].session.goodbye();
                self.say(host, goodbye);
            }
            if let Some(conn) = self.hosts[host].conn {
                self.transmit(conn, Way::ToServer, Frame::Reset);
            }
        }
        self.hosts[host].conn = None;
        self.hosts[host].open = false;
        let (now, random, life) = (self.instant(), self.dice.number(), self.hosts[host].life);
        let wait = self.hosts[host].backoff.throttled(now, after, random);
        self.schedule.after(wait, Event::Dial { host, life });
    }

    /// The connection, or the request, is lost.
    pub fn lost(&mut self, host: usize, after: Option<Duration>) {
        let (now, random) = (self.instant(), self.dice.number());
        let this = &mut self.hosts[host];
        this.conn = None;
        this.open = false;
        if this.mode == Mode::Stream {
            this.machines
                .iter_mut()
                .for_each(|machine| machine.session.disconnected());
        }
        let wait = this.backoff.lost(now, after, random);
        let life = this.life;
        self.schedule.after(wait, Event::Dial { host, life });
    }

    /// The host that speaks over a connection now.
    pub fn host_of(&self, conn: ConnId) -> Option<usize> {
        let (host, life) = self.network.owner(conn)?;
        let this = &self.hosts[host];
        (this.life == life && this.conn == Some(conn)).then_some(host)
    }
}
