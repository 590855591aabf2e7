//! Connectors and the way of data through pipelines.

use std::collections::BTreeMap;

use super::cycles::{Graph, circles};
use super::{Code, Findings, Surroundings};
use crate::component::{ComponentId, Kind, PipelineId, Signal};
use crate::inventory::Support;
use crate::service::{Ends, Place, Service};

/// How many ways of data a finding names, of those that are part of a circle.
const MOST_WAYS: usize = 3;

pub(super) fn check(service: &Service, around: &Surroundings<'_>, findings: &mut Findings) {
    if service.is_partial {
        return;
    }
    let joins: Vec<Join<'_>> = service
        .connectors()
        .into_iter()
        .map(|(id, ends)| {
            let inventory = around.inventory;
            let known = inventory.and_then(|of| of.support(Kind::Connector, id.component_type()));
            let support = known.unwrap_or(&Support::Unknown);
            Join { id, ends, support }
        })
        .collect();
    for join in &joins {
        join.both_ends(findings);
    }
    no_circle(service, &joins, findings);
}

/// A connector, the pipelines it joins, and what its type can carry.
struct Join<'s> {
    id: &'s ComponentId,
    ends: Ends<'s>,
    support: &'s Support,
}

type End<'s> = (&'s PipelineId, &'s Place);

impl Join<'_> {
    /// Each signal that comes in must go out as some signal, and the other way round.
    fn both_ends(&self, findings: &mut Findings) {
        let id = self.id;
        let (incoming, outgoing) = (signals(&self.ends.from), signals(&self.ends.to));
        for (pipeline, place) in &self.ends.from {
            let from = pipeline.signal();
            if !outgoing.iter().any(|to| self.support.connects(from, *to)) {
                let message =
                    format!("connector {id} takes {from} here and brings them to no pipeline");
                let advice = "name it among the receivers of a pipeline that it can feed, or use an exporter here";
                findings.add(Code::LooseConnector, place, message, advice);
            }
        }
        for (pipeline, place) in &self.ends.to {
            let to = pipeline.signal();
            if !incoming.iter().any(|from| self.support.connects(*from, to)) {
                let message =
                    format!("connector {id} brings {to} here and takes them from no pipeline");
                let advice = "name it among the exporters of a pipeline that can feed it, or use a receiver here";
                findings.add(Code::LooseConnector, place, message, advice);
            }
        }
    }

    /// From which signal to which it carries data between the pipelines it joins.
    fn pairs(&self) -> Vec<(Signal, Signal)> {
        let (incoming, outgoing) = (signals(&self.ends.from), signals(&self.ends.to));
        let pairs = incoming
            .iter()
            .flat_map(|from| outgoing.iter().map(|to| (*from, *to)));
        pairs
            .filter(|(from, to)| self.support.connects(*from, *to))
            .collect()
    }
}

fn signals(ends: &[End<'_>]) -> Vec<Signal> {
    let is_there = |signal: &Signal| ends.iter().any(|(id, _)| id.signal() == *signal);
    Signal::ALL.into_iter().filter(is_there).collect()
}

/// What a connector makes of one signal as another: a node between pipelines, so that a connector of many pipelines has as
/// many edges as it has ends, and not one for each pair of them.
struct Carrier<'s> {
    join: &'s Join<'s>,
    from: Signal,
    to: Signal,
}

impl<'s> Carrier<'s> {
    fn all(joins: &'s [Join<'s>]) -> Vec<Self> {
        let of = |join: &'s Join<'s>| {
            let pairs = join.pairs().into_iter();
            pairs.map(move |(from, to)| Self { join, from, to })
        };
        joins.iter().flat_map(of).collect()
    }

    fn takes_from(&self) -> impl Iterator<Item = &'s End<'s>> {
        let from = self.from;
        let ends = self.join.ends.from.iter();
        ends.filter(move |(id, _)| id.signal() == from)
    }

    fn brings_to(&self) -> impl Iterator<Item = &'s End<'s>> {
        let to = self.to;
        let ends = self.join.ends.to.iter();
        ends.filter(move |(id, _)| id.signal() == to)
    }
}

type Numbers<'s> = BTreeMap<&'s PipelineId, usize>;

/// Pipelines by their numbers, and behind them the carriers.
fn graph(pipelines: &Numbers<'_>, carriers: &[Carrier<'_>]) -> Graph {
    let mut graph: Graph = vec![Vec::new(); pipelines.len() + carriers.len()];
    for (carrier, number) in carriers.iter().zip(pipelines.len()..) {
        for (pipeline, _) in carrier.takes_from() {
            graph[pipelines[pipeline]].push(number);
        }
        let brings_to = carrier.brings_to().map(|(id, _)| pipelines[id]);
        graph[number] = brings_to.collect();
    }
    graph
}

fn no_circle(service: &Service, joins: &[Join<'_>], findings: &mut Findings) {
    let pipelines: Numbers<'_> = service.pipelines.keys().zip(0..).collect();
    let carriers = Carrier::all(joins);
    let circles = circles(&graph(&pipelines, &carriers));
    let mut ways: BTreeMap<&ComponentId, Ways<'_>> = BTreeMap::new();
    for (carrier, circle) in carriers.iter().zip(&circles[pipelines.len()..]) {
        let in_circle = |end: &&End<'_>| circles[pipelines[end.0]] == *circle;
        let from: Vec<&End<'_>> = carrier.takes_from().filter(in_circle).collect();
        let to: Vec<&End<'_>> = carrier.brings_to().filter(in_circle).collect();
        if !from.is_empty() {
            ways.entry(carrier.join.id).or_default().add(&from, &to);
        }
    }
    for (connector, ways) in ways {
        if let Some((_, _, place)) = ways.first.first() {
            let message = format!("data goes round in a circle: {connector} brings it from {ways}");
            let advice = "take the connector out of one of these pipelines";
            findings.add(Code::PipelineCycle, place, message, advice);
        }
    }
}

/// The ways that a connector adds to circles: from where, to where, and where that is written.
#[derive(Default)]
struct Ways<'s> {
    first: Vec<(&'s PipelineId, &'s PipelineId, &'s Place)>,
    count: usize,
}

impl<'s> Ways<'s> {
    fn add(&mut self, from: &[&'s End<'s>], to: &[&'s End<'s>]) {
        let ways = from
            .iter()
            .flat_map(|(from, place)| to.iter().map(move |(to, _)| (*from, *to, *place)));
        let wanted = MOST_WAYS - self.first.len();
        self.first.extend(ways.take(wanted));
        self.count += from.len() * to.len();
    }
}

impl std::fmt::Display for Ways<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (from, to, _)) in self.first.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{from} to {to}")?;
        }
        match self.count - self.first.len() {
            0 => Ok(()),
            more => write!(f, " and {more} ways more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    /// A connector with this many pipelines at each of its ends, one of which is at both.
    fn star(pipelines: usize) -> Service {
        let uses = |what: &str| -> String {
            (0..pipelines)
                .map(|number| format!("    traces/{what}{number}: {{{what}: [forward]}}\n"))
                .collect()
        };
        let text = format!(
            "connectors: {{forward: }}\nservice:\n  pipelines:\n    traces: {{receivers: [forward], exporters: [forward]}}\n{}{}",
            uses("receivers"),
            uses("exporters"),
        );
        Service::of(&Document::parse(text.as_bytes()).unwrap())
    }

    fn edges(service: &Service) -> usize {
        let joins: Vec<Join<'_>> = service
            .connectors()
            .into_iter()
            .map(|(id, ends)| Join {
                id,
                ends,
                support: &Support::Unknown,
            })
            .collect();
        let pipelines: Numbers<'_> = service.pipelines.keys().zip(0..).collect();
        let graph = graph(&pipelines, &Carrier::all(&joins));
        graph.iter().map(Vec::len).sum()
    }

    #[test]
    fn there_is_an_edge_for_each_end_and_none_for_each_pair() {
        assert_eq!(edges(&star(10)), 22);
        assert_eq!(edges(&star(1000)), 2002);
    }
}
