//! A client that stays connected: session, backoff and transport driven together.
//!
//! [`client`] makes three parts. [`Client`] is the handle through which an agent says what is new,
//! [`Events`] is what comes back, and [`Runner::run`] is the work, to be spawned by the caller.
//!
//! ```
//! use opamp::client::{BackoffOptions, ClientSession, SessionOptions};
//! use opamp::model::{AgentCapabilities, InstanceUid};
//! use opamp::runner::{ClientEvent, client};
//! use opamp::transport::ConnectOptions;
//!
//! # async fn example() {
//! let session = ClientSession::new(SessionOptions::new(InstanceUid::new([7; 16]), AgentCapabilities::NONE));
//! let mut connect = ConnectOptions::new("ws://127.0.0.1:1/v1/opamp".parse().expect("an endpoint"));
//! connect.headers.insert("authorization", "Bearer token".parse().expect("a header value"));
//!
//! let (client, mut events, runner) = client(session, connect, BackoffOptions::default());
//! let running = tokio::spawn(runner.run());
//! let event = events.next().await.expect("the runner runs");
//! assert!(matches!(event, ClientEvent::ConnectFailed { .. }), "nobody listens there");
//! client.stop();
//! running.await.expect("the runner ends in order");
//! # }
//! # tokio::runtime::Runtime::new().expect("a runtime").block_on(example());
//! ```

mod conversation;
mod handle;
mod run;

pub use handle::{Client, ClientEvent, Events, client};
pub use run::Runner;
