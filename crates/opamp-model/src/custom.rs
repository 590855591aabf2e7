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

impl CustomMessage {
    /// The kind of message by which an agent asks for the whole of an offer under [`CustomCapabilities::DELTA`]; its data
    /// is the offer's hash.
    pub const WHOLE: &str = "whole";
}

/// Bytes that the name of a custom capability has at most: a domain name, and room for the rest.
pub const CUSTOM_CAPABILITY_BYTES: usize = 512;

impl CustomCapabilities {
    /// The capability of agents that take a remote config as what changed against one that they have (docs/delta.md).
    pub const DELTA: &str = "io.opamp-rs.delta/1";

    /// Whether a name is a reverse domain, a dot, a short name and optionally `/version`, and not over
    /// [`CUSTOM_CAPABILITY_BYTES`]. Spec: "CustomCapabilities".
    pub fn is_name(name: &str) -> bool {
        let (path, version) = match name.split_once('/') {
            Some((path, version)) => (path, Some(version)),
            None => (name, None),
        };
        let is_label = |label: &str| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        name.len() <= CUSTOM_CAPABILITY_BYTES
            && path.contains('.')
            && path.split('.').all(is_label)
            && version.is_none_or(|version| {
                !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_graphic())
            })
    }

    /// The first name that is none.
    pub fn find_malformed(&self) -> Option<&str> {
        let mut names = self.0.iter().map(String::as_str);
        names.find(|name| !Self::is_name(name))
    }

    /// Whether this capability is in the list.
    pub fn contains(&self, capability: &str) -> bool {
        self.0.iter().any(|known| known == capability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cu_02_a_name_is_a_reverse_domain_and_a_short_name_and_perhaps_a_version() {
        let long = format!("com.{}", "x".repeat(CUSTOM_CAPABILITY_BYTES));
        for (name, is_name) in [
            ("io.opentelemetry.lookup", true),
            ("com.example.fancy-thing_2/v1.2", true),
            ("", false),
            ("lookup", false),
            ("com..lookup", false),
            (".lookup", false),
            ("com.example.", false),
            ("com.example.look up", false),
            ("com.example.lookup/", false),
            ("com.example.lookup/v 1", false),
            (&long, false),
        ] {
            assert_eq!(CustomCapabilities::is_name(name), is_name, "{name}");
        }
    }
}
