//! What this machine must allow before a fleet of some size can run: descriptors and ports.

use std::net::{IpAddr, Ipv4Addr};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors this process needs beside one a connection: log, runtime, `/proc`, the API.
const SPARE_DESCRIPTORS: u64 = 200;

/// Connections one source address is asked to carry to one server port.
///
/// The kernel's default range has 28,232 ports, of which binding takes the odd half first; ports of
/// a storm are not free again for a minute, so several storms a minute must fit.
const CONNECTIONS_PER_SOURCE: usize = 1_500;

/// Why a fleet of this size cannot run here.
#[derive(Debug, thiserror::Error)]
pub enum CapacityError {
    /// The descriptor limit is too low and may not be raised.
    #[error(
        "{agents} agents need {needed} open files and this process may have {allowed}: \
         raise the hard limit (ulimit -Hn {needed}) or run as root"
    )]
    Descriptors {
        /// Agents asked for.
        agents: usize,
        /// Descriptors they need.
        needed: u64,
        /// The hard limit.
        allowed: u64,
    },
}

/// Raises the descriptor limit of this process so that `agents` connections fit.
///
/// It takes the whole hard limit, and raises that too where the process may (as root).
/// Returns the limit now in force.
///
/// # Errors
/// [`CapacityError::Descriptors`] when what may be had is not enough.
pub fn raise_descriptor_limit(agents: usize) -> Result<u64, CapacityError> {
    let needed = descriptors_for(agents);
    let limit = getrlimit(Resource::Nofile);
    // No limit at all reads as `None`.
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let wanted = hard.max(needed);
    for target in [wanted, hard] {
        let raised = Rlimit {
            current: Some(target),
            maximum: Some(target.max(hard)),
        };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            break;
        }
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if allowed < needed {
        return Err(CapacityError::Descriptors {
            agents,
            needed,
            allowed,
        });
    }
    Ok(allowed)
}

/// Descriptors for a fleet. A storm closes a socket before it opens the next: one each suffices.
fn descriptors_for(agents: usize) -> u64 {
    agents as u64 + SPARE_DESCRIPTORS
}

/// Source addresses enough for `agents` connections to `server`.
///
/// Loopback is a whole /8, and a client may bind to any of it. Elsewhere the kernel chooses.
#[must_use]
pub fn sources_for(agents: usize, server: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V4(v4) = server else {
        return Vec::new();
    };
    if !v4.is_loopback() {
        return Vec::new();
    }
    let needed = agents.div_ceil(CONNECTIONS_PER_SOURCE).clamp(1, 250);
    loopback_sources(needed)
}

/// `127.0.1.1`, `127.0.1.2`, …: `count` loopback addresses to dial from.
#[must_use]
pub fn loopback_sources(count: usize) -> Vec<IpAddr> {
    (0..count)
        .map(|at| {
            let (high, low) = (at / 250, at % 250);
            let high = u8::try_from(high + 1).unwrap_or(u8::MAX);
            let low = u8::try_from(low + 1).unwrap_or(u8::MAX);
            IpAddr::V4(Ipv4Addr::new(127, 0, high, low))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_fleet_dials_from_several_loopback_addresses() {
        let server: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(sources_for(100, server).len(), 1);
        assert_eq!(sources_for(15_000, server).len(), 10);
        assert_eq!(sources_for(100_000, server).len(), 67);
        assert_eq!(loopback_sources(251)[250].to_string(), "127.0.2.1");
    }

    #[test]
    fn elsewhere_the_kernel_chooses_the_source() {
        assert!(sources_for(100_000, "10.0.0.1".parse().unwrap()).is_empty());
        assert!(sources_for(100_000, "::1".parse().unwrap()).is_empty());
    }

    #[test]
    fn the_descriptor_limit_is_raised_or_the_shortage_is_named() {
        assert!(raise_descriptor_limit(10).is_ok_and(|limit| 210 <= limit));
        let refused = raise_descriptor_limit(2_000_000_000)
            .unwrap_err()
            .to_string();
        assert!(refused.contains("2000000200 open files"), "{refused}");
    }
}
