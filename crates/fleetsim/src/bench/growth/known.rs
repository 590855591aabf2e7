//! Starting with many known agents and configs in the database, and what they take there.

use std::time::{Duration, Instant};

use super::{
    super::{
        BenchError,
        body::collector_config,
        phases::{self, in_time, usage},
        plan::CONFIG_BYTES,
    },
    GrowthReport, Part, Site,
    database::Files,
    grouped, release_each,
};
use crate::{process::Usage, samples::median};

const LABEL: &str = "bench.config";

/// Each config is released and is what an equal share of the agents runs.
pub(super) async fn measure(site: &Site<'_>, report: &mut GrowthReport) -> Result<(), BenchError> {
    let configs = site.sized(1_000, 20);
    let plan = site.plan(site.options.agents);
    let agents = plan.agents;
    let place = site.place(&plan)?;
    let (setup, database) = (&place.setup, place.setup.database());

    let (_, empty, server) = start(site, setup, &plan).await?;
    let bodies: Vec<String> = (0..configs)
        .map(|at| collector_config(CONFIG_BYTES, at))
        .collect();
    release_each(&server, LABEL, &bodies).await?;
    server.stop().await?;
    let without_agents = Files::of(&database)?;

    let server = setup.start().await?;
    let options = grouped(&plan, setup, LABEL, bodies.len())?;
    let fleet = phases::attach(options, &plan).await?;
    let all = agents as u64;
    let applied = fleet.wait(plan.limit, |stats| all <= stats.applied).await;
    in_time(applied, &plan, || {
        format!("all agents run their config: {:?}", fleet.stats())
    })?;
    in_time(fleet.quiet(plan.limit).await, &plan, || {
        "statuses are answered".to_owned()
    })?;
    fleet
        .stop(plan.limit)
        .await
        .map_err(BenchError::io("stopping the fleet"))?;
    server.stop().await?;
    let with_agents = Files::of(&database)?;

    let mut times = Vec::new();
    let mut last = empty;
    for _ in 0..site.sized(5, 1) {
        let (took, usage, server) = start(site, setup, &plan).await?;
        times.push(took.as_secs_f64());
        last = usage;
        server.stop().await?;
    }
    let what = format!("with {configs} configs");
    let mut add = |figure: &str, value: f64, unit| {
        report.add(
            Part::Known,
            agents,
            &format!("{figure}, {what}"),
            value,
            unit,
        );
    };
    add(
        "start-up until /ready (median)",
        median(&times).unwrap_or(0.0),
        "s",
    );
    add(
        "memory after the start",
        last.rss_kib as f64 / 1024.0,
        "MiB",
    );
    let grown = last.rss_kib as f64 - empty.rss_kib as f64;
    add("of it for a known agent", grown / agents as f64, "KiB");
    let stored = with_agents.database_bytes as f64 - without_agents.database_bytes as f64;
    add(
        "database for an agent",
        stored / agents as f64 / 1024.0,
        "KiB",
    );
    let alone = without_agents.database_bytes as f64 / f64::from(configs);
    add(
        "database for a config, without agents",
        alone / 1024.0,
        "KiB",
    );
    Ok(())
}

/// Starts a server; how long until it was ready, and what it took when it had nothing more to do.
async fn start(
    _site: &Site<'_>,
    setup: &super::ServerSetup,
    plan: &super::Plan,
) -> Result<(Duration, Usage, super::Server), BenchError> {
    let began = Instant::now();
    let server = setup.start().await?;
    let took = server.ready_at.saturating_duration_since(began);
    phases::flushed(server.program.process(), Duration::ZERO, plan).await?;
    let usage = usage(server.program.process())?;
    Ok((took, usage, server))
}
