//! Connectors and the way of data through pipelines.

use std::collections::{BTreeMap, BTreeSet};

use super::{Code, Findings, Surroundings};
use crate::component::{ComponentId, Kind, PipelineId, Signal};
use crate::inventory::Support;
use crate::service::{Link, Place, Service, Used};

pub(super) fn check(service: &Service, around: &Surroundings<'_>, findings: &mut Findings) {
    if service.is_partial {
        return;
    }
    let connectors = service
        .components
        .keys()
        .filter(|(kind, _)| *kind == Kind::Connector)
        .map(|(_, id)| id);
    let mut links = BTreeSet::new();
    for id in connectors {
        let known = around
            .inventory
            .and_then(|inventory| inventory.support(Kind::Connector, id.component_type()));
        let support = known.unwrap_or(&Support::Unknown);
        Ends::of(service, id).check(id, support, findings);
        links.extend(service.links().into_iter().filter(|link| {
            link.connector == *id && support.connects(link.from.signal(), link.to.signal())
        }));
    }
    no_cycle(service, &links, findings);
}

/// The pipelines that a connector ends and those that it begins, with where it is named.
struct Ends<'s> {
    from: Vec<(&'s PipelineId, &'s Place)>,
    to: Vec<(&'s PipelineId, &'s Place)>,
}

impl<'s> Ends<'s> {
    fn of(service: &'s Service, id: &ComponentId) -> Self {
        let place = |used: &'s [Used]| used.iter().find(|used| used.id == *id).map(|u| &u.place);
        let mut ends = Self {
            from: Vec::new(),
            to: Vec::new(),
        };
        for (pipeline_id, pipeline) in &service.pipelines {
            ends.from
                .extend(place(&pipeline.exporters).map(|place| (pipeline_id, place)));
            ends.to
                .extend(place(&pipeline.receivers).map(|place| (pipeline_id, place)));
        }
        ends
    }

    /// Each signal that comes in must go out as some signal, and the other way round.
    fn check(&self, id: &ComponentId, support: &Support, findings: &mut Findings) {
        let signals = |ends: &[(&PipelineId, &Place)]| -> BTreeSet<Signal> {
            ends.iter().map(|(pipeline, _)| pipeline.signal()).collect()
        };
        let (incoming, outgoing) = (signals(&self.from), signals(&self.to));
        for (pipeline, place) in &self.from {
            let from = pipeline.signal();
            if !outgoing.iter().any(|to| support.connects(from, *to)) {
                let message =
                    format!("connector {id} takes {from} here and brings them to no pipeline");
                let advice = "name it among the receivers of a pipeline that it can feed, or use an exporter here";
                findings.add(Code::LooseConnector, place, message, advice);
            }
        }
        for (pipeline, place) in &self.to {
            let to = pipeline.signal();
            if !incoming.iter().any(|from| support.connects(*from, to)) {
                let message =
                    format!("connector {id} brings {to} here and takes them from no pipeline");
                let advice = "name it among the exporters of a pipeline that can feed it, or use a receiver here";
                findings.add(Code::LooseConnector, place, message, advice);
            }
        }
    }
}

/// Takes away pipelines that nothing feeds, again and again; what is left feeds itself.
fn no_cycle(service: &Service, links: &BTreeSet<Link>, findings: &mut Findings) {
    let mut left: BTreeSet<&Link> = links.iter().collect();
    loop {
        let (fed, feeding): (BTreeSet<_>, BTreeSet<_>) =
            left.iter().map(|link| (&link.to, &link.from)).unzip();
        let before = left.len();
        left.retain(|link| fed.contains(&link.from) && feeding.contains(&link.to));
        if left.len() == before {
            break;
        }
    }
    let mut by_connector: BTreeMap<&ComponentId, Vec<&Link>> = BTreeMap::new();
    for link in left {
        by_connector.entry(&link.connector).or_default().push(link);
    }
    for (connector, links) in by_connector {
        let ways: Vec<String> = links
            .iter()
            .map(|link| format!("{} to {}", link.from, link.to))
            .collect();
        let message = format!(
            "data goes round in a circle: {connector} brings it from {}",
            ways.join(", ")
        );
        let pipeline = links
            .first()
            .and_then(|link| service.pipelines.get(&link.from));
        let used = pipeline
            .and_then(|pipeline| pipeline.exporters.iter().find(|used| used.id == *connector));
        if let Some(used) = used {
            let advice = "take the connector out of one of these pipelines";
            findings.add(Code::PipelineCycle, &used.place, message, advice);
        }
    }
}
