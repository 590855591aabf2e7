//! What the agents of a fleet are made of: shared pieces, dealt labels and behaviors.

use crate::{
    behavior::{self, Behavior, BehaviorError, BehaviorShare},
    labels::Distribution,
    options::Options,
    wire::{
        health::HealthTemplates,
        identity::{Components, EffectiveTemplate, Identity, write_single_file},
    },
};

/// The pieces that all agents of a fleet share.
#[derive(Debug)]
pub(crate) struct FleetProfile {
    pub(crate) identity: Identity,
    pub(crate) health: HealthTemplates,
    pub(crate) components: Components,
    effective: EffectiveTemplate,
    /// Whether an agent reports the config it was given as its effective one, or always its own.
    pub(crate) effective_follows_offer: bool,
    labels: Vec<(Distribution, Vec<u16>)>,
    behaviors: Vec<BehaviorShare>,
    dealt: Vec<Option<u16>>,
}

impl FleetProfile {
    /// Deals out what the options ask for.
    ///
    /// # Errors
    /// When the behaviors ask for more agents than there are.
    pub(crate) fn new(options: &Options) -> Result<Self, BehaviorError> {
        let deal = |distribution: &Distribution| {
            (
                distribution.clone(),
                distribution.assign(options.agents, options.seed),
            )
        };
        Ok(Self {
            identity: Identity {
                seed: options.seed,
                name: options.name.clone(),
                attributes: options.attributes,
            },
            effective: EffectiveTemplate::new(
                options.effective_bytes,
                &format!("{}-{:05}", options.name, options.agents),
            ),
            health: HealthTemplates::new(options.health_components),
            components: Components::new(options.health_components),
            effective_follows_offer: options.effective_follows_offer,
            labels: options.labels.iter().map(deal).collect(),
            behaviors: options.behaviors.clone(),
            dealt: behavior::assign(&options.behaviors, options.agents, options.seed)?,
        })
    }

    /// One agent's view of it.
    pub(crate) fn agent(&self, index: usize) -> AgentProfile<'_> {
        AgentProfile { fleet: self, index }
    }
}

/// What one agent of a fleet is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AgentProfile<'a> {
    pub(crate) fleet: &'a FleetProfile,
    pub(crate) index: usize,
}

impl<'a> AgentProfile<'a> {
    /// Its labels, as `AgentDescription` carries them.
    pub(crate) fn labels(self) -> Vec<(&'a str, &'a str)> {
        let value = |(distribution, dealt): &'a (Distribution, Vec<u16>)| {
            (distribution.key(), distribution.value(dealt[self.index]))
        };
        self.fleet.labels.iter().map(value).collect()
    }

    /// How it misbehaves, if it does.
    pub(crate) fn behavior(self) -> Option<&'a Behavior> {
        let dealt = self.fleet.dealt[self.index]?;
        Some(&self.fleet.behaviors[usize::from(dealt)].behavior)
    }

    /// The reason it gives for rejecting every config, if it does.
    pub(crate) fn rejection(self) -> Option<&'a str> {
        self.behavior()?.reject.as_deref()
    }

    /// Appends its `AgentDescription`.
    pub(crate) fn write_description(self, out: &mut Vec<u8>) {
        self.fleet
            .identity
            .write_description(out, self.index, &self.labels());
    }

    /// Appends its own configuration as an `AgentConfigMap`.
    pub(crate) fn write_own_config(self, out: &mut Vec<u8>) {
        let text = self
            .fleet
            .identity
            .effective_config(&self.fleet.effective, self.index);
        write_single_file(out, "", &text);
    }
}
