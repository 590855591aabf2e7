//! A fleet against the bare echo server, plain and over TLS.

use std::time::Duration;

use fleetsim::{Fleet, Options, Ramp, Redial, Trust, certificate::Certificate, echo::EchoServer};

const LIMIT: Duration = Duration::from_secs(30);
const AGENTS: usize = 200;

fn options(server: &EchoServer, certificate: Option<&Certificate>) -> Options {
    let scheme = if certificate.is_some() { "wss" } else { "ws" };
    let endpoint = format!("{scheme}://{}/v1/opamp", server.address())
        .parse()
        .expect("an endpoint");
    let mut options = Options::new(endpoint, AGENTS);
    options.ramp = Ramp::Storm;
    if let Some(certificate) = certificate {
        options.trust = Trust::Roots(certificate.cert_pem().to_owned());
    }
    options
}

fn listening(certificate: Option<&Certificate>) -> EchoServer {
    let address = "127.0.0.1:0".parse().expect("an address");
    EchoServer::start(address, certificate).expect("a free port")
}

async fn start(certificate: Option<&Certificate>) -> (EchoServer, Fleet) {
    let server = listening(certificate);
    let fleet = Fleet::start(options(&server, certificate))
        .await
        .expect("a fleet");
    (server, fleet)
}

async fn attaches_storms_and_leaves(certificate: Option<Certificate>) {
    let (_server, fleet) = start(certificate.as_ref()).await;
    assert!(fleet.settled(LIMIT).await, "{:?}", fleet.stats());
    assert_eq!(fleet.stats().connected, AGENTS as u64);

    fleet.storm();
    assert!(fleet.settled(LIMIT).await, "{:?}", fleet.stats());
    let stats = fleet.stats();
    assert_eq!(
        (stats.dials, stats.refusals(), stats.lost),
        (2 * AGENTS as u64, 0, 0)
    );

    fleet.begin_closed_loop();
    assert!(
        fleet
            .wait(LIMIT, |stats| 10 * (AGENTS as u64) < stats.received)
            .await
    );
    fleet.end_closed_loop();
    assert!(fleet.quiet(LIMIT).await);
    let stats = fleet.stats();
    assert_eq!(stats.sent, stats.received, "each message is answered once");

    let stats = fleet.stop(LIMIT).await.expect("no log to write");
    assert_eq!((stats.connected, stats.lost), (0, 0));
}

#[tokio::test]
async fn a_fleet_attaches_storms_and_leaves_over_plain_websocket() {
    attaches_storms_and_leaves(None).await;
}

#[tokio::test]
async fn a_fleet_attaches_storms_and_leaves_over_tls() {
    attaches_storms_and_leaves(Some(Certificate::generate().unwrap())).await;
}

#[tokio::test]
async fn a_server_certificate_from_elsewhere_is_not_trusted() {
    let certificate = Certificate::generate().unwrap();
    let server = listening(Some(&certificate));
    let mut options = options(&server, Some(&Certificate::generate().unwrap()));
    options.agents = 1;
    options.redial = Redial::Held;
    let fleet = Fleet::start(options).await.unwrap();
    assert!(fleet.wait(LIMIT, |stats| stats.dial_errors == 1).await);
    let error = fleet.agent(0).snapshot().last_error.unwrap();
    assert!(error.contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_server_certificate_that_is_trusted_itself_need_not_be_a_proper_leaf() {
    // What `openssl req -x509` makes by default: self-signed, and marked as an authority.
    let mut parameters = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let cert = parameters.self_signed(&key).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let files = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
    std::fs::write(&files[0], cert.pem()).unwrap();
    std::fs::write(&files[1], key.serialize_pem()).unwrap();
    let certificate = Certificate::read(&files[0], &files[1]).unwrap();

    let (_server, fleet) = start(Some(&certificate)).await;
    assert!(
        fleet.settled(LIMIT).await,
        "{:?}",
        fleet.agent(0).snapshot()
    );
}

#[tokio::test]
async fn held_agents_dial_when_they_are_told_to() {
    let server = listening(None);
    let mut options = options(&server, None);
    options.ramp = Ramp::Held;
    let fleet = Fleet::start(options).await.unwrap();
    assert_eq!(fleet.stats().dials, 0);
    fleet.dial();
    assert!(fleet.settled(LIMIT).await, "{:?}", fleet.stats());
    fleet.hold();
    assert!(fleet.wait(LIMIT, |stats| stats.connected == 0).await);
    fleet.agent(3).dial();
    assert!(fleet.wait(LIMIT, |stats| stats.connected == 1).await);
    assert!(fleet.agent(3).snapshot().connected);

    fleet.dial();
    assert!(
        fleet.settled(LIMIT).await,
        "the one that stands counts: {:?}",
        fleet.stats()
    );
    assert_eq!(fleet.stats().connected, AGENTS as u64);
}

#[tokio::test]
async fn heartbeats_keep_coming_while_nothing_happens() {
    let server = listening(None);
    let mut options = options(&server, None);
    options.agents = 5;
    options.heartbeat = Duration::from_millis(20);
    let fleet = Fleet::start(options).await.unwrap();
    assert!(fleet.wait(LIMIT, |stats| 50 <= stats.received).await);
}

#[tokio::test]
async fn an_agent_that_never_reads_stays_connected_and_silent() {
    let server = listening(None);
    let mut options = options(&server, None);
    options.agents = 2;
    options.behaviors = vec!["never-read=1".parse().unwrap()];
    options.heartbeat = Duration::from_millis(10);
    let fleet = Fleet::start(options).await.unwrap();
    assert!(fleet.wait(LIMIT, |stats| 20 <= stats.received).await);
    let outstanding = fleet.stats().sent - fleet.stats().received;
    assert!(
        5 < outstanding,
        "one of two agents reads: {:?}",
        fleet.stats()
    );
    assert_eq!(fleet.stats().connected, 2);
}
