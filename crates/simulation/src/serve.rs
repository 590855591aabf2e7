//! The server's ends of connections and requests: what the gateway's transports do, on the simulated network.

use std::time::Duration;

use engine::{Attachment, DisconnectReason};
use gateway::{Answer, Conversation, Cut};

use crate::node::{Asking, Held, Running};
use crate::schedule::{Closing, ConnId, Event, Frame, Way};
use crate::world::World;

/// How long an old connection has to answer ([`gateway::Times::probe`]).
const PROBE: Duration = Duration::from_secs(5);
/// Between looks after a connection, each with a ping ([`gateway::Times::ping_interval`]).
const LOOK: Duration = Duration::from_secs(30);
/// [`gateway::Times::idle`].
const IDLE: Duration = Duration::from_secs(90);
/// [`gateway::Times::first_message`].
const FIRST_MESSAGE: Duration = Duration::from_secs(30);

/// What goes out to an agent, in order.
enum Out {
    Message(Vec<u8>),
    Ping,
    Close(Closing),
}

impl World {
    /// A dial reaches the server, if there is one.
    pub fn dialled(&mut self, conn: ConnId) {
        if self.network.is_broken(conn) {
            // The host hears nothing and gives up after a while.
            return self.schedule.after(
                Duration::from_secs(10),
                Event::Accepted { conn, taken: false },
            );
        }
        let now = self.schedule.now();
        let Some((host, _)) = self.network.owner(conn) else {
            return;
        };
        let taken = self.node.running.is_some();
        if let Some(running) = &mut self.node.running {
            running.connect(conn, host, now);
            let life = self.node.life;
            self.schedule.after(LOOK, Event::LookAfter { life, conn });
        }
        let wait = self.dice.time(1..60);
        self.schedule.after(wait, Event::Accepted { conn, taken });
    }

    /// A frame arrives at the server's end.
    pub fn arrive_at_server(&mut self, conn: ConnId, frame: Frame) {
        let now = self.schedule.now();
        let Some(link) = self.link(conn) else {
            if !matches!(frame, Frame::Reset) {
                self.transmit(conn, Way::ToAgent, Frame::Reset);
            }
            return;
        };
        link.heard = now;
        if let Frame::Reset = frame {
            return self.unlink(conn, DisconnectReason::ConnectionClosed);
        }
        for probe in std::mem::take(&mut link.probes) {
            probe.alive();
        }
        if let Frame::Message(message) = frame {
            let outs = self.hear(conn, message);
            self.send_all(conn, outs);
        }
        self.look_around();
    }

    fn link(&mut self, conn: ConnId) -> Option<&mut crate::node::Link> {
        self.node.running.as_mut()?.links.get_mut(&conn)
    }

    fn hear(&mut self, conn: ConnId, message: Vec<u8>) -> Vec<Out> {
        let Some(running) = &mut self.node.running else {
            return Vec::new();
        };
        let Some(link) = running.links.get_mut(&conn) else {
            return Vec::new();
        };
        match link.talk.hear(&message) {
            Answer::Send { reply, more } => {
                let mut outs = vec![Out::Message(reply.to_vec())];
                if let Some(attachment) = more {
                    outs.extend(waiting(&link.talk, &attachment));
                }
                self.note_taken(conn, &message);
                outs
            }
            Answer::Refuse(refused) => vec![Out::Message(refused.encode().to_vec())],
            Answer::Contested { contest, uid } => {
                if let Some(held) = link.contests.iter_mut().find(|held| held.uid == uid) {
                    held.messages.push(message);
                } else {
                    running.contests += 1;
                    let number = running.contests;
                    link.contests
                        .push(Held::new(number, uid, *contest, message));
                    let life = self.node.life;
                    self.schedule.after(
                        PROBE,
                        Event::ProbeOver {
                            life,
                            contest: number,
                        },
                    );
                }
                Vec::new()
            }
            Answer::End(cut) => vec![Out::Close(Closing::Cut(cut))],
        }
    }

    fn send_all(&mut self, conn: ConnId, outs: Vec<Out>) {
        for out in outs {
            match out {
                Out::Message(message) => {
                    self.note_sent(&message);
                    self.transmit(conn, Way::ToAgent, Frame::Message(message));
                }
                Out::Ping => self.transmit(conn, Way::ToAgent, Frame::Ping),
                Out::Close(closing) => {
                    let reason = match closing {
                        Closing::Cut(Cut::Idle) => DisconnectReason::Silent,
                        Closing::Cut(_) => DisconnectReason::ConnectionClosed,
                        Closing::Asked => DisconnectReason::AgentDeleted,
                    };
                    self.unlink(conn, reason);
                    self.transmit(conn, Way::ToAgent, Frame::Reset);
                    return;
                }
            }
        }
    }

    fn unlink(&mut self, conn: ConnId, reason: DisconnectReason) {
        if let Some(running) = &mut self.node.running
            && let Some(mut link) = running.links.remove(&conn)
        {
            link.talk.end(reason);
        }
        self.look_around();
    }

    /// Does what the engine left word for, until nothing is left to do.
    pub fn look_around(&mut self) {
        loop {
            // First what a contest asks of the other connection, then the word that it left for it.
            let settled = self.settle();
            let Some(running) = &mut self.node.running else {
                return;
            };
            let woken = wakes(running);
            if woken.is_empty() && !settled {
                break;
            }
            for (conn, outs) in woken {
                self.send_all(conn, outs);
            }
        }
        self.plan_steps();
    }

    /// Goes on where it became known who an agent is.
    fn settle(&mut self) -> bool {
        let Some(running) = &mut self.node.running else {
            return false;
        };
        let (mut settled, mut twins) = (Vec::new(), 0);
        for (conn, link) in &mut running.links {
            let mut index = 0;
            while index < link.contests.len() {
                match link.contests[index].settled() {
                    Some((contest, alive)) => {
                        twins += u64::from(alive);
                        let held = link.contests.remove(index);
                        let refused = link.talk.settle(contest, held.uid, alive);
                        settled.push((*conn, held, refused));
                    }
                    None => index += 1,
                }
            }
        }
        let mut asked = Vec::new();
        let mut index = 0;
        while index < running.asking.len() {
            match running.asking[index].held.settled() {
                Some((contest, alive)) => {
                    twins += u64::from(alive);
                    asked.push((running.asking.remove(index), contest, alive))
                }
                None => index += 1,
            }
        }
        self.twins += twins;
        let any = !settled.is_empty() || !asked.is_empty();
        for (conn, held, refused) in settled {
            for message in held.messages {
                let outs = match &refused {
                    None => self.hear(conn, message),
                    Some(refused) => vec![Out::Message(refused.encode().to_vec())],
                };
                self.send_all(conn, outs);
            }
        }
        for (mut asking, contest, alive) in asked {
            let refused = asking.talk.settle(contest, asking.held.uid, alive);
            let body = asking.held.messages.pop().unwrap_or_default();
            match refused {
                Some(refused) => self.respond(
                    asking.host,
                    asking.life,
                    asking.request,
                    Some(refused.encode().to_vec()),
                ),
                None => self.answer(asking.host, asking.life, asking.request, asking.talk, body),
            }
        }
        any
    }

    pub fn probe_over(&mut self, contest: u64) {
        if let Some(running) = &mut self.node.running {
            let links = running
                .links
                .values_mut()
                .flat_map(|link| &mut link.contests);
            let requests = running.asking.iter_mut().map(|asking| &mut asking.held);
            links
                .chain(requests)
                .filter(|held| held.number == contest)
                .for_each(Held::is_over);
        }
        self.look_around();
    }

    /// A request over plain HTTP reaches the server.
    pub fn requested(&mut self, host: usize, life: u32, request: u64, body: Vec<u8>) {
        match &self.node.running {
            None => self.respond(host, life, request, None),
            Some(running) => {
                let talk = running.request(host);
                self.answer(host, life, request, talk, body);
                self.look_around();
            }
        }
    }

    fn answer(
        &mut self,
        host: usize,
        life: u32,
        request: u64,
        mut talk: Conversation,
        body: Vec<u8>,
    ) {
        let reply = match talk.hear(&body) {
            Answer::Send { reply, .. } => Some(reply.to_vec()),
            Answer::Refuse(refused) => Some(refused.encode().to_vec()),
            Answer::End(_) => None,
            Answer::Contested { contest, uid } => {
                let Some(running) = &mut self.node.running else {
                    return;
                };
                running.contests += 1;
                let number = running.contests;
                let held = Held::new(number, uid, *contest, body);
                running.asking.push(Asking {
                    host,
                    life,
                    request,
                    talk,
                    held,
                });
                let life = self.node.life;
                self.schedule.after(
                    PROBE,
                    Event::ProbeOver {
                        life,
                        contest: number,
                    },
                );
                return;
            }
        };
        if let Some(reply) = &reply {
            self.note_sent(reply);
        }
        self.respond(host, life, request, reply);
    }

    fn respond(&mut self, host: usize, life: u32, request: u64, body: Option<Vec<u8>>) {
        if !self.calm && self.dice.percent(8) {
            return;
        }
        let wait = self.delay();
        self.schedule.after(
            wait,
            Event::Response {
                host,
                life,
                request,
                body,
            },
        );
    }

    /// Pings a connection, or ends it when nothing came for too long.
    pub fn look_after(&mut self, conn: ConnId) {
        let now = self.schedule.now();
        let Some(link) = self.link(conn) else { return };
        let alone = link.talk.is_empty() && link.contests.is_empty();
        let out = if IDLE <= now - link.heard {
            Out::Close(Closing::Cut(Cut::Idle))
        } else if alone && FIRST_MESSAGE < now - link.opened {
            Out::Close(Closing::Cut(Cut::NoFirstMessage))
        } else {
            Out::Ping
        };
        self.send_all(conn, vec![out]);
        let life = self.node.life;
        self.schedule.after(LOOK, Event::LookAfter { life, conn });
        self.look_around();
    }
}

/// What the connections have been woken for.
fn wakes(running: &mut Running) -> Vec<(ConnId, Vec<Out>)> {
    let mut woken = Vec::new();
    for (conn, link) in &mut running.links {
        let mut wakes = link.talk.mailbox().take();
        // The engine walks its agents in an order that no seed decides.
        wakes.agents.sort_by_key(engine::Attachment::agent_id);
        let mut outs = Vec::new();
        for attachment in &wakes.agents {
            outs.extend(waiting(&link.talk, attachment));
        }
        if !wakes.probes.is_empty() {
            link.probes.extend(wakes.probes);
            outs.push(Out::Ping);
        }
        if wakes.close.is_some() {
            outs.push(Out::Close(Closing::Asked));
        }
        if !outs.is_empty() {
            woken.push((*conn, outs));
        }
    }
    woken
}

/// What waits for an agent.
fn waiting(talk: &Conversation, attachment: &Attachment) -> Vec<Out> {
    let mut outs = Vec::new();
    while let Some((message, more)) = talk.take(attachment) {
        outs.push(Out::Message(message.to_vec()));
        if !more {
            break;
        }
    }
    outs
}
