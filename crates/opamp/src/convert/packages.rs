//! The state of packages.

use opamp_model::{DownloadDetails, PackageState, PackageStatus, PackageStatuses};

use crate::proto;

impl From<proto::PackageStatuses> for PackageStatuses {
    fn from(statuses: proto::PackageStatuses) -> Self {
        Self {
            packages: statuses
                .packages
                .into_iter()
                .map(|(name, status)| (name, status.into()))
                .collect(),
            server_provided_all_packages_hash: statuses.server_provided_all_packages_hash,
            error: statuses.error_message,
        }
    }
}

/// Spec: "PackageStatus.name": the name equals the map key, so it is written from there.
impl From<&PackageStatuses> for proto::PackageStatuses {
    fn from(statuses: &PackageStatuses) -> Self {
        let packages = statuses
            .packages
            .iter()
            .map(|(name, status)| (name.clone(), named(name, status)));
        Self {
            packages: packages.collect(),
            server_provided_all_packages_hash: statuses.server_provided_all_packages_hash.clone(),
            error_message: statuses.error.clone(),
        }
    }
}

impl From<proto::PackageStatus> for PackageStatus {
    fn from(status: proto::PackageStatus) -> Self {
        let state = match status.status() {
            proto::PackageStatusEnum::Installed => PackageState::Installed,
            proto::PackageStatusEnum::InstallPending => PackageState::InstallPending,
            proto::PackageStatusEnum::Installing => PackageState::Installing,
            proto::PackageStatusEnum::InstallFailed => PackageState::InstallFailed,
            proto::PackageStatusEnum::Downloading => PackageState::Downloading,
        };
        Self {
            agent_has_version: status.agent_has_version,
            agent_has_hash: status.agent_has_hash,
            server_offered_version: status.server_offered_version,
            server_offered_hash: status.server_offered_hash,
            state,
            error: status.error_message,
            download: status.download_details.map(|details| DownloadDetails {
                percent: details.download_percent,
                bytes_per_second: details.download_bytes_per_second,
            }),
        }
    }
}

fn named(name: &str, status: &PackageStatus) -> proto::PackageStatus {
    let state = match status.state {
        PackageState::Installed => proto::PackageStatusEnum::Installed,
        PackageState::InstallPending => proto::PackageStatusEnum::InstallPending,
        PackageState::Installing => proto::PackageStatusEnum::Installing,
        PackageState::InstallFailed => proto::PackageStatusEnum::InstallFailed,
        PackageState::Downloading => proto::PackageStatusEnum::Downloading,
    };
    proto::PackageStatus {
        name: name.to_owned(),
        agent_has_version: status.agent_has_version.clone(),
        agent_has_hash: status.agent_has_hash.clone(),
        server_offered_version: status.server_offered_version.clone(),
        server_offered_hash: status.server_offered_hash.clone(),
        status: state.into(),
        error_message: status.error.clone(),
        download_details: status
            .download
            .map(|details| proto::PackageDownloadDetails {
                download_percent: details.percent,
                download_bytes_per_second: details.bytes_per_second,
            }),
    }
}
