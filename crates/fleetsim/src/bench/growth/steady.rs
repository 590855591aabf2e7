//! A fleet to which nothing happens: heartbeats, and what the server writes because of them.

use std::time::Duration;

use super::{
    super::{
        BenchError,
        phases::{self, in_time, usage},
    },
    GrowthReport, Part, Site,
    database::Files,
};

pub(super) async fn measure(site: &Site<'_>, report: &mut GrowthReport) -> Result<(), BenchError> {
    let plan = site.plan(site.options.agents);
    let place = site.place(&plan)?;
    let (setup, database) = (&place.setup, place.setup.database());
    let server = setup.start().await?;
    let mut options = phases::fleet_options(&plan, &setup.endpoint(), setup.cert_pem())?;
    options.heartbeat = site.sized(Duration::from_secs(30), Duration::from_millis(200));
    let fleet = phases::attach(options, &plan).await?;
    phases::release(&server, &fleet, &plan, 1).await?;
    in_time(fleet.quiet(plan.limit).await, &plan, || {
        "statuses are answered".to_owned()
    })?;
    // What the agents said at first is stored, and the first flush is over.
    tokio::time::sleep(plan.liveness_flush + plan.idle.min(Duration::from_secs(10))).await;

    let process = server.program.process();
    let written = || {
        let bytes = process.written_bytes();
        bytes.map_err(BenchError::io("looking at what the server wrote"))
    };
    // Whole intervals between flushes: three.
    let window = 3 * plan.liveness_flush;
    let (bytes, files) = (written()?, Files::of(&database)?);
    let (before, counted) = (usage(process)?, fleet.stats());
    tokio::time::sleep(window).await;
    let (bytes, later) = (written()? - bytes, Files::of(&database)?);
    let cpu = usage(process)?.cpu().saturating_sub(before.cpu());
    let counts = fleet.stats().since(&counted);

    let seconds = window.as_secs_f64();
    let transactions = later.transactions.wrapping_sub(files.transactions);
    let agents = plan.agents;
    let mut add = |figure, value, unit| report.add(Part::Steady, agents, figure, value, unit);
    add(
        "heartbeats answered",
        counts.received as f64 / seconds,
        "/s",
    );
    add("CPU of one core", 100.0 * cpu.as_secs_f64() / seconds, "%");
    add("written to disk", bytes as f64 / seconds / 1024.0, "KiB/s");
    add("transactions", f64::from(transactions) / seconds, "/s");
    add(
        "growth of the database",
        (later.database_bytes as f64 - files.database_bytes as f64) / seconds / 1024.0,
        "KiB/s",
    );
    add(
        "the log's size",
        later.log_bytes as f64 / 1024.0 / 1024.0,
        "MiB",
    );
    if 0 < counts.lost {
        let problem = format!("Steady: {} connections were lost", counts.lost);
        report.problems.push(problem);
    }
    fleet.set_redial(crate::Redial::Held);
    server.stop().await
}
