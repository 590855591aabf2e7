//! A fleet described by a file: what it is, how it misbehaves, and what happens when.
//!
//! ```yaml
//! agents: 200
//! labels: { env: { prod: 70, staging: 30 } }
//! behaviors:
//!   - { share: 5%, reject: bad pipeline }
//!   - { share: 10%, slow: 2s }
//!   - { share: "3", vanish: true, back_after: 30s }
//! steps:
//!   - { at: 10s, do: storm }
//!   - { at: 20s, do: flip 10% }
//! ```

use std::{collections::BTreeMap, path::Path, time::Duration};

use runtime::{ConfigError, Environment, Loaded};
use serde::Deserialize;

use crate::{
    behavior::{Behavior, BehaviorShare, Vanish},
    control::Command,
    labels::Distribution,
    options::Options,
};

/// A file as it is written. What it leaves out stays as the command line has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// How many agents.
    pub agents: Option<usize>,
    /// Attributes of a description, labels included.
    pub attributes: Option<usize>,
    /// Components below the root of a health tree.
    pub health_components: Option<usize>,
    /// Bytes of each agent's own effective configuration.
    pub effective_config_bytes: Option<usize>,
    /// Time between an agent's messages when nothing happens.
    #[serde(with = "runtime::config::optional_duration")]
    pub heartbeat: Option<Duration>,
    /// Values of each label with their weights.
    pub labels: BTreeMap<String, BTreeMap<String, f64>>,
    /// Who misbehaves, and how.
    pub behaviors: Vec<ScriptBehavior>,
    /// What happens when.
    pub steps: Vec<ScriptStep>,
}

/// A part of the fleet and what it does.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScriptBehavior {
    /// Which part: `5%`, or a count in quotes.
    pub share: String,
    /// Answer every config with FAILED and this reason.
    pub reject: Option<String>,
    /// Report APPLYING first and the outcome after so long.
    #[serde(with = "runtime::config::optional_duration")]
    pub slow: Option<Duration>,
    /// Turn the health over at this interval.
    #[serde(with = "runtime::config::optional_duration")]
    pub flap: Option<Duration>,
    /// Drop the connection when a config is offered.
    pub vanish: bool,
    /// After vanishing, dial again after so long; never without it.
    #[serde(with = "runtime::config::optional_duration")]
    pub back_after: Option<Duration>,
    /// Read nothing after the first answer.
    pub never_read: bool,
}

/// A command and when to carry it out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptStep {
    /// After the start of the fleet.
    #[serde(with = "runtime::config::duration")]
    pub at: Duration,
    /// A command as on the control channel.
    #[serde(rename = "do")]
    pub command: String,
}

/// A step that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// After the start of the fleet.
    pub at: Duration,
    /// What to do.
    pub command: Command,
}

/// Reads a script file.
///
/// # Errors
/// When it cannot be read, is no YAML, or does not fit [`Script`].
pub fn load(path: &Path) -> Result<Loaded<Script>, ConfigError> {
    runtime::config::load(path, &Environment::of_process())
}

/// Puts a script over `options` and returns its steps, the earliest first.
///
/// # Errors
/// When a label, a share or a command in it is wrong; the key and its line are named.
pub fn apply(script: &Loaded<Script>, options: &mut Options) -> Result<Vec<Step>, ConfigError> {
    let value = &script.value;
    let set = |place: &mut usize, given: Option<usize>| *place = given.unwrap_or(*place);
    set(&mut options.agents, value.agents);
    set(&mut options.attributes, value.attributes);
    set(&mut options.health_components, value.health_components);
    set(&mut options.effective_bytes, value.effective_config_bytes);
    options.heartbeat = value.heartbeat.unwrap_or(options.heartbeat);
    for (key, values) in &value.labels {
        let weights = values
            .iter()
            .map(|(value, weight)| (value.clone(), *weight))
            .collect();
        let refused = |error| script.refuse(&format!("labels.{key}"), format!("{error}"));
        options
            .labels
            .push(Distribution::new(key, weights).map_err(refused)?);
    }
    for (at, behavior) in value.behaviors.iter().enumerate() {
        let refused = |error| script.refuse("behaviors", format!("entry {}: {error}", at + 1));
        options.behaviors.push(behavior.read().map_err(refused)?);
    }
    let mut steps = Vec::new();
    for (at, step) in value.steps.iter().enumerate() {
        let refused = |error| script.refuse("steps", format!("entry {}: {error}", at + 1));
        steps.push(Step {
            at: step.at,
            command: step.command.parse().map_err(refused)?,
        });
    }
    steps.sort_by_key(|step| step.at);
    Ok(steps)
}

impl ScriptBehavior {
    fn read(&self) -> Result<BehaviorShare, String> {
        let vanish = match (self.vanish, self.back_after) {
            (true, None) => Some(Vanish::ForGood),
            (true, Some(after)) => Some(Vanish::BackAfter(after)),
            (false, None) => None,
            (false, Some(_)) => return Err("back_after needs vanish: true".to_owned()),
        };
        Ok(BehaviorShare {
            share: self
                .share
                .parse()
                .map_err(|error: crate::units::UnitError| error.to_string())?,
            behavior: Behavior {
                reject: self.reject.clone(),
                apply_after: self.slow,
                flap_every: self.flap,
                vanish,
                never_read: self.never_read,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Share;

    fn read(text: &str) -> Result<(Options, Vec<Step>), String> {
        let environment = Environment::default();
        let script = runtime::config::parse::<Script>("fleet.yaml", text, &environment)
            .map_err(|error| error.to_string())?;
        let mut options = Options::new("ws://127.0.0.1:1".parse().unwrap(), 10);
        let steps = apply(&script, &mut options).map_err(|error| error.to_string())?;
        Ok((options, steps))
    }

    #[test]
    fn a_script_says_what_a_fleet_is_and_does() {
        let text = "\
agents: 200
heartbeat: 5s
labels: { env: { prod: 70, staging: 30 } }
behaviors:
  - { share: 5%, reject: bad pipeline, slow: 2s }
  - { share: \"3\", vanish: true, back_after: 30s }
steps:
  - { at: 20s, do: flip 10% }
  - { at: 10s, do: storm }
";
        let (options, steps) = read(text).unwrap();
        assert_eq!(
            (options.agents, options.heartbeat),
            (200, Duration::from_secs(5))
        );
        assert_eq!(options.labels[0].key(), "env");
        let rejecting = &options.behaviors[0].behavior;
        assert_eq!(rejecting.reject.as_deref(), Some("bad pipeline"));
        assert_eq!(rejecting.apply_after, Some(Duration::from_secs(2)));
        assert_eq!(options.behaviors[1].share, Share::Count(3));
        let back = Vanish::BackAfter(Duration::from_secs(30));
        assert_eq!(options.behaviors[1].behavior.vanish, Some(back));
        assert_eq!(steps[0].command, Command::Storm, "the earliest first");
    }

    #[test]
    fn what_a_script_leaves_out_stays() {
        let (options, steps) = read("attributes: 20\n").unwrap();
        assert_eq!(
            (options.agents, options.attributes, steps.len()),
            (10, 20, 0)
        );
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let cases = [
            ("agnets: 3\n", "fleet.yaml:1: unknown key agnets"),
            (
                "agents: 3\nbehaviors:\n  - { share: 5, reject: x, slwo: 2s }\n",
                "slwo",
            ),
            ("behaviors:\n  - { share: much, reject: x }\n", "entry 1"),
            (
                "behaviors:\n  - { share: 5%, back_after: 2s }\n",
                "needs vanish",
            ),
            ("labels: { env: { prod: 0 } }\n", "label env"),
            ("steps:\n  - { at: 10s, do: explode }\n", "explode"),
        ];
        for (text, named) in cases {
            let error = read(text).map(|_| ()).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
