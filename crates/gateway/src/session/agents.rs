//! The agents behind one connection, by the uid that each last used.

use engine::Attachment;
use opamp::model::{InstanceUid, WireUid};

/// Mostly one, at most a few hundred: a plain list is the smallest and fast enough.
#[derive(Default)]
pub(super) struct Agents(Vec<Known>);

struct Known {
    uid: WireUid,
    attachment: Attachment,
}

impl Agents {
    /// The agent with this uid, of which the spelling is noted.
    pub fn find(&mut self, uid: WireUid) -> Option<&Attachment> {
        let known = self
            .0
            .iter_mut()
            .find(|known| known.uid.uid() == uid.uid())?;
        known.uid = uid;
        Some(&known.attachment)
    }

    /// The uid that this agent last used, which is the one its messages are addressed to (ST-11).
    pub fn uid_of(&self, attachment: &Attachment) -> Option<WireUid> {
        self.0
            .iter()
            .find(|known| known.attachment.is_same(attachment))
            .map(|known| known.uid)
    }

    /// Notes the uid of an agent. An agent that adopted a new one loses the old; a new claim on the same uid replaces the older.
    pub fn insert(&mut self, uid: WireUid, attachment: Attachment) {
        self.0
            .retain(|known| known.uid.uid() != uid.uid() && !known.attachment.is_same(&attachment));
        if self.0.len() == self.0.capacity() {
            // A vector's first growth makes room for four; nearly every connection has one.
            self.0.reserve_exact((self.0.len() / 2).max(1));
        }
        self.0.push(Known { uid, attachment });
    }

    /// Whether one of them was told to use this uid, and does so now.
    pub fn expects(&self, uid: InstanceUid) -> bool {
        self.0.iter().any(|known| known.attachment.uid() == uid)
    }

    pub fn remove(&mut self, uid: InstanceUid) {
        self.0.retain(|known| known.uid.uid() != uid);
    }

    pub fn take(&mut self) -> impl Iterator<Item = Attachment> + use<> {
        std::mem::take(&mut self.0)
            .into_iter()
            .map(|known| known.attachment)
    }

    pub fn uids(&self) -> impl Iterator<Item = WireUid> {
        self.0.iter().map(|known| known.uid)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
