//! One connection over any transport.

use opamp_model::InstanceUid;

use super::{ConnectError, ConnectOptions, TransportError};
use crate::client::Mode;

/// One connection to a server; messages are bare protobuf on all transports.
pub struct Connection {
    _private: (),
}

impl Connection {
    /// Connects. Plain HTTP has nothing to connect: its first request does.
    ///
    /// # Errors
    /// [`ConnectError`], which may carry the server's `Retry-After`.
    pub async fn connect(options: &ConnectOptions, uid: InstanceUid) -> Result<Self, ConnectError> {
        let _ = (options, uid);
        unimplemented!()
    }

    /// How the session has to treat the connection.
    pub fn mode(&self) -> Mode {
        unimplemented!()
    }

    /// Whether [`send`](Self::send) may be called: plain HTTP has one request in flight at most.
    pub fn can_send(&self) -> bool {
        unimplemented!()
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`TransportError`]; only `TooLarge` leaves the connection usable.
    pub async fn send(&mut self, message: Vec<u8>) -> Result<(), TransportError> {
        let _ = message;
        unimplemented!()
    }

    /// Waits for the next message. It may be dropped and called again without loss.
    ///
    /// # Errors
    /// [`TransportError`]; the connection is then over.
    pub async fn receive(&mut self) -> Result<Vec<u8>, TransportError> {
        unimplemented!()
    }

    /// Closes in order: close frame and closing handshake, or end of the stream.
    pub async fn close(self) {
        unimplemented!()
    }
}
