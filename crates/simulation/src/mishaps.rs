//! What goes wrong: on hosts, on the network, with the server; and what operators come to wish meanwhile.

use std::time::Duration;

use domain::Namespace;

use crate::machine::{ENVIRONMENTS, failure_mark};
use crate::operator::{Intent, NewConfig};
use crate::schedule::{Event, Frame, Way};
use crate::world::World;

/// The configs of a run: name, selector and priority.
const CONFIGS: [(&str, &str, i64); 3] = [
    ("base", "", 0),
    ("prod", "env=prod", 10),
    ("dev", "env=dev", 5),
];

impl World {
    pub fn plan_mishap(&mut self) {
        let wait = self.dice.time(50..self.plan.pace_ms);
        self.schedule.after(wait, Event::Mishap);
    }

    pub fn plan_wish(&mut self) {
        let wait = self.dice.time(100..3 * self.plan.pace_ms);
        let wish = self.wish();
        self.schedule.after(wait, Event::Operate(wish));
    }

    /// Something happens, and something will happen next.
    pub fn mishap(&mut self) {
        if self.calm {
            return;
        }
        let host = self.dice.index(self.hosts.len());
        match self.dice.below(100) {
            0..28 => self.agent_changes(host),
            28..36 => self.connection_breaks(host),
            36..46 => self.host_loses_touch(host),
            46..52 => self.server_loses_touch(host),
            52..62 => self.host_crashes(host),
            62..67 => self.agent_lies(host),
            67..71 => {
                let life = self.node.life;
                self.schedule
                    .after(Duration::ZERO, Event::ServerCrash { life });
            }
            _ => self.plan_wish(),
        }
        self.plan_mishap();
    }

    fn agent_changes(&mut self, host: usize) {
        if !self.hosts[host].running {
            return;
        }
        let index = self.dice.index(self.hosts[host].machines.len());
        let moves = self.dice.percent(30);
        let env = *self.dice.pick(&ENVIRONMENTS);
        let (what, started) = (self.dice.below(4), self.unix_nano());
        let machine = &mut self.hosts[host].machines[index];
        match what {
            0 => machine.change_health(),
            1 => machine.restart_process(started),
            _ => machine.change_description(moves.then_some(env)),
        }
        self.speak(host);
    }

    fn agent_lies(&mut self, host: usize) {
        if self.hosts[host].running {
            let hash = self.dice.bytes();
            self.hosts[host].machines[0].lie(hash);
            self.speak(host);
        }
    }

    /// Both ends learn of it.
    fn connection_breaks(&mut self, host: usize) {
        let Some(conn) = self.hosts[host].conn.filter(|_| self.hosts[host].open) else {
            return;
        };
        let swallows = self.dice.percent(50);
        let (one, other) = (self.dice.time(0..2_000), self.dice.time(0..2_000));
        self.transmit_late(conn, Way::ToServer, Frame::Reset, one);
        self.transmit_late(conn, Way::ToAgent, Frame::Reset, other);
        // With `swallows` the resets are swallowed too: neither end learns of it by itself.
        self.network.break_off(conn, swallows);
        if swallows {
            self.lost(host, None);
        }
    }

    /// The host gives a connection up that the server keeps; a last message may still be on its way.
    fn host_loses_touch(&mut self, host: usize) {
        let Some(conn) = self.hosts[host].conn.filter(|_| self.hosts[host].open) else {
            return;
        };
        if self.dice.percent(60) {
            let now = self.instant();
            let last = self.hosts[host].machines.len() - 1;
            self.hosts[host].machines[last].change_description(None);
            if let Some(message) = self.hosts[host].machines[last].session.poll_send(now) {
                self.note_said(host, &message);
                let delay = self.dice.time(100..20_000);
                self.transmit_late(conn, Way::ToServer, Frame::Message(message), delay);
            }
        }
        self.network.break_off(conn, false);
        self.lost(host, None);
    }

    /// The server hears that a connection is gone, the host finds out much later.
    fn server_loses_touch(&mut self, host: usize) {
        let Some(conn) = self.hosts[host].conn.filter(|_| self.hosts[host].open) else {
            return;
        };
        let (soon, late) = (self.dice.time(0..500), self.dice.time(5_000..90_000));
        self.transmit_late(conn, Way::ToServer, Frame::Reset, soon);
        self.transmit_late(conn, Way::ToAgent, Frame::Reset, late);
        self.network.break_off(conn, false);
    }

    fn host_crashes(&mut self, host: usize) {
        if self.hosts[host].running {
            // The machine itself may be gone, and then nobody says that the connection is.
            let silent = self.dice.percent(40);
            self.crash_host(host, silent);
            let wait = self.dice.time(100..60_000);
            let life = self.hosts[host].life;
            self.schedule.after(wait, Event::HostStart { host, life });
        }
    }

    pub fn crash_host(&mut self, host: usize, silent: bool) {
        if let Some(conn) = self.hosts[host].conn {
            if silent {
                self.network.break_off(conn, false);
            } else {
                self.reset_server(conn);
            }
        }
        self.hosts[host].crash();
    }

    /// The host's process starts again.
    pub fn revive(&mut self, host: usize) {
        let started = self.unix_nano();
        let this = &mut self.hosts[host];
        if this.running {
            return;
        }
        this.running = true;
        this.machines
            .iter_mut()
            .for_each(|machine| machine.restart(started));
        let life = this.life;
        self.schedule
            .after(Duration::ZERO, Event::Dial { host, life });
    }

    fn wish(&mut self) -> Intent {
        match self.dice.below(100) {
            0..55 => self.new_config(),
            55..65 => self.earlier_config(),
            65..72 => Intent::Hold,
            72..82 => Intent::Lift,
            82..94 => self.of_some_agent(Intent::Retry),
            94..98 => self.of_some_agent(Intent::Restart),
            _ => self.of_some_agent(Intent::Delete),
        }
    }

    fn new_config(&mut self) -> Intent {
        let (config, selector, priority) = *self.dice.pick(&CONFIGS);
        let kills = match self.dice.percent(25) {
            true => failure_mark(1 + self.dice.index(self.machines().count())),
            false => String::new(),
        };
        let number = self.dice.below(1_000_000);
        // What all configs have in common makes a delta worth it.
        let common = "x".repeat(1_000);
        let body =
            format!("{config}:\n  number: {number}\n  note: \"{kills}\"\n  common: {common}\n");
        Intent::Release(NewConfig {
            config,
            selector,
            priority,
            body,
        })
    }

    fn earlier_config(&mut self) -> Intent {
        let earlier: Vec<_> = self.truth.revisions.keys().cloned().collect();
        if earlier.is_empty() {
            return self.new_config();
        }
        let (config, revision) = self.dice.pick(&earlier).clone();
        let known = CONFIGS.iter().find(|known| known.0 == config);
        known.map_or(Intent::Lift, |known| Intent::GoBack {
            config: known.0,
            revision,
        })
    }

    fn of_some_agent(&mut self, wish: impl FnOnce(domain::AgentId) -> Intent) -> Intent {
        let host = self.dice.index(self.hosts.len());
        let uid = self.hosts[host].machines[0].session.uid();
        let running = self.node.running.as_ref();
        let agent =
            running.and_then(|running| running.engine.find_by_uid(&Namespace::default(), uid));
        agent.map_or(Intent::Lift, wish)
    }
}
