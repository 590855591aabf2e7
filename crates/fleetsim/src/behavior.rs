//! How simulated agents misbehave, and which of them: `reject=5%:bad pipeline`, `slow=10%:2s`.

use std::{str::FromStr, time::Duration};

use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};

use crate::units::{self, Share};

/// What one agent does other than apply every config at once and stay.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Behavior {
    /// Answer every config with FAILED and this reason.
    pub reject: Option<String>,
    /// Report APPLYING first and the outcome after so long.
    pub apply_after: Option<Duration>,
    /// Turn the root's health over at this interval.
    pub flap_every: Option<Duration>,
    /// Close the connection without a word when a config is offered.
    pub vanish: Option<Vanish>,
    /// Read nothing after the first answer: the server's buffers fill up.
    pub never_read: bool,
}

/// What an agent that vanished does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vanish {
    /// It is not seen again.
    ForGood,
    /// It dials again after so long, with the old config.
    BackAfter(Duration),
}

/// A behavior and the part of the fleet that has it.
#[derive(Debug, Clone, PartialEq)]
pub struct BehaviorShare {
    /// Which part of the fleet.
    pub share: Share,
    /// What that part does.
    pub behavior: Behavior,
}

/// Why a behavior could not be read or dealt out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BehaviorError {
    /// The text is no known behavior.
    #[error(
        "{0:?} is no behavior: write reject=SHARE:REASON, slow=SHARE:DURATION, flap=SHARE:INTERVAL, \
         vanish=SHARE[:BACK_AFTER] or never-read=SHARE"
    )]
    Shape(String),
    /// A share or duration in it is wrong.
    #[error("behavior {behavior}")]
    Unit {
        /// The behavior's name.
        behavior: String,
        /// What is wrong with the quantity.
        #[source]
        source: units::UnitError,
    },
    /// The shares together are more than the fleet.
    #[error("behaviors ask for {asked} agents, and the fleet has {agents}")]
    TooMany {
        /// Agents that the shares add up to.
        asked: usize,
        /// Agents in the fleet.
        agents: usize,
    },
}

impl FromStr for BehaviorShare {
    type Err = BehaviorError;

    fn from_str(text: &str) -> Result<Self, BehaviorError> {
        let shape = || BehaviorError::Shape(text.to_owned());
        let (name, rest) = text.split_once('=').ok_or_else(shape)?;
        let (share, argument) = match rest.split_once(':') {
            Some((share, argument)) => (share, Some(argument)),
            None => (rest, None),
        };
        let unit = |source| BehaviorError::Unit {
            behavior: name.to_owned(),
            source,
        };
        let share = share.parse().map_err(unit)?;
        let after = || units::duration(argument.ok_or_else(shape)?).map_err(unit);
        let mut behavior = Behavior::default();
        match name {
            "reject" => behavior.reject = Some(argument.ok_or_else(shape)?.to_owned()),
            "slow" => behavior.apply_after = Some(after()?),
            "flap" => behavior.flap_every = Some(after()?),
            "vanish" if argument.is_some() => {
                behavior.vanish = Some(Vanish::BackAfter(after()?));
            }
            "vanish" => behavior.vanish = Some(Vanish::ForGood),
            "never-read" if argument.is_none() => behavior.never_read = true,
            _ => return Err(shape()),
        }
        Ok(Self { share, behavior })
    }
}

/// Deals behaviors out: for each of `agents` agents the index of its behavior, if it has one.
///
/// No agent has two. The choice depends on the seed alone.
///
/// # Errors
/// [`BehaviorError::TooMany`] when the shares add up to more than the fleet.
pub fn assign(
    shares: &[BehaviorShare],
    agents: usize,
    seed: u64,
) -> Result<Vec<Option<u16>>, BehaviorError> {
    let counts: Vec<usize> = shares.iter().map(|entry| entry.share.of(agents)).collect();
    let asked = counts.iter().sum();
    if agents < asked {
        return Err(BehaviorError::TooMany { asked, agents });
    }
    let mut dealt = Vec::with_capacity(agents);
    for (index, count) in counts.into_iter().enumerate() {
        dealt.resize(dealt.len() + count, u16::try_from(index).ok());
    }
    dealt.resize(agents, None);
    // Another stream than the labels' shuffles, so that misbehaving does not follow a label.
    dealt.shuffle(&mut SmallRng::seed_from_u64(seed.rotate_left(17) ^ 0x5eed));
    Ok(dealt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Behavior {
        text.parse::<BehaviorShare>().unwrap().behavior
    }

    #[test]
    fn every_form_of_the_flag_is_understood() {
        assert_eq!(
            parsed("reject=5%:bad pipeline: x").reject.as_deref(),
            Some("bad pipeline: x")
        );
        assert_eq!(
            parsed("slow=10%:2s").apply_after,
            Some(Duration::from_secs(2))
        );
        assert_eq!(
            parsed("flap=3:500ms").flap_every,
            Some(Duration::from_millis(500))
        );
        assert_eq!(parsed("vanish=1").vanish, Some(Vanish::ForGood));
        assert_eq!(
            parsed("vanish=1:30s").vanish,
            Some(Vanish::BackAfter(Duration::from_secs(30)))
        );
        assert!(parsed("never-read=2").never_read);
    }

    #[test]
    fn what_is_no_behavior_is_refused() {
        for text in [
            "",
            "reject",
            "reject=5%",
            "slow=5%",
            "slow=5%:2",
            "explode=1",
            "never-read=1:x",
            "flap=x:1s",
        ] {
            assert!(text.parse::<BehaviorShare>().is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_dealt_without_overlap() {
        let shares = ["reject=5%:no", "slow=20:1s"].map(|text| text.parse().unwrap());
        let dealt = assign(&shares, 100, 1).unwrap();
        assert_eq!(dealt.iter().filter(|at| **at == Some(0)).count(), 5);
        assert_eq!(dealt.iter().filter(|at| **at == Some(1)).count(), 20);
        assert_eq!(dealt, assign(&shares, 100, 1).unwrap());
    }

    #[test]
    fn more_shares_than_agents_are_refused() {
        let shares = ["reject=60%:no", "slow=60%:1s"].map(|text| text.parse().unwrap());
        let refused = assign(&shares, 10, 1).unwrap_err();
        assert_eq!(
            refused,
            BehaviorError::TooMany {
                asked: 12,
                agents: 10
            }
        );
    }
}
