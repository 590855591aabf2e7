//! Labels spread over a fleet by distribution: `env=prod:70,staging:30`.
//!
//! Shares are exact (largest remainder), and which agent gets which value is a shuffle by seed and
//! key: two labels are independent of one another, and the same seed gives the same fleet again.

use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};

/// One label and how often each of its values occurs.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    key: String,
    values: Vec<(String, f64)>,
}

/// Why a distribution could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DistributionError {
    /// No `=` between key and values, or an empty key.
    #[error("{0:?} is no label distribution: write key=value or key=value:weight,value:weight")]
    Shape(String),
    /// A weight that is not a number above zero.
    #[error("label {key}: {weight:?} is no weight: write a number above 0")]
    Weight {
        /// The label's key.
        key: String,
        /// What stood where its weight belongs.
        weight: String,
    },
    /// The same value twice.
    #[error("label {key}: value {value:?} occurs twice")]
    Twice {
        /// The label's key.
        key: String,
        /// The repeated value.
        value: String,
    },
}

impl Distribution {
    /// A distribution of `key` over weighted values.
    ///
    /// # Errors
    /// When the key or the values are empty, a weight is not above zero, or a value occurs twice.
    pub fn new(
        key: impl Into<String>,
        values: Vec<(String, f64)>,
    ) -> Result<Self, DistributionError> {
        let key = key.into();
        if key.is_empty() || values.is_empty() {
            return Err(DistributionError::Shape(key));
        }
        for (at, (value, weight)) in values.iter().enumerate() {
            if !weight.is_finite() || *weight <= 0.0 {
                let weight = weight.to_string();
                return Err(DistributionError::Weight { key, weight });
            }
            if values[..at].iter().any(|(earlier, _)| earlier == value) {
                let value = value.clone();
                return Err(DistributionError::Twice { key, value });
            }
        }
        Ok(Self { key, values })
    }

    /// The label's key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value of each of `agents` agents, as an index for [`Distribution::value`].
    #[must_use]
    pub fn assign(&self, agents: usize, seed: u64) -> Vec<u16> {
        let mut dealt = Vec::with_capacity(agents);
        for (value, count) in self.counts(agents).into_iter().enumerate() {
            let value = u16::try_from(value).unwrap_or(u16::MAX);
            dealt.resize(dealt.len() + count, value);
        }
        dealt.shuffle(&mut SmallRng::seed_from_u64(seed ^ fingerprint(&self.key)));
        dealt
    }

    /// The value at an index that [`Distribution::assign`] gave out.
    #[must_use]
    pub fn value(&self, index: u16) -> &str {
        &self.values[usize::from(index)].0
    }

    /// How many agents get each value: exact shares, the largest remainders rounded up.
    fn counts(&self, agents: usize) -> Vec<usize> {
        let total: f64 = self.values.iter().map(|(_, weight)| weight).sum();
        let exact = |weight: f64| agents as f64 * weight / total;
        let mut counts: Vec<usize> = self
            .values
            .iter()
            .map(|(_, weight)| exact(*weight).floor() as usize)
            .collect();
        let mut by_remainder: Vec<usize> = (0..counts.len()).collect();
        let remainder = |at: usize| exact(self.values[at].1).fract();
        by_remainder.sort_by(|a, b| remainder(*b).total_cmp(&remainder(*a)));
        let missing = agents.saturating_sub(counts.iter().sum());
        for at in by_remainder.into_iter().cycle().take(missing) {
            counts[at] += 1;
        }
        counts
    }
}

impl std::str::FromStr for Distribution {
    type Err = DistributionError;

    fn from_str(text: &str) -> Result<Self, DistributionError> {
        let shape = || DistributionError::Shape(text.to_owned());
        let (key, values) = text.split_once('=').ok_or_else(shape)?;
        let key = key.trim();
        let values = values
            .split(',')
            .map(|part| weighted(key, part.trim()))
            .collect::<Result<_, _>>()?;
        Self::new(key, values)
    }
}

/// `value` or `value:weight`. The weight follows the last colon, so values may hold colons.
fn weighted(key: &str, part: &str) -> Result<(String, f64), DistributionError> {
    let Some((value, weight)) = part.rsplit_once(':') else {
        return Ok((part.to_owned(), 1.0));
    };
    let parsed = weight
        .trim()
        .parse()
        .map_err(|_| DistributionError::Weight {
            key: key.to_owned(),
            weight: weight.to_owned(),
        })?;
    Ok((value.to_owned(), parsed))
}

/// FNV-1a: stable over builds, unlike the standard library's hasher.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &str, agents: usize, seed: u64) -> Vec<usize> {
        let distribution: Distribution = text.parse().unwrap();
        let mut counts = vec![0; distribution.values.len()];
        for value in distribution.assign(agents, seed) {
            counts[usize::from(value)] += 1;
        }
        counts
    }

    #[test]
    fn shares_are_exact_for_any_fleet() {
        assert_eq!(tally("env=prod:70,staging:30", 1000, 7), [700, 300]);
        assert_eq!(tally("env=prod:70,staging:30", 1, 7), [1, 0]);
        assert_eq!(tally("zone=a,b,c", 10, 1).iter().sum::<usize>(), 10);
        assert_eq!(tally("zone=a,b,c", 9, 1), [3, 3, 3]);
        assert_eq!(tally("env=prod:70,staging:30", 0, 7), [0, 0]);
    }

    #[test]
    fn the_same_seed_deals_the_same_fleet_and_another_does_not() {
        let env: Distribution = "env=prod:70,staging:30".parse().unwrap();
        assert_eq!(env.assign(100, 1), env.assign(100, 1));
        assert_ne!(env.assign(100, 1), env.assign(100, 2));
    }

    #[test]
    fn two_labels_are_independent() {
        let env: Distribution = "env=a:50,b:50".parse().unwrap();
        let zone: Distribution = "zone=x:50,y:50".parse().unwrap();
        let both = env.assign(1000, 3).into_iter().zip(zone.assign(1000, 3));
        let together = both.filter(|(env, zone)| *env == 0 && *zone == 0).count();
        assert!((200..300).contains(&together), "{together} of 1000");
    }

    #[test]
    fn what_is_no_distribution_is_refused_by_name() {
        let cases = [
            "env",
            "=prod:1",
            "env=",
            "env=prod:x",
            "env=prod:0",
            "env=prod:-2",
            "env=a:1,a:2",
        ];
        for text in cases {
            let parsed = text.parse::<Distribution>();
            // An empty value is a legal label value; only the key must not be empty.
            assert_eq!(parsed.is_err(), text != "env=", "{text}: {parsed:?}");
        }
    }

    #[test]
    fn a_value_may_hold_a_colon_when_its_weight_is_given() {
        let image: Distribution = "image=otel:1.2:30,otel:1.3:70".parse().unwrap();
        assert_eq!(image.value(0), "otel:1.2");
    }
}
