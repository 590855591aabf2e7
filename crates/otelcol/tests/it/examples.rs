//! The example configurations that the modules of the built Collector bring along, as the module cache of Go has them: what the
//! Collector takes of them, the checks must take, too. They are read where they lie; none is copied here.

use std::path::{Path, PathBuf};
use std::process::Command;

use otelcol::{ComponentId, Document, Kind, Map, Node, Severity, Signal, Support, Value};

use crate::corpus::{findings, inventory};
use crate::reference::{Reference, one_in};

/// One in so many examples is judged by the Collector, unless all are.
const JUDGED_ONE_IN: usize = 11;

/// A configuration that is a whole one, or is made one around the settings of a component.
struct Example {
    name: String,
    text: String,
}

/// The directories of the modules in `interop/collector/manifest.yaml` that are in the module cache.
fn modules() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = here.join("../../interop/collector/manifest.yaml");
    let manifest = std::fs::read(manifest).unwrap();
    let manifest = Document::parse(&manifest).unwrap();
    let Some(cache) = module_cache() else {
        return Vec::new();
    };
    let sections = Kind::ALL.map(Kind::section);
    let modules = sections
        .iter()
        .filter_map(|section| manifest.root().get(section)?.as_list())
        .flatten()
        .filter_map(|item| item.as_map()?.get("gomod")?.as_str());
    modules
        .map(|module| cache.join(module.replace(' ', "@")))
        .filter(|directory| directory.is_dir())
        .collect()
}

fn module_cache() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let go = Command::new(here.join("../../scripts/go-path"))
        .output()
        .ok()?;
    let go = String::from_utf8(go.stdout).ok()?;
    let mut command = Command::new(Path::new(go.trim()).join("go"));
    let output = command.args(["env", "GOMODCACHE"]).output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

/// Every YAML in a module: files, and what is fenced as such in its pages.
fn texts(directory: &Path, found: &mut Vec<(String, String)>) {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        let name = path.display().to_string();
        if path.is_dir() {
            texts(&path, found);
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("yaml" | "yml") => found.push((name, text)),
            Some("md") => {
                let fences = text.split("```yaml\n").skip(1).zip(1..);
                found.extend(fences.map(|(fence, number)| {
                    let fenced = fence.split("```").next().unwrap_or_default();
                    (format!("{name} #{number}"), fenced.to_owned())
                }));
            }
            _ => {}
        }
    }
}

/// What a text shows: a whole configuration, sections of one, or the settings of components of the module's kind.
fn examples(name: &str, text: &str, kind: Kind) -> Vec<Example> {
    let Ok(document) = Document::parse(text.as_bytes()) else {
        return Vec::new();
    };
    let root = document.root();
    if root.get("service").is_some() && root.get("exporters").is_some() {
        let (name, text) = (name.to_owned(), text.to_owned());
        return vec![Example { name, text }];
    }
    let sections = Kind::ALL
        .iter()
        .filter_map(|kind| Some((*kind, root.get(kind.section())?.as_map()?)));
    sections
        .chain([(kind, root)])
        .flat_map(|(kind, map)| components(name, kind, map))
        .collect()
}

fn components(name: &str, kind: Kind, map: &Map) -> Vec<Example> {
    let example = |(id, settings): (&str, &Node)| {
        let component_type = ComponentId::parse(id).ok()?.component_type().to_owned();
        let support = inventory().support(kind, &component_type)?;
        Some(Example {
            name: format!("{name}: {id}"),
            text: whole(kind, id, settings, support).to_yaml(),
        })
    };
    map.iter()
        .filter_map(|entry| example((entry.key.name(), &entry.value)))
        .collect()
}

/// The least configuration that uses a component.
fn whole(kind: Kind, id: &str, settings: &Node, support: &Support) -> Value {
    let nop = || vec!["nop".to_owned()];
    let this = || vec![id.to_owned()];
    let mut pipelines: Vec<(String, Value)> = Vec::new();
    let mut pipeline = |id: String, receivers, processors: Vec<String>, exporters| {
        let parts = [
            ("receivers", receivers),
            ("processors", processors),
            ("exporters", exporters),
        ];
        pipelines.push((id, Value::map(parts)));
    };
    match support {
        Support::Pairs(pairs) => {
            for (from, to) in pairs {
                pipeline(format!("{from}/from"), nop(), vec![], this());
                pipeline(format!("{to}/to"), this(), vec![], nop());
            }
        }
        _ => {
            for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
                // Renamed components are known by name only, and all of these support logs.
                let is_fit = match support {
                    Support::Unknown => signal == Signal::Logs,
                    _ => support.has(signal),
                };
                let of = |of: Kind| kind == of && is_fit;
                pipeline(
                    signal.to_string(),
                    if of(Kind::Receiver) { this() } else { nop() },
                    if of(Kind::Processor) { this() } else { vec![] },
                    if of(Kind::Exporter) { this() } else { nop() },
                );
            }
        }
    }
    let extensions = if kind == Kind::Extension {
        this()
    } else {
        vec![]
    };
    let service = Value::map([
        ("extensions", Value::from(extensions)),
        ("pipelines", Value::map(pipelines)),
    ]);
    let mut sections: Vec<(&str, Value)> = vec![("service", service)];
    for of in [Kind::Receiver, Kind::Exporter] {
        sections.push((of.section(), Value::map([("nop", Value::Null)])));
    }
    let defined = Value::map([(id, Value::from(settings)), ("nop", Value::Null)]);
    let has_nop = matches!(kind, Kind::Receiver | Kind::Exporter);
    let defined = match has_nop {
        true => defined,
        false => Value::map([(id, Value::from(settings))]),
    };
    sections.push((kind.section(), defined));
    Value::map(sections)
}

fn kind_of(module: &Path) -> Kind {
    let path = module.display().to_string();
    let is_of = |kind: &Kind| path.contains(&format!("/{kind}/"));
    Kind::ALL.into_iter().find(is_of).unwrap()
}

#[test]
fn what_the_collector_takes_of_its_modules_examples_has_no_error() {
    let Some(collector) = Reference::find("examples") else {
        return;
    };
    let mut all = Vec::new();
    for module in modules() {
        let mut found = Vec::new();
        texts(&module, &mut found);
        let of = |(name, text): &(String, String)| examples(name, text, kind_of(&module));
        all.extend(found.iter().flat_map(of));
    }
    let judged: Vec<&Example> = all.iter().step_by(one_in(JUDGED_ONE_IN)).collect();
    let (mut taken, mut both_refuse, mut odd) = (0, 0, Vec::new());
    for example in &judged {
        let Ok(document) = Document::parse(example.text.as_bytes()) else {
            odd.push(format!("{}: not read again", example.name));
            continue;
        };
        let error = findings(&document)
            .into_iter()
            .find(|finding| finding.severity() == Severity::Error);
        match (collector.validate(&example.text), error) {
            (Ok(()), None) => {
                taken += 1;
                if !example.text.contains('$') {
                    collector.agrees(&[&example.text]);
                }
            }
            (Ok(()), Some(error)) => {
                odd.push(format!("{}: {error}\n{}", example.name, example.text))
            }
            (Err(_), error) => both_refuse += usize::from(error.is_some()),
        }
    }
    println!(
        "examples: {} found, {} judged, {taken} taken by both, {both_refuse} refused by both, {} refused by the Collector alone (settings)",
        all.len(),
        judged.len(),
        judged.len() - taken - both_refuse - odd.len()
    );
    assert!(odd.is_empty(), "{}", odd.join("\n"));
}
