//! Messages that vendors define for themselves.

/// The custom capabilities that a peer supports; each report replaces the one before.
///
/// Names are a reverse domain, a dot, a short name and optionally `/version`. Spec: "CustomCapabilities".
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CustomCapabilities(pub Vec<String>);

/// One message under a custom capability. Spec: "CustomMessage".
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CustomMessage {
    /// The capability that defines the message.
    pub capability: String,
    /// The message's type, unique within its capability only (`type` in the schema).
    pub kind: String,
    /// Bytes that the capability defines.
    pub data: Vec<u8>,
}

impl CustomCapabilities {
    /// Whether this capability is in the list.
    pub fn contains(&self, capability: &str) -> bool {
        self.0.iter().any(|known| known == capability)
    }
}
