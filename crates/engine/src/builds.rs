//! The builds that agents report, each held once, and whether they can run a content.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use desired::{Build, Needs, Released};
use domain::model::AgentCapabilities;
use domain::{ContentHash, Namespace};
use parking_lot::{Mutex, RwLock};
use store::StoreError;
use store::agents::{self, StoredAgent};

use crate::agent::State;
use crate::engine::Engine;

/// How many different builds are held at a time. A fleet has a few; agents that each say something else fill no memory.
const MOST_BUILDS: usize = 256;

/// What an agent says that it runs, and in which version.
const NAME: &str = "service.name";
const VERSION: &str = "service.version";

/// A build that agents have.
#[derive(Debug)]
pub(crate) struct KnownBuild {
    /// Its number in this process; 0 is none's.
    id: u64,
    /// Equal for builds with the same components, in all processes.
    pub digest: ContentHash,
    pub build: Build,
}

/// All that are known.
#[derive(Default)]
pub(crate) struct Builds {
    by_digest: Mutex<HashMap<[u8; 32], Weak<KnownBuild>>>,
    last: AtomicU64,
    /// It was said that there are too many, and there was no room since: agents may report as often as they like.
    told: AtomicBool,
}

/// What a content needs, and which builds were found to have it.
#[derive(Default)]
pub(crate) struct Fitness {
    needs: Needs,
    /// By the number of the build.
    fits: RwLock<HashMap<u64, bool>>,
}

impl Builds {
    /// The one for all agents with this build; nothing where there are too many.
    pub fn share(&self, build: Build) -> Option<Arc<KnownBuild>> {
        let digest = build.digest();
        let mut known = self.by_digest.lock();
        if let Some(shared) = known.get(&digest).and_then(Weak::upgrade) {
            return Some(shared);
        }
        if MOST_BUILDS <= known.len() {
            known.retain(|_, build| 0 < build.strong_count());
        }
        if MOST_BUILDS <= known.len() {
            if !self.told.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    event = "too_many_builds",
                    known = known.len(),
                    "agents report so many different builds that further ones are not checked for what configs need"
                );
            }
            return None;
        }
        self.told.store(false, Ordering::Relaxed);
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let shared = Arc::new(KnownBuild {
            id,
            digest: ContentHash::from_bytes(digest),
            build,
        });
        known.insert(digest, Arc::downgrade(&shared));
        Some(shared)
    }
}

/// Builds as they are read while a server starts: what is stored once is read once.
#[derive(Default)]
pub(crate) struct Loading(HashMap<(Namespace, ContentHash), Option<Arc<KnownBuild>>>);

impl Loading {
    /// The build that a stored agent has reported.
    pub async fn build_of(
        &mut self,
        engine: &Engine,
        stored: &StoredAgent,
    ) -> Result<Option<Arc<KnownBuild>>, StoreError> {
        let Some(hash) = stored.components else {
            return Ok(None);
        };
        let key = (stored.namespace.clone(), hash);
        if let Some(known) = self.0.get(&key) {
            return Ok(known.clone());
        }
        if MOST_BUILDS <= self.0.len() {
            return Ok(None);
        }
        let mut reader = engine.inner.db.read().await?;
        let reported = agents::components(&mut reader, &stored.namespace, &hash).await?;
        let build = Build::of(&reported).and_then(|build| engine.inner.builds.share(build));
        self.0.insert(key, build.clone());
        Ok(build)
    }
}

/// The released distribution that an agent names as what it runs, where it does not report what it is built of.
///
/// It is a guess: who builds a Collector of their own often keeps the name and the version. So nothing is refused for it.
pub(crate) fn presumed(state: &State) -> Option<Released> {
    let takes_configs = AgentCapabilities::ACCEPTS_REMOTE_CONFIG;
    if state.reported_build.is_some() || !state.wire.capabilities.contains(takes_configs) {
        return None;
    }
    let said = &state.labels.reported;
    Released::find(said.get(NAME)?, said.get(VERSION)?)
}

/// The number of a build.
pub(crate) fn id_of(build: Option<&KnownBuild>) -> u64 {
    build.map_or(0, |build| build.id)
}

impl Fitness {
    pub fn new(needs: Needs) -> Self {
        Self {
            needs,
            fits: RwLock::default(),
        }
    }

    pub const fn needs(&self) -> &Needs {
        &self.needs
    }

    /// Whether an agent with this build can run it, as far as that is known.
    pub fn fits(&self, build: Option<&KnownBuild>) -> bool {
        let Some(build) = build else { return true };
        if let Some(fits) = self.fits.read().get(&build.id) {
            return *fits;
        }
        let fits = self.lacking(Some(build)).is_empty();
        let mut known = self.fits.write();
        // Most are of builds that nobody has any more: an agent may report another each second.
        if MOST_BUILDS <= known.len() {
            known.clear();
        }
        known.insert(build.id, fits);
        fits
    }

    /// The components that a release lacks.
    pub fn lacking_of(&self, release: Released) -> Vec<String> {
        self.needs.lacking(&release.build())
    }

    /// The components that the build lacks: `receiver kafka`.
    pub fn lacking(&self, build: Option<&KnownBuild>) -> Vec<String> {
        build.map_or_else(Vec::new, |known| self.needs.lacking(&known.build))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::model::ComponentDetails;

    use super::*;

    fn build(component_type: &str) -> Build {
        let types = BTreeMap::from([(component_type.to_owned(), ComponentDetails::default())]);
        let section = ComponentDetails {
            sub_components: types,
            ..ComponentDetails::default()
        };
        Build::of(&BTreeMap::from([("receivers".to_owned(), section)])).unwrap()
    }

    #[test]
    fn equal_builds_are_held_once_and_let_go_with_their_last_agent() {
        let builds = Builds::default();
        let (one, same) = (builds.share(build("otlp")), builds.share(build("otlp")));
        assert_eq!(id_of(one.as_deref()), id_of(same.as_deref()));
        let many: Vec<_> = (1..MOST_BUILDS)
            .map(|n| builds.share(build(&format!("type{n}"))).unwrap())
            .collect();
        assert!(builds.share(build("another")).is_none());
        drop(many);
        let another = builds.share(build("another")).unwrap();
        assert_ne!(another.id, one.unwrap().id);
    }

    #[test]
    fn an_agent_that_reports_another_build_again_and_again_fills_no_memory() {
        let (builds, fitness) = (
            Builds::default(),
            Fitness::new(Needs::read("receiver/otlp")),
        );
        for n in 0..3 * MOST_BUILDS {
            let build = builds.share(build(&format!("type{n}")));
            assert!(build.is_some() && !fitness.fits(build.as_deref()));
            assert!(fitness.fits.read().len() <= MOST_BUILDS);
            assert!(builds.by_digest.lock().len() <= MOST_BUILDS);
        }
    }

    #[test]
    fn what_is_not_known_fits() {
        let fitness = Fitness::new(Needs::read("receiver/kafka"));
        let builds = Builds::default();
        let otlp = builds.share(build("otlp"));
        assert!(fitness.fits(None));
        for _ in 0..2 {
            assert!(!fitness.fits(otlp.as_deref()));
        }
        assert_eq!(fitness.lacking(otlp.as_deref()), ["receiver kafka"]);
        assert!(fitness.fits(builds.share(build("kafka")).as_deref()));
    }
}
