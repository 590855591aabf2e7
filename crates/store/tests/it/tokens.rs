//! Tokens.

use domain::TokenId;
use store::testing::{TestDb, at};
use store::tokens::{self, TokenKind, TokenRecord};

use crate::fixture::*;

fn token(n: u8, kind: TokenKind) -> TokenRecord {
    TokenRecord {
        id: TokenId::from_bytes([n; 16]),
        namespace: ns(),
        kind,
        name: format!("token {n}"),
        hash: hash(n),
        labels: labels(&[("team", "a")]),
        uid: Some(uid(1)),
        created_by: actor(),
        created_at: at(0),
        expires_at: Some(at(100)),
        revoked_at: None,
    }
}

async fn add(t: &TestDb, token: &TokenRecord) {
    commit!(t, |tx| tokens::add(&mut tx, token).await.unwrap());
}

pub(crate) async fn a_token_is_found_by_its_hash_until_it_is_revoked(t: &TestDb) {
    let agents = token(1, TokenKind::Agent);
    add(t, &agents).await;
    let find = async |kind| {
        tokens::find_by_hash(&mut t.db.read().await.unwrap(), kind, &hash(1))
            .await
            .unwrap()
    };
    assert_eq!(find(TokenKind::Agent).await, Some(agents.clone()));
    assert_eq!(find(TokenKind::Admin).await, None);
    let revoke = async |ns| {
        commit!(t, |tx| tokens::revoke(&mut tx, &ns, agents.id, at(5))
            .await
            .unwrap())
    };
    assert!(!revoke(other_ns()).await);
    assert!(revoke(ns()).await);
    assert!(!revoke(ns()).await);
    let revoked = TokenRecord {
        revoked_at: Some(at(5)),
        ..agents.clone()
    };
    assert_eq!(find(TokenKind::Agent).await, Some(revoked.clone()));
    assert!(agents.is_active(at(99)) && !agents.is_active(at(100)) && !revoked.is_active(at(6)));
    let mut conn = t.db.read().await.unwrap();
    assert_eq!(
        tokens::find(&mut conn, &ns(), agents.id).await.unwrap(),
        Some(revoked)
    );
}

pub(crate) async fn tokens_that_ended_are_not_loaded(t: &TestDb) {
    let endless = TokenRecord {
        expires_at: None,
        uid: None,
        ..token(1, TokenKind::Agent)
    };
    let elsewhere = TokenRecord {
        namespace: other_ns(),
        ..token(2, TokenKind::Agent)
    };
    let revoked = TokenRecord {
        revoked_at: Some(at(1)),
        ..token(3, TokenKind::Agent)
    };
    let admins = token(4, TokenKind::Admin);
    for one in [&endless, &elsewhere, &revoked, &admins] {
        add(t, one).await;
    }
    let load = async |kind, seconds| {
        tokens::load_active(&mut t.db.read().await.unwrap(), kind, at(seconds))
            .await
            .unwrap()
    };
    assert_eq!(
        load(TokenKind::Agent, 50).await,
        [endless.clone(), elsewhere]
    );
    assert_eq!(load(TokenKind::Agent, 100).await, [endless]);
    assert_eq!(load(TokenKind::Admin, 50).await, [admins]);
}

pub(crate) async fn tokens_are_paged_by_kind(t: &TestDb) {
    for n in 1..=5 {
        add(
            t,
            &token(
                n,
                if n == 3 {
                    TokenKind::Admin
                } else {
                    TokenKind::Agent
                },
            ),
        )
        .await;
    }
    let mut conn = t.db.read().await.unwrap();
    let all = tokens::list(&mut conn, &ns(), TokenKind::Agent, None, 10)
        .await
        .unwrap();
    assert_eq!(
        all.iter().map(|token| token.id).collect::<Vec<_>>(),
        [1, 2, 4, 5].map(|n| TokenId::from_bytes([n; 16]))
    );
    let page = tokens::list(&mut conn, &ns(), TokenKind::Agent, Some(all[0].id), 2)
        .await
        .unwrap();
    assert_eq!(page, all[1..3]);
}
