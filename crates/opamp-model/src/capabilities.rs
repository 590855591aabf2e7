//! The capability bits of both sides; undefined bits never get in, so none is ever sent.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign};

macro_rules! capability_set {
    ($(#[$meta:meta])* $name:ident { $($(#[$bit_meta:meta])* $bit:ident = $value:literal, $text:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name(u64);

        impl $name {
            $($(#[$bit_meta])* pub const $bit: Self = Self($value);)*

            /// No bit set.
            pub const NONE: Self = Self(0);

            /// Every bit that the specification defines.
            pub const ALL: Self = Self($($value |)* 0);

            /// Takes the bits that the specification defines and drops all others.
            ///
            /// Peers ignore unknown bits and send them as 0 (Spec: "Ignorable Capability Extensions").
            pub const fn from_bits_truncate(bits: u64) -> Self {
                Self(bits & Self::ALL.0)
            }

            /// The bits as they travel.
            pub const fn bits(self) -> u64 {
                self.0
            }

            /// Whether every bit of `other` is set.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether no bit is set.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// The bits of both sets.
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// The bits of this set that are not in `other`.
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            /// The names of the set bits as the schema spells them, without the enum's prefix.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                [$(($value, $text)),*].into_iter().filter(move |(bit, _)| self.0 & bit != 0).map(|(_, name)| name)
            }

            /// The single bit with this schema name (`ReportsHealth`), if there is one.
            pub fn from_name(name: &str) -> Option<Self> {
                [$((Self::$bit, $text)),*].into_iter().find(|(_, known)| *known == name).map(|(bit, _)| bit)
            }
        }

        impl BitOr for $name {
            type Output = Self;
            fn bitor(self, other: Self) -> Self {
                self.union(other)
            }
        }

        impl BitOrAssign for $name {
            fn bitor_assign(&mut self, other: Self) {
                *self = self.union(other);
            }
        }

        impl BitAnd for $name {
            type Output = Self;
            fn bitand(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_set().entries(self.names()).finish()
            }
        }
    };
}

capability_set! {
    /// What an agent claims to do and to accept. Spec: "AgentToServer.capabilities".
    AgentCapabilities {
        /// Reports status; always set.
        REPORTS_STATUS = 0x1, "ReportsStatus";
        /// Takes a remote configuration.
        ACCEPTS_REMOTE_CONFIG = 0x2, "AcceptsRemoteConfig";
        /// Reports the configuration it runs with.
        REPORTS_EFFECTIVE_CONFIG = 0x4, "ReportsEffectiveConfig";
        /// Takes package offers.
        ACCEPTS_PACKAGES = 0x8, "AcceptsPackages";
        /// Reports the state of its packages.
        REPORTS_PACKAGE_STATUSES = 0x10, "ReportsPackageStatuses";
        /// Sends its own traces to an offered destination.
        REPORTS_OWN_TRACES = 0x20, "ReportsOwnTraces";
        /// Sends its own metrics to an offered destination.
        REPORTS_OWN_METRICS = 0x40, "ReportsOwnMetrics";
        /// Sends its own logs to an offered destination.
        REPORTS_OWN_LOGS = 0x80, "ReportsOwnLogs";
        /// Takes settings for the OpAMP connection itself.
        ACCEPTS_OPAMP_CONNECTION_SETTINGS = 0x100, "AcceptsOpAMPConnectionSettings";
        /// Takes settings for connections of its own kinds.
        ACCEPTS_OTHER_CONNECTION_SETTINGS = 0x200, "AcceptsOtherConnectionSettings";
        /// Restarts on command.
        ACCEPTS_RESTART_COMMAND = 0x400, "AcceptsRestartCommand";
        /// Reports health.
        REPORTS_HEALTH = 0x800, "ReportsHealth";
        /// Reports what became of a remote configuration.
        REPORTS_REMOTE_CONFIG = 0x1000, "ReportsRemoteConfig";
        /// Sends heartbeats.
        REPORTS_HEARTBEAT = 0x2000, "ReportsHeartbeat";
        /// Reports the components it is built of.
        REPORTS_AVAILABLE_COMPONENTS = 0x4000, "ReportsAvailableComponents";
        /// Reports what became of connection settings.
        REPORTS_CONNECTION_SETTINGS_STATUS = 0x8000, "ReportsConnectionSettingsStatus";
    }
}

capability_set! {
    /// What a server claims to do and to accept. Spec: "ServerToAgent.capabilities".
    ServerCapabilities {
        /// Takes status reports; always set.
        ACCEPTS_STATUS = 0x1, "AcceptsStatus";
        /// May offer a remote configuration.
        OFFERS_REMOTE_CONFIG = 0x2, "OffersRemoteConfig";
        /// Takes effective configurations.
        ACCEPTS_EFFECTIVE_CONFIG = 0x4, "AcceptsEffectiveConfig";
        /// May offer packages.
        OFFERS_PACKAGES = 0x8, "OffersPackages";
        /// Takes package statuses.
        ACCEPTS_PACKAGES_STATUS = 0x10, "AcceptsPackagesStatus";
        /// May offer connection settings.
        OFFERS_CONNECTION_SETTINGS = 0x20, "OffersConnectionSettings";
        /// Takes requests for connection settings (certificate signing).
        ACCEPTS_CONNECTION_SETTINGS_REQUEST = 0x40, "AcceptsConnectionSettingsRequest";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cp_03_undefined_bits_are_dropped() {
        assert_eq!(
            AgentCapabilities::from_bits_truncate(u64::MAX).bits(),
            0xffff
        );
        assert_eq!(
            ServerCapabilities::from_bits_truncate(u64::MAX).bits(),
            0x7f
        );
    }

    #[test]
    fn sets_combine_and_name_their_bits() {
        let set = AgentCapabilities::REPORTS_STATUS | AgentCapabilities::REPORTS_HEALTH;
        assert!(set.contains(AgentCapabilities::REPORTS_HEALTH));
        assert!(
            !set.contains(AgentCapabilities::ACCEPTS_PACKAGES | AgentCapabilities::REPORTS_HEALTH)
        );
        assert_eq!(
            set.names().collect::<Vec<_>>(),
            ["ReportsStatus", "ReportsHealth"]
        );
        assert_eq!(
            AgentCapabilities::from_name("ReportsHealth"),
            Some(AgentCapabilities::REPORTS_HEALTH)
        );
        assert_eq!(ServerCapabilities::from_name("ReportsHealth"), None);
        assert_eq!(format!("{set:?}"), r#"{"ReportsStatus", "ReportsHealth"}"#);
        assert_eq!(
            set.without(AgentCapabilities::REPORTS_STATUS),
            AgentCapabilities::REPORTS_HEALTH
        );
    }
}
