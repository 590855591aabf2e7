//! The agent plane: one listener that speaks WebSocket, plain HTTP and gRPC with agents, and hands what they say to the engine.
//!
//! Start at [`Gateway::bind`]. What agents mean is decided in `engine`, how their messages are encoded in `opamp`;
//! this crate owns connections, their limits, deadlines and admission, and nothing that outlives them.

mod options;
mod tls;

pub use options::{Admission, Clock, GatewayOptions, Limits, Times};
pub use tls::{ClientAuth, PemError, Tls, TlsError, TlsFiles};
