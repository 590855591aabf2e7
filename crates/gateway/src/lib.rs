//! The agent plane: one listener that speaks WebSocket, plain HTTP and gRPC with agents, and hands what they say to the engine.
//!
//! Start at [`Gateway::bind`] for the listener's life, and at the `session` module for what a message leads to. What agents
//! mean is decided in `engine`, how their messages are encoded in `opamp`; this crate owns connections, their limits,
//! deadlines and admission, and nothing that outlives them. Package downloads and OTLP are not here yet: their paths are 404.

mod admission;
mod connection;
mod cut;
mod gateway;
mod head;
mod http;
mod identity;
mod listener;
mod metrics;
mod options;
mod refusal;
mod roster;
mod session;
mod sessions;
mod shared;
mod stream;
mod tls;

pub use cut::Cut;
pub use gateway::{BindError, Drained, Gateway};
pub use options::{Admission, Clock, GatewayOptions, Limits, Times};
pub use session::{Answer, Conversation, Refused, Why, encode_delta};
pub use sessions::Sessions;
pub use tls::{ClientAuth, PemError, Tls, TlsError, TlsFiles};
