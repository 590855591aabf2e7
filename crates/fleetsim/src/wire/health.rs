//! Health reports from templates: only the times in them differ from one report to the next.

use super::encode;

/// What the components of a simulated collector are called, in the order they are used up.
const NAMES: [&str; 10] = [
    "receiver:otlp",
    "receiver:hostmetrics",
    "receiver:filelog",
    "processor:memory_limiter",
    "processor:batch",
    "processor:transform",
    "exporter:otlphttp",
    "exporter:file",
    "extension:health_check",
    "extension:opamp",
];

/// The reason that a component which is not healthy gives.
pub(crate) const UNHEALTHY_REASON: &str = "sending queue is full";

/// Encoded health trees of a collector with K components: all well, and with each one failing.
#[derive(Debug)]
pub(crate) struct HealthTemplates {
    healthy: Template,
    failing: Vec<Template>,
}

#[derive(Debug)]
struct Template {
    bytes: Vec<u8>,
    /// Where the start times and the status times stand.
    starts: Vec<usize>,
    observed: Vec<usize>,
}

impl HealthTemplates {
    /// Templates for so many components below the root.
    pub(crate) fn new(components: usize) -> Self {
        let failing = (0..components.max(1)).map(|at| Template::new(components, Some(at)));
        Self {
            healthy: Template::new(components, None),
            failing: failing.collect(),
        }
    }

    /// Appends a `ComponentHealth`: `failing` names the component that is not well, if one is.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        failing: Option<usize>,
        started_ns: u64,
        observed_ns: u64,
    ) {
        let template = match failing {
            Some(at) => &self.failing[at % self.failing.len()],
            None => &self.healthy,
        };
        let base = out.len();
        out.extend_from_slice(&template.bytes);
        let mut patch = |places: &[usize], time: u64| {
            for place in places {
                out[base + place..base + place + 8].copy_from_slice(&time.to_le_bytes());
            }
        };
        patch(&template.starts, started_ns);
        patch(&template.observed, observed_ns);
    }

    /// Length of the template, which the times do not change.
    pub(crate) fn len(&self, failing: Option<usize>) -> usize {
        match failing {
            Some(at) => self.failing[at % self.failing.len()].bytes.len(),
            None => self.healthy.bytes.len(),
        }
    }
}

/// Times that occur nowhere else in a template, so that their places can be found in it.
const START_MARK: u64 = 0x5354_4152_5421_7e01;
const OBSERVED_MARK: u64 = 0x4f42_5345_5256_7e02;

impl Template {
    fn new(components: usize, failing: Option<usize>) -> Self {
        let mut bytes = Vec::new();
        health(&mut bytes, failing.is_none());
        for at in 0..components {
            encode::message(&mut bytes, 6, |entry| {
                encode::text(entry, 1, &component_name(at));
                encode::message(entry, 2, |out| health(out, failing != Some(at)));
            });
        }
        let starts = places(&bytes, START_MARK);
        let observed = places(&bytes, OBSERVED_MARK);
        Self {
            bytes,
            starts,
            observed,
        }
    }
}

/// Name of the component at a place: the list once, then numbered.
pub(crate) fn component_name(at: usize) -> String {
    let name = NAMES[at % NAMES.len()];
    match at / NAMES.len() {
        0 => name.to_owned(),
        round => format!("{name}/{}", round + 1),
    }
}

fn health(out: &mut Vec<u8>, healthy: bool) {
    encode::uint(out, 1, u64::from(healthy));
    encode::fixed64(out, 2, START_MARK);
    if healthy {
        encode::text(out, 4, "StatusOK");
    } else {
        encode::text(out, 3, UNHEALTHY_REASON);
        encode::text(out, 4, "StatusRecoverableError");
    }
    encode::fixed64(out, 5, OBSERVED_MARK);
}

fn places(bytes: &[u8], mark: u64) -> Vec<usize> {
    let windows = bytes.windows(8).enumerate();
    windows
        .filter(|(_, window)| *window == mark.to_le_bytes())
        .map(|(at, _)| at)
        .collect()
}

#[cfg(test)]
mod tests {
    use opamp::proto::ComponentHealth;
    use prost::Message as _;

    use super::*;

    fn decoded(components: usize, failing: Option<usize>) -> ComponentHealth {
        let templates = HealthTemplates::new(components);
        let mut out = Vec::new();
        templates.write(&mut out, failing, 11, 22);
        assert_eq!(out.len(), templates.len(failing));
        ComponentHealth::decode(out.as_slice()).unwrap()
    }

    #[test]
    fn he_01_every_component_stands_below_the_root_with_its_times() {
        let health = decoded(12, None);
        assert_eq!(health.component_health_map.len(), 12);
        assert!(health.component_health_map.contains_key("receiver:otlp/2"));
        for part in health.component_health_map.values().chain([&health]) {
            assert!(part.healthy);
            assert_eq!(
                (part.start_time_unix_nano, part.status_time_unix_nano),
                (11, 22)
            );
        }
    }

    #[test]
    fn he_03_a_failing_component_says_why_and_the_root_with_it() {
        let health = decoded(10, Some(3));
        let failing = &health.component_health_map["processor:memory_limiter"];
        assert!(!health.healthy && !failing.healthy);
        assert_eq!(failing.last_error, UNHEALTHY_REASON);
        let well = health
            .component_health_map
            .values()
            .filter(|part| part.healthy);
        assert_eq!(well.count(), 9);
    }

    #[test]
    fn a_collector_without_components_still_has_a_root() {
        assert!(!decoded(0, Some(5)).healthy);
    }
}
