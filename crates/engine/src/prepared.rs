//! Contents that a drafted change may need: made several at a time, and kept until it is known whether they are wanted.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use desired::{InputsKey, Layer, inputs_key};
use domain::Namespace;
use jiff::Timestamp;
use store::StoreError;
use tokio::task::JoinSet;

use crate::agent::LiveAgent;
use crate::aside::joined;
use crate::desire::{DesireError, Made};
use crate::engine::Engine;

/// Where a content belongs.
pub(crate) type Place = (Namespace, InputsKey);

/// At most so many are made at a time, fewer where there are fewer processors.
const AT_A_TIME: usize = 8;

/// What was made, or why it could not be, by where it belongs.
#[derive(Default)]
pub(crate) struct Prepared(HashMap<Place, Result<Made, DesireError>>);

/// The place of what an agent gets of these layers.
pub(crate) fn place(agent: &LiveAgent, layers: &[Layer]) -> Place {
    (agent.namespace.clone(), inputs_key(layers))
}

impl Prepared {
    /// Makes what these agents get of these layers, where that was not done yet.
    ///
    /// # Errors
    /// [`StoreError`]. That something cannot be made is kept instead.
    pub async fn add<'a>(
        &mut self,
        engine: &Engine,
        wanted: impl Iterator<Item = (&'a Arc<LiveAgent>, &'a [Layer])>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut wanted: HashMap<Place, _> = wanted
            .map(|(agent, layers)| (place(agent, layers), (agent, layers)))
            .collect();
        wanted.retain(|place, _| !self.0.contains_key(place));
        let at_a_time = thread::available_parallelism().map_or(1, NonZero::get);
        let mut making = JoinSet::new();
        let mut wanted = wanted.into_iter();
        loop {
            if making.len() < at_a_time.min(AT_A_TIME)
                && let Some((place, (agent, layers))) = wanted.next()
            {
                let (engine, agent, layers) = (engine.clone(), Arc::clone(agent), layers.to_vec());
                making.spawn(async move {
                    let made = engine.content_of(&agent.namespace, agent.id, &layers, now);
                    (place, made.await)
                });
                continue;
            }
            let Some(done) = making.join_next().await else {
                return Ok(());
            };
            match joined(done).await {
                (_, Err(DesireError::Store(error))) => return Err(error),
                (place, made) => drop(self.0.insert(place, made)),
            }
        }
    }

    pub fn get(&self, place: &Place) -> Option<&Result<Made, DesireError>> {
        self.0.get(place)
    }

    pub fn take(&mut self, place: &Place) -> Option<Result<Made, DesireError>> {
        self.0.remove(place)
    }
}
