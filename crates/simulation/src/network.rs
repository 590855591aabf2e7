//! Connections: each delivers in order and loses nothing until it breaks; between connections there is no order.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::schedule::{ConnId, Event, Frame, Way};
use crate::world::World;

/// All connections that were ever dialled.
#[derive(Default)]
pub(crate) struct Network {
    conns: BTreeMap<ConnId, Conn>,
}

struct Conn {
    host: usize,
    life: u32,
    /// What is sent from now on is lost.
    broken: bool,
    /// What is under way is lost too.
    swallows: bool,
    /// When the last frame arrives, by direction.
    last: [Duration; 2],
}

impl Network {
    pub fn open(&mut self, host: usize, life: u32) -> ConnId {
        let id = ConnId(u64::try_from(self.conns.len()).unwrap_or(u64::MAX));
        let conn = Conn {
            host,
            life,
            broken: false,
            swallows: false,
            last: [Duration::ZERO; 2],
        };
        self.conns.insert(id, conn);
        id
    }

    pub fn owner(&self, conn: ConnId) -> Option<(usize, u32)> {
        self.conns.get(&conn).map(|conn| (conn.host, conn.life))
    }

    pub fn break_off(&mut self, conn: ConnId, swallows: bool) {
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.broken = true;
            conn.swallows |= swallows;
        }
    }

    /// Whether what is under way arrives.
    pub fn delivers(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|conn| !conn.swallows)
    }

    pub fn is_broken(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_none_or(|conn| conn.broken)
    }
}

impl World {
    /// How long something travels: mostly little, sometimes long.
    pub fn delay(&mut self) -> Duration {
        if !self.calm && self.dice.percent(4) {
            self.dice.time(200..8_000)
        } else {
            self.dice.time(1..80)
        }
    }

    /// Sends a frame over a connection, behind those sent before.
    pub fn transmit(&mut self, conn: ConnId, way: Way, frame: Frame) {
        let delay = self.delay();
        self.transmit_late(conn, way, frame, delay);
    }

    pub fn transmit_late(&mut self, conn: ConnId, way: Way, frame: Frame, delay: Duration) {
        let now = self.schedule.now();
        let Some(this) = self.network.conns.get_mut(&conn) else {
            return;
        };
        if this.broken {
            return;
        }
        let last = match way {
            Way::ToServer => &mut this.last[0],
            Way::ToAgent => &mut this.last[1],
        };
        let at = (now + delay).max(*last + Duration::from_micros(1));
        *last = at;
        self.schedule.at(at, Event::Arrive { conn, way, frame });
    }

    pub fn reset_server(&mut self, conn: ConnId) {
        self.transmit(conn, Way::ToServer, Frame::Reset);
    }

    /// A frame arrives at the host's end.
    pub fn arrive_at_host(&mut self, conn: ConnId, frame: Frame) {
        let Some(host) = self.host_of(conn) else {
            // Nobody is there any more; the system says so.
            if !matches!(frame, Frame::Reset) {
                self.reset_server(conn);
            }
            return;
        };
        match frame {
            Frame::Message(message) => self.listen(host, &message),
            Frame::Ping => self.transmit(conn, Way::ToServer, Frame::Pong),
            Frame::Pong => {}
            Frame::Reset => self.lost(host, None),
        }
    }
}
