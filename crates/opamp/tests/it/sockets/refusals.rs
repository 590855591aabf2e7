//! Refusals: what a client does that is told that its message was bad, or to come back later.

use std::time::{Duration, Instant};

use opamp::client::Event;
use opamp::proto::{ServerErrorResponse, ServerErrorResponseType, ServerToAgent};
use opamp::server::ErrorKind;

use super::peer::Way;
use super::{Pair, over_each, quiet};
use crate::peers::{answer_once, listen, options, within};
use crate::support::{REPORTING, remote_config};
use opamp::model::AgentCapabilities;

fn refusal(kind: ServerErrorResponseType) -> ServerToAgent {
    ServerToAgent {
        error_response: Some(ServerErrorResponse {
            r#type: kind.into(),
            error_message: "no".to_owned(),
            details: None,
        }),
        ..ServerToAgent::default()
    }
}

#[tokio::test]
async fn rt_05_st_10_a_refused_message_is_not_sent_again_and_what_comes_with_the_refusal_does_not_count()
 {
    let kinds = [
        (ServerErrorResponseType::BadRequest, ErrorKind::BadRequest),
        (ServerErrorResponseType::Unknown, ErrorKind::Unknown),
    ];
    over_each(async |way| {
        for (sent, told) in kinds {
            let mut pair = Pair::start(way, quiet(REPORTING)).await;
            let first = pair.next().await;
            assert!(first.agent_description.is_some());
            let mixed = ServerToAgent {
                remote_config: Some(remote_config("a: 1", b"h1")),
                ..refusal(sent)
            };
            pair.peer.send(&mixed).await;
            pair.said_nothing_since(&first).await;
            let events = pair.answer(ServerToAgent::default()).await;
            assert!(
                matches!(&events[..], [Event::Error(error)] if error.kind == told),
                "{events:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn rt_10_nothing_is_sent_while_a_retry_is_awaited() {
    let listener = listen().await;
    let mut session = quiet(REPORTING | AgentCapabilities::REPORTS_HEARTBEAT);
    session.set_heartbeat_interval(Duration::from_millis(1));
    let (_client, _events, runner) =
        opamp::runner::client(session, options("ws", &listener), super::QUICK);
    tokio::spawn(runner.run());
    let busy = "HTTP/1.1 503 Busy\r\nretry-after: 1\r\n\r\n";
    let began = Instant::now();
    within(answer_once(&listener, busy)).await;
    let mut peer = within(crate::peers::accept_ws(&listener)).await;
    assert!(Duration::from_secs(1) <= began.elapsed());
    assert_eq!(
        peer.message().await.sequence_num,
        0,
        "no heartbeat was made"
    );
}

#[tokio::test]
async fn rt_10_polls_wait_for_the_time_that_the_server_names() {
    let mut session = quiet(REPORTING);
    session.set_heartbeat_interval(Duration::from_millis(1));
    let mut pair = Pair::start(Way::Http, session).await;
    let first = pair.next().await;
    let began = Instant::now();
    pair.peer.refuse(503, &[("retry-after", "1")]);
    assert_eq!(pair.next().await, first);
    assert!(Duration::from_secs(1) <= began.elapsed());
}
