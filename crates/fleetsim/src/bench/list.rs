//! The list of agents while a config goes out: what operators look at in just that moment.
//!
//! A thread of its own asks, so that its times are the server's and not those of the load beside it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use api_types::{Page, agents::AgentSummary};
use reqwest::Client;
use serde_json::json;
use tokio::sync::oneshot;

use super::{
    error::BenchError,
    phases::{in_time, release},
    plan::Plan,
    record::Measured,
    server::{Access, Server, http},
};
use crate::{
    Fleet,
    labels::Distribution,
    samples::{Summary, summarize},
};

/// Entries of a page, as the budget has it.
const PAGE: &str = "100";
/// The first version of the config that is released here; other measurements have those below.
const FIRST_VERSION: u32 = 100;

/// The labels that the questions ask for: one agent in a thousand, one in ten, and all.
const SHARES: [(&str, f64); 3] = [
    ("bench.thousandth", 0.001),
    ("bench.tenth", 0.1),
    ("bench.all", 1.0),
];

/// The labels of a fleet that is asked for here, dealt out by chance.
pub(super) fn labels() -> Vec<Distribution> {
    let dealt = |(key, share): (&str, f64)| {
        let mut values = vec![("yes".to_owned(), share)];
        if share < 1.0 {
            values.push(("no".to_owned(), 1.0 - share));
        }
        Distribution::new(key, values).expect("the shares are above zero and distinct")
    };
    SHARES.into_iter().map(dealt).collect()
}

/// One request that is made again and again.
#[derive(Debug, Clone)]
struct Question {
    selector: String,
    /// Where its page begins; the first page has none.
    cursor: Option<String>,
    /// How many agents its page has.
    expected: usize,
}

/// What became of one request.
struct Answered {
    question: usize,
    took: Duration,
    problem: Option<String>,
}

/// p99 of requests for pages of 100 agents, in milliseconds: one after the other, each begun while a config was on
/// its way to the fleet or its statuses on their way back.
pub(super) async fn agents_list(
    server: &Server,
    fleet: &Fleet,
    plan: &Plan,
) -> Result<Measured, BenchError> {
    let access = server.access();
    let questions = questions(&access, fleet).await?;
    let going_out = Arc::new(AtomicBool::new(false));
    let mut asking = ask_aside(
        access,
        questions.clone(),
        Arc::clone(&going_out),
        plan.list_requests,
    )?;
    // A server far above the budget is measured, too.
    let deadline = Instant::now() + 3 * plan.limit;
    let mut version = FIRST_VERSION;
    let answers = loop {
        let released = one_release(server, fleet, plan, version, &going_out).await;
        going_out.store(false, Ordering::Relaxed);
        released?;
        version += 1;
        match asking.try_recv() {
            Ok(answers) => break answers?,
            Err(oneshot::error::TryRecvError::Empty) => {}
            Err(oneshot::error::TryRecvError::Closed) => {
                return Err(BenchError::io("asking for agents")(
                    std::io::ErrorKind::BrokenPipe.into(),
                ));
            }
        }
        in_time(Instant::now() < deadline, plan, || {
            format!("{} requests for agents", plan.list_requests)
        })?;
    };
    Ok(measured(&questions, &answers, version - FIRST_VERSION))
}

/// One config on its way, and its statuses back.
async fn one_release(
    server: &Server,
    fleet: &Fleet,
    plan: &Plan,
    version: u32,
    going_out: &AtomicBool,
) -> Result<(), BenchError> {
    going_out.store(true, Ordering::Relaxed);
    release(server, fleet, plan, version).await?;
    let quiet = fleet.quiet(plan.limit).await;
    in_time(quiet, plan, || "statuses are answered".to_owned())
}

fn measured(questions: &[Question], answers: &[Answered], releases: u32) -> Measured {
    let times = |only: Option<usize>| {
        let wanted = answers
            .iter()
            .filter(|answer| only.is_none_or(|only| only == answer.question));
        summarize(wanted.map(|answer| answer.took).collect())
    };
    let each: Vec<_> = questions
        .iter()
        .enumerate()
        .map(|(at, question)| {
            let page = if question.cursor.is_some() {
                "deep"
            } else {
                "first"
            };
            json!({ "selector": question.selector, "page": page, "agents": question.expected, "times": times(Some(at)) })
        })
        .collect();
    let all: Option<Summary> = times(None);
    let detail = json!({ "all": all, "each": each, "releases": releases });
    let p99 = all.map_or(0.0, |all| all.p99_ms);
    let problems: Vec<&String> = answers
        .iter()
        .filter_map(|answer| answer.problem.as_ref())
        .collect();
    Measured::new(p99, detail).unless(problems.is_empty(), || {
        format!("{} wrong answers, such as: {}", problems.len(), problems[0])
    })
}

/// The first page and a deep one of each selector that has so many agents.
///
/// The cursors are found by walking: nobody but the server knows what stands in them.
async fn questions(access: &Access, fleet: &Fleet) -> Result<Vec<Question>, BenchError> {
    let client = Client::new();
    let mut questions = Vec::new();
    for (key, _) in SHARES {
        let carry = |index: &usize| fleet.agent(*index).labels().contains(&(key, "yes"));
        let matching = (0..fleet.size()).filter(carry).count();
        // A set is no equality: the server takes another way to it.
        for selector in [format!("{key}=yes"), format!("{key} in (yes,maybe)")] {
            let mut cursors = vec![None];
            let mut found = 0;
            let mut sizes = Vec::new();
            while let Some(cursor) = cursors.last().cloned() {
                let page = ask(&client, access, &selector, cursor.as_deref()).await?;
                found += page.items.len();
                sizes.push(page.items.len());
                match page.next_cursor {
                    Some(next) => cursors.push(Some(next)),
                    None => break,
                }
            }
            if found != matching {
                return Err(BenchError::io(format!("{selector} gives {found} agents"))(
                    std::io::Error::other(format!("{matching} agents have the label")),
                ));
            }
            // The last page but one is full; where there is no such page, the first is all there is.
            let deep = cursors.len().saturating_sub(2);
            let mut places = vec![0, deep];
            places.dedup();
            questions.extend(places.into_iter().map(|at| Question {
                selector: selector.clone(),
                cursor: cursors[at].clone(),
                expected: sizes[at],
            }));
        }
    }
    Ok(questions)
}

/// Asks on a thread of its own until so many requests were begun while a config went out.
fn ask_aside(
    access: Access,
    questions: Vec<Question>,
    going_out: Arc<AtomicBool>,
    requests: usize,
) -> Result<oneshot::Receiver<Result<Vec<Answered>, BenchError>>, BenchError> {
    let (sender, receiver) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BenchError::io("making a runtime"))?;
    let asking = move || {
        let answers = runtime.block_on(ask_on(&access, &questions, &going_out, requests, &sender));
        if sender.send(answers).is_err() {
            tracing::debug!("nobody waits for the answers any more");
        }
    };
    let thread = std::thread::Builder::new().name("asking".to_owned());
    thread
        .spawn(asking)
        .map_err(BenchError::io("starting a thread"))?;
    Ok(receiver)
}

async fn ask_on<T>(
    access: &Access,
    questions: &[Question],
    going_out: &AtomicBool,
    requests: usize,
    listener: &oneshot::Sender<T>,
) -> Result<Vec<Answered>, BenchError> {
    let client = Client::new();
    let mut answers = Vec::with_capacity(requests);
    for at in (0..questions.len()).cycle() {
        if requests <= answers.len() || listener.is_closed() {
            break;
        }
        while !going_out.load(Ordering::Relaxed) && !listener.is_closed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let question = &questions[at];
        let began = Instant::now();
        let body = fetch(
            &client,
            access,
            &question.selector,
            question.cursor.as_deref(),
        )
        .await?;
        answers.push(Answered {
            question: at,
            took: began.elapsed(),
            problem: check(&body, question),
        });
    }
    Ok(answers)
}

/// What is wrong with an answer, if anything is.
fn check(body: &[u8], question: &Question) -> Option<String> {
    match serde_json::from_slice::<Page<AgentSummary>>(body) {
        Err(error) => Some(format!("{}: {error}", question.selector)),
        Ok(page) if page.items.len() != question.expected => Some(format!(
            "{}: {} agents instead of {}",
            question.selector,
            page.items.len(),
            question.expected
        )),
        Ok(_) => None,
    }
}

async fn ask(
    client: &Client,
    access: &Access,
    selector: &str,
    cursor: Option<&str>,
) -> Result<Page<AgentSummary>, BenchError> {
    let body = fetch(client, access, selector, cursor).await?;
    serde_json::from_slice(&body)
        .map_err(|error| BenchError::io("reading a page of agents")(error.into()))
}

async fn fetch(
    client: &Client,
    access: &Access,
    selector: &str,
    cursor: Option<&str>,
) -> Result<Vec<u8>, BenchError> {
    const WHAT: &str = "GET /api/v1/agents";
    let mut url = reqwest::Url::parse(&format!("{}/api/v1/agents", access.base))
        .map_err(|error| BenchError::io(WHAT)(std::io::Error::other(error)))?;
    url.query_pairs_mut()
        .append_pair("selector", selector)
        .append_pair("limit", PAGE);
    if let Some(cursor) = cursor {
        url.query_pairs_mut().append_pair("cursor", cursor);
    }
    let request = client.get(url).bearer_auth(&access.token);
    let answer = request.send().await.map_err(http(WHAT))?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(http(WHAT))?;
    match status.is_success() {
        true => Ok(body.to_vec()),
        false => Err(BenchError::Refused {
            what: WHAT.to_owned(),
            status: status.as_u16(),
            body: String::from_utf8_lossy(&body).into_owned(),
        }),
    }
}
