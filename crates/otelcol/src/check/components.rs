//! Components: defined, used, there in the build, fit for their pipelines, in a sensible order.

use std::collections::HashSet;

use super::{Code, Findings, Surroundings};
use crate::component::{ComponentId, Kind, PipelineId};
use crate::inventory::Inventory;
use crate::service::{Pipeline, Service, Used};
use crate::spelling::{MOST_KNOWN, Spelling};

pub(super) fn check(service: &Service, around: &Surroundings<'_>, findings: &mut Findings) {
    if let Some(inventory) = around.inventory.filter(|known| !known.is_empty()) {
        there_in_the_build(service, inventory, findings);
    }
    not_ambiguous(service, findings);
    all_defined(service, findings);
    for (id, pipeline) in &service.pipelines {
        once(pipeline, findings);
        in_order(pipeline, findings);
        if let Some(inventory) = around.inventory {
            fit(service, (id, pipeline), inventory, findings);
        }
    }
    if !service.is_partial {
        unused(service, findings);
    }
}

fn there_in_the_build(service: &Service, inventory: &Inventory, findings: &mut Findings) {
    let known = Kind::ALL.map(|kind| (kind, inventory.types(kind).collect::<Vec<_>>()));
    let mut spelling = Spelling::default();
    for ((kind, id), place) in &service.components {
        let component_type = id.component_type();
        let may_be_there = !inventory.knows_all(*kind);
        if may_be_there || inventory.support(*kind, component_type).is_some() {
            continue;
        }
        let types = known.iter().find(|(of, _)| of == kind);
        let meant = types.and_then(|(_, types)| spelling.similar(component_type, types));
        let advice = match meant {
            Some(meant) => format!("write {meant}, or use a build that has {component_type}"),
            None => format!("use a build that has it, or remove the {kind}"),
        };
        let version = inventory.version.as_deref().unwrap_or_default();
        let message =
            format!("the build {version} has no {kind} {component_type}").replace("  ", " ");
        findings.add(Code::UnknownComponent, place, message, advice);
    }
}

fn not_ambiguous(service: &Service, findings: &mut Findings) {
    for ((kind, id), place) in &service.components {
        if *kind != Kind::Connector {
            continue;
        }
        for other in [Kind::Receiver, Kind::Exporter] {
            if service.defines(other, id) {
                let message = format!("{id} is the id of a connector and of a {other}");
                let advice = format!("rename one of the two, such as {id}/connector");
                findings.add(Code::AmbiguousId, place, message, advice);
            }
        }
    }
}

fn all_defined(service: &Service, findings: &mut Findings) {
    // What is behind a reference may define everything.
    if service.is_partial {
        return;
    }
    let mut spelling = Spelling::default();
    let mut check = |uses: Vec<&[Used]>, kinds: &[Kind]| {
        let names = names(service, kinds);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for used in uses.into_iter().flatten() {
            if kinds.iter().any(|kind| service.defines(*kind, &used.id)) {
                continue;
            }
            let meant = spelling.similar(&used.id.to_string(), &names);
            undefined(service, used, kinds[0], meant, findings);
        }
    };
    let pipelines = || service.pipelines.values();
    check(vec![&service.extensions], &[Kind::Extension]);
    check(
        pipelines().map(|of| &*of.receivers).collect(),
        &[Kind::Receiver, Kind::Connector],
    );
    check(
        pipelines().map(|of| &*of.processors).collect(),
        &[Kind::Processor],
    );
    check(
        pipelines().map(|of| &*of.exporters).collect(),
        &[Kind::Exporter, Kind::Connector],
    );
}

/// What components of these kinds are called; nothing where there are so many that none is looked up among them.
fn names(service: &Service, kinds: &[Kind]) -> Vec<String> {
    let of_kinds = service
        .components
        .keys()
        .filter(|(of, _)| kinds.contains(of));
    let names = of_kinds.map(|(_, id)| id.to_string());
    let names: Vec<String> = names.take(MOST_KNOWN + 1).collect();
    match names.len() <= MOST_KNOWN {
        true => names,
        false => Vec::new(),
    }
}

fn undefined(
    service: &Service,
    used: &Used,
    kind: Kind,
    meant: Option<&str>,
    findings: &mut Findings,
) {
    let id = &used.id;
    let elsewhere = Kind::ALL
        .into_iter()
        .find(|kind| service.defines(*kind, id));
    let advice = match (elsewhere, meant) {
        (Some(other), _) => format!("{id} is a {other}: name it where it belongs"),
        (None, Some(meant)) => format!("write {meant}, or define {id} under {}", kind.section()),
        (None, None) => format!("define it under {}, or remove it here", kind.section()),
    };
    let message = format!("{kind} {id} is not defined");
    findings.add(Code::UndefinedComponent, &used.place, message, advice);
}

fn once(pipeline: &Pipeline, findings: &mut Findings) {
    for (used, code) in [
        (&pipeline.processors, Code::RepeatedProcessor),
        (&pipeline.receivers, Code::RepeatedComponent),
        (&pipeline.exporters, Code::RepeatedComponent),
    ] {
        let mut seen = HashSet::new();
        for used in used.iter().filter(|used| !seen.insert(&used.id)) {
            let message = format!("{} stands twice in the pipeline", used.id);
            findings.add(code, &used.place, message, "remove one of the two");
        }
    }
}

/// Memory is guarded before anything is done with it; batches are made of what is left in the end.
fn in_order(pipeline: &Pipeline, findings: &mut Findings) {
    let processors = &pipeline.processors;
    let is = |used: &Used, name| used.id.component_type() == name;
    for used in processors.iter().skip(1) {
        if is(used, "memory_limiter") {
            findings.add(
                Code::LateMemoryLimiter,
                &used.place,
                "memory_limiter refuses data only after other processors have worked on it",
                "move it to the first place",
            );
        }
    }
    // A batch before another one is left to the last: only what stands behind all of them counts.
    let last = processors.iter().rposition(|used| is(used, "batch"));
    let after = last.map_or(&[][..], |place| &processors[place + 1..]);
    if let (Some(place), Some(next)) = (last, after.first()) {
        let message = format!("batch stands before {}", next.id);
        findings.add(
            Code::EarlyBatch,
            &processors[place].place,
            message,
            "move it behind the processors that drop or change data",
        );
    }
}

fn fit(
    service: &Service,
    (id, pipeline): (&PipelineId, &Pipeline),
    inventory: &Inventory,
    findings: &mut Findings,
) {
    for (used, kind) in [
        (&pipeline.receivers, Kind::Receiver),
        (&pipeline.processors, Kind::Processor),
        (&pipeline.exporters, Kind::Exporter),
    ] {
        for used in used {
            // Connectors have rules of their own.
            if !service.defines(kind, &used.id) {
                continue;
            }
            if inventory.denies(kind, used.id.component_type(), id.signal()) {
                let message = format!("{kind} {} does not support {}", used.id, id.signal());
                let advice = "move it to a pipeline of a signal that it supports";
                findings.add(Code::UnsupportedSignal, &used.place, message, advice);
            }
        }
    }
}

fn unused(service: &Service, findings: &mut Findings) {
    let used: HashSet<(Kind, &ComponentId)> = service.used().collect();
    for ((kind, id), place) in &service.components {
        if !used.contains(&(*kind, id)) {
            let message = format!("{kind} {id} is defined and not used");
            let advice = match kind {
                Kind::Extension => "name it under service::extensions, or remove it",
                _ => "name it in a pipeline, or remove it",
            };
            findings.add(Code::UnusedComponent, place, message, advice);
        }
    }
}
