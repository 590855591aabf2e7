//! What the store's hot paths cost, in CPU time of the whole process and in wall time, at 15,000 agents.
//!
//! `cargo bench -p store` measures SQLite; with `TEST_POSTGRES_URL`, or PostgreSQL's binaries, that too (whose server's
//! own CPU time is not counted).

use std::time::{Duration, Instant};

use domain::model::{ConfigFile, ConfigMap, Health, HealthTimes, InstanceUid};
use domain::{
    AgentId, Approval, ContentHash, Epoch, EventKind, Labels, Namespace, NewEvent, NodeName,
};
use store::agents::{
    self, AgentReport, Attachment, AttachmentChange, HealthChange, ListAgents, Liveness, NewAgent,
    Offered,
};
use store::testing::{TestDb, at};

const FLEET: u32 = 15_000;
const BATCH: usize = 625;

#[expect(clippy::print_stdout, reason = "a benchmark's output")]
fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("tokio");
    runtime.block_on(async {
        println!("SQLite");
        measure(TestDb::sqlite().await).await;
        if let Some(t) = TestDb::postgres().await {
            println!("PostgreSQL");
            measure(t).await;
        }
    });
}

async fn measure(t: TestDb) {
    let fleet: Vec<AgentReport> = (0..FLEET).map(first_report).collect();
    let clock = Clock::start("first full report", FLEET);
    for batch in fleet.chunks(2000) {
        t.db.apply_reports(batch).await.expect("stored");
    }
    clock.stop();

    flips(&t, "health flip with event", health_flip).await;
    flips(&t, "health flip alone", |n, round| AgentReport {
        events: vec![],
        ..health_flip(n, round)
    })
    .await;
    flips(&t, "event alone", |n, round| AgentReport {
        health: None,
        ..health_flip(n, round)
    })
    .await;

    let applied: Vec<AgentReport> = (0..FLEET).map(config_applied).collect();
    let clock = Clock::start("config offered and applied", FLEET);
    for batch in applied.chunks(2000) {
        t.db.apply_reports(batch).await.expect("stored");
    }
    clock.stop();

    let rows: Vec<Liveness> = (0..FLEET).map(liveness).collect();
    for _ in 0..2 {
        let clock = Clock::start("liveness flush, a row", FLEET);
        t.db.flush_liveness(&rows).await.expect("stored");
        clock.stop();
    }

    let clock = Clock::start("preload, an agent", FLEET);
    let loaded = agents::load_all(&mut t.db.read().await.expect("a reader"))
        .await
        .expect("loaded");
    clock.stop();
    assert_eq!(loaded.len(), FLEET as usize);

    lists(&t).await;
    t.close().await;
}

/// What 2,500 reports a second over 10 seconds become: 40 batches of a quarter of a second each.
async fn flips(t: &TestDb, name: &'static str, make: impl Fn(u32, u32) -> AgentReport) {
    let mut seed = 1_u32;
    let mut batch = |round| {
        (0..BATCH)
            .map(|_| make(random(&mut seed) % FLEET, round))
            .collect()
    };
    let batches: Vec<Vec<AgentReport>> = (0..40).map(&mut batch).collect();
    let clock = Clock::start(name, 40 * 625);
    for batch in &batches {
        t.db.apply_reports(batch).await.expect("stored");
    }
    clock.stop();
}

async fn lists(t: &TestDb) {
    let all = || ListAgents::all(Namespace::default());
    let selector = |text: &str| ListAgents {
        selector: text.parse().expect("a selector"),
        ..all()
    };
    let text = |text: &str| ListAgents {
        text: Some(text.to_owned()),
        ..all()
    };
    let cases = [
        ("page: all", all()),
        ("page: env=prod", selector("env=prod")),
        (
            "page: region in (a,b),!nothing",
            selector("region in (us-1,us-2),!nothing"),
        ),
        ("page: one host", selector("host.name=host-14999")),
        (
            "page: env=prod and one host",
            selector("env=prod,host.name=host-14999"),
        ),
        ("page: no match", selector("region in (x,y)")),
        ("page: text, few", text("host-14999")),
        ("page: text, none", text("nowhere")),
        (
            "page: unhealthy",
            ListAgents {
                healthy: Some(false),
                ..all()
            },
        ),
        (
            "page: not connected",
            ListAgents {
                connected: Some(false),
                ..all()
            },
        ),
        (
            "page: failed",
            ListAgents {
                config_state: Some(domain::ConfigState::Failed),
                ..all()
            },
        ),
        (
            "page: out of sync",
            ListAgents {
                in_sync: Some(false),
                ..all()
            },
        ),
    ];
    let mut conn = t.db.read().await.expect("a reader");
    for (name, filter) in cases {
        agents::list(&mut conn, &filter).await.expect("listed");
        let clock = Clock::start(name, 5);
        for _ in 0..5 {
            agents::list(&mut conn, &filter).await.expect("listed");
        }
        clock.stop();
    }
    let clock = Clock::start("fleet counts", 5);
    for _ in 0..5 {
        agents::counts(&mut conn, &Namespace::default())
            .await
            .expect("counted");
    }
    clock.stop();
}

fn agent(n: u32) -> AgentId {
    AgentId::from_parts(1_700_000_000_000 + u64::from(n / 7), hashed(n))
}

fn hashed(n: u32) -> [u8; 10] {
    let mut seed = n.wrapping_add(77);
    std::array::from_fn(|_| random(&mut seed).to_le_bytes()[1])
}

fn random(seed: &mut u32) -> u32 {
    *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    *seed >> 4
}

fn health(healthy: bool) -> (Health, HealthTimes) {
    let part = Health {
        healthy,
        status: "StatusOK".into(),
        start_time_unix_nano: 1,
        ..Health::default()
    };
    let components = (0..10)
        .map(|n| (format!("pipeline:traces/{n}"), part.clone()))
        .collect();
    let mut tree = Health { components, ..part };
    let times = tree.split_times();
    (tree, times)
}

fn report(n: u32) -> AgentReport {
    AgentReport::new(agent(n), Namespace::default(), Epoch(1), at(10))
}

fn first_report(n: u32) -> AgentReport {
    let labels: Labels = (0..9)
        .map(|k| (format!("service.attribute.{k}"), format!("value-{k}")))
        .chain([
            (
                "env".to_owned(),
                ["prod", "dev", "test"][n as usize % 3].to_owned(),
            ),
            ("region".to_owned(), format!("us-{}", n % 5)),
            ("host.name".to_owned(), format!("host-{n}")),
        ])
        .collect();
    let attributes = labels
        .iter()
        .map(|(key, value)| domain::model::Attribute::new(key, value))
        .collect();
    let mut body = format!("# config of agent {n}\n");
    for line in 0..90 {
        body.push_str(&format!(
            "processors/batch_{line}: {{ timeout: {}ms }}\n",
            line * n
        ));
    }
    let (tree, times) = health(true);
    AgentReport {
        created: Some(NewAgent {
            uid: InstanceUid::v7(1_700_000_000_000 + u64::from(n), hashed(n)),
            approval: Approval::Approved,
        }),
        attachment: Some(AttachmentChange::Attached(Attachment {
            node: NodeName::new("node"),
            transport: "websocket".into(),
            remote_addr: "10.0.0.1:5000".into(),
            at: at(0),
        })),
        description: Some(domain::model::AgentDescription {
            identifying: attributes,
            non_identifying: vec![],
        }),
        reported_labels: Some(labels),
        health: Some(HealthChange { tree, times }),
        effective_config: Some(ConfigMap::from([(
            String::new(),
            ConfigFile::new(body, "text/yaml"),
        )])),
        events: vec![event(n, EventKind::AgentConnected)],
        ..report(n)
    }
}

fn event(n: u32, kind: EventKind) -> NewEvent {
    let detail = std::collections::BTreeMap::new();
    NewEvent {
        namespace: Namespace::default(),
        agent: Some(agent(n)),
        at: at(10),
        kind,
        detail,
    }
}

fn health_flip(n: u32, round: u32) -> AgentReport {
    let (tree, times) = health(round.is_multiple_of(2));
    let kind = if tree.healthy {
        EventKind::AgentHealthy
    } else {
        EventKind::AgentUnhealthy
    };
    AgentReport {
        health: Some(HealthChange { tree, times }),
        events: vec![event(n, kind)],
        ..report(n)
    }
}

fn config_applied(n: u32) -> AgentReport {
    let hash = ContentHash::from_bytes([9; 32]);
    let body = "receivers: { otlp: {} }\n".repeat(300);
    let status = domain::model::RemoteConfigStatus {
        last_hash: vec![9; 32],
        state: domain::model::ApplyState::Applied,
        error: String::new(),
    };
    AgentReport {
        effective_config: Some(ConfigMap::from([(
            String::new(),
            ConfigFile::new(body, "text/yaml"),
        )])),
        remote_config_status: Some(status),
        offered: Some(Offered { hash, at: at(20) }),
        desired: Some(Some(hash)),
        events: vec![
            event(n, EventKind::ConfigSent),
            event(n, EventKind::ConfigApplied),
        ],
        ..report(n)
    }
}

fn liveness(n: u32) -> Liveness {
    Liveness {
        agent: agent(n),
        namespace: Namespace::default(),
        last_seen: at(60),
        follows: 0,
        wire: Box::from([1; 200]),
        health_times: Some(HealthTimes::new([7; 22])),
    }
}

/// CPU time of all threads of this process, and wall time.
struct Clock {
    name: &'static str,
    count: u32,
    cpu: Duration,
    wall: Instant,
}

impl Clock {
    fn start(name: &'static str, count: u32) -> Self {
        Self {
            name,
            count,
            cpu: cpu_time(),
            wall: Instant::now(),
        }
    }

    #[expect(clippy::print_stdout, reason = "a benchmark's output")]
    fn stop(self) {
        let (cpu, wall) = (cpu_time() - self.cpu, self.wall.elapsed());
        let each = cpu.as_secs_f64() * 1e6 / f64::from(self.count);
        println!(
            "  {:<32} {each:>9.1} µs CPU each, {:>8.1} ms in all",
            self.name,
            wall.as_secs_f64() * 1e3
        );
    }
}

fn cpu_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task")
        .expect("Linux")
        .flatten();
    let spent =
        tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    let nanos = spent
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(nanos)
}
