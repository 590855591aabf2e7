//! gRPC: the same sessions over a bidirectional stream.

use std::time::Duration;

use engine::AgentsAuth;
use futures_util::StreamExt;
use opamp::{
    grpc::typed::op_amp_service_client::OpAmpServiceClient,
    model::InstanceUid,
    proto::{
        AgentDisconnect, AgentToServer, ServerErrorResponseType, ServerToAgent, ServerToAgentFlags,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming, transport::Channel};

use crate::{
    peers::{Http, Peer, error_of, full_report, heartbeat, uid},
    plane::{PATIENCE, Plane, body_of, wait_until, within},
    slow_readers::release_until_cut,
};

/// One stream.
pub struct Stream {
    messages: Option<mpsc::Sender<AgentToServer>>,
    replies: Streaming<ServerToAgent>,
    sequence: u64,
}

async fn channel(plane: &Plane) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{}", plane.address)).unwrap();
    within(endpoint.connect()).await.unwrap()
}

impl Stream {
    pub async fn open(plane: &Plane) -> Self {
        Self::try_open(channel(plane).await, None).await.unwrap()
    }

    async fn try_open(channel: Channel, bearer: Option<&str>) -> Result<Self, Status> {
        let (sender, messages) = mpsc::channel(16);
        let mut request = Request::new(ReceiverStream::new(messages));
        if let Some(bearer) = bearer {
            request
                .metadata_mut()
                .insert("authorization", format!("Bearer {bearer}").parse().unwrap());
        }
        let mut client = OpAmpServiceClient::new(channel).max_decoding_message_size(64 << 20);
        let replies = within(client.connect(request)).await?.into_inner();
        Ok(Self {
            messages: Some(sender),
            replies,
            sequence: 0,
        })
    }

    async fn send(&mut self, message: AgentToServer) {
        self.sequence = message.sequence_num;
        self.messages.as_ref().unwrap().send(message).await.unwrap();
    }

    pub async fn receive(&mut self) -> ServerToAgent {
        within(self.replies.message())
            .await
            .unwrap()
            .expect("the stream goes on")
    }

    pub async fn say(&mut self, message: AgentToServer) -> ServerToAgent {
        self.send(message).await;
        self.receive().await
    }

    /// The status with which the stream ends.
    async fn ended(&mut self) -> Status {
        loop {
            match within(self.replies.message()).await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok(""),
                Err(status) => return status,
            }
        }
    }
}

#[tokio::test]
async fn a_stream_speaks_the_same_protocol() {
    let plane = Plane::start().await;
    let mut stream = Stream::open(&plane).await;
    let first = stream.say(full_report(uid(1), 1)).await;
    assert_eq!(first.instance_uid, uid(1).as_bytes());
    assert_ne!(first.capabilities & 1, 0);
    assert_eq!(stream.say(heartbeat(uid(1), 2)).await.flags, 0);
    let gap = stream.say(heartbeat(uid(1), 9)).await.flags;
    assert_ne!(gap & ServerToAgentFlags::ReportFullState as u64, 0);
    assert!(plane.is_connected(uid(1)));
}

#[tokio::test]
async fn cf_03_a_config_is_pushed_to_all_agents_of_a_stream() {
    let plane = Plane::start().await;
    let mut stream = Stream::open(&plane).await;
    stream.say(full_report(uid(1), 1)).await;
    stream.say(full_report(uid(2), 1)).await;
    let hash = plane.release(&body_of(500_000)).await;
    for _ in 0..2 {
        assert_eq!(
            stream.receive().await.remote_config.unwrap().config_hash,
            hash.as_bytes()
        );
    }
}

#[tokio::test]
async fn rt_04_a_wrong_message_gets_bad_request_and_the_stream_goes_on() {
    let plane = Plane::start().await;
    let mut stream = Stream::open(&plane).await;
    let wrong = stream
        .say(AgentToServer {
            instance_uid: vec![1, 2],
            ..AgentToServer::default()
        })
        .await;
    assert_eq!(error_of(&wrong).0, ServerErrorResponseType::BadRequest);
    assert!(
        stream
            .say(full_report(uid(1), 1))
            .await
            .error_response
            .is_none()
    );
}

#[tokio::test]
async fn garbage_in_a_grpc_frame_gets_bad_request() {
    use http_body_util::{BodyExt, StreamBody};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use prost::Message as _;

    let plane = Plane::start().await;
    let tcp = tokio::net::TcpStream::connect(plane.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let garbage = bytes::Bytes::from_static(b"\0\0\0\0\x04\xff\xff\xff\xff");
    let frames =
        futures_util::stream::iter([Ok::<_, std::io::Error>(hyper::body::Frame::data(garbage))]);
    let request = http::Request::post(format!("http://localhost{}", opamp::grpc::CONNECT_PATH))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(StreamBody::new(
            frames.chain(futures_util::stream::pending()),
        ))
        .unwrap();
    let mut response = within(sender.send_request(request)).await.unwrap();
    let frame = within(response.body_mut().frame())
        .await
        .unwrap()
        .unwrap()
        .into_data()
        .unwrap();
    let reply = ServerToAgent::decode(&frame[5..]).unwrap();
    assert_eq!(error_of(&reply).0, ServerErrorResponseType::BadRequest);
    connection.abort();
}

#[tokio::test]
async fn a_grpc_message_that_does_not_come_to_its_end_is_not_waited_for() {
    use http_body_util::{BodyExt, StreamBody};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let plane = Plane::start_with(|setup| {
        setup.gateway.times.body = Duration::from_millis(200);
    })
    .await;
    let tcp = tokio::net::TcpStream::connect(plane.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let beginning = bytes::Bytes::from_static(b"\0\0\0\0\x04\xff");
    let frames =
        futures_util::stream::iter([Ok::<_, std::io::Error>(hyper::body::Frame::data(beginning))]);
    let request = http::Request::post(format!("http://localhost{}", opamp::grpc::CONNECT_PATH))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(StreamBody::new(
            frames.chain(futures_util::stream::pending()),
        ))
        .unwrap();
    let mut response = within(sender.send_request(request)).await.unwrap();
    let trailers = within(response.body_mut().frame()).await.unwrap().unwrap();
    let trailers = trailers.into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "4");
    connection.abort();
}

#[tokio::test]
async fn an_oversize_message_ends_the_stream() {
    let plane = Plane::start_with(|setup| setup.gateway.limits.received.message_bytes = 1000).await;
    let mut stream = Stream::open(&plane).await;
    stream.say(full_report(uid(1), 1)).await;
    let file = opamp::proto::AgentConfigFile {
        body: vec![b'x'; 2000],
        ..Default::default()
    };
    let large = AgentToServer {
        effective_config: Some(opamp::proto::EffectiveConfig {
            config_map: Some(opamp::proto::AgentConfigMap {
                config_map: [(String::new(), file)].into(),
            }),
        }),
        ..heartbeat(uid(1), 2)
    };
    stream.send(large).await;
    assert_eq!(stream.ended().await.code(), Code::ResourceExhausted);
    wait_until("the disconnect", || !plane.is_connected(uid(1))).await;
}

#[tokio::test]
async fn au_02_a_stream_without_a_valid_token_is_unauthenticated() {
    let plane = Plane::start_with(|setup| setup.engine.auth = AgentsAuth::Token).await;
    let (token, _) = plane.token();
    for bearer in [None, Some("opamp_agt_wrong")] {
        let status = Stream::try_open(channel(&plane).await, bearer)
            .await
            .err()
            .unwrap();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    let mut stream = Stream::try_open(channel(&plane).await, Some(&token))
        .await
        .unwrap();
    assert!(
        stream
            .say(full_report(uid(1), 1))
            .await
            .error_response
            .is_none()
    );
}

#[tokio::test]
async fn beyond_the_rate_a_stream_is_unavailable_and_told_when_to_come_back() {
    let plane = Plane::start_with(|setup| {
        setup.gateway.admission.burst = 1;
        setup.gateway.admission.sessions_per_second = 0;
    })
    .await;
    let channel = channel(&plane).await;
    let _first = Stream::try_open(channel.clone(), None).await.unwrap();
    let status = Stream::try_open(channel, None).await.err().unwrap();
    assert_eq!(status.code(), Code::Unavailable);
    let pushback: u64 = status
        .metadata()
        .get("grpc-retry-pushback-ms")
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((5_000..65_000).contains(&pushback));
}

#[tokio::test]
async fn dc_06_a_stream_that_ends_takes_its_agents_along() {
    let plane = Plane::start().await;
    let mut half_closed = Stream::open(&plane).await;
    half_closed.say(full_report(uid(1), 1)).await;
    half_closed.messages = None;
    assert_eq!(half_closed.ended().await.code(), Code::Ok);
    assert!(!plane.is_connected(uid(1)));

    let mut dropped = Stream::open(&plane).await;
    dropped.say(full_report(uid(2), 1)).await;
    drop(dropped);
    wait_until("the disconnect", || !plane.is_connected(uid(2))).await;

    let mut polite = Stream::open(&plane).await;
    polite.say(full_report(uid(3), 1)).await;
    polite
        .say(AgentToServer {
            agent_disconnect: Some(AgentDisconnect {}),
            ..heartbeat(uid(3), 2)
        })
        .await;
    assert!(!plane.is_connected(uid(3)));
}

#[tokio::test]
async fn a_stream_on_which_nobody_makes_himself_known_is_ended() {
    let plane =
        Plane::start_with(|setup| setup.gateway.times.first_message = Duration::from_millis(100))
            .await;
    let mut stream = Stream::open(&plane).await;
    assert_eq!(stream.ended().await.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_stream_whose_agent_made_itself_known_goes_on_when_its_first_message_would_be_late() {
    let plane =
        Plane::start_with(|setup| setup.gateway.times.first_message = Duration::from_secs(2)).await;
    let mut agent = Stream::open(&plane).await;
    agent.say(full_report(uid(1), 1)).await;
    let mut silent = Stream::open(&plane).await;
    assert_eq!(silent.ended().await.code(), Code::DeadlineExceeded);
    agent.say(heartbeat(uid(1), 2)).await;
    assert!(plane.is_connected(uid(1)));
}

#[tokio::test]
async fn id_06_a_second_stream_for_a_live_agent_is_another_agent() {
    let plane = Plane::start().await;
    let mut first = Stream::open(&plane).await;
    first.say(full_report(uid(1), 1)).await;
    let first = tokio::spawn(async move {
        // Asked for its full state, which is how a stream is asked whether it lives, an agent reports.
        while let Ok(Some(message)) = first.replies.message().await {
            if message.flags != 0 {
                first.send(full_report(uid(1), 2)).await;
            }
        }
    });
    let mut second = Stream::open(&plane).await;
    let reply = second.say(full_report(uid(1), 1)).await;
    let new =
        InstanceUid::from_slice(&reply.agent_identification.unwrap().new_instance_uid).unwrap();
    assert_eq!(
        second.say(heartbeat(new, 2)).await.instance_uid,
        new.as_bytes()
    );
    assert!(plane.is_connected(uid(1)) && plane.is_connected(new));
    first.abort();
}

#[tokio::test]
async fn a_second_stream_replaces_one_that_does_not_answer() {
    let plane =
        Plane::start_with(|setup| setup.gateway.times.probe = Duration::from_millis(200)).await;
    let mut silent = Stream::open(&plane).await;
    silent.say(full_report(uid(1), 1)).await;
    let mut second = Stream::open(&plane).await;
    assert!(
        second
            .say(full_report(uid(1), 2))
            .await
            .agent_identification
            .is_none()
    );
    silent.send(heartbeat(uid(1), 2)).await;
    assert_eq!(silent.ended().await.code(), Code::Aborted);
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_cut() {
    let plane =
        Plane::start_with(|setup| setup.gateway.times.write_stall = Duration::from_millis(200))
            .await;
    let mut slow = Stream::open(&plane).await;
    slow.say(full_report(uid(1), 1)).await;
    let (other, _) = Peer::report(&plane, uid(2)).await;
    let reading = other.reads_all();
    release_until_cut(&plane, uid(1)).await;
    assert!(plane.is_connected(uid(2)) && !reading.is_finished());
    reading.abort();
}

#[tokio::test]
async fn one_connection_carries_no_more_streams_than_allowed() {
    let plane = Plane::start_with(|setup| setup.gateway.limits.streams_per_connection = 1).await;
    let channel = channel(&plane).await;
    let mut first = Stream::try_open(channel.clone(), None).await.unwrap();
    first.say(full_report(uid(1), 1)).await;
    let mut second = tokio::spawn(async move {
        let mut second = Stream::try_open(channel, None).await.unwrap();
        second.say(full_report(uid(2), 1)).await
    });
    let early = tokio::time::timeout(Duration::from_millis(200), &mut second).await;
    assert!(early.is_err(), "the second stream has to wait");
    first.messages = None;
    first.ended().await;
    assert!(within(second).await.unwrap().error_response.is_none());
}

#[tokio::test]
async fn the_streams_of_one_connection_share_its_limit_of_agents() {
    let plane = Plane::start_with(|setup| setup.gateway.limits.agents_per_connection = 3).await;
    let one_connection = channel(&plane).await;
    let mut first = Stream::try_open(one_connection.clone(), None)
        .await
        .unwrap();
    let mut second = Stream::try_open(one_connection, None).await.unwrap();
    for byte in [1, 2] {
        let reply = first.say(full_report(uid(byte), 1)).await;
        assert!(reply.error_response.is_none());
    }
    let reply = second.say(full_report(uid(3), 1)).await;
    assert!(reply.error_response.is_none());
    for (stream, byte) in [(&mut first, 4), (&mut second, 5)] {
        let (kind, text) = error_of(&stream.say(full_report(uid(byte), 1)).await);
        assert_eq!(kind, ServerErrorResponseType::BadRequest);
        assert!(text.contains("3 agents"), "{text}");
    }
    // Another connection has a limit of its own, and a stream that ends makes room.
    let mut elsewhere = Stream::open(&plane).await;
    let reply = elsewhere.say(full_report(uid(6), 1)).await;
    assert!(reply.error_response.is_none());
    first.messages = None;
    first.ended().await;
    wait_until("the end of the first stream", || {
        !plane.is_connected(uid(1))
    })
    .await;
    for byte in [7, 8] {
        let reply = second.say(full_report(uid(byte), 1)).await;
        assert!(reply.error_response.is_none(), "{byte}: {reply:?}");
    }
}

#[tokio::test]
async fn another_method_of_the_service_is_not_found() {
    let plane = Plane::start().await;
    let mut http = Http::connect(plane.address).await;
    http.send(
        b"POST /opamp.grpc.v1.OpAMPService/Other HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    assert_eq!(http.answer().await.status, 404);
}

#[tokio::test]
async fn a_stream_that_waits_does_not_stop_the_others_of_its_connection() {
    let plane = Plane::start_with(|setup| setup.gateway.times.probe = 4 * PATIENCE).await;
    // Not read from any more, so it does not say that it lives, and the contest goes on.
    let (_silent, _) = Peer::report(&plane, uid(1)).await;
    let channel = channel(&plane).await;
    let mut waiting = Stream::try_open(channel.clone(), None).await.unwrap();
    let file = opamp::proto::AgentConfigFile {
        body: vec![b'x'; 200_000],
        ..Default::default()
    };
    // Until the server reads no more of it.
    for sequence in 1.. {
        let config_map = Some(opamp::proto::AgentConfigMap {
            config_map: [(String::new(), file.clone())].into(),
        });
        let large = AgentToServer {
            effective_config: Some(opamp::proto::EffectiveConfig { config_map }),
            ..full_report(uid(1), sequence)
        };
        assert!(sequence < 1_000, "a contest is read without end");
        let sent = tokio::time::timeout(Duration::from_millis(200), waiting.send(large)).await;
        if sent.is_err() {
            break;
        }
    }
    let mut other = Stream::try_open(channel, None).await.unwrap();
    let reply = other.say(full_report(uid(2), 1)).await;
    assert!(reply.error_response.is_none());
}

#[tokio::test]
async fn a_stream_whose_last_replies_are_not_read_is_cut() {
    let plane =
        Plane::start_with(|setup| setup.gateway.times.write_stall = Duration::from_millis(200))
            .await;
    let endpoint = Channel::from_shared(format!("http://{}", plane.address)).unwrap();
    let endpoint = endpoint.initial_stream_window_size(65_535);
    let channel = within(endpoint.connect()).await.unwrap();
    let mut slow = Stream::try_open(channel, None).await.unwrap();
    slow.say(full_report(uid(1), 1)).await;
    let (mut other, _) = Peer::report(&plane, uid(2)).await;
    // The transport takes two while the window of the peer is closed, and the third waits; there is no fourth.
    for number in 0..3 {
        let hash = plane.release(&body_of(900_000 + number)).await;
        other.receive().await;
        // A newer config would take the place of one that has not left yet.
        wait_until("the offer", || plane.offered(uid(1)) == Some(hash)).await;
    }
    wait_until("the cut", || !plane.is_connected(uid(1))).await;
}

#[tokio::test]
async fn a_stranger_does_not_park_requests_on_a_connection() {
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let plane = Plane::start_with(|setup| {
        setup.engine.auth = AgentsAuth::Token;
        // Neither time is what ends the connection.
        setup.gateway.times.body = 4 * PATIENCE;
        setup.gateway.times.close = 4 * PATIENCE;
    })
    .await;
    let tcp = tokio::net::TcpStream::connect(plane.address).await.unwrap();
    // No answer can be sent: its body finds no window.
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(TokioIo::new(tcp))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut answers = Vec::new();
    for _ in 0..100 {
        let request = http::Request::post("http://localhost/v1/opamp")
            .header("content-type", "application/x-protobuf")
            .body(String::new())
            .unwrap();
        answers.push(sender.send_request(request));
    }
    drop(within(connection).await.unwrap());
}
