//! Which agents a rollout admits first: an order of its own for each rollout, the same on every node and at every time.

use std::collections::BTreeMap;

use crate::ids::{AgentId, RolloutId};

/// Where an agent stands in the order of a rollout.
///
/// It depends on nothing but the two ids, so an agent that joins or leaves moves no other.
#[must_use]
pub fn rank(rollout: RolloutId, agent: AgentId) -> u64 {
    let words = |bytes: &[u8; 16]| {
        let value = u128::from_be_bytes(*bytes);
        // The two halves.
        [(value >> 64) as u64, value as u64]
    };
    let [a, b] = words(rollout.as_bytes());
    let [c, d] = words(agent.as_bytes());
    [b, c, d]
        .into_iter()
        .fold(mixed(a), |state, word| mixed(state ^ word))
}

/// The finalizer of SplitMix64: each bit of the input changes half of those of the output.
const fn mixed(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// The next agents, at most so many: spread over zones so that each has as equal a number of agents as can be, those that
/// were admitted before (by zone) included; within a zone in the order of the rollout.
#[must_use]
pub fn pick(
    rollout: RolloutId,
    candidates: impl IntoIterator<Item = (AgentId, String)>,
    admitted: &BTreeMap<String, u64>,
    most: usize,
) -> Vec<AgentId> {
    let mut zones: BTreeMap<String, Vec<(u64, AgentId)>> = BTreeMap::new();
    for (agent, zone) in candidates {
        let ranked = (rank(rollout, agent), agent);
        zones.entry(zone).or_default().push(ranked);
    }
    // Each agent with how many of its zone come before it; of equal numbers the order of the rollout decides.
    let mut queue: Vec<(u64, u64, AgentId)> = Vec::new();
    for (zone, mut agents) in zones {
        agents.sort_unstable();
        let before = admitted.get(&zone).copied().unwrap_or_default();
        let places = (before..).zip(agents);
        queue.extend(places.map(|(place, (rank, agent))| (place, rank, agent)));
    }
    queue.sort_unstable();
    queue
        .into_iter()
        .take(most)
        .map(|(_, _, agent)| agent)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROLLOUT: RolloutId = RolloutId::from_bytes([7; 16]);

    fn agent(number: u16) -> AgentId {
        let mut bytes = [0; 16];
        bytes[14..].copy_from_slice(&number.to_be_bytes());
        AgentId::from_bytes(bytes)
    }

    #[test]
    fn the_order_never_changes() {
        // Golden: a rollout that is under way while the program is replaced goes on with the same agents.
        assert_eq!(rank(ROLLOUT, agent(1)), 217_052_214_190_426_030);
        assert_eq!(rank(ROLLOUT, agent(2)), 8_616_109_465_788_027_574);
    }

    #[test]
    fn each_rollout_has_an_order_of_its_own() {
        let first = |rollout: u8| {
            let of = |number| {
                (
                    rank(RolloutId::from_bytes([rollout; 16]), agent(number)),
                    number,
                )
            };
            (0..1_000).map(of).min().unwrap().1
        };
        let firsts: std::collections::BTreeSet<u16> = (0..20).map(first).collect();
        assert!(15 < firsts.len(), "{firsts:?}");
    }

    #[test]
    fn zones_are_filled_evenly() {
        let zoned = (0..90).map(|number| (agent(number), format!("zone-{}", number % 10 / 5)));
        let picked = pick(ROLLOUT, zoned, &BTreeMap::new(), 20);
        let in_first = picked
            .iter()
            .filter(|picked| picked.as_bytes()[15] % 10 < 5)
            .count();
        assert_eq!(in_first, 10);
        let uneven = BTreeMap::from([("zone-0".to_owned(), 6)]);
        let zoned = (0..90).map(|number| (agent(number), format!("zone-{}", number % 10 / 5)));
        let picked = pick(ROLLOUT, zoned, &uneven, 8);
        let in_first = picked
            .iter()
            .filter(|picked| picked.as_bytes()[15] % 10 < 5)
            .count();
        assert_eq!(in_first, 1);
    }

    proptest! {
        /// Weights only ever add agents: more of them are the same and others.
        #[test]
        fn more_are_the_same_and_others(
            zones in proptest::collection::vec(0_u8..4, 1..60),
            fewer in 0_usize..60,
            more in 0_usize..60,
        ) {
            let candidates = || (0_u16..).zip(&zones).map(|(number, zone)| (agent(number), zone.to_string()));
            let of = |most| pick(ROLLOUT, candidates(), &BTreeMap::new(), most);
            let (few, many) = (of(fewer.min(more)), of(fewer.max(more)));
            prop_assert!(many.starts_with(&few));
            prop_assert_eq!(few.len(), fewer.min(more).min(zones.len()));
        }
    }
}
