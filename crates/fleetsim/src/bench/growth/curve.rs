//! The budgets' figures from a small fleet to the largest that a process can serve here.

use std::time::Duration;

use super::{
    super::{BenchError, phases, record::Measured},
    GrowthReport, Part, Site,
};
use crate::Redial;

pub(super) async fn measure(
    site: &Site<'_>,
    report: &mut GrowthReport,
    say: &impl Fn(&str),
) -> Result<(), BenchError> {
    for agents in &site.options.sizes {
        say(&format!("  a fleet of {agents}"));
        measure_fleet(site, report, *agents).await?;
    }
    Ok(())
}

async fn measure_fleet(
    site: &Site<'_>,
    report: &mut GrowthReport,
    agents: usize,
) -> Result<(), BenchError> {
    let plan = site.plan(agents);
    let place = site.place(&plan)?;
    let setup = &place.setup;
    let server = setup.start().await?;
    let process = server.program.process();
    let before = phases::flushed(process, Duration::ZERO, &plan).await?;
    let options = phases::fleet_options(&plan, &setup.endpoint(), setup.cert_pem())?;
    let fleet = phases::attach(options, &plan).await?;
    let mut add = |figure: &str, measured: Measured, unit| {
        let problems = measured.problems.iter();
        let place = format!("Curve, {agents} agents, {figure}");
        report
            .problems
            .extend(problems.map(|problem| format!("{place}: {problem}")));
        let value = measured.value.unwrap_or(0.0);
        report.add(Part::Curve, agents, figure, value, unit);
    };
    let memory = phases::idle_memory(&server, &fleet, &plan, before).await?;
    add("memory of an idle agent", memory, "KiB");
    let report_cpu = phases::status_report(process, &fleet, &plan, plan.liveness_flush).await?;
    add("CPU of a status report", report_cpu, "µs");
    add(
        "fan-out",
        phases::fan_out(&server, &fleet, &plan).await?,
        "s",
    );
    add("storm", phases::storm(process, &fleet, &plan).await?, "s");
    report.add(
        Part::Curve,
        agents,
        "source addresses",
        fleet.source_addresses() as f64,
        "",
    );
    fleet.set_redial(Redial::Held);
    server.stop().await
}
