//! Holds.

use domain::{Hold, HoldScope, Selector};
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
