//! Holds.

use domain::{ContentHash, Hold, HoldScope, Selector};
use store::holds;
use store::testing::{TestDb, at};

use crate::fixture::*;

pub(crate) async fn every_scope_is_held_and_lifted(t: &TestDb) {
    let selector: Selector = "region in (eu,us),env=prod".parse().unwrap();
    let scopes = [
        HoldScope::Fleet,
        HoldScope::Namespace(ns()),
        HoldScope::Selector(ns(), selector),
    ];
    let hold = |scope: &HoldScope, reason: &str| Hold {
        scope: scope.clone(),
        reason: reason.into(),
        set_by: actor(),
        set_at: at(1),
    };
    for scope in &scopes {
        for reason in ["first", "second"] {
            commit!(t, |tx| holds::set(&mut tx, &hold(scope, reason))
                .await
                .unwrap());
        }
    }
    let held = async || {
        holds::load_all(&mut t.db.read().await.unwrap())
            .await
            .unwrap()
    };
    assert_eq!(
        held().await,
        scopes
            .iter()
            .map(|scope| hold(scope, "second"))
            .collect::<Vec<_>>()
    );
    for scope in &scopes {
        assert!(commit!(t, |tx| holds::lift(&mut tx, scope).await.unwrap()));
        assert!(!commit!(t, |tx| holds::lift(&mut tx, scope).await.unwrap()));
    }
    assert_eq!(held().await, []);
}

pub(crate) async fn the_longest_selector_is_held_and_lifted(t: &TestDb) {
    use sha2::{Digest, Sha256};
    // Values that do not compress: a database may try that first.
    let values: Vec<String> = (0..255_u8)
        .map(|n| ContentHash::from_bytes(Sha256::digest([n]).into()).to_string()[..61].to_owned())
        .collect();
    let text = format!("a in ({})", values.join(","));
    let selector: Selector = text.parse().unwrap();
    assert!(15_500 < text.len() && text.len() <= Selector::MAX_BYTES);
    let scope = HoldScope::Selector(ns(), selector);
    let hold = Hold {
        scope: scope.clone(),
        reason: String::new(),
        set_by: actor(),
        set_at: at(1),
    };
    for _ in 0..2 {
        commit!(t, |tx| holds::set(&mut tx, &hold).await.unwrap());
    }
    let held = holds::load_all(&mut t.db.read().await.unwrap()).await;
    assert_eq!(held.unwrap(), [hold]);
    assert!(commit!(t, |tx| holds::lift(&mut tx, &scope).await.unwrap()));
}
