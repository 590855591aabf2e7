//! Which agents of some can be asked, and which of them are asked first.

use domain::AgentId;

use super::MOST_ASKED_OF_A_GROUP;
use crate::agent::{LiveAgent, State};
use crate::builds::id_of;

/// Agents that can be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Askable {
    /// The first few of them, and of different builds where there are such.
    pub first: Vec<AgentId>,
    /// How many they are.
    pub agents: u64,
}

/// The agents of some that can be asked.
#[derive(Clone, Default)]
pub(crate) struct Candidates {
    first: Vec<Candidate>,
    agents: u64,
}

/// An agent that can be asked.
#[derive(Clone, Copy)]
pub(crate) struct Candidate {
    agent: AgentId,
    build: u64,
    /// How many agents of its build come before it.
    rank: usize,
}

impl Candidate {
    /// The agent, if it can be asked.
    pub fn of(agent: &LiveAgent, state: &State) -> Option<Self> {
        state.is_askable().then(|| Self {
            agent: agent.id,
            build: id_of(state.build().map(|build| &**build)),
            rank: 0,
        })
    }
}

impl Candidates {
    /// Takes one more agent in.
    pub fn add(&mut self, candidate: Candidate) {
        self.agents += 1;
        let is_alike = |known: &&Candidate| known.build == candidate.build;
        let rank = self.first.iter().filter(is_alike).count();
        self.put(Candidate { rank, ..candidate });
    }

    /// Takes in agents of other builds.
    pub fn join(&mut self, other: Self) {
        self.agents += other.agents;
        for candidate in other.first {
            self.put(candidate);
        }
    }

    pub fn askable(&self) -> Askable {
        Askable {
            first: self.first.iter().map(|candidate| candidate.agent).collect(),
            agents: self.agents,
        }
    }

    fn put(&mut self, candidate: Candidate) {
        let place = self
            .first
            .partition_point(|known| known.rank <= candidate.rank);
        self.first.insert(place, candidate);
        self.first.truncate(MOST_ASKED_OF_A_GROUP);
    }
}
