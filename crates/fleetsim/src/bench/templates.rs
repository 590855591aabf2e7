//! A plan in which templates make hundreds of different texts: how long an operator waits, and how long rendering takes.

use std::{collections::BTreeMap, time::Duration};

use api_types::{
    configs::PutConfig,
    plans::{Plan as Answer, PlanOutcome},
};
use serde_json::json;

use super::{
    error::BenchError,
    phases::{in_time, usage},
    plan::{CONFIG_BYTES, Plan},
    record::Measured,
    server::{Server, ServerSetup, revision_of},
};
use crate::{Fleet, Redial, labels::Distribution};

/// Different texts, each for as many agents.
const TEXTS: usize = 300;
/// The label of which each value gives another text.
const LABEL: &str = "bench.site";
/// What the server counts of its making of contents.
const MAKING: &str = "opamp_server_content_duration_seconds_sum";
const MADE: &str = "opamp_server_content_duration_seconds_count";
/// The layers under the one that is planned.
const IN_FORCE: [&str; 2] = ["bench-sites-a", "bench-sites-b"];
const PLANNED: &str = "bench-sites-c";

/// The label of which the templates make their texts, dealt out by chance.
pub(super) fn label() -> Distribution {
    let values = (0..TEXTS).map(|site| (format!("site-{site:03}"), 1.0));
    Distribution::new(LABEL, values.collect()).expect("the shares are above zero and distinct")
}

/// What a plan came to.
pub(super) struct Planned {
    answer: Answer,
    took: Duration,
    cpu: Duration,
    making_s: f64,
    made: f64,
    agents: usize,
}

/// Releases two layers of templates, starts the server anew so that it has made nothing, and plans a third.
pub(super) async fn plan(
    server: &mut Server,
    setup: &ServerSetup,
    fleet: &Fleet,
    plan: &Plan,
) -> Result<Planned, BenchError> {
    for (name, priority) in IN_FORCE.into_iter().zip(1..) {
        server.put(name, &template(name, priority)).await?;
        server.release(name).await?;
        let quiet = fleet.quiet(plan.limit).await;
        in_time(quiet, plan, || format!("all agents run {name}"))?;
    }
    fleet.set_redial(Redial::Held);
    server.program.stop().await?;
    *server = setup.start().await?;
    fleet.set_redial(Redial::Every(Duration::from_millis(100)));
    fleet.dial();
    let settled = fleet.settled(plan.limit).await;
    in_time(settled, plan, || {
        format!("all agents back: {:?}", fleet.stats())
    })?;

    let process = server.program.process();
    let (before, making, made) = (
        usage(process)?,
        server.metric(MAKING).await?,
        server.metric(MADE).await?,
    );
    let (answer, took) = server.plan(PLANNED, template(PLANNED, 3)).await?;
    let cpu = usage(process)?.cpu().saturating_sub(before.cpu());
    Ok(Planned {
        answer,
        took,
        cpu,
        making_s: server.metric(MAKING).await? - making,
        made: server.metric(MADE).await? - made,
        agents: plan.agents,
    })
}

impl Planned {
    /// Seconds until the answer was there.
    pub(super) fn time(&self) -> Measured {
        self.measured(self.took.as_secs_f64())
    }

    /// Seconds that the server rendered and merged, as it counts them itself.
    pub(super) fn making(&self) -> Measured {
        self.measured(self.making_s)
    }

    fn measured(&self, value: f64) -> Measured {
        let texts = TEXTS.min(self.agents);
        let (groups, more) = (self.answer.groups.len() as u64, self.answer.more_groups);
        let detail = json!({
            "took_s": self.took.as_secs_f64(),
            "server_cpu_s": self.cpu.as_secs_f64(),
            "making_s": self.making_s,
            "made": self.made,
            "groups": groups + more,
        });
        let changed = self.answer.changed;
        let outcomes = self.answer.groups.iter().map(|group| group.outcome);
        Measured::new(value, detail)
            .unless(changed == self.agents as u64, || {
                format!("{changed} agents would change")
            })
            .unless(groups + more == texts as u64, || {
                format!("the plan has {} groups", groups + more)
            })
            .unless(self.made == texts as f64, || {
                format!("{} contents were made", self.made)
            })
            .unless(
                outcomes.into_iter().all(|each| each == PlanOutcome::Change),
                || "some groups would not just change".to_owned(),
            )
    }
}

/// A layer of 8 KiB whose lines name the agent's site.
fn template(name: &str, priority: i64) -> PutConfig {
    let site = format!("agent.labels['{LABEL}']");
    let mut body = format!(
        "receivers:\n  otlp: {{ protocols: {{ grpc: {{ endpoint: \"127.0.0.1:4317\" }} }} }}\n\
         exporters:\n  debug: {{ verbosity: {{{{ vars.verbosity }}}} }}\n\
         service:\n  pipelines:\n    traces/{name}: {{ receivers: [otlp], processors: [attributes/{name}], exporters: [debug] }}\n\
         processors:\n  attributes/{name}:\n    actions:\n\
         {{% if {site} == 'site-000' %}}\n      - {{ key: bench.first, value: yes, action: upsert }}\n{{% endif %}}\n\
         {{% for zone in vars.zones %}}\n      - {{ key: bench.{{{{ zone }}}}, value: {{{{ ({site} ~ '-' ~ zone) | quote }}}}, action: upsert }}\n{{% endfor %}}\n"
    );
    for number in 0.. {
        let line = format!(
            "      - {{ key: bench.{number:04}, value: \"{{{{ {site} }}}}\", action: upsert }}\n"
        );
        if CONFIG_BYTES < body.len() + line.len() {
            break;
        }
        body.push_str(&line);
    }
    PutConfig {
        priority: Some(priority),
        template: Some("jinja".to_owned()),
        variables: BTreeMap::from([
            ("verbosity".to_owned(), json!("basic")),
            ("zones".to_owned(), json!(["a", "b", "c", "d"])),
        ]),
        ..revision_of(&body)
    }
}
