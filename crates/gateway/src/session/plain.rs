//! The session of one plain HTTP request.

use std::{net::SocketAddr, sync::Arc};

use engine::Principal;
use opamp::server::Encoded;

use super::{Answer, Conversation, Refused};
use crate::{refusal::Refusal, shared::Shared};

/// One message and its one reply (HT-10). What else waits for the agent waits for its next request.
pub(crate) struct Exchange(Conversation);

impl Exchange {
    pub fn new(shared: Arc<Shared>, principal: Principal, peer: SocketAddr) -> Self {
        Self(Conversation::polled(shared, principal, peer))
    }

    /// Answers a message. Where another connection has the agent, that one is asked first.
    pub async fn answer(mut self, message: &[u8]) -> Result<Result<Encoded, Refused>, Refusal> {
        // Settling a contest makes a claim, so the second round is not contested again unless somebody else claims in between.
        for _ in 0..2 {
            match self.0.hear(message) {
                Answer::Send { reply, .. } => return Ok(Ok(reply)),
                Answer::Refuse(refused) => return Ok(Err(refused)),
                Answer::End(_) => break,
                Answer::Contested { contest, uid } => {
                    let alive = contest.probe(self.0.shared().times.probe).await;
                    if let Some(refused) = self.0.settle(*contest, uid, alive) {
                        return Ok(Err(refused));
                    }
                }
            }
        }
        Err(Refusal::Unavailable {
            retry_after: self.0.shared().gate.retry_after(),
        })
    }

    /// The refusal of a body that holds no message.
    pub fn no_message(&self, text: &str) -> Refused {
        self.0.no_message(text)
    }
}
