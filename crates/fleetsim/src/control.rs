//! Orders as lines of text, answered with lines of JSON: `storm`, `flip 10%`, `stats`, `stop`.

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    fleet::Fleet,
    options::Redial,
    units::{self, Share, UnitError},
};

/// What a line may ask for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Counters.
    Stats,
    /// What every agent is and runs.
    Agents,
    /// What one agent is and runs.
    Agent(usize),
    /// Drop every connection and dial again at once.
    Storm,
    /// Drop every connection and wait for `dial`.
    Hold,
    /// Dial.
    Dial,
    /// What agents do whose connection ends.
    Redial(Redial),
    /// Let every agent report once.
    Report,
    /// Turn the health of a part of the fleet over.
    Flip(Share),
    /// Make one agent well or unwell.
    Health(usize, bool),
    /// Report in a closed loop for so long.
    Loop(Duration),
    /// Measure configurations from now on.
    Mark,
    /// How the newest configuration spread.
    Config,
    /// How the agents attached.
    Round,
    /// Wait until all are attached and answered, at most so long.
    Settled(Duration),
    /// End.
    Stop,
    /// What there is.
    Help,
}

/// The list of commands.
pub const HELP: &str = "stats | agents | agent N | storm | hold | dial | redial backoff|held|DURATION | report | \
flip SHARE | health N good|bad | loop DURATION | mark | config | round | settled DURATION | stop | help";

/// Why a line is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such command, or not with such arguments.
    #[error("{0:?} is no command; there are: {HELP}")]
    Unknown(String),
    /// A quantity in it is wrong.
    #[error(transparent)]
    Unit(#[from] UnitError),
}

impl FromStr for Command {
    type Err = CommandError;

    fn from_str(line: &str) -> Result<Self, CommandError> {
        let unknown = || CommandError::Unknown(line.to_owned());
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |text: &str| text.parse::<usize>().map_err(|_| unknown());
        Ok(match words.as_slice() {
            ["stats"] => Self::Stats,
            ["agents"] => Self::Agents,
            ["agent", index] => Self::Agent(number(index)?),
            ["storm"] => Self::Storm,
            ["hold"] => Self::Hold,
            ["dial"] => Self::Dial,
            ["redial", how] => Self::Redial(redial(how)?),
            ["report"] => Self::Report,
            ["flip", share] => Self::Flip(share.parse()?),
            ["health", index, "good"] => Self::Health(number(index)?, true),
            ["health", index, "bad"] => Self::Health(number(index)?, false),
            ["loop", time] => Self::Loop(units::duration(time)?),
            ["mark"] => Self::Mark,
            ["config"] => Self::Config,
            ["round"] => Self::Round,
            ["settled", time] => Self::Settled(units::duration(time)?),
            ["stop" | "quit"] => Self::Stop,
            ["help"] => Self::Help,
            _ => return Err(unknown()),
        })
    }
}

/// Reads what agents do whose connection ends: `backoff`, `held` or an interval.
///
/// # Errors
/// When the text is none of these.
pub fn redial(text: &str) -> Result<Redial, UnitError> {
    match text {
        "backoff" => Ok(Redial::Backoff),
        "held" => Ok(Redial::Held),
        interval => units::duration(interval).map(Redial::Every),
    }
}

/// Carries out commands on a fleet.
pub struct Commander<'a> {
    fleet: &'a Fleet,
    marked: Option<Instant>,
}

impl<'a> Commander<'a> {
    /// A commander of this fleet.
    #[must_use]
    pub fn new(fleet: &'a Fleet) -> Self {
        Self {
            fleet,
            marked: None,
        }
    }

    /// Carries out one command and answers it; `None` for the one that ends everything.
    pub async fn carry_out(&mut self, command: Command) -> Option<Value> {
        let fleet = self.fleet;
        match command {
            Command::Stats => return Some(to_json(&fleet.stats())),
            Command::Agents => return Some(to_json(&fleet.agents())),
            Command::Agent(index) if index < fleet.size() => {
                return Some(to_json(&fleet.agent(index).snapshot()));
            }
            Command::Health(index, healthy) if index < fleet.size() => {
                fleet.agent(index).set_healthy(healthy);
            }
            Command::Agent(index) | Command::Health(index, _) => {
                return Some(json!({ "error": format!("no agent {index}") }));
            }
            Command::Storm => fleet.storm(),
            Command::Hold => fleet.hold(),
            Command::Dial => fleet.dial(),
            Command::Redial(redial) => fleet.set_redial(redial),
            Command::Report => fleet.report(),
            Command::Flip(share) => {
                (0..share.of(fleet.size())).for_each(|index| fleet.agent(index).flip_health());
            }
            Command::Loop(time) => {
                let before = fleet.stats();
                fleet.begin_closed_loop();
                tokio::time::sleep(time).await;
                fleet.end_closed_loop();
                return Some(json!({ "answers": fleet.stats().since(&before).received }));
            }
            Command::Mark => self.marked = Some(Instant::now()),
            Command::Config => return Some(to_json(&fleet.newest_config(self.marked))),
            Command::Round => return Some(to_json(&fleet.round())),
            Command::Settled(limit) => {
                return Some(json!({ "settled": fleet.settled(limit).await }));
            }
            Command::Help => return Some(json!({ "commands": HELP })),
            Command::Stop => return None,
        }
        Some(json!({ "ok": true }))
    }

    /// When configurations are measured from, if that was said.
    #[must_use]
    pub fn marked(&self) -> Option<Instant> {
        self.marked
    }
}

fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|error| json!({ "error": error.to_string() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_understood() {
        let cases = [
            ("stats", Command::Stats),
            ("  agent 7 ", Command::Agent(7)),
            ("storm", Command::Storm),
            ("redial held", Command::Redial(Redial::Held)),
            (
                "redial 2s",
                Command::Redial(Redial::Every(Duration::from_secs(2))),
            ),
            ("flip 10%", Command::Flip(Share::Percent(10.0))),
            ("health 3 bad", Command::Health(3, false)),
            ("loop 10s", Command::Loop(Duration::from_secs(10))),
            ("quit", Command::Stop),
        ];
        for (line, command) in cases {
            assert_eq!(line.parse(), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_is_no_command_is_answered_with_those_there_are() {
        for line in [
            "",
            "explode",
            "agent",
            "agent x",
            "health 3 so-so",
            "storm now",
        ] {
            let error = line.parse::<Command>().unwrap_err().to_string();
            assert!(error.contains("flip SHARE"), "{error}");
        }
        assert!("loop 5".parse::<Command>().is_err());
    }
}
