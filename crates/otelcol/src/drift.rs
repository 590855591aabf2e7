//! What a Collector runs otherwise than it should: its effective configuration against the desired one.
//!
//! Collectors report what they run in many forms: defaults filled in, references resolved, secrets masked, keys in another
//! order, a supervisor's own additions. None of these is a drift.

use std::collections::{BTreeMap, BTreeSet};

use crate::component::Kind;
use crate::document::Document;
use crate::tree::{Path, Step};
use crate::value::Value;

/// How many places are told; the others are counted.
const MOST_PLACES: usize = 1_000;
/// What Collectors, supervisors and this server write in place of a secret.
const MASKS: [&str; 4] = ["[REDACTED]", "****", "<redacted>", "xxxxx"];

/// Where a configuration that runs is another than the one that should.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// The places, in order.
    pub places: Vec<Drifted>,
    /// How many further places there are.
    pub more: usize,
}

/// A place where they differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drifted {
    /// The way to it.
    pub path: Path,
    /// How they differ there.
    pub how: How,
}

/// How a configuration that runs differs at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// It is not there.
    Missing,
    /// It is another one.
    Different,
    /// It is there although it should not: a component, a pipeline or a section.
    Added,
    /// It is a further setting: a default that was filled in, or one that somebody gave it.
    Further,
}

impl Drift {
    /// How what runs differs from what should.
    ///
    /// What a reference such as `${env:X}` stands for is not known, and so is what a mask hides.
    ///
    /// ```
    /// use otelcol::{Document, Drift};
    /// let read = |text: &str| Document::parse(text.as_bytes()).unwrap();
    /// let desired = read("exporters: {otlp: {endpoint: 'a:1', headers: {key: '${env:KEY}'}}}");
    /// let same = read("exporters: {otlp: {headers: {key: '[REDACTED]'}, endpoint: 'a:1'}}");
    /// assert!(Drift::of(&desired, &same).is_empty());
    /// let other = read("exporters: {otlp: {endpoint: 'b:1'}}");
    /// assert_eq!(Drift::of(&desired, &other).places[0].path.to_string(), "exporters::otlp::endpoint");
    /// ```
    pub fn of(desired: &Document, effective: &Document) -> Self {
        let mut comparison = Comparison::default();
        comparison.document(&desired.value(), &effective.value());
        comparison.found
    }

    /// Whether they are the same.
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty() && self.more == 0
    }

    /// Whether they are the same but for further settings, which may be defaults.
    pub fn is_at_most_further(&self) -> bool {
        self.more == 0 && self.places.iter().all(|place| place.how == How::Further)
    }
}

type Entries = BTreeMap<String, Value>;

#[derive(Default)]
struct Comparison {
    found: Drift,
    path: Path,
}

impl Comparison {
    fn document(&mut self, desired: &Value, effective: &Value) {
        let (desired, effective) = (entries(desired), entries(effective));
        for name in names(desired, effective) {
            let (wanted, runs) = (desired.get(name), effective.get(name));
            self.at(Step::Key(name.into()), |this| {
                if name == "service" {
                    this.service(wanted, runs);
                } else if Kind::ALL.iter().any(|kind| kind.section() == name) {
                    this.parts(wanted, runs, name == "extensions");
                } else if wanted.is_none() {
                    this.note(How::Added);
                } else {
                    this.setting(wanted, runs);
                }
            });
        }
    }

    /// A section whose entries are components or pipelines: one more or less is a drift.
    fn parts(&mut self, wanted: Option<&Value>, runs: Option<&Value>, are_extensions: bool) {
        let (wanted, runs) = (entries_of(wanted), entries_of(runs));
        for id in names(wanted, runs) {
            let (wanted, runs) = (wanted.get(id), runs.get(id));
            if wanted.is_none() && are_extensions && is_of_supervisor(id) {
                continue;
            }
            self.at(Step::Key(id.into()), |this| match (wanted, runs) {
                (Some(_), None) => this.note(How::Missing),
                (None, _) => this.note(How::Added),
                (Some(wanted), Some(runs)) => this.value(wanted, runs),
            });
        }
    }

    fn service(&mut self, wanted: Option<&Value>, runs: Option<&Value>) {
        let (wanted, runs) = (entries_of(wanted), entries_of(runs));
        for name in names(wanted, runs) {
            let (wanted, runs) = (wanted.get(name), runs.get(name));
            self.at(Step::Key(name.into()), |this| match name {
                "pipelines" => this.pipelines(wanted, runs),
                "extensions" => {
                    let (wanted, mut runs) = (ids(wanted), ids(runs));
                    runs.retain(|id| wanted.contains(id) || !is_of_supervisor(id));
                    if wanted != runs {
                        this.note(How::Different);
                    }
                }
                "telemetry" => this.telemetry(wanted, runs),
                _ => this.setting(wanted, runs),
            });
        }
    }

    fn pipelines(&mut self, wanted: Option<&Value>, runs: Option<&Value>) {
        let (wanted, runs) = (entries_of(wanted), entries_of(runs));
        for id in names(wanted, runs) {
            let (wanted, runs) = (wanted.get(id), runs.get(id));
            self.at(Step::Key(id.into()), |this| match (wanted, runs) {
                (Some(_), None) => this.note(How::Missing),
                (None, _) => this.note(How::Added),
                (Some(wanted), Some(runs)) => {
                    for part in ["receivers", "processors", "exporters"] {
                        let list = |of: &Value| entries(of).get(part).cloned();
                        let (wanted, runs) = (list(wanted), list(runs));
                        // Only processors work in an order.
                        let differ = if part == "processors" {
                            in_order(wanted.as_ref()) != in_order(runs.as_ref())
                        } else {
                            ids(wanted.as_ref()) != ids(runs.as_ref())
                        };
                        if differ {
                            this.at(Step::Key(part.into()), |this| this.note(How::Different));
                        }
                    }
                }
            });
        }
    }

    /// The telemetry of the Collector itself: of its resource only what should be there is looked at, since supervisors say
    /// there who they are.
    fn telemetry(&mut self, wanted: Option<&Value>, runs: Option<&Value>) {
        let resource = entries_of(entries_of(wanted).get("resource"));
        let mut runs = runs.cloned();
        if let Some(Value::Map(telemetry)) = &mut runs {
            if let Some(Value::Map(own)) = telemetry.get_mut("resource") {
                own.retain(|name, _| resource.contains_key(name));
            }
            let is_empty = telemetry.get("resource").is_some_and(is_nothing);
            if is_empty && resource.is_empty() {
                telemetry.remove("resource");
            }
            if telemetry.is_empty() && wanted.is_none() {
                return;
            }
        }
        self.setting(wanted, runs.as_ref());
    }

    fn setting(&mut self, wanted: Option<&Value>, runs: Option<&Value>) {
        match (wanted, runs) {
            (None, Some(runs)) if !is_nothing(runs) => self.note(How::Further),
            (None, _) => {}
            (Some(wanted), None) if is_nothing(wanted) => {}
            (Some(_), None) => self.note(How::Missing),
            (Some(wanted), Some(runs)) => self.value(wanted, runs),
        }
    }

    fn value(&mut self, wanted: &Value, runs: &Value) {
        match (wanted, runs) {
            (Value::Map(wanted), Value::Map(runs)) => {
                for name in names(wanted, runs) {
                    self.at(Step::Key(name.into()), |this| {
                        this.setting(wanted.get(name), runs.get(name));
                    });
                }
            }
            (wanted, Value::Null) if is_nothing(wanted) => {}
            // Nothing, and what the component makes of it.
            (wanted, Value::Map(entries)) if is_nothing(wanted) => {
                if !entries.is_empty() {
                    self.note(How::Further);
                }
            }
            (Value::List(wanted), Value::List(runs)) if wanted.len() == runs.len() => {
                for (place, (wanted, runs)) in wanted.iter().zip(runs).enumerate() {
                    self.at(Step::Index(place), |this| this.value(wanted, runs));
                }
            }
            (Value::List(wanted), Value::Null) if wanted.is_empty() => {}
            (Value::Map(_) | Value::List(_), _) | (_, Value::Map(_) | Value::List(_)) => {
                // One reference may stand for a whole map.
                if !is_only_reference(wanted) {
                    self.note(How::Different);
                }
            }
            (wanted, runs) => {
                if !is_same_scalar(wanted, runs) {
                    self.note(How::Different);
                }
            }
        }
    }

    fn at(&mut self, step: Step, look: impl FnOnce(&mut Self)) {
        self.path.push(step);
        look(self);
        self.path.pop();
    }

    fn note(&mut self, how: How) {
        if MOST_PLACES <= self.found.places.len() {
            self.found.more += 1;
            return;
        }
        let path = self.path.clone();
        self.found.places.push(Drifted { path, how });
    }
}

static NONE: Entries = Entries::new();

/// The entries of a map; anything else has none.
const fn entries(value: &Value) -> &Entries {
    match value {
        Value::Map(entries) => entries,
        _ => &NONE,
    }
}

/// The entries of a map that may not be there.
fn entries_of(value: Option<&Value>) -> &Entries {
    value.map_or(&NONE, entries)
}

fn names<'e>(one: &'e Entries, other: &'e Entries) -> BTreeSet<&'e str> {
    one.keys().chain(other.keys()).map(String::as_str).collect()
}

/// The extension through which a supervisor hears of its Collector.
fn is_of_supervisor(id: &str) -> bool {
    id.split('/').next().map(str::trim) == Some("opamp")
}

fn in_order(list: Option<&Value>) -> Vec<String> {
    match list {
        Some(Value::List(items)) => items.iter().map(text).collect(),
        _ => Vec::new(),
    }
}

fn ids(list: Option<&Value>) -> BTreeSet<String> {
    in_order(list).into_iter().collect()
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Map(entries) => entries.is_empty(),
        Value::List(items) => items.is_empty(),
        _ => false,
    }
}

/// Whether it holds what only the Collector can resolve.
fn is_reference(value: &Value) -> bool {
    matches!(value, Value::Str(text) if text.replace("$$", "").contains("${"))
}

fn is_only_reference(value: &Value) -> bool {
    matches!(value, Value::Str(text) if text.starts_with("${") && text.ends_with('}'))
}

/// Whether a value stands in place of a secret that was not shown.
pub(crate) fn is_mask(text: &str) -> bool {
    MASKS.contains(&text)
}

fn is_same_scalar(wanted: &Value, runs: &Value) -> bool {
    if wanted == runs || is_reference(wanted) {
        return true;
    }
    let (wanted, runs) = (text(wanted).replace("$$", "$"), text(runs));
    let is_masked = is_mask(&runs);
    let (one, other) = (nanoseconds(&wanted), nanoseconds(&runs));
    wanted == runs || is_masked || (one.is_some() && one == other)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Str(text) | Value::Timestamp(text) | Value::Binary(text) => text.clone(),
        Value::List(_) | Value::Map(_) => format!("{value:?}"),
    }
}

/// A duration as Go writes it: `1m30s` and `90s` are the same.
fn nanoseconds(text: &str) -> Option<i128> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut sum: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let length = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(length);
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + part.len() == 0 || 18 < whole.len() || 18 < part.len() {
            return None;
        }
        let digits = |text: &str| {
            text.parse::<i128>()
                .or(if text.is_empty() { Ok(0) } else { Err(()) })
        };
        let exponent = u32::try_from(part.len()).ok()?;
        sum += digits(whole).ok()? * unit;
        sum += digits(part).ok()? * unit / 10_i128.pow(exponent);
        rest = after;
    }
    Some(if negative { -sum } else { sum })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drift(desired: &str, effective: &str) -> Vec<String> {
        let read = |text: &str| Document::parse(text.as_bytes()).unwrap();
        let told = |place: &Drifted| format!("{} {:?}", place.path, place.how);
        let found = Drift::of(&read(desired), &read(effective));
        assert_eq!(found.more, 0);
        found.places.iter().map(told).collect()
    }

    const DESIRED: &str = "\
receivers: {otlp: {protocols: {grpc: , http: {endpoint: 0.0.0.0:4318}}}}
processors: {batch: {timeout: 1500ms}, memory_limiter: {check_interval: 1s, limit_mib: 512}}
exporters: {otlp: {endpoint: '${env:ENDPOINT}', headers: {api-key: hunter2}, retry: {enabled: true}}}
service:
  telemetry: {logs: {level: info}}
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [otlp]}
";

    #[test]
    fn what_collectors_make_of_a_configuration_is_no_drift() {
        let effective = "\
exporters: {otlp: {endpoint: 'https://a:1', headers: {api-key: '[REDACTED]'}, retry: {enabled: true}}}
extensions: {opamp: {server: {ws: {endpoint: 'ws://x'}}}}
processors: {batch: {timeout: 1.5s}, memory_limiter: {check_interval: 1s, limit_mib: '512'}}
receivers: {otlp: {protocols: {grpc: , http: {endpoint: 0.0.0.0:4318}}}}
service:
  extensions: [opamp]
  telemetry: {logs: {level: info}, resource: {a: b}}
  pipelines:
    traces: {exporters: [otlp], processors: [memory_limiter, batch], receivers: [otlp]}
";
        assert_eq!(drift(DESIRED, effective), Vec::<String>::new());
        assert_eq!(drift(DESIRED, DESIRED), Vec::<String>::new());
    }

    #[test]
    fn further_settings_are_told_apart() {
        let effective = DESIRED
            .replace("grpc: ,", "grpc: {endpoint: 'localhost:4317'},")
            .replace("timeout: 1500ms", "timeout: 1500ms, send_batch_size: 8192");
        assert_eq!(
            drift(DESIRED, &effective),
            [
                "processors::batch::send_batch_size Further",
                "receivers::otlp::protocols::grpc Further",
            ]
        );
        let read = |text: &str| Document::parse(text.as_bytes()).unwrap();
        let found = Drift::of(&read(DESIRED), &read(&effective));
        assert!(found.is_at_most_further() && !found.is_empty());
        let other = read(&effective.replace("level: info", "level: debug"));
        assert!(!Drift::of(&read(DESIRED), &other).is_at_most_further());
    }

    #[test]
    fn only_references_stand_for_something_else() {
        let desired = "a: {regex: '^x$', ref: '${env:X}', part: 'p-${env:X}', map: '${file:m}', escaped: 'a$$b'}";
        let same = "a: {regex: '^x$', ref: 1, part: p-7, map: {k: v}, escaped: 'a$b'}";
        assert_eq!(drift(desired, same), Vec::<String>::new());
        let other = "a: {regex: '^y$', ref: [1], part: [2], map: [3], escaped: 'a$c'}";
        assert_eq!(
            drift(desired, other),
            [
                "a::escaped Different",
                "a::part Different",
                "a::regex Different"
            ]
        );
    }

    #[test]
    fn what_runs_otherwise_is_named() {
        let effective = "\
receivers: {otlp: {protocols: {http: {endpoint: 0.0.0.0:4319}}}, nop: {}}
processors: {batch: {timeout: 2s}, memory_limiter: {check_interval: 1s, limit_mib: 513}}
exporters: {otlp: {endpoint: x, headers: , retry: [1]}}
extensions: {zpages: {}}
service:
  extensions: [zpages]
  pipelines:
    traces: {receivers: [otlp, nop], processors: [batch, memory_limiter], exporters: [otlp]}
    logs: {receivers: [otlp], exporters: [otlp]}
";
        assert_eq!(
            drift(DESIRED, effective),
            [
                "exporters::otlp::headers Different",
                "exporters::otlp::retry Different",
                "extensions::zpages Added",
                "processors::batch::timeout Different",
                "processors::memory_limiter::limit_mib Different",
                "receivers::nop Added",
                "receivers::otlp::protocols::http::endpoint Different",
                "service::extensions Different",
                "service::pipelines::logs Added",
                "service::pipelines::traces::receivers Different",
                "service::pipelines::traces::processors Different",
                "service::telemetry Missing",
            ]
        );
    }

    #[test]
    fn durations_are_compared_by_what_they_last() {
        for (one, other) in [
            ("90s", "1m30s"),
            ("1.5h", "90m"),
            ("0.5s", "500ms"),
            ("-1s", "-1000ms"),
        ] {
            assert_eq!(nanoseconds(one), nanoseconds(other), "{one}");
            assert!(nanoseconds(one).is_some());
        }
        for text in [
            "",
            "5",
            "s",
            "1x",
            "1s2",
            ".s",
            "1..5s",
            "-",
            "99999999999999999999s",
        ] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
    }

    #[test]
    fn many_places_are_counted() {
        let lines: String = (0..1_500).map(|n| format!("  r/{n}: {{}}\n")).collect();
        let read = |text: &str| Document::parse(text.as_bytes()).unwrap();
        let found = Drift::of(
            &read(&format!("receivers:\n{lines}")),
            &read("receivers: {}"),
        );
        assert_eq!((found.places.len(), found.more), (1_000, 500));
    }
}
