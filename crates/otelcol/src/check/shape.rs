//! What the Collector does not even decode, and what leaves it nothing to run.

use super::{Code, Findings};
use crate::component::{Kind, Signal};
use crate::service::{Pipeline, Place, Service, ServiceFault, Unreadable};
use crate::tree::{Origin, Path, Step};

pub(super) fn check(service: &Service, findings: &mut Findings) {
    for unreadable in &service.faults {
        explain(unreadable, findings);
    }
    if !service.is_partial {
        something_to_run(service, findings);
    }
    for (id, pipeline) in &service.pipelines {
        if !pipeline.is_partial {
            both_ends(pipeline, findings);
        }
        if id.signal() == Signal::Profiles {
            findings.add(
                Code::GatedSignal,
                &pipeline.place,
                "the Collector takes profiles only with a feature gate",
                "start it with --feature-gates=service.profilesSupport, or remove the pipeline",
            );
        }
    }
}

fn explain(unreadable: &Unreadable, findings: &mut Findings) {
    let (code, advice) = match &unreadable.fault {
        ServiceFault::UnknownKey {
            meant: Some(meant), ..
        } => (Code::UnknownKey, format!("write \"{meant}\"")),
        ServiceFault::UnknownKey { meant: None, .. } => {
            (Code::UnknownKey, "remove it, or move it".to_owned())
        }
        ServiceFault::WrongKind { wanted, .. } => (Code::WrongKind, format!("write {wanted}")),
        ServiceFault::BadId { .. } => (
            Code::BadId,
            "write a type such as otlp, or a type and a name such as otlp/backend".to_owned(),
        ),
        ServiceFault::SameId { .. } => (
            Code::SameId,
            "rename one of the two, or join them".to_owned(),
        ),
        ServiceFault::LostSettings { .. } => {
            (Code::LostSettings, "write the id without blanks".to_owned())
        }
    };
    findings.add(
        code,
        &unreadable.place,
        unreadable.fault.to_string(),
        advice,
    );
}

fn something_to_run(service: &Service, findings: &mut Findings) {
    let defines = |kind| service.components.keys().any(|(of, _)| *of == kind);
    for kind in [Kind::Receiver, Kind::Exporter] {
        if !defines(kind) {
            findings.add(
                Code::NothingToRun,
                &section(kind.section()),
                format!("no {kind} is defined"),
                format!("define one under {}", kind.section()),
            );
        }
    }
    if service.pipelines.is_empty() {
        findings.add(
            Code::NothingToRun,
            &section("service"),
            "no pipeline is defined",
            "define one under service::pipelines, such as traces with its receivers and exporters",
        );
    }
}

/// The place of a section that may not be there.
fn section(name: &str) -> Place {
    Place {
        path: Path::from_iter([Step::Key(name.into())]),
        origin: Origin::default(),
    }
}

fn both_ends(pipeline: &Pipeline, findings: &mut Findings) {
    for (used, what) in [
        (&pipeline.receivers, "receiver"),
        (&pipeline.exporters, "exporter"),
    ] {
        if used.is_empty() {
            findings.add(
                Code::EmptyPipeline,
                &pipeline.place,
                format!("the pipeline has no {what}"),
                format!("name one under {what}s, or remove the pipeline"),
            );
        }
    }
}
