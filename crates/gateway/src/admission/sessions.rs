//! How many sessions may start: all together by one bucket, and each claimant by a share of it once that runs low.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use engine::{AuthMethod, Principal, domain::TokenId};
use tokio::time::Instant;

use super::{Reason, bucket::Bucket};

/// One claimant's part of the rate and of the burst: one in so many.
const SHARE: u32 = 2;
/// What of the burst is kept for those who are within their share: one in so many.
const RESERVE: u32 = 8;
/// Claimants whose share is counted at once; whoever comes beyond it has what nobody else needs.
const MOST_CLAIMANTS: usize = 16_384;
/// How often claimants are forgotten at most that have their whole share again.
const TIDY_INTERVAL: Duration = Duration::from_millis(250);

/// Whom a session's start is counted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Claimant {
    /// All that show this token.
    Token(TokenId),
    /// All at this address (IPv6: in this /64), where the credential names nobody.
    Address(IpAddr),
}

impl Claimant {
    pub fn of(principal: &Principal, peer: IpAddr) -> Self {
        match principal.method {
            AuthMethod::Token(id) => Self::Token(id),
            AuthMethod::None | AuthMethod::Certificate => Self::Address(network(peer)),
        }
    }
}

/// What one customer of a provider has at least: an IPv4 address, or a /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// The buckets of session starts.
pub(super) struct Sessions {
    all: Bucket,
    reserve: f64,
    share_per_second: u32,
    share_burst: u32,
    shares: HashMap<Claimant, Bucket>,
    tidied: Instant,
}

impl Sessions {
    pub fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        Self {
            all: Bucket::new(per_second, burst, now),
            reserve: f64::from(burst / RESERVE),
            share_per_second: per_second.div_ceil(SHARE),
            share_burst: burst.div_ceil(SHARE),
            shares: HashMap::new(),
            tidied: now,
        }
    }

    /// Lets one session start, or says what there is too little of.
    ///
    /// A claimant beyond its share is not refused for that: a fleet that has one token for all is a single claimant. It
    /// may have all but the reserve, which is for the others.
    pub fn take(&mut self, claimant: Claimant, now: Instant) -> Result<(), Reason> {
        let within_share = self.share(claimant, now).is_some_and(|own| own.take(now));
        if !within_share && self.all.level(now) < self.reserve + 1.0 {
            return Err(if self.reserve < 1.0 {
                Reason::Rate
            } else {
                Reason::Share
            });
        }
        if self.all.take(now) {
            Ok(())
        } else {
            Err(Reason::Rate)
        }
    }

    fn share(&mut self, claimant: Claimant, now: Instant) -> Option<&mut Bucket> {
        if MOST_CLAIMANTS <= self.shares.len() && !self.shares.contains_key(&claimant) {
            self.tidy(now);
            if MOST_CLAIMANTS <= self.shares.len() {
                return None;
            }
        }
        let fresh = || Bucket::new(self.share_per_second, self.share_burst, now);
        Some(self.shares.entry(claimant).or_insert_with(fresh))
    }

    /// Forgets those who are as if they had never come.
    fn tidy(&mut self, now: Instant) {
        if now < self.tidied + TIDY_INTERVAL {
            return;
        }
        self.tidied = now;
        self.shares.retain(|_, own| !own.is_full(now));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PER_SECOND: u32 = 800;
    const BURST: u32 = 1600;

    fn address(number: u32) -> Claimant {
        Claimant::Address(Ipv4Addr::from_bits(number).into())
    }

    fn start() -> (Sessions, Instant) {
        let now = Instant::now();
        (Sessions::new(PER_SECOND, BURST, now), now)
    }

    fn taken(sessions: &mut Sessions, claimant: Claimant, tries: u32, now: Instant) -> u32 {
        let let_in = (0..tries).filter(|_| sessions.take(claimant, now).is_ok());
        u32::try_from(let_in.count()).unwrap()
    }

    #[test]
    fn one_claimant_alone_has_nearly_all() {
        let (mut sessions, now) = start();
        let had = taken(&mut sessions, address(1), 10_000, now);
        assert_eq!(had, BURST - BURST / RESERVE);
        assert_eq!(sessions.take(address(1), now), Err(Reason::Share));
    }

    #[test]
    fn a_claimant_that_never_stops_does_not_starve_the_others() {
        let (mut sessions, mut now) = start();
        taken(&mut sessions, address(1), 10_000, now);
        let mut others = 0;
        for _ in 0..100 {
            now += Duration::from_millis(100);
            // The greedy one is always first.
            taken(&mut sessions, address(1), 10_000, now);
            others += taken(&mut sessions, address(2), 30, now);
        }
        assert_eq!(others, 3_000, "300 a second are within the share of 400");
    }

    #[test]
    fn the_rate_of_all_together_is_what_it_is() {
        let (mut sessions, now) = start();
        let had: u32 = (0..10)
            .map(|number| taken(&mut sessions, address(number), 1_000, now))
            .sum();
        assert_eq!(had, BURST);
        assert_eq!(sessions.take(address(99), now), Err(Reason::Rate));
    }

    #[test]
    fn claimants_without_number_cost_a_bounded_memory_and_the_known_nothing() {
        let (mut sessions, mut now) = start();
        taken(&mut sessions, address(u32::MAX), 100, now);
        for number in 0..200_000 {
            now += Duration::from_micros(50);
            sessions.take(address(number), now).ok();
            assert!(sessions.shares.len() <= MOST_CLAIMANTS);
        }
        now += Duration::from_secs(1);
        assert_eq!(taken(&mut sessions, address(u32::MAX), 1, now), 1);
    }

    #[test]
    fn an_ipv6_host_is_its_network() {
        let same = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9"];
        let [one, other] = same.map(|text| network(text.parse().unwrap()));
        assert_eq!(one, other);
        assert_ne!(one, network("2001:db8:1:3::1".parse().unwrap()));
        let mapped = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(network(mapped), "192.0.2.7".parse::<IpAddr>().unwrap());
    }
}
