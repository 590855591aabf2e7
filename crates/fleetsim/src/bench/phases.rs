//! The measurements themselves, one function each, in the words of DESIGN.md "Budgets".

use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    body::collector_config,
    error::BenchError,
    list,
    plan::{CONFIG_BYTES, Plan},
    record::Measured,
    server::{Server, ServerSetup},
    templates,
};
use crate::{
    Fleet, Options, Redial, Trust,
    process::{Process, Usage},
};

/// The name of the released config.
const CONFIG: &str = "bench";
/// A server that used less CPU than this in a second has nothing left to do.
const QUIET: Duration = Duration::from_millis(60);

/// The options of a fleet as the budgets describe it.
pub(super) fn fleet_options(
    plan: &Plan,
    endpoint: &str,
    cert_pem: Option<&str>,
) -> Result<Options, BenchError> {
    let endpoint = endpoint
        .parse()
        .map_err(|error| BenchError::io("reading the endpoint")(std::io::Error::other(error)))?;
    let mut options = Options::new(endpoint, plan.agents);
    options.ramp = plan.ramp();
    options.redial = Redial::Every(Duration::from_millis(100));
    options.labels = [list::labels(), vec![templates::label()]].concat();
    // "its own distinct 4 KiB effective config": it stays the agent's own whatever is applied.
    options.effective_follows_offer = false;
    if let Some(pem) = cert_pem {
        options.trust = Trust::Roots(pem.to_owned());
    }
    Ok(options)
}

/// Connects a fleet and waits until everything it said was answered.
pub(super) async fn attach(options: Options, plan: &Plan) -> Result<Fleet, BenchError> {
    let fleet = Fleet::start(options).await.map_err(BenchError::Fleet)?;
    let settled = fleet.settled(plan.limit).await;
    in_time(settled, plan, || {
        format!("all agents attached: {:?}", fleet.stats())
    })?;
    Ok(fleet)
}

/// Releases a version of the config and waits until every agent has checked its hash.
pub(super) async fn release(
    server: &Server,
    fleet: &Fleet,
    plan: &Plan,
    version: u32,
) -> Result<(Vec<u8>, Instant), BenchError> {
    let body = collector_config(CONFIG_BYTES, version);
    let hash = Sha256::digest(&body).to_vec();
    server.put_config(CONFIG, "", &body).await?;
    let began = server.release(CONFIG).await?;
    let received = fleet.received(&hash, plan.agents, plan.limit).await;
    in_time(received, plan, || {
        format!("all agents have version {version}: {:?}", fleet.stats())
    })?;
    Ok((hash, began))
}

/// Resident memory of the whole server less that before the first agent, for each idle agent.
pub(super) async fn idle_memory(
    server: &Server,
    fleet: &Fleet,
    plan: &Plan,
    before: Usage,
) -> Result<Measured, BenchError> {
    let (hash, _) = release(server, fleet, plan, 1).await?;
    in_time(fleet.quiet(plan.limit).await, plan, || {
        "statuses are answered".to_owned()
    })?;
    tokio::time::sleep(plan.idle).await;
    let after = usage(server.program.process())?;
    let running = fleet.running(&hash);
    let counts = server.fleet().await?;
    let measured = memory(before, after, plan.agents).unless(running == plan.agents, || {
        format!("only {running} agents run the config")
    });
    let in_sync = counts.in_sync;
    Ok(measured.unless(in_sync == plan.agents as u64, || {
        format!("the server says that {in_sync} agents run what they should")
    }))
}

/// The same of a server that has no state.
pub(super) fn memory(before: Usage, after: Usage, agents: usize) -> Measured {
    let grown = after.rss_kib as f64 - before.rss_kib as f64;
    Measured::new(
        grown / agents as f64,
        json!({ "before": before, "after": after }),
    )
}

/// CPU time of the whole server for each answer to a report in which only times changed.
pub(super) async fn status_report(
    process: Process,
    fleet: &Fleet,
    plan: &Plan,
    flush: Duration,
) -> Result<Measured, BenchError> {
    let (own, before, counted) = (usage(Process::own())?, usage(process)?, fleet.stats());
    fleet.begin_closed_loop();
    tokio::time::sleep(plan.closed_loop).await;
    fleet.end_closed_loop();
    let all_answered = fleet.quiet(plan.limit).await;
    let answered = usage(process)?;
    let load = usage(Process::own())?.cpu().saturating_sub(own.cpu());
    let after = flushed(process, flush, plan).await?;
    let counts = fleet.stats().since(&counted);
    let answers = counts.received;
    let detail = json!({
        "answers": answers,
        "answers_per_second": answers as f64 / plan.closed_loop.as_secs_f64(),
        "server_before": before,
        "server_when_answered": answered,
        "server_when_flushed": after,
        "load_cpu_us_per_answer": per_answer(load, answers),
        "counts": counts,
    });
    Ok(Measured::new(
        per_answer(after.cpu().saturating_sub(before.cpu()), answers),
        detail,
    )
    .unless(all_answered, || {
        "some reports were never answered".to_owned()
    })
    .unless(counts.lost == 0, || {
        format!("{} connections were lost", counts.lost)
    }))
}

/// CPU time of the whole server for each answer to a health flip, stored.
pub(super) async fn stored_change(
    process: Process,
    fleet: &Fleet,
    plan: &Plan,
) -> Result<Measured, BenchError> {
    let (own, before, counted) = (usage(Process::own())?, usage(process)?, fleet.stats());
    let began = Instant::now();
    let flips = flip(fleet, plan).await;
    let seconds = began.elapsed().as_secs_f64();
    // What is answered within a second of the last flip counts as answered.
    let all = counted.received + flips;
    fleet
        .wait(Duration::from_secs(1), |stats| all <= stats.received)
        .await;
    let counts = fleet.stats().since(&counted);
    let load = usage(Process::own())?.cpu().saturating_sub(own.cpu());
    let after = flushed(process, Duration::from_secs(1), plan).await?;
    let answers = counts.received;
    let answered_share = answers as f64 / (flips as f64).max(1.0);
    let rate = flips as f64 / seconds;
    let detail = json!({
        "flips": flips,
        "flips_per_second": rate,
        "answers": answers,
        "server_before": before,
        "server_when_flushed": after,
        "load_cpu_us_per_answer": per_answer(load, answers),
        "counts": counts,
    });
    Ok(Measured::new(
        per_answer(after.cpu().saturating_sub(before.cpu()), answers),
        detail,
    )
    .unless(0.999 <= answered_share, || {
        format!(
            "only {:.2} % of the flips were answered",
            100.0 * answered_share
        )
    })
    .unless(plan.changes_per_second * 0.98 <= rate, || {
        format!("only {rate:.0} flips a second could be made")
    })
    .unless(counts.lost == 0, || {
        format!("{} connections were lost", counts.lost)
    }))
}

/// Turns the health of one agent after the other over, at the planned rate.
async fn flip(fleet: &Fleet, plan: &Plan) -> u64 {
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let mut flips = 0_u64;
    loop {
        ticks.tick().await;
        let elapsed = began.elapsed().min(plan.changes);
        let due = (elapsed.as_secs_f64() * plan.changes_per_second) as u64;
        while flips < due {
            let index = usize::try_from(flips).unwrap_or(0) % fleet.size();
            fleet.agent(index).flip_health();
            flips += 1;
        }
        if plan.changes <= elapsed {
            return flips;
        }
    }
}

/// Seconds from the first byte of the release POST to the last agent having checked the hash.
pub(super) async fn fan_out(
    server: &Server,
    fleet: &Fleet,
    plan: &Plan,
) -> Result<Measured, BenchError> {
    let process = server.program.process();
    let (before, counted) = (usage(process)?, fleet.stats());
    let (hash, began) = release(server, fleet, plan, 2).await?;
    let settled = fleet.quiet(plan.limit).await;
    let latency = fleet.config_latency(&hash, began);
    flushed(process, Duration::from_secs(1), plan).await?;
    let after = usage(process)?;
    let counts = fleet.stats().since(&counted);
    let last = latency
        .received
        .map_or(0.0, |received| received.last_ms / 1000.0);
    let detail = json!({
        "latency": latency,
        "server_cpu_ms_until_statuses_are_stored":
            after.cpu().saturating_sub(before.cpu()).as_millis() as u64,
        "counts": counts,
    });
    Ok(Measured::new(last, detail)
        .unless(settled, || "some statuses were never answered".to_owned())
        .unless(counts.hash_mismatches == 0, || {
            format!("{} offers had a wrong hash", counts.hash_mismatches)
        })
        .unless(counts.lost == 0, || {
            format!("{} connections were lost", counts.lost)
        }))
}

/// Seconds from closing every socket until the last agent has all its answers again.
pub(super) async fn storm(
    process: Process,
    fleet: &Fleet,
    plan: &Plan,
) -> Result<Measured, BenchError> {
    let (before, counted) = (usage(process)?, fleet.stats());
    fleet.storm();
    let settled = fleet.settled(plan.limit).await;
    in_time(settled, plan, || {
        format!("all agents back after the storm: {:?}", fleet.stats())
    })?;
    let after = usage(process)?;
    let round = fleet.round();
    let counts = fleet.stats().since(&counted);
    let last = round
        .settled_after
        .map_or(0.0, |settled| settled.last_ms / 1000.0);
    let (refusals, errors) = (counts.refusals(), counts.dial_errors + counts.lost);
    let detail = json!({
        "round": round,
        "full_state_requests": counts.full_state_requests,
        "server_cpu_ms": after.cpu().saturating_sub(before.cpu()).as_millis() as u64,
        "server_after": after,
        "dial_window": fleet.options().dial_window,
        "counts": counts,
    });
    Ok(Measured::new(last, detail)
        .unless(refusals == 0, || format!("{refusals} dials were refused"))
        .unless(errors == 0, || {
            format!("{errors} dials or connections failed")
        }))
}

/// Seconds from `/ready` after a kill -9 until all agents are attached in the desired state.
pub(super) async fn restart_storm(
    server: &mut Server,
    setup: &ServerSetup,
    fleet: &Fleet,
    plan: &Plan,
) -> Result<Measured, BenchError> {
    // What all of them run now is what they have to run again.
    let hash = fleet.agent(0).running_hash();
    fleet.set_redial(Redial::Held);
    server.program.kill().await?;
    let killed = Instant::now();
    let gone = fleet.wait(plan.limit, |stats| stats.connected == 0).await;
    in_time(gone, plan, || {
        "all agents noticed that the server was killed".to_owned()
    })?;
    let counted = fleet.stats();

    *server = setup.start().await?;
    let ready = server.ready_at;
    fleet.set_redial(Redial::Every(Duration::from_millis(100)));
    fleet.dial();
    let settled = fleet.settled(plan.limit).await;
    in_time(settled, plan, || {
        format!("all agents back after the kill: {:?}", fleet.stats())
    })?;
    let round = fleet.round();
    // The round was ordered a moment after `/ready`, and that moment counts.
    let late = fleet.ordered_after(ready);
    let last = round
        .settled_after
        .map_or(0.0, |settled| settled.last_ms / 1000.0);
    let running = fleet.running(&hash);
    let in_sync = server_agrees(server, plan, ready).await;
    let counts = fleet.stats().since(&counted);
    let detail = json!({
        "round": round,
        "until_ready_s": ready.duration_since(killed).as_secs_f64(),
        "until_the_server_says_so_s": in_sync.as_ref().ok().map(Duration::as_secs_f64),
        "full_state_requests": counts.full_state_requests,
        "server_after": usage(server.program.process())?,
        "counts": counts,
    });
    Ok(Measured::new(late.as_secs_f64() + last, detail)
        .unless(running == plan.agents, || {
            format!("only {running} agents run the config")
        })
        .unless(counts.refusals() == 0, || {
            format!("{} dials were refused", counts.refusals())
        })
        .unless(counts.lost == 0, || {
            format!("{} connections were lost", counts.lost)
        })
        .unless(in_sync.is_ok(), || {
            "the server does not say that all are in sync".to_owned()
        }))
}

/// Waits until the API shows every agent connected and in sync; how long after `ready` that was.
async fn server_agrees(
    server: &Server,
    plan: &Plan,
    ready: Instant,
) -> Result<Duration, BenchError> {
    let deadline = Instant::now() + plan.limit;
    let all = plan.agents as u64;
    loop {
        let counts = server.fleet().await?;
        if (counts.connected, counts.in_sync) == (all, all) {
            return Ok(ready.elapsed());
        }
        in_time(Instant::now() < deadline, plan, || {
            format!("in sync: {counts:?}")
        })?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits at least `flush`, then until the server does nothing more; its usage then.
pub(super) async fn flushed(
    process: Process,
    flush: Duration,
    plan: &Plan,
) -> Result<Usage, BenchError> {
    const WINDOW: Duration = Duration::from_secs(1);
    tokio::time::sleep(flush).await;
    let deadline = Instant::now() + plan.limit;
    let mut last = usage(process)?;
    loop {
        // The smoke run does not stay for a whole second of silence.
        tokio::time::sleep(WINDOW.min(plan.idle)).await;
        let now = usage(process)?;
        if now.cpu().saturating_sub(last.cpu()) < QUIET || deadline < Instant::now() {
            return Ok(now);
        }
        last = now;
    }
}

pub(super) fn usage(process: Process) -> Result<Usage, BenchError> {
    process.usage().map_err(BenchError::io(format!(
        "looking at process {}",
        process.pid()
    )))
}

pub(super) fn in_time(
    came: bool,
    plan: &Plan,
    what: impl FnOnce() -> String,
) -> Result<(), BenchError> {
    match came {
        true => Ok(()),
        false => Err(BenchError::Late {
            what: what(),
            limit: plan.limit,
        }),
    }
}

/// Microseconds of CPU for each answer.
fn per_answer(cpu: Duration, answers: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / (answers as f64).max(1.0)
}
