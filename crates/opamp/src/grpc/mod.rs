//! OpAMP over gRPC: the generated service, and one over raw bytes that encodes nothing twice.

pub mod typed {
    //! The service with decoded messages.
    #![allow(missing_docs, reason = "generated")]
    #![allow(clippy::all, reason = "generated")]
    include!(concat!(env!("OUT_DIR"), "/opamp.grpc.v1.rs"));
}

mod codec;
#[cfg(feature = "grpc-server")]
mod server;

pub use codec::{ClientCodec, ServerCodec};
#[cfg(feature = "grpc-server")]
pub use server::{Connect, OpAmpServer};

/// The path of the method.
pub const CONNECT_PATH: &str = "/opamp.grpc.v1.OpAMPService/Connect";
