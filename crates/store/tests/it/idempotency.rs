//! Idempotency keys.

use store::idempotency::{self, SavedAnswer};
use store::testing::{TestDb, at};

use crate::fixture::*;

pub(crate) async fn the_first_answer_is_kept(t: &TestDb) {
    let answer = |status| SavedAnswer {
        request: hash(1),
        status,
        body: b"{}".to_vec(),
    };
    let save = async |ns, status| {
        commit!(t, |tx| idempotency::save(
            &mut tx,
            &ns,
            "key-1",
            &answer(status),
            at(0)
        )
        .await
        .unwrap())
    };
    assert!(save(ns(), 201).await);
    assert!(!save(ns(), 409).await);
    assert!(save(other_ns(), 202).await);
    let mut conn = t.db.read().await.unwrap();
    assert_eq!(
        idempotency::find(&mut conn, &ns(), "key-1").await.unwrap(),
        Some(answer(201))
    );
    assert_eq!(
        idempotency::find(&mut conn, &ns(), "key-2").await.unwrap(),
        None
    );
}
