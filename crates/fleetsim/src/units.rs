//! Durations and shares as people write them on a command line: `500ms`, `30s`, `5%`, `20`.

use std::time::Duration;

/// Why a quantity could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The text is no duration with units.
    #[error("{0:?} is not a duration: write a number and a unit, like 500ms, 30s or 2m")]
    Duration(String),
    /// The text is neither a count nor a percentage.
    #[error("{0:?} is not a share: write a count, like 20, or a percentage up to 100%, like 5%")]
    Share(String),
}

/// Reads a duration: `250ms`, `2m`, `1h30m`.
///
/// # Errors
/// [`UnitError::Duration`] when the text is anything else.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    runtime::config::duration::parse(text).map_err(|_| UnitError::Duration(text.to_owned()))
}

/// A part of the fleet: so many agents, or so many of a hundred.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    /// Exactly so many agents.
    Count(usize),
    /// Of a hundred agents, so many.
    Percent(f64),
}

impl Share {
    /// How many of `agents` this is; a percentage above zero is at least one agent.
    #[must_use]
    pub fn of(self, agents: usize) -> usize {
        match self {
            Self::Count(count) => count.min(agents),
            Self::Percent(percent) if percent <= 0.0 => 0,
            Self::Percent(percent) => {
                let exact = agents as f64 * percent / 100.0;
                (exact.round() as usize).clamp(1.min(agents), agents)
            }
        }
    }
}

impl std::str::FromStr for Share {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let refused = || UnitError::Share(text.to_owned());
        let Some(number) = text.trim().strip_suffix('%') else {
            return text.trim().parse().map(Self::Count).map_err(|_| refused());
        };
        let percent: f64 = number.trim().parse().map_err(|_| refused())?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(refused());
        }
        Ok(Self::Percent(percent))
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_needs_a_unit() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        for bad in ["", "30", "s", "-1s", "5 days"] {
            assert_eq!(duration(bad), Err(UnitError::Duration(bad.into())));
        }
    }

    #[test]
    fn shares_are_counts_or_percentages() {
        assert_eq!("20".parse(), Ok(Share::Count(20)));
        assert_eq!("5%".parse(), Ok(Share::Percent(5.0)));
        for bad in ["", "101%", "-1%", "x", "NaN%"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_share_never_exceeds_the_fleet_and_a_percentage_rounds_to_at_least_one() {
        assert_eq!(Share::Count(20).of(5), 5);
        assert_eq!(Share::Percent(5.0).of(200), 10);
        assert_eq!(Share::Percent(1.0).of(10), 1);
        assert_eq!(Share::Percent(0.0).of(10), 0);
        assert_eq!(Share::Percent(5.0).of(0), 0);
    }
}
