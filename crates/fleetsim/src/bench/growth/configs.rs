//! A hundred distinct configs to the groups of a fleet, instead of one to all of it.

use std::time::Instant;

use sha2::{Digest as _, Sha256};

use super::{
    super::{
        BenchError,
        body::collector_config,
        phases::{self, in_time, usage},
        plan::CONFIG_BYTES,
    },
    GrowthReport, Part, Site, grouped, release_each,
};
use crate::Fleet;

const LABEL: &str = "bench.group";

pub(super) async fn measure(site: &Site<'_>, report: &mut GrowthReport) -> Result<(), BenchError> {
    for configs in [1, site.sized(100, 10)] {
        measure_some(site, report, configs).await?;
    }
    Ok(())
}

/// The first version of each config goes out before, the second is measured: from the first byte of the first release
/// to the last agent having checked its hash. The releases follow one another.
async fn measure_some(
    site: &Site<'_>,
    report: &mut GrowthReport,
    configs: u32,
) -> Result<(), BenchError> {
    let plan = site.plan(site.options.agents);
    let place = site.place(&plan)?;
    let setup = &place.setup;
    let server = setup.start().await?;
    let bodies = |version: u32| -> Vec<String> {
        let body = |at| collector_config(CONFIG_BYTES, version * 1_000_000 + at);
        (0..configs).map(body).collect()
    };
    let (first, second) = (bodies(1), bodies(2));
    release_each(&server, LABEL, &first).await?;
    let options = grouped(&plan, setup, LABEL, first.len())?;
    let fleet = phases::attach(options, &plan).await?;
    arrived(&fleet, &plan, &first).await?;
    phases::flushed(server.program.process(), plan.idle, &plan).await?;

    for (at, body) in second.iter().enumerate() {
        let selector = format!("{LABEL}={}", super::group(at));
        let name = format!("config-{at:04}");
        server.put_config(&name, &selector, body).await?;
    }
    let (process, counted) = (server.program.process(), fleet.stats());
    let before = usage(process)?;
    let began = Instant::now();
    for at in 0..second.len() {
        server.release(&format!("config-{at:04}")).await?;
    }
    let released = began.elapsed();
    arrived(&fleet, &plan, &second).await?;
    let last_ms = second
        .iter()
        .filter_map(|body| fleet.config_latency(&hash(body), began).received)
        .map(|received| received.last_ms)
        .fold(0.0, f64::max);
    phases::flushed(
        process,
        plan.idle.min(std::time::Duration::from_secs(1)),
        &plan,
    )
    .await?;
    let cpu = usage(process)?.cpu().saturating_sub(before.cpu());
    let counts = fleet.stats().since(&counted);
    if 0 < counts.lost + counts.hash_mismatches {
        let problem = format!("Configs: {counts:?}");
        report.problems.push(problem);
    }
    let agents = plan.agents;
    let mut add = |figure: &str, value, unit| {
        let figure = format!("{figure}, {configs} configs");
        report.add(Part::Configs, agents, &figure, value, unit);
    };
    add("fan-out", last_ms / 1000.0, "s");
    add("answers to all releases", released.as_secs_f64(), "s");
    add(
        "CPU until statuses are stored",
        cpu.as_secs_f64() * 1000.0,
        "ms",
    );
    fleet.set_redial(crate::Redial::Held);
    server.stop().await
}

/// Waits until each agent has one of these.
async fn arrived(fleet: &Fleet, plan: &super::Plan, bodies: &[String]) -> Result<(), BenchError> {
    let deadline = Instant::now() + plan.limit;
    loop {
        let holding: usize = bodies.iter().map(|body| fleet.holding(&hash(body))).sum();
        if holding == fleet.size() {
            break;
        }
        in_time(Instant::now() < deadline, plan, || {
            format!("all agents have their config, but {holding}")
        })?;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    in_time(fleet.quiet(plan.limit).await, plan, || {
        "statuses are answered".to_owned()
    })
}

fn hash(body: &str) -> Vec<u8> {
    Sha256::digest(body).to_vec()
}
