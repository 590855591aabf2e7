//! Who counts as gone.

use fleetsim::Transport;
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use testkit::{TestServer, wait_until};
use tokio_tungstenite::tungstenite::Message;

use super::raw::report;
use super::{REPORTS_STATUS, Raw, only_agent};

#[tokio::test]
async fn hb_04_who_promised_no_heartbeats_is_not_gone_for_sending_none() {
    let server = TestServer::builder()
        .config("timing: { ping_interval: 200ms, liveness: 1s }\n")
        .start()
        .await;
    let url = format!("ws://{}/v1/opamp", server.agent_addr());
    let (mut socket, _) = tokio_tungstenite::connect_async(url)
        .await
        .expect("a WebSocket");
    let message = [&[0], &report(1, REPORTS_STATUS).encode_to_vec()[..]].concat();
    socket.send(Message::binary(message)).await.expect("sent");
    // It answers pings and says no more, for twice its liveness.
    let mut pings = 0;
    while pings < 10 {
        let received = socket.next().await.expect("an open connection");
        pings += u32::from(received.expect("a frame").is_ping());
    }
    assert!(only_agent(&server).await.connected);
}

#[tokio::test]
async fn hb_05_who_is_silent_for_its_liveness_counts_as_gone() {
    let server = TestServer::builder()
        .config("timing: { ping_interval: 500ms, liveness: 1s }\n")
        .start()
        .await;
    let mut raw = Raw::connect(&server, Transport::Http, 1, REPORTS_STATUS).await;
    let first = raw.described();
    raw.say(first).await;
    only_agent(&server).await;
    wait_until("the agent to count as gone", async || {
        !only_agent(&server).await.connected
    })
    .await;
}
