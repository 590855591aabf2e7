//! What is so, as whoever sees everything knows it: what operators have in force, what was offered, what agents said.

use std::collections::{BTreeMap, BTreeSet};

use domain::AgentId;
use opamp::model::InstanceUid;

use crate::operator::{Done, Intent, NewConfig};
use crate::schedule::ConnId;

/// The facts that the server's picture is compared with.
#[derive(Default)]
pub(crate) struct Truth {
    /// The revision in force, by config.
    pub in_force: BTreeMap<String, u64>,
    /// What may still stand in the memory of a server that does not know what became of a commit.
    pub doubtful: BTreeSet<(String, u64)>,
    /// Every revision that was made.
    pub revisions: BTreeMap<(String, u64), NewConfig>,
    /// Whether a hold is on; nothing while that is not sure.
    pub held: Option<bool>,
    /// Hashes that were sent to agents, by the agent's uid.
    pub offered: BTreeSet<(InstanceUid, Vec<u8>)>,
    /// Hashes that agents said they run, by the agent's uid.
    pub claimed: BTreeSet<(InstanceUid, Vec<u8>)>,
    /// The newest description that is stored, by agent.
    pub described: BTreeMap<AgentId, u64>,
    /// Uids under which agents send over plain HTTP, where an old request may come late.
    pub polling: BTreeSet<InstanceUid>,
    /// What agents said first over a connection, when no other was left that could tell whether it is old.
    pub first_words: BTreeSet<(InstanceUid, u64)>,
    /// The newest connection over which each agent has spoken.
    pub newest_spoke: BTreeMap<InstanceUid, ConnId>,
    /// Older connections whose first words were taken although a newer one had spoken.
    pub outdated: BTreeSet<(InstanceUid, ConnId)>,
    /// Agents that were deleted, and may come again.
    pub deleted: u64,
}

impl Truth {
    /// An operator begins; until the outcome is known, a hold is neither sure to be on nor sure to be off.
    pub fn attempt(&mut self, intent: &Intent) {
        if matches!(intent, Intent::Hold | Intent::Lift) {
            self.held = None;
        }
    }

    /// An operator's wish came to its end.
    pub fn learn(&mut self, done: Done) {
        if let (Intent::Release(new), Some(revision)) = (&done.intent, done.revision) {
            self.revisions
                .insert((new.config.to_owned(), revision), new.clone());
        }
        if done.acknowledged {
            // A change that succeeds was drafted on what is stored.
            self.doubtful.clear();
        }
        match done.intent {
            Intent::Release(NewConfig { config, .. }) | Intent::GoBack { config, .. } => {
                if let Some(revision) = done.revision.filter(|_| done.happened) {
                    let before = self.in_force.insert(config.to_owned(), revision);
                    if let Some(before) = before.filter(|_| !done.acknowledged) {
                        self.doubtful.insert((config.to_owned(), before));
                    }
                }
            }
            Intent::Hold | Intent::Lift => {
                self.held = done
                    .acknowledged
                    .then_some(matches!(done.intent, Intent::Hold));
            }
            Intent::Delete(_) => self.deleted += u64::from(done.happened),
            Intent::Retry(_) | Intent::Restart(_) => {}
        }
    }
}
