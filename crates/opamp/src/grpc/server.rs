//! The gRPC service of a server, over raw bytes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio_stream::Stream;
use tonic::server::{Grpc, StreamingService};
use tonic::{Request, Response, Status, Streaming};

use super::{CONNECT_PATH, ServerCodec};
use crate::server::Encoded;

/// What a server does with a stream of an agent (or of several).
pub trait Connect: Send + Sync + 'static {
    /// The server's messages.
    type Replies: Stream<Item = Result<Encoded, Status>> + Send + 'static;

    /// Takes a new stream; each received item is one bare protobuf `AgentToServer`.
    fn connect(
        &self,
        messages: Request<Streaming<Bytes>>,
    ) -> impl Future<Output = Result<Response<Self::Replies>, Status>> + Send;
}

/// `opamp.grpc.v1.OpAMPService` as a tower service, to be mounted at its path.
#[derive(Debug)]
pub struct OpAmpServer<C> {
    connect: Arc<C>,
    max_message_bytes: usize,
}

struct Method<C>(Arc<C>);

impl<C: Connect> OpAmpServer<C> {
    /// Serves with a handler; larger messages than this end their stream.
    pub fn new(connect: Arc<C>, max_message_bytes: usize) -> Self {
        Self {
            connect,
            max_message_bytes,
        }
    }
}

impl<C> Clone for OpAmpServer<C> {
    fn clone(&self) -> Self {
        Self {
            connect: Arc::clone(&self.connect),
            max_message_bytes: self.max_message_bytes,
        }
    }
}

impl<C: Connect> StreamingService<Bytes> for Method<C> {
    type Response = Encoded;
    type ResponseStream = C::Replies;
    type Future = Pin<Box<dyn Future<Output = Result<Response<C::Replies>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let connect = Arc::clone(&self.0);
        Box::pin(async move { connect.connect(request).await })
    }
}

impl<C, B> tower_service::Service<http::Request<B>> for OpAmpServer<C>
where
    C: Connect,
    B: http_body::Body + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let method = Method(Arc::clone(&self.connect));
        let max_message_bytes = self.max_message_bytes;
        Box::pin(async move {
            if request.uri().path() != CONNECT_PATH {
                return Ok(Status::unimplemented("unknown method").into_http());
            }
            let mut grpc = Grpc::new(ServerCodec).max_decoding_message_size(max_message_bytes);
            Ok(grpc.streaming(method, request).await)
        })
    }
}

impl<C> tonic::server::NamedService for OpAmpServer<C> {
    const NAME: &'static str = "opamp.grpc.v1.OpAMPService";
}
