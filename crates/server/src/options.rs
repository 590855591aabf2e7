//! From the server's settings to what its parts are told.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::{AgentsAuth, ApprovalMode, EncodeDelta, EngineLimits, EngineOptions, SealingKey};
use gateway::{Admission, GatewayOptions, Limits, Times};
use runtime::Clock;
use rustls::crypto::aws_lc_rs;
use store::{DbOptions, Location};

use crate::config::file::{ApprovalKind, AuthKind};
use crate::config::{Database, DatabasePlace, Settings};
use crate::error::StartError;

/// How long a caller waits for a connection to the database.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the store is told.
pub fn database(database: &Database) -> DbOptions {
    DbOptions {
        location: match &database.place {
            DatabasePlace::Sqlite(path) => Location::Sqlite(path.clone()),
            DatabasePlace::Postgres(dsn) => Location::Postgres(dsn.expose().to_owned()),
        },
        max_connections: database.max_connections,
        max_idle_connections: database.max_idle_connections,
        acquire_timeout: ACQUIRE_TIMEOUT,
    }
}

/// Whether a file is the one that the database is in.
pub fn is_database(database: &Database, file: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    match &database.place {
        DatabasePlace::Sqlite(own) => {
            own == file || real(file).is_some_and(|file| Some(file) == real(own))
        }
        DatabasePlace::Postgres(_) => false,
    }
}

/// What the engine is told.
///
/// # Errors
/// When the system has no randomness.
pub fn engine(
    settings: &Settings,
    sealing_key: Option<Arc<SealingKey>>,
) -> Result<EngineOptions, StartError> {
    Ok(EngineOptions {
        node: format!("{}:{}", host_name(), settings.agent_address.port()),
        auth: match settings.auth {
            AuthKind::None => AgentsAuth::None,
            AuthKind::Token | AuthKind::Jwt | AuthKind::Mtls => AgentsAuth::Token,
        },
        approval: match settings.approval {
            ApprovalKind::Automatic => ApprovalMode::Automatic,
            ApprovalKind::Manual => ApprovalMode::Manual,
        },
        limits: engine_limits(settings),
        deltas: settings
            .config_deltas
            .then_some(::gateway::encode_delta as EncodeDelta),
        liveness: settings.timing.liveness,
        forget_offline_after: settings.retention.offline_agents,
        keep_events: settings.retention.events,
        keep_revisions: settings.retention.revisions,
        sealing_key,
        keep_revisions_per_config: settings.retention.revisions_per_config,
        ..EngineOptions::new(random()?)
    })
}

/// How much the engine takes.
pub fn engine_limits(settings: &Settings) -> EngineLimits {
    let limits = &settings.limits;
    let mut made = EngineLimits {
        agents: limits.agents,
        pending_reports: limits.pending_reports,
        pending_bytes: limits.pending_report_bytes.as_usize(),
        ..EngineLimits::default()
    };
    made.desired.body_bytes = limits.revision_body.as_usize();
    made.desired.merged_bytes = limits.merged_config.as_usize();
    made
}

/// What the gateway is told.
///
/// # Errors
/// When the system has no randomness.
pub fn gateway(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<GatewayOptions, StartError> {
    let (limits, timing) = (&settings.limits, &settings.timing);
    let clock = Arc::clone(clock);
    let mut received = Limits::default().received;
    received.message_bytes = limits.message.as_usize();
    received.description_bytes = limits.description.as_usize();
    received.effective_config_bytes = limits.effective_config.as_usize();
    Ok(GatewayOptions {
        address: settings.agent_address,
        tls: settings.agent_tls.clone(),
        limits: Limits {
            received,
            // A merged config travels with a little around it.
            reply_bytes: limits.merged_config.as_usize().saturating_mul(2),
            agents_per_connection: limits.agents_per_connection,
            ..Limits::default()
        },
        times: Times {
            head: timing.request_head,
            tls_handshake: timing.tls_handshake,
            first_message: timing.first_message,
            ping_interval: timing.ping_interval,
            idle: timing.liveness,
            write_stall: timing.write_stall,
            drain: timing.drain,
            ..Times::default()
        },
        admission: Admission {
            sessions_per_second: limits.sessions_per_second,
            burst: limits.session_burst,
            unproven_connections: limits.unproven_connections,
            ..Admission::default()
        },
        seed: u64::from_le_bytes(random()?),
        ..GatewayOptions::new(
            settings.agent_address,
            gateway::Clock::new(move || clock.now()),
        )
    })
}

/// What agents are told to connect to, unless it is configured.
pub fn public_url(settings: &Settings, agent_addr: SocketAddr) -> String {
    if let Some(url) = &settings.public_url {
        return url.clone();
    }
    let scheme = if settings.agent_tls.is_some() {
        "wss"
    } else {
        "ws"
    };
    format!("{scheme}://{}/v1/opamp", reachable(agent_addr))
}

/// Where the REST API is found.
pub fn admin_url(settings: &Settings, admin_addr: SocketAddr) -> String {
    let scheme = if settings.admin_tls.is_some() {
        "https"
    } else {
        "http"
    };
    format!("{scheme}://{}/api/v1", reachable(admin_addr))
}

/// A host and port that others can use for what listens at an address.
fn reachable(address: SocketAddr) -> String {
    let host = match address.ip() {
        ip if ip.is_loopback() => "localhost".to_owned(),
        ip if ip.is_unspecified() => host_name(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    format!("{host}:{}", address.port())
}

pub fn random<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    let source = aws_lc_rs::default_provider().secure_random;
    source
        .fill(&mut bytes)
        .map_err(|_| StartError::Randomness)?;
    Ok(bytes)
}

/// This machine's name.
fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use runtime::Environment;

    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::parse("c.yaml", text, &Environment::default()).expect("a good file")
    }

    fn url(text: &str, address: &str) -> String {
        public_url(&settings(text), address.parse().expect("an address"))
    }

    #[test]
    fn agents_are_told_an_address_that_they_can_reach() {
        assert_eq!(url("", "127.0.0.1:4320"), "ws://localhost:4320/v1/opamp");
        assert_eq!(url("", "10.1.2.3:4320"), "ws://10.1.2.3:4320/v1/opamp");
        assert_eq!(
            url("", "[2001:db8::1]:4320"),
            "ws://[2001:db8::1]:4320/v1/opamp"
        );
        assert_eq!(
            url("", "0.0.0.0:4320"),
            format!("ws://{}:4320/v1/opamp", host_name())
        );
        assert_eq!(
            url(
                "server: { public_url: 'wss://o.example.com/v1/opamp' }\n",
                "0.0.0.0:1"
            ),
            "wss://o.example.com/v1/opamp"
        );
    }

    #[test]
    fn the_rest_api_s_address_says_whether_it_speaks_tls() {
        let settings = settings("");
        let address = "0.0.0.0:8080".parse().expect("an address");
        let plain = format!("http://{}:8080/api/v1", host_name());
        assert_eq!(admin_url(&settings, address), plain);
        let directory = tempfile::tempdir().expect("a directory");
        let certificate = fleetsim::certificate::Certificate::generate().expect("a certificate");
        let (cert, key) = certificate.write(directory.path()).expect("files");
        let settings = self::tests::settings(&format!(
            "admin: {{ tls: {{ enabled: true, cert_file: '{}', key_file: '{}' }} }}\n",
            cert.display(),
            key.display()
        ));
        let address = "127.0.0.1:8080".parse().expect("an address");
        assert_eq!(
            admin_url(&settings, address),
            "https://localhost:8080/api/v1"
        );
    }

    #[test]
    fn the_gateway_s_defaults_are_those_of_the_file() {
        let clock: Arc<dyn Clock> = Arc::new(runtime::SystemClock);
        let made = gateway(&settings(""), &clock).expect("options");
        assert_eq!(made.limits, Limits::default());
        assert_eq!(made.times, Times::default());
        assert_eq!(made.admission, Admission::default());
    }

    #[test]
    fn tr_06_every_limit_and_time_of_the_file_reaches_its_part() {
        let text = "
limits: { message: 65543, effective_config: 1031, description: 1033, revision_body: 1039, merged_config: 1049,
  agents: 11, agents_per_connection: 13, sessions_per_second: 17, session_burst: 19, unproven_connections: 23,
  pending_reports: 29, pending_report_bytes: 1048583 }
timing: { ping_interval: 37s, liveness: 141s, write_stall: 43s, tls_handshake: 47s, request_head: 53s,
  first_message: 59s, commit_interval: 61ms, liveness_flush: 67s, resync: 71s, sweep: 73s, drain: 79s }
retention: { offline_agents: 83h, events: 89h, revisions: 97h, revisions_per_config: 101 }
";
        let settings = settings(text);
        let (seconds, hours) = (Duration::from_secs, |hours: u64| {
            Duration::from_secs(3600 * hours)
        });
        let clock: Arc<dyn Clock> = Arc::new(runtime::SystemClock);
        let made = gateway(&settings, &clock).expect("options");
        let received = &made.limits.received;
        assert_eq!(received.message_bytes, 65543);
        assert_eq!(received.effective_config_bytes, 1031);
        assert_eq!(received.description_bytes, 1033);
        assert_eq!(made.limits.reply_bytes, 2 * 1049);
        assert_eq!(made.limits.agents_per_connection, 13);
        let admission = &made.admission;
        assert_eq!(admission.sessions_per_second, 17);
        assert_eq!(admission.burst, 19);
        assert_eq!(admission.unproven_connections, 23);
        let times = &made.times;
        assert_eq!(times.ping_interval, seconds(37));
        assert_eq!(times.idle, seconds(141));
        assert_eq!(times.write_stall, seconds(43));
        assert_eq!(times.tls_handshake, seconds(47));
        assert_eq!(times.head, seconds(53));
        assert_eq!(times.first_message, seconds(59));
        assert_eq!(times.drain, seconds(79));
        let made = engine(&settings, None).expect("options");
        assert_eq!(made.limits.desired.body_bytes, 1039);
        assert_eq!(made.limits.desired.merged_bytes, 1049);
        assert_eq!(made.limits.agents, 11);
        assert_eq!(made.limits.pending_reports, 29);
        assert_eq!(made.limits.pending_bytes, 1048583);
        assert_eq!(made.liveness, seconds(141));
        assert_eq!(made.forget_offline_after, hours(83));
        assert_eq!(made.keep_events, hours(89));
        assert_eq!(made.keep_revisions, hours(97));
        assert_eq!(made.keep_revisions_per_config, 101);
        // These the loops are given as they are.
        let timing = &settings.timing;
        assert_eq!(timing.commit_interval, Duration::from_millis(61));
        assert_eq!(timing.liveness_flush, seconds(67));
        assert_eq!((timing.resync, timing.sweep), (seconds(71), seconds(73)));
    }

    #[test]
    fn deltas_are_switched_off_by_a_word() {
        let off = settings("agents: { config_deltas: false }\n");
        assert!(engine(&off, None).expect("options").deltas.is_none());
    }

    #[test]
    fn the_engine_s_defaults_are_those_of_the_file() {
        let made = engine(&settings(""), None).expect("options");
        assert!(made.deltas.is_some());
        let own = EngineOptions::new([0; 32]);
        assert_eq!(format!("{:?}", made.limits), format!("{:?}", own.limits));
        assert_eq!(
            (made.liveness, made.forget_offline_after, made.keep_events),
            (own.liveness, own.forget_offline_after, own.keep_events)
        );
        assert_eq!(
            (made.keep_revisions, made.keep_revisions_per_config),
            (own.keep_revisions, own.keep_revisions_per_config)
        );
        assert_ne!(
            made.seed,
            engine(&settings(""), None).expect("options").seed
        );
    }
}
