//! The state of an agent's packages.

use std::collections::BTreeMap;

/// Every package that an agent has or is working on. Spec: "PackageStatuses Message".
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PackageStatuses {
    /// By package name.
    pub packages: BTreeMap<String, PackageStatus>,
    /// The aggregate hash of the last offer, as the server gave it.
    pub server_provided_all_packages_hash: Vec<u8>,
    /// An error of the offer as a whole; empty otherwise.
    pub error: String,
}

/// The state of one package; its name is its key in [`PackageStatuses`].
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PackageStatus {
    /// The installed version; empty while none is.
    pub agent_has_version: String,
    /// The installed hash; empty while none is.
    pub agent_has_hash: Vec<u8>,
    /// The version of the offer that started an installation; empty where none did.
    pub server_offered_version: String,
    /// The hash of the offer that started an installation; empty where none did.
    pub server_offered_hash: Vec<u8>,
    /// How far the installation came.
    pub state: PackageState,
    /// Why it failed; empty otherwise.
    pub error: String,
    /// Progress, only while downloading.
    pub download: Option<DownloadDetails>,
}

/// How far the installation of a package came: `PackageStatusEnum` of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum PackageState {
    /// In place.
    #[default]
    Installed,
    /// Queued.
    InstallPending,
    /// Being put in place.
    Installing,
    /// Failed; see the error.
    InstallFailed,
    /// Being downloaded.
    Downloading,
}

/// Progress of a download.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct DownloadDetails {
    /// 0 to 100.
    pub percent: f64,
    /// Bytes a second.
    pub bytes_per_second: f64,
}

impl PackageState {
    /// Stable lower-case name for storage and display.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::InstallPending => "install_pending",
            Self::Installing => "installing",
            Self::InstallFailed => "install_failed",
            Self::Downloading => "downloading",
        }
    }
}
