//! Contents: large values stored once per (namespace, kind, SHA-256), compressed.
//!
//! Nothing counts references: the sweep of [`crate::retention`] drops what is old and referred to by nothing. A
//! content that is written again counts as new, so that a sweep never takes what a transaction is about to refer to.

use std::collections::{BTreeMap, HashMap};

use domain::{ContentHash, Namespace};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::bulk::Bulk;
use crate::sql::query;
use crate::{Conn, StoreError, Tx};

/// What a content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentKind {
    /// An agent's effective config.
    Effective,
    /// An agent's description.
    Description,
    /// An agent's component inventory.
    Components,
    /// What agents should run.
    Desired,
    /// The body of a revision.
    Revision,
}

impl ContentKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Effective => "effective",
            Self::Description => "description",
            Self::Components => "components",
            Self::Desired => "desired",
            Self::Revision => "revision",
        }
    }
}

/// Level 3 compresses a config of 4 KiB in some 20 µs; higher levels gain little on such sizes.
const ZSTD_LEVEL: i32 = 3;
/// A content that was written less than so long ago is not written again.
const TOUCH_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// The least age at which a content may be swept; leaves room for [`TOUCH_AFTER`] and a slow transaction.
pub(crate) const MIN_GRACE: SignedDuration = SignedDuration::from_mins(30);
/// How many contents are remembered as stored. Fleets share contents: a few are asked for again and again.
const MAX_KNOWN: usize = 1024;

/// Contents on their way into the database, each once.
#[derive(Debug, Default)]
pub(crate) struct NewContents {
    // Sorted, so that two transactions lock rows in the same order.
    contents: BTreeMap<Key, Vec<u8>>,
}

type Key = (Namespace, ContentKind, ContentHash);

/// Contents that are stored and young.
#[derive(Debug, Default)]
pub(crate) struct Known {
    written_at: Mutex<HashMap<Key, Timestamp>>,
}

impl NewContents {
    /// Takes a content and gives the hash it will be found by.
    pub(crate) fn add(&mut self, ns: &Namespace, kind: ContentKind, bytes: Vec<u8>) -> ContentHash {
        let hash = ContentHash::from_bytes(Sha256::digest(&bytes).into());
        self.contents
            .entry((ns.clone(), kind, hash))
            .or_insert(bytes);
        hash
    }

    /// Leaves out what is known to be stored.
    pub(crate) fn forget_known(&mut self, known: &Known, now: Timestamp) {
        let written_at = known.written_at.lock();
        self.contents.retain(|key, _| {
            written_at
                .get(key)
                .is_none_or(|at| TOUCH_AFTER <= now.duration_since(*at))
        });
    }

    /// Compresses them: apart from writing, so that it happens before a transaction begins.
    pub(crate) fn compress(self) -> Result<CompressedContents, StoreError> {
        let failed = |_| StoreError::Corrupt {
            what: "content (it cannot be compressed)",
        };
        if self.contents.is_empty() {
            return Ok(CompressedContents::default());
        }
        let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(failed)?;
        let compressed = self.contents.into_iter().map(|(key, bytes)| {
            let size = bytes.len() as u64;
            Ok((key, (size, compressor.compress(&bytes).map_err(failed)?)))
        });
        compressed
            .collect::<Result<_, StoreError>>()
            .map(CompressedContents)
    }
}

/// Contents ready to be written: size and compressed bytes.
#[derive(Debug, Default)]
pub(crate) struct CompressedContents(BTreeMap<Key, (u64, Vec<u8>)>);

impl CompressedContents {
    pub(crate) async fn write(&self, conn: &mut Conn, at: Timestamp) -> Result<(), StoreError> {
        let mut rows = Bulk::new(
            "storing contents",
            "INSERT INTO contents (namespace, kind, hash, size, touched_at, body) VALUES {rows}
             ON CONFLICT (namespace, kind, hash) DO UPDATE SET touched_at = excluded.touched_at",
            6,
        );
        for ((ns, kind, hash), (size, body)) in &self.0 {
            rows.row([
                ns.into(),
                kind.as_str().into(),
                hash.into(),
                (*size).into(),
                at.into(),
                body.as_slice().into(),
            ]);
        }
        rows.run(conn).await.map(drop)
    }

    /// Remembers them as stored; to be called after the commit.
    pub(crate) fn remember(self, known: &Known, at: Timestamp) {
        if self.0.is_empty() {
            return;
        }
        let mut written_at = known.written_at.lock();
        if MAX_KNOWN < written_at.len() + self.0.len() {
            written_at.clear();
        }
        written_at.extend(self.0.into_keys().take(MAX_KNOWN).map(|key| (key, at)));
    }
}

/// Stores a content and gives the SHA-256 it is found by. What is there already is kept and counts as new again.
///
/// # Errors
/// [`StoreError`].
pub async fn put(
    tx: &mut Tx,
    ns: &Namespace,
    kind: ContentKind,
    bytes: &[u8],
    at: Timestamp,
) -> Result<ContentHash, StoreError> {
    let mut contents = NewContents::default();
    let hash = contents.add(ns, kind, bytes.to_vec());
    contents.compress()?.write(tx, at).await?;
    Ok(hash)
}

/// A stored content.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    conn: &mut Conn,
    ns: &Namespace,
    kind: ContentKind,
    hash: &ContentHash,
) -> Result<Option<Vec<u8>>, StoreError> {
    query(
        "reading a content",
        "SELECT size, body FROM contents WHERE namespace = $1 AND kind = $2 AND hash = $3",
    )
    .bind(ns)
    .bind(kind.as_str())
    .bind(hash)
    .read_one(conn, |row| {
        let size = usize::try_from(row.int()?).unwrap_or(0);
        zstd::bulk::decompress(row.bytes()?, size)
            .map_err(|_| StoreError::Corrupt { what: "content" })
    })
    .await
}

/// A content that something refers to.
pub(crate) async fn get(
    conn: &mut Conn,
    ns: &Namespace,
    kind: ContentKind,
    hash: &ContentHash,
) -> Result<Vec<u8>, StoreError> {
    find(conn, ns, kind, hash)
        .await?
        .ok_or(StoreError::Corrupt {
            what: "content (it is missing)",
        })
}
