//! The agent's side of a session, without any I/O.
//!
//! [`ClientSession`] holds what an agent has to say, makes the messages that say it and reads the
//! server's; [`Backoff`] decides when to connect again.

mod asks;
mod backoff;
mod event;
mod incoming;
mod outgoing;
mod session;
mod status;

pub use backoff::{Backoff, BackoffOptions, RetryAfter};
pub use event::{
    CustomMessageRefused, Event, InvalidCustomCapability, Received, Reconnect, RemoteConfigOffer,
    ServerError,
};
pub use session::{ClientSession, Mode, SessionOptions};
pub use status::SkippedPart;
