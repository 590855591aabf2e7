//! One simulated agent: what it does with configs, what it says, and what its disk keeps over a crash.

use std::collections::BTreeMap;
use std::time::Duration;

use opamp::client::{ClientSession, RemoteConfigOffer, SessionOptions};
use opamp::delta;
use opamp::model::{
    AgentCapabilities, AgentDescription, ApplyState, Attribute, ConfigFile, ConfigMap,
    CustomCapabilities, Health, InstanceUid, RemoteConfigStatus,
};
use sha2::{Digest, Sha256};

/// What each agent of the simulation can do.
pub(crate) const CAPABILITIES: AgentCapabilities = AgentCapabilities::REPORTS_STATUS
    .union(AgentCapabilities::ACCEPTS_REMOTE_CONFIG)
    .union(AgentCapabilities::REPORTS_EFFECTIVE_CONFIG)
    .union(AgentCapabilities::REPORTS_REMOTE_CONFIG)
    .union(AgentCapabilities::REPORTS_HEALTH)
    .union(AgentCapabilities::ACCEPTS_RESTART_COMMAND)
    .union(AgentCapabilities::REPORTS_HEARTBEAT);

/// Where agents say that they run.
pub(crate) const ENVIRONMENTS: [&str; 3] = ["prod", "dev", "lab"];

/// An agent's process, and its machine.
pub(crate) struct Machine {
    /// Its name: agents of one run have different ones.
    pub number: usize,
    pub disk: Disk,
    pub session: ClientSession,
    pub healthy: bool,
    /// When the managed process started, in nanoseconds since 1970.
    pub started: u64,
    /// The offer that is being tried.
    pub trying: Option<RemoteConfigOffer>,
    /// Whether the last that it said of its config is not so.
    pub lies: bool,
}

/// What survives a crash of the agent. It is written before the agent speaks of it.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub uid: InstanceUid,
    /// Grows with every change of the description: later words have greater numbers.
    pub revision: u64,
    pub env: &'static str,
    pub config: Option<ConfigMap>,
    /// What became of the last config that was tried to the end.
    pub status: RemoteConfigStatus,
}

impl Machine {
    /// An agent whose process has said so many messages before.
    pub fn new(number: usize, uid: InstanceUid, env: &'static str, said: u64) -> Self {
        let disk = Disk {
            uid,
            revision: 1,
            env,
            config: None,
            status: RemoteConfigStatus::default(),
        };
        let mut machine = Self {
            number,
            session: session_of(&disk, said),
            disk,
            healthy: true,
            started: 1_000,
            trying: None,
            lies: false,
        };
        machine.tell_all();
        machine
    }

    /// The process ends and another starts on what the disk keeps.
    pub fn restart(&mut self, started: u64) {
        self.session = session_of(&self.disk, 0);
        self.healthy = true;
        self.started = started;
        self.trying = None;
        self.lies = false;
        self.tell_all();
    }

    fn tell_all(&mut self) {
        self.disk.revision += 1;
        self.describe();
        self.tell_health();
        self.session.set_effective_config(&self.effective());
        self.session.set_remote_config_status(&self.disk.status);
        if self.takes_deltas() {
            let capabilities = CustomCapabilities(vec![CustomCapabilities::DELTA.to_owned()]);
            self.session
                .set_custom_capabilities(&capabilities)
                .expect("it is the name of a capability");
        }
    }

    /// Whether it takes of a config what changed; every other machine does.
    const fn takes_deltas(&self) -> bool {
        !self.number.is_multiple_of(2)
    }

    /// Says something new of itself.
    pub fn change_description(&mut self, env: Option<&'static str>) {
        self.disk.revision += 1;
        self.disk.env = env.unwrap_or(self.disk.env);
        self.describe();
    }

    pub fn change_health(&mut self) {
        self.healthy = !self.healthy;
        self.tell_health();
    }

    /// The managed process is started anew, the agent is not.
    pub fn restart_process(&mut self, started: u64) {
        self.started = started;
        self.tell_health();
    }

    /// Says that it runs what nobody offered.
    pub fn lie(&mut self, hash: [u8; 32]) {
        self.say(&status(hash.to_vec(), ApplyState::Applied, ""));
        self.lies = true;
    }

    /// The whole of an offer. One that travels as a delta is asked for whole where the base is not the config on the
    /// disk; of some, the disk has lost it.
    pub fn whole(&mut self, offer: RemoteConfigOffer) -> Option<RemoteConfigOffer> {
        let sent = match offer.config {
            Some(sent) if delta::is_delta(&sent) => sent,
            config => return Some(RemoteConfigOffer { config, ..offer }),
        };
        let kept = self.disk.config.as_ref();
        let kept = kept.filter(|_| !offer.hash[0].is_multiple_of(4));
        let find = |sha256: &[u8; 32]| {
            let mut files = kept.into_iter().flat_map(BTreeMap::values);
            let file = files.find(|file| *Sha256::digest(&file.body) == *sha256)?;
            Some(file.body.as_slice().into())
        };
        if let Ok(config) = delta::decode(&sent, &offer.hash, 1 << 20, find) {
            let config = Some(config);
            return Some(RemoteConfigOffer { config, ..offer });
        }
        self.session
            .ask_for_whole(&offer.hash)
            .expect("the server has the capability, and few asks wait");
        None
    }

    /// Takes an offer; it is tried for a while.
    pub fn take(&mut self, offer: RemoteConfigOffer, says_so: bool) {
        if says_so {
            self.say(&status(offer.hash.clone(), ApplyState::Applying, ""));
        }
        self.trying = Some(offer);
    }

    /// Ends a trial, unless a newer offer has taken its place.
    pub fn tried(&mut self, hash: &[u8]) {
        let Some(offer) = self.trying.take_if(|offer| offer.hash == hash) else {
            return;
        };
        let Some(config) = offer.config else { return };
        if self.fails_on(&config) {
            self.report(offer.hash, ApplyState::Failed, "it does not start");
            return;
        }
        self.disk.config = Some(config);
        self.session.set_effective_config(&self.effective());
        self.report(offer.hash, ApplyState::Applied, "");
    }

    /// Whether this agent cannot run a config.
    pub fn fails_on(&self, config: &ConfigMap) -> bool {
        let mark = failure_mark(self.number);
        config
            .values()
            .any(|file| String::from_utf8_lossy(&file.body).contains(&mark))
    }

    fn report(&mut self, hash: Vec<u8>, state: ApplyState, error: &str) {
        self.disk.status = status(hash, state, error);
        self.say(&self.disk.status.clone());
    }

    fn say(&mut self, status: &RemoteConfigStatus) {
        self.session.set_remote_config_status(status);
        self.lies = false;
    }

    fn describe(&mut self) {
        self.session.set_description(&self.description());
    }

    pub fn description(&self) -> AgentDescription {
        AgentDescription {
            identifying: vec![Attribute::new(
                "service.name",
                format!("agent-{}", self.number),
            )],
            non_identifying: vec![
                Attribute::new("env", self.disk.env),
                Attribute::new("revision", self.disk.revision.to_string()),
            ],
        }
    }

    fn tell_health(&mut self) {
        self.session.set_health(&Health {
            healthy: self.healthy,
            start_time_unix_nano: self.started,
            last_error: if self.healthy { "" } else { "it is not well" }.to_owned(),
            ..Health::default()
        });
    }

    /// What it runs: its own bootstrap config until it was given another.
    pub fn effective(&self) -> ConfigMap {
        let own = || {
            let body = format!("own: {}\n", self.number);
            BTreeMap::from([("config.yaml".to_owned(), ConfigFile::new(body, "text/yaml"))])
        };
        self.disk.config.clone().unwrap_or_else(own)
    }
}

/// What a config holds that this agent cannot run.
pub(crate) fn failure_mark(number: usize) -> String {
    format!("kills-{number}-")
}

fn status(last_hash: Vec<u8>, state: ApplyState, error: &str) -> RemoteConfigStatus {
    RemoteConfigStatus {
        last_hash,
        state,
        error: error.to_owned(),
    }
}

fn session_of(disk: &Disk, said: u64) -> ClientSession {
    ClientSession::new(SessionOptions {
        heartbeat_interval: Duration::from_secs(30),
        first_sequence_num: said,
        ..SessionOptions::new(disk.uid, CAPABILITIES)
    })
}
