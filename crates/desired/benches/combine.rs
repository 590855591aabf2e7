//! What making one desired content costs: three templates of 8 KiB rendered, merged, written and checked.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on should stop"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use desired::{AgentFacts, Layer, Limits, Renderer, check_template_within};
use domain::model::InstanceUid;
use domain::{
    Actor, ConfigName, ContentHash, Kind, Labels, Namespace, Revision, RevisionNumber, Template,
};

/// The server's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A layer whose lines name the agent's site.
fn body(name: &str) -> String {
    let mut body = format!(
        "receivers:\n  otlp: {{ protocols: {{ grpc: {{ endpoint: \"127.0.0.1:4317\" }} }} }}\n\
         exporters:\n  debug: {{ verbosity: basic }}\n\
         service:\n  pipelines:\n    traces/{name}: {{ receivers: [otlp], processors: [attributes/{name}], exporters: [debug] }}\n\
         processors:\n  attributes/{name}:\n    actions:\n"
    );
    for number in 0.. {
        let line = format!(
            "      - {{ key: bench.{number:04}, value: \"{{{{ agent.labels.site }}}}\", action: upsert }}\n"
        );
        if 8192 < body.len() + line.len() {
            return body;
        }
        body.push_str(&line);
    }
    body
}

fn revision(name: &str, priority: i64) -> Arc<Revision> {
    let body = body(name);
    let uses = check_template_within(body.as_bytes(), [], &Limits::default()).unwrap();
    Arc::new(Revision {
        namespace: Namespace::default(),
        config: ConfigName::new(name).unwrap(),
        number: RevisionNumber(1),
        version: "v1.0.0".to_owned(),
        kind: Kind::Collector,
        selector: "".parse().unwrap(),
        priority,
        template: Some(Template {
            variables: BTreeMap::new(),
            overrides: Vec::new(),
            uses,
        }),
        variables: None,
        sha256: ContentHash::from_bytes(trust::sha256(body.as_bytes())),
        body: body.into_bytes().into(),
        author: Actor::admin(),
        message: String::new(),
        created_at: jiff::Timestamp::UNIX_EPOCH,
        origin: "api".to_owned(),
    })
}

fn layers(revisions: &[Arc<Revision>], site: usize) -> Vec<Layer> {
    let labels = Labels::from_iter([("site", format!("site-{site:03}"))]);
    let facts = AgentFacts {
        uid: InstanceUid::new([1; 16]),
        labels: &labels,
    };
    let of = |revision: &Arc<Revision>| Layer::of(Arc::clone(revision), facts, &Arc::default());
    revisions.iter().map(of).collect()
}

fn combine(criterion: &mut Criterion) {
    let revisions = [revision("a", 1), revision("b", 2), revision("c", 3)];
    let mut site = 0;
    let mut next = || {
        site += 1;
        layers(&revisions, site)
    };
    let renderer = Renderer::default();
    criterion.bench_function("render", |bencher| {
        bencher.iter(|| renderer.text(black_box(&next()[0])).unwrap());
    });
    criterion.bench_function("combine", |bencher| {
        bencher.iter(|| renderer.combine(black_box(&next())).unwrap());
    });
    let combined = renderer.combine(&next()).unwrap();
    criterion.bench_function("content", |bencher| {
        bencher.iter(|| combined.content().unwrap())
    });
    criterion.bench_function("findings", |bencher| bencher.iter(|| combined.findings()));
    criterion.bench_function("all", |bencher| {
        bencher.iter(|| {
            let combined = renderer.combine(black_box(&next())).unwrap();
            (combined.content().unwrap(), combined.findings())
        });
    });
}

criterion_group!(benches, combine);
criterion_main!(benches);
