//! The gRPC transport: client against server, and each against the generated code.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use opamp::client::{Mode, RetryAfter};
use opamp::grpc::typed::op_amp_service_server::{OpAmpService, OpAmpServiceServer};
use opamp::grpc::{Connect, OpAmpServer};
use opamp::proto::{AgentToServer, ServerToAgent};
use opamp::server::Encoded;
use opamp::transport::{ConnectOptions, Connection, TransportError};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use crate::peers::{connect, serve_h2, shown_uid, within};
use crate::support::{SECOND, UID, addressed, message};

/// One stream on the server: what comes, what goes, and with what it was opened.
pub struct Stream {
    pub messages: Streaming<Bytes>,
    pub replies: mpsc::Sender<Result<Encoded, Status>>,
    metadata: MetadataMap,
}

/// Hands every stream to the test, or refuses all.
struct Handler {
    streams: mpsc::Sender<Stream>,
    refusal: Option<Status>,
}

impl Connect for Handler {
    type Replies = ReceiverStream<Result<Encoded, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<Bytes>>,
    ) -> Result<Response<Self::Replies>, Status> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let (metadata, _, messages) = request.into_parts();
        let (replies, stream) = mpsc::channel(4);
        self.streams
            .send(Stream {
                messages,
                replies,
                metadata,
            })
            .await
            .map_err(|_| Status::internal("test over"))?;
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

pub async fn serve(refusal: Option<Status>) -> (ConnectOptions, mpsc::Receiver<Stream>) {
    let (streams, accepted) = mpsc::channel(4);
    (
        serve_h2(OpAmpServer::new(
            Arc::new(Handler { streams, refusal }),
            1 << 20,
        ))
        .await,
        accepted,
    )
}

async fn pair() -> (Connection, Stream) {
    let (mut options, mut accepted) = serve(None).await;
    options
        .headers
        .insert("authorization", "Bearer secret".parse().unwrap());
    options.limits.message_bytes = 1000;
    let connection = connect(&options).await;
    (connection, within(accepted.recv()).await.unwrap())
}

#[tokio::test]
async fn messages_travel_both_ways_as_they_are() {
    let (mut connection, mut stream) = pair().await;
    assert_eq!(connection.mode(), Mode::Stream);
    for number in 0..10 {
        connection
            .send(message(number).encode_to_vec())
            .await
            .unwrap();
        let received = within(stream.messages.message()).await.unwrap().unwrap();
        assert_eq!(received, message(number).encode_to_vec());
        stream
            .replies
            .send(Ok(addressed().encode_to_vec().into()))
            .await
            .unwrap();
        assert_eq!(
            within(connection.receive()).await.unwrap(),
            addressed().encode_to_vec()
        );
    }
    let headers = stream.metadata.into_headers();
    assert_eq!(
        (headers["authorization"].as_bytes(), shown_uid(&headers)),
        (&b"Bearer secret"[..], UID)
    );
}

#[tokio::test]
async fn a_shared_slice_is_one_message_with_its_head() {
    use opamp::model::ServerCapabilities;
    use opamp::server::{Reply, encode_remote_config};

    let (mut connection, stream) = pair().await;
    let shared = encode_remote_config(&crate::support::config("a: 1"), b"hash");
    let reply = Reply::to(UID, ServerCapabilities::ALL)
        .remote_config(shared)
        .encode();
    stream.replies.send(Ok(reply.clone())).await.unwrap();
    assert_eq!(within(connection.receive()).await.unwrap(), reply.to_vec());
}

#[tokio::test]
async fn the_end_of_the_stream_is_a_close() {
    let (mut connection, stream) = pair().await;
    drop(stream.replies);
    assert!(matches!(
        within(connection.receive()).await,
        Err(TransportError::Closed { code: 1000, .. })
    ));
}

#[tokio::test]
async fn closing_ends_the_agents_side_first() {
    let (mut connection, mut stream) = pair().await;
    connection.send(message(1).encode_to_vec()).await.unwrap();
    let server = async move {
        assert!(stream.messages.message().await.unwrap().is_some());
        assert!(
            stream.messages.message().await.unwrap().is_none(),
            "the agent has ended its side"
        );
        drop(stream.replies);
    };
    within(async { tokio::join!(connection.close(), server) }).await;
}

#[tokio::test]
async fn ws_10_an_oversize_message_is_not_sent() {
    let (mut connection, mut stream) = pair().await;
    let refused = connection.send(vec![0; 1001]).await;
    assert!(matches!(
        refused,
        Err(TransportError::TooLarge {
            bytes: 1001,
            limit_bytes: 1000
        })
    ));
    connection.send(message(1).encode_to_vec()).await.unwrap();
    assert!(within(stream.messages.message()).await.unwrap().is_some());
}

#[tokio::test]
async fn ws_07_an_oversize_answer_is_a_bad_message() {
    let (mut connection, stream) = pair().await;
    stream.replies.send(Ok(vec![0; 1001].into())).await.unwrap();
    let error = within(connection.receive()).await.unwrap_err();
    assert!(matches!(error, TransportError::BadMessage(_)), "{error:?}");
}

#[tokio::test]
async fn ws_06_an_oversize_message_ends_its_stream_on_the_server() {
    let (mut options, mut accepted) = serve(None).await;
    options.limits.message_bytes = 8 << 20;
    let mut connection = connect(&options).await;
    let mut stream = within(accepted.recv()).await.unwrap();
    connection.send(vec![0; (1 << 20) + 1]).await.unwrap();
    let status = within(stream.messages.message()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::OutOfRange);
}

#[tokio::test]
async fn au_02_rt_08_a_refused_stream_is_told_in_the_terms_of_http() {
    let mut busy = Status::unavailable("busy");
    busy.metadata_mut()
        .insert("retry-after", "4".parse().unwrap());
    let cases = [
        (Status::unauthenticated("who are you"), 401, None),
        (Status::permission_denied("not you"), 403, None),
        (Status::resource_exhausted("slow down"), 429, None),
        (busy, 503, Some(RetryAfter::Delay(4 * SECOND))),
    ];
    for (refusal, expected, until) in cases {
        let (options, _accepted) = serve(Some(refusal)).await;
        let mut connection = connect(&options).await;
        match within(connection.receive()).await {
            Err(TransportError::Refused {
                status,
                retry_after,
            }) => {
                assert_eq!((status, retry_after), (expected, until));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The generated service: answers each message with one to its sender.
struct Typed;

#[tonic::async_trait]
impl OpAmpService for Typed {
    type ConnectStream = futures_util::stream::BoxStream<'static, Result<ServerToAgent, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<AgentToServer>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let replies = request.into_inner().map(|message| {
            let message = message?;
            let capabilities = message.sequence_num;
            Ok(ServerToAgent {
                instance_uid: message.instance_uid,
                capabilities,
                ..ServerToAgent::default()
            })
        });
        Ok(Response::new(replies.boxed()))
    }
}

#[tokio::test]
async fn the_generated_service_speaks_the_same_protocol() {
    let options = serve_h2(OpAmpServiceServer::new(Typed)).await;
    let mut connection = connect(&options).await;
    connection.send(message(42).encode_to_vec()).await.unwrap();
    let reply = within(connection.receive()).await.unwrap();
    let expected = ServerToAgent {
        capabilities: 42,
        ..addressed()
    };
    assert_eq!(ServerToAgent::decode(&reply[..]).unwrap(), expected);
}

#[tokio::test]
async fn other_methods_are_unimplemented() {
    use tower_service::Service as _;

    let (streams, _accepted) = mpsc::channel(1);
    let mut server = OpAmpServer::new(
        Arc::new(Handler {
            streams,
            refusal: None,
        }),
        1000,
    );
    let request = http::Request::post("/opamp.grpc.v1.OpAMPService/Other")
        .body(tonic::body::Body::empty())
        .unwrap();
    let response = server.call(request).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "12");
}
