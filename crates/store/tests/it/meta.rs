//! Facts about the database.

use store::meta;
use store::testing::TestDb;

use crate::fixture::commit;

pub(crate) async fn a_fact_is_set_once_where_nodes_must_agree(t: &TestDb) {
    let get = async || {
        meta::get(&mut t.db.read().await.unwrap(), meta::DATABASE_ID)
            .await
            .unwrap()
    };
    assert_eq!(get().await, None);
    let agree = async |value| {
        commit!(t, |tx| meta::get_or_set(&mut tx, meta::DATABASE_ID, value)
            .await
            .unwrap())
    };
    assert_eq!(agree("first").await, "first");
    assert_eq!(agree("second").await, "first");
    commit!(t, |tx| meta::set(&mut tx, meta::DATABASE_ID, "third")
        .await
        .unwrap());
    assert_eq!(get().await.as_deref(), Some("third"));
}
