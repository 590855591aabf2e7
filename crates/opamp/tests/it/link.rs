//! Both sessions over a simulated link that loses connections: in the end the server knows what
//! the agent is, whatever was lost on the way.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use opamp::Limits;
use opamp::client::{ClientSession, Event, Mode, SessionOptions};
use opamp::model::{
    AgentCapabilities, ApplyState, Attribute, AvailableComponents, Changes, ComponentDetails,
    ConfigMap, Health, HealthTimes, RemoteConfigStatus, ServerCapabilities, WireState,
};
use opamp::server::{Reply, encode_remote_config, receive};
use proptest::prelude::*;

use crate::support::{REPORTING, UID, config, description, health};

const CAPABILITIES: AgentCapabilities = REPORTING
    .union(AgentCapabilities::REPORTS_HEARTBEAT)
    .union(AgentCapabilities::REPORTS_AVAILABLE_COMPONENTS);

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Describe(u8),
    Health(bool, u8),
    Effective(u8),
    /// The server wants the agent to run another configuration.
    Release(u8),
    /// This many messages reach the server.
    Up(u8),
    /// This many messages reach the agent.
    Down(u8),
    /// The connection breaks, with what is under way, and is made anew.
    Break,
    /// The server forgets all agents.
    ServerRestart,
    /// The agent starts anew, with or without its counter.
    AgentRestart,
    Wait(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => any::<u8>().prop_map(Step::Describe),
        2 => (any::<bool>(), any::<u8>()).prop_map(|(healthy, time)| Step::Health(healthy, time)),
        1 => (0_u8..3).prop_map(Step::Effective),
        2 => (0_u8..3).prop_map(Step::Release),
        5 => (1_u8..4).prop_map(Step::Up),
        5 => (1_u8..4).prop_map(Step::Down),
        3 => Just(Step::Break),
        1 => Just(Step::ServerRestart),
        1 => Just(Step::AgentRestart),
        2 => (0_u8..40).prop_map(Step::Wait),
    ]
}

/// What the server made of the reports.
#[derive(Debug, Default)]
struct Known {
    changes: Changes,
    tree: Health,
    times: HealthTimes,
    components: Option<AvailableComponents>,
}

struct World {
    now: Instant,
    session: ClientSession,
    health: Health,
    effective: ConfigMap,
    described: String,
    status: Option<RemoteConfigStatus>,
    wire: WireState,
    known: Known,
    released: Option<u8>,
    to_server: VecDeque<Vec<u8>>,
    to_agent: VecDeque<Vec<u8>>,
}

/// What a program is built of does not change while it runs.
fn components() -> AvailableComponents {
    let details = ComponentDetails {
        metadata: vec![Attribute::new("version", "v1")],
        ..Default::default()
    };
    AvailableComponents {
        hash: vec![1; 8],
        components: Some([("otlp".to_owned(), details)].into()),
    }
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            now: Instant::now(),
            session: ClientSession::new(SessionOptions::new(UID, CAPABILITIES)),
            health: health(true, 2, 0),
            effective: config("a: 0"),
            described: "edge".into(),
            status: None,
            wire: WireState::default(),
            known: Known::default(),
            released: None,
            to_server: VecDeque::new(),
            to_agent: VecDeque::new(),
        };
        world.start_agent();
        world
    }

    fn start_agent(&mut self) {
        self.session.set_description(&description(&self.described));
        self.session.set_health(&self.health);
        self.session.set_effective_config(&self.effective);
        self.session.set_available_components(&components());
        if let Some(status) = &self.status {
            self.session.set_remote_config_status(status);
        }
        self.connect();
    }

    fn connect(&mut self) {
        self.to_server.clear();
        self.to_agent.clear();
        self.session.disconnected();
        self.session.connected(Mode::Stream, self.now);
        self.wire.reconnected();
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Describe(number) => {
                self.described = format!("edge-{number}");
                self.session.set_description(&description(&self.described));
            }
            Step::Health(healthy, time) => {
                self.health = health(healthy, 2, time.into());
                self.session.set_health(&self.health);
            }
            Step::Effective(number) => self.run_config(&config(&format!("a: {number}"))),
            Step::Release(number) => self.released = Some(number),
            Step::Up(count) => (0..count).for_each(|_| self.up()),
            Step::Down(count) => (0..count).for_each(|_| self.down()),
            Step::Break => self.connect(),
            Step::ServerRestart => {
                self.wire = WireState::default();
                self.known = Known::default();
                self.connect();
            }
            Step::AgentRestart => {
                self.session = ClientSession::new(SessionOptions::new(UID, CAPABILITIES));
                self.start_agent();
            }
            Step::Wait(seconds) => self.now += Duration::from_secs(seconds.into()),
        }
    }

    fn run_config(&mut self, effective: &ConfigMap) {
        self.effective = effective.clone();
        self.session.set_effective_config(effective);
    }

    fn up(&mut self) {
        while let Some(message) = self.session.poll_send(self.now) {
            self.to_server.push_back(message);
        }
        if let Some(message) = self.to_server.pop_front() {
            let reply = self.serve(&message);
            self.to_agent.push_back(reply);
        }
    }

    fn down(&mut self) {
        if let Some(reply) = self.to_agent.pop_front() {
            for event in self.session.receive(&reply, self.now).unwrap().events {
                self.act(event);
            }
        }
    }

    fn serve(&mut self, message: &[u8]) -> Vec<u8> {
        let received = receive(&mut self.wire, message, &Limits::SERVER).unwrap();
        self.learn(received.changes);
        let mut reply = Reply::to(UID, ServerCapabilities::ALL);
        if received.full_state_needed {
            reply = reply.report_full_state();
        }
        if received.components_wanted {
            reply = reply.report_available_components();
        }
        let answered = self
            .known
            .changes
            .remote_config_status
            .as_ref()
            .map(|status| &status.last_hash[..]);
        if let Some(released) = self
            .released
            .filter(|released| answered != Some(&[*released]))
        {
            reply = reply.remote_config(encode_remote_config(
                &config(&format!("r: {released}")),
                &[released],
            ));
        }
        reply.encode().to_vec()
    }

    fn learn(&mut self, changes: Changes) {
        let known = &mut self.known;
        if let Some(report) = changes.health {
            known.tree = report.tree.unwrap_or(std::mem::take(&mut known.tree));
            known.times = report.times;
        }
        if let Some(components) = changes.available_components {
            known.components = Some(components);
        }
        let kept = &mut known.changes;
        kept.description = changes.description.or(kept.description.take());
        kept.effective_config = changes.effective_config.or(kept.effective_config.take());
        kept.remote_config_status = changes
            .remote_config_status
            .or(kept.remote_config_status.take());
        kept.capabilities = changes.capabilities.or(kept.capabilities);
    }

    fn act(&mut self, event: Event) {
        let Event::RemoteConfig(offer) = event else {
            return;
        };
        let status = RemoteConfigStatus {
            last_hash: offer.hash,
            state: ApplyState::Applied,
            error: String::new(),
        };
        self.session.set_remote_config_status(&status);
        self.status = Some(status);
        self.run_config(&offer.config.unwrap());
    }

    /// The link holds from now on: heartbeats until nothing moves any more.
    fn settle(&mut self) {
        for _ in 0..80 {
            self.now += Duration::from_secs(31);
            for _ in 0..8 {
                self.up();
                self.down();
            }
        }
    }
}

proptest! {
    #[test]
    fn sq_02_st_08_both_sides_agree_after_any_losses(steps in prop::collection::vec(step(), 0..60)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.settle();
        let known = &world.known;
        prop_assert_eq!(known.changes.description.clone(), Some(description(&world.described)));
        prop_assert_eq!(known.changes.effective_config.as_ref(), Some(&world.effective));
        prop_assert_eq!(known.changes.capabilities, Some(CAPABILITIES));
        prop_assert_eq!(known.changes.remote_config_status.as_ref(), world.status.as_ref());
        prop_assert_eq!(known.components.as_ref(), Some(&components()));
        let mut tree = known.tree.clone();
        tree.join_times(&known.times);
        prop_assert_eq!(&tree, &world.health);
        if let Some(released) = world.released {
            prop_assert_eq!(world.status.unwrap().last_hash, [released]);
        }
        prop_assert!(!world.wire.stale);
    }
}
