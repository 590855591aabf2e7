//! What the agent plane counts.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    peers::{Http, Peer, full_report, refused_handshake, uid},
    plane::{Plane, within},
};

/// A plane that counts into a recorder of its own: its handles are made while the recorder is this thread's.
async fn counted(burst: u32) -> (Plane, PrometheusHandle) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let guard = metrics::set_default_local_recorder(&recorder);
    let plane = Plane::start_with(|setup| {
        setup.gateway.admission.burst = burst;
        setup.gateway.admission.sessions_per_second = 0;
    })
    .await;
    drop(guard);
    (plane, handle)
}

fn value(handle: &PrometheusHandle, name: &str) -> f64 {
    let text = handle.render();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("{name} is missing in {text}"));
    line.trim().parse().unwrap()
}

#[tokio::test]
async fn they_exist_at_0_from_the_start() {
    let (_plane, handle) = counted(1).await;
    for name in [
        "opamp_server_bad_messages_total",
        "opamp_server_connections",
        "opamp_server_oversize_dropped_total",
        "opamp_server_refused_total{reason=\"rate\"}",
        "opamp_server_connections_cut_total{reason=\"slow_reader\"}",
    ] {
        assert!(value(&handle, name).abs() < f64::EPSILON, "{name}");
    }
}

#[tokio::test]
async fn messages_errors_connections_and_refusals_are_counted() {
    let (plane, handle) = counted(1).await;
    let (mut peer, _) = Peer::report(&plane, uid(1)).await;
    peer.beat().await;
    peer.send_frame(Message::binary(vec![0, 0xff])).await;
    peer.receive().await;
    refused_handshake(plane.address, None).await;
    let mut refused = Http::connect(plane.address).await;
    let answer = refused.post_message(&full_report(uid(2), 1)).await;
    assert_eq!(answer.status, 503);
    let is = |name: &str, expected: f64| {
        let value = value(&handle, name);
        assert!((value - expected).abs() < f64::EPSILON, "{name} is {value}");
    };
    is("opamp_server_request_duration_seconds_count", 3.0);
    is("opamp_server_bad_messages_total", 1.0);
    is("opamp_server_refused_total{reason=\"rate\"}", 2.0);
    drop(refused);
    peer.socket.close(None).await.unwrap();
    within(async {
        while value(&handle, "opamp_server_connections") != 0.0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}
