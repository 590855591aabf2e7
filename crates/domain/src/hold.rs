//! The emergency brake: while a hold covers an agent, no offer leaves for it.

use jiff::Timestamp;

use crate::ids::{Actor, Namespace};
use crate::labels::Labels;
use crate::selector::Selector;

/// What a hold covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldScope {
    /// Every agent of every namespace.
    Fleet,
    /// Every agent of one namespace.
    Namespace(Namespace),
    /// The agents of one namespace that a selector matches.
    Selector(Namespace, Selector),
}

impl HoldScope {
    /// Whether an agent stands under this hold.
    #[must_use]
    pub fn covers(&self, namespace: &Namespace, labels: &Labels) -> bool {
        match self {
            Self::Fleet => true,
            Self::Namespace(held) => held == namespace,
            Self::Selector(held, selector) => held == namespace && selector.matches(labels),
        }
    }
}

/// A hold that is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// What it covers.
    pub scope: HoldScope,
    /// Why, in the words of who put it on.
    pub reason: String,
    /// Who put it on.
    pub set_by: Actor,
    /// Since when.
    pub set_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_covers_its_scope_only() {
        let (here, there) = (Namespace::default(), Namespace::new("other").unwrap());
        let prod = Labels::from_iter([("env", "prod")]);
        let selector: Selector = "env=prod".parse().unwrap();
        assert!(HoldScope::Fleet.covers(&there, &prod));
        assert!(!HoldScope::Namespace(here.clone()).covers(&there, &prod));
        assert!(HoldScope::Selector(here.clone(), selector.clone()).covers(&here, &prod));
        assert!(
            !HoldScope::Selector(here.clone(), selector.clone()).covers(&here, &Labels::default())
        );
        assert!(!HoldScope::Selector(here, selector).covers(&there, &prod));
    }
}
