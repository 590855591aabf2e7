//! Content-addressed contents.

use store::contents::{self, ContentKind};
use store::testing::{TestDb, at};

use crate::fixture::*;

pub(crate) async fn equal_contents_are_stored_once(t: &TestDb) {
    let put = async |seconds| {
        commit!(t, |tx| contents::put(
            &mut tx,
            &ns(),
            ContentKind::Effective,
            b"a: 1",
            at(seconds)
        )
        .await
        .unwrap())
    };
    let (first, second) = (put(0).await, put(9000).await);
    assert_eq!(first, second);
    assert_eq!(
        first.to_string(),
        "16c3c6d78678d53d39ab2c7a5a7bc4596567b46a1a57000a2d707334f779b824"
    );
}

pub(crate) async fn contents_of_namespaces_and_kinds_stand_apart(t: &TestDb) {
    let hash = commit!(t, |tx| contents::put(
        &mut tx,
        &ns(),
        ContentKind::Desired,
        b"x",
        at(0)
    )
    .await
    .unwrap());
    let mut conn = t.db.read().await.unwrap();
    let found = contents::find(&mut conn, &ns(), ContentKind::Desired, &hash)
        .await
        .unwrap();
    assert_eq!(found.as_deref(), Some(&b"x"[..]));
    assert_eq!(
        contents::find(&mut conn, &ns(), ContentKind::Revision, &hash)
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        contents::find(&mut conn, &other_ns(), ContentKind::Desired, &hash)
            .await
            .unwrap(),
        None
    );
}

pub(crate) async fn a_content_reads_back_byte_for_byte(t: &TestDb) {
    let noise: Vec<u8> = (0..100_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for bytes in [&b""[..], b"\0\xff", &noise, &vec![b'a'; 1 << 20]] {
        let hash = commit!(t, |tx| contents::put(
            &mut tx,
            &ns(),
            ContentKind::Effective,
            bytes,
            at(0)
        )
        .await
        .unwrap());
        let mut conn = t.db.read().await.unwrap();
        let found = contents::find(&mut conn, &ns(), ContentKind::Effective, &hash)
            .await
            .unwrap();
        assert!(found.as_deref() == Some(bytes), "{} bytes", bytes.len());
    }
}
