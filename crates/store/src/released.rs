//! What is released, as the engine keeps it in memory.

use std::collections::BTreeMap;

use domain::{Namespace, ReleasedSet};

use crate::{Conn, StoreError};

/// What is released in every namespace that has anything released.
///
/// # Errors
/// [`StoreError`].
pub async fn load_all(_conn: &mut Conn) -> Result<BTreeMap<Namespace, ReleasedSet>, StoreError> {
    unimplemented!()
}

/// What is released in one namespace.
///
/// # Errors
/// [`StoreError`].
pub async fn load(_conn: &mut Conn, _ns: &Namespace) -> Result<ReleasedSet, StoreError> {
    unimplemented!()
}
