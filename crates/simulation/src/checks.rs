//! What must hold after each step, and at the end, when all is quiet.

use std::collections::BTreeSet;

use domain::{AgentId, ConfigState, Event, EventKind, Labels, Namespace};
use opamp::client::Mode;
use opamp::model::{AgentDescription, ApplyState, InstanceUid};
use opamp::proto;
use prost::Message as _;

use crate::machine::CAPABILITIES;
use crate::operator;
use crate::schedule::ConnId;
use crate::world::World;

/// Messages that an agent may need beside its heartbeats to agree with the server, once nothing happens any more.
const QUIET_MESSAGES: u64 = 24;

impl World {
    /// An agent sends a message: what it claims is remembered.
    pub fn note_said(&mut self, host: usize, message: &[u8]) {
        self.hosts[host].sent += 1;
        self.trace.note(self.schedule.now(), message);
        let Ok(said) = proto::AgentToServer::decode(message) else {
            return self.violated(
                "an agent's message that can be read",
                format!("{message:?}"),
            );
        };
        let Ok(uid) = InstanceUid::from_slice(&said.instance_uid) else {
            return self.violated("an agent's uid of 16 bytes", format!("{said:?}"));
        };
        if self.hosts[host].mode == Mode::Polling {
            self.truth.polling.insert(uid);
        }
        if let Some(status) = said.remote_config_status
            && status.status() == proto::RemoteConfigStatuses::Applied
        {
            self.truth
                .claimed
                .insert((uid, status.last_remote_config_hash));
        }
    }

    /// The server has taken a message that came over a connection. The first over an older connection may come after
    /// all others, when no connection is left that could tell, or the one that is does not answer when it is asked:
    /// then nothing shows that it is old, nor that what comes over the same connection after it is.
    pub fn note_taken(&mut self, conn: ConnId, message: &[u8]) {
        let Ok(said) = proto::AgentToServer::decode(message) else {
            return;
        };
        let (Ok(uid), Some(running)) = (
            InstanceUid::from_slice(&said.instance_uid),
            &mut self.node.running,
        ) else {
            return;
        };
        let is_first = running
            .links
            .get_mut(&conn)
            .is_some_and(|link| link.spoke.insert(uid));
        let has_rival = running.links.iter().any(|(other, link)| {
            let answers = link.probes.is_empty() && !self.network.is_broken(*other);
            *other != conn && link.spoke.contains(&uid) && answers
        });
        let newest = self.truth.newest_spoke.entry(uid).or_insert(conn);
        let is_outdated = conn < *newest;
        *newest = conn.max(*newest);
        let is_unopposed = is_first && !has_rival;
        // What follows the first over an outdated connection has the number that is due.
        if is_unopposed && is_outdated {
            self.truth.outdated.insert((uid, conn));
        }
        let may_be_old = is_unopposed || self.truth.outdated.contains(&(uid, conn));
        if let Some(revision) = revision_of(said).filter(|_| may_be_old) {
            self.truth.first_words.insert((uid, revision));
        }
    }

    /// The server sends a message: an offer must be of what is committed, and none leaves under a hold.
    pub fn note_sent(&mut self, message: &[u8]) {
        self.trace.note(self.schedule.now(), message);
        let Ok(sent) = proto::ServerToAgent::decode(message) else {
            return self.violated(
                "a server's message that can be read",
                format!("{message:?}"),
            );
        };
        let (Ok(uid), Some(offer)) = (
            InstanceUid::from_slice(&sent.instance_uid),
            sent.remote_config,
        ) else {
            return;
        };
        self.offers += 1;
        let files = offer.config.as_ref().into_iter();
        let mut files = files.flat_map(|config| config.config_map.values());
        let is_delta = files.any(|file| file.content_type == opamp::delta::CONTENT_TYPE);
        self.deltas += u64::from(is_delta);
        self.truth.offered.insert((uid, offer.config_hash));
        if self.truth.held == Some(true) {
            self.violated("no offer leaves under a hold", format!("{uid}"));
        }
        self.check_released(uid);
    }

    /// What an agent should run is what operators have in force, no more.
    fn check_released(&mut self, uid: InstanceUid) {
        let Some(running) = &self.node.running else {
            return;
        };
        let namespace = Namespace::default();
        let Some(agent) = running.engine.find_by_uid(&namespace, uid) else {
            return;
        };
        let unknown: Vec<_> = running
            .engine
            .layers_of(&namespace, agent)
            .iter()
            .map(|layer| (layer.revision.config.to_string(), layer.revision.number.0))
            .filter(|layer| {
                self.truth.in_force.get(&layer.0) != Some(&layer.1)
                    && !self.truth.doubtful.contains(layer)
            })
            .collect();
        if !unknown.is_empty() {
            self.violated(
                "only what is committed is offered",
                format!("{uid} is to run {unknown:?}"),
            );
        }
    }

    /// After each event at which what the server knows may change, from memory.
    pub fn check_memory(&mut self) {
        let Some(running) = &self.node.running else {
            return;
        };
        let engine = &running.engine;
        let namespace = Namespace::default();
        let most =
            self.machines().count() as u64 + self.uids_given + self.twins + self.truth.deleted;
        let known = engine.known_agents() as u64;
        let mut wrong = Vec::new();
        for machine in self.machines() {
            let uid = machine.session.uid();
            let Some(agent) = engine.find_by_uid(&namespace, uid) else {
                continue;
            };
            let Some(standing) = engine.standing(&namespace, agent) else {
                continue;
            };
            if standing.config_state != ConfigState::Applied {
                continue;
            }
            let claimed = standing
                .desired
                .is_some_and(|hash| self.has_claimed(uid, hash.as_bytes()));
            if !claimed {
                wrong.push(format!("{uid}: {standing:?}"));
            }
        }
        if most < known {
            self.violated(
                "memory is bounded",
                format!("{known} agents are known, at most {most} can be"),
            );
        }
        if let Some(wrong) = wrong.pop() {
            self.violated("applied is what an agent said it applied", wrong);
        }
    }

    /// Whether an agent has said that it runs this, under its uid or one that it had before.
    fn has_claimed(&self, uid: InstanceUid, hash: &[u8]) -> bool {
        self.truth.claimed.contains(&(uid, hash.to_vec()))
            || self.former_uids.get(&uid).is_some_and(|former| {
                former
                    .iter()
                    .any(|old| self.truth.claimed.contains(&(*old, hash.to_vec())))
            })
    }

    /// After each commit, from the database: nothing goes back to what was said before, and nothing counts as applied
    /// that was not offered and said to be applied.
    pub async fn check_stored(&mut self) {
        let commits = store::testing::commits_begun(&self.node.db);
        if std::mem::replace(&mut self.commits_checked, commits) == commits {
            return;
        }
        let mut conn = self.node.db.read().await.expect("the database is readable");
        let described = store::testing::self_descriptions(&mut conn)
            .await
            .expect("the agents are readable");
        let newest = store::events::latest(&mut conn)
            .await
            .expect("the events are readable");
        let events = match self.last_event < newest {
            true => {
                store::events::list_after(&mut conn, &Namespace::default(), self.last_event, 1_000)
                    .await
                    .expect("the events are readable")
            }
            false => Vec::new(),
        };
        drop(conn);
        self.check_descriptions(described);
        self.check_events(events);
    }

    fn check_descriptions(&mut self, stored: Vec<(AgentId, InstanceUid, Labels)>) {
        for (id, uid, said) in stored {
            let revision = said.get("revision").and_then(|text| text.parse().ok());
            let Some(revision) = revision else { continue };
            let before = self.truth.described.insert(id, revision);
            // Over plain HTTP a request may come late, and nothing tells that it is old until the next one.
            let may_be_old = self.truth.polling.contains(&uid)
                || self.truth.first_words.contains(&(uid, revision));
            if before.is_some_and(|before| revision < before) && !may_be_old {
                self.violated(
                    "an agent's newer word is never replaced by an older one",
                    format!("{uid}: {before:?} became {revision}"),
                );
            }
        }
    }

    fn check_events(&mut self, events: Vec<Event>) {
        for event in events {
            self.last_event = event.id;
            if event.kind != EventKind::ConfigApplied {
                continue;
            }
            let hash = event.detail.get("config_hash").cloned().unwrap_or_default();
            let matches = |(_, known): &&(InstanceUid, Vec<u8>)| hex(known) == hash;
            let offered: BTreeSet<_> = self
                .truth
                .offered
                .iter()
                .filter(matches)
                .map(|(uid, _)| *uid)
                .collect();
            let claimed: BTreeSet<_> = self
                .truth
                .claimed
                .iter()
                .filter(matches)
                .map(|(uid, _)| *uid)
                .collect();
            if offered.is_empty() || claimed.is_empty() {
                self.violated(
                    "what counts as applied was offered and is said to run",
                    format!(
                        "{hash} of {:?}: offered to {offered:?}, claimed by {claimed:?}",
                        event.agent
                    ),
                );
            }
        }
    }

    /// When all is quiet: the server's picture is the agents', in memory and stored, and each runs what it should.
    pub async fn check_agreement(&mut self) {
        let Some(running) = &self.node.running else {
            return self.violated("a server runs at the end", String::new());
        };
        let engine = running.engine.clone();
        let in_force = operator::in_force(&engine).await;
        if in_force != self.truth.in_force {
            let detail = format!("{in_force:?} instead of {:?}", self.truth.in_force);
            return self.violated("nothing that was released is lost", detail);
        }
        for index in 0..self.hosts.len() {
            for place in 0..self.hosts[index].machines.len() {
                let trouble = self.compare(&engine, index, place).await;
                if let Some(trouble) = trouble {
                    let uid = self.hosts[index].machines[place].session.uid();
                    return self.violated(
                        "the server's picture is the agent's",
                        format!("host {index}, {uid}: {trouble}"),
                    );
                }
            }
        }
    }

    async fn compare(&self, engine: &engine::Engine, host: usize, place: usize) -> Option<String> {
        let namespace = Namespace::default();
        let machine = &self.hosts[host].machines[place];
        let Some(id) = engine.find_by_uid(&namespace, machine.session.uid()) else {
            return Some("the server does not know it".to_owned());
        };
        let standing = engine.standing(&namespace, id)?;
        if !standing.connected {
            return Some("it is not attached".to_owned());
        }
        let expected = self.expected_layers(machine.disk.env);
        let layers: Vec<_> = engine
            .layers_of(&namespace, id)
            .iter()
            .map(|layer| (layer.revision.config.to_string(), layer.revision.number.0))
            .collect();
        if layers != expected {
            return Some(format!(
                "it should run {expected:?}, and the server has {layers:?}"
            ));
        }
        if standing.desired.is_some() == expected.is_empty() {
            return Some(format!(
                "its desired state is {:?} for {expected:?}",
                standing.desired
            ));
        }
        let mut conn = engine.db().read().await.expect("the database is readable");
        let stored = store::agents::find(&mut conn, &namespace, id)
            .await
            .expect("the agent is readable");
        let Some(stored) = stored else {
            return Some("it is not stored".to_owned());
        };
        if stored.description.as_ref() != Some(&machine.description()) {
            return Some(format!(
                "its description is stored as {:?}",
                stored.description
            ));
        }
        if stored.summary.healthy != Some(machine.healthy) {
            return Some(format!(
                "its health is stored as {:?}",
                stored.summary.healthy
            ));
        }
        if stored.effective_config.as_ref() != Some(&machine.effective()) {
            return Some(format!(
                "its effective config is stored as {:?}",
                stored.effective_config
            ));
        }
        if stored.summary.capabilities != CAPABILITIES {
            return Some(format!(
                "its capabilities are stored as {:?}",
                stored.summary.capabilities
            ));
        }
        if stored.summary.remote_config_status.as_ref() != Some(&machine.disk.status) {
            return Some(format!(
                "its config's status is stored as {:?}, and is {:?}",
                stored.summary.remote_config_status, machine.disk.status
            ));
        }
        if stored.summary.desired != standing.desired
            || stored.summary.config_state != standing.config_state
        {
            return Some(format!("{:?} is stored as {:?}", standing, stored.summary));
        }
        self.check_outcome(machine, standing.desired)
    }

    /// Each agent ends with what it should run, or says that it cannot.
    fn check_outcome(
        &self,
        machine: &crate::machine::Machine,
        desired: Option<domain::ContentHash>,
    ) -> Option<String> {
        let desired = desired?;
        let status = &machine.disk.status;
        if status.last_hash != desired.as_bytes() {
            return Some(format!(
                "it should run {desired}, and answered {}",
                hex(&status.last_hash)
            ));
        }
        match status.state {
            ApplyState::Applied | ApplyState::Failed => None,
            ApplyState::Unset | ApplyState::Applying => {
                Some(format!("it ended {:?}", status.state))
            }
        }
    }

    /// The layers of an agent in this environment, in merge order.
    fn expected_layers(&self, env: &str) -> Vec<(String, u64)> {
        let mut layers: Vec<_> = self
            .truth
            .in_force
            .iter()
            .filter_map(|(config, number)| {
                let revision = self.truth.revisions.get(&(config.clone(), *number))?;
                let matches =
                    revision.selector.is_empty() || revision.selector == format!("env={env}");
                matches.then(|| (revision.priority, config.clone(), *number))
            })
            .collect();
        layers.sort();
        layers
            .into_iter()
            .map(|(_, config, number)| (config, number))
            .collect()
    }

    /// While nothing happens, agents say little more than that they are there.
    pub fn check_quiet(&mut self, before: &[u64], heartbeats: u64) {
        let talkative =
            self.hosts
                .iter()
                .zip(before)
                .enumerate()
                .find_map(|(index, (host, before))| {
                    let most = (heartbeats + QUIET_MESSAGES) * host.machines.len() as u64;
                    (most < host.sent - before).then(|| {
                        format!("host {index} sent {}, at most {most}", host.sent - before)
                    })
                });
        if let Some(talkative) = talkative {
            self.violated("agreement takes few messages", talkative);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The revision of the description in a message.
fn revision_of(said: proto::AgentToServer) -> Option<u64> {
    let description = AgentDescription::from(said.agent_description?);
    description.get("revision")?.as_str()?.parse().ok()
}
