//! Events: one order over all of them, in which commits appear; nothing ever appears before what was read.

use domain::{AgentId, Event, EventId, Namespace, NewEvent};

use crate::{Conn, StoreError, Tx};

/// Appends events and gives the id of the last one. Do it last in a transaction: until it ends, no other
/// transaction can append.
///
/// # Errors
/// [`StoreError`].
pub async fn append(_tx: &mut Tx, _events: &[NewEvent]) -> Result<Option<EventId>, StoreError> {
    unimplemented!()
}

/// Events of a namespace after one, in order.
///
/// # Errors
/// [`StoreError`].
pub async fn list_after(
    _conn: &mut Conn,
    _ns: &Namespace,
    _after: EventId,
    _limit: u32,
) -> Result<Vec<Event>, StoreError> {
    unimplemented!()
}

/// Events of one agent, newest first, before one if it is named.
///
/// # Errors
/// [`StoreError`].
pub async fn list_of_agent(
    _conn: &mut Conn,
    _ns: &Namespace,
    _agent: AgentId,
    _before: Option<EventId>,
    _limit: u32,
) -> Result<Vec<Event>, StoreError> {
    unimplemented!()
}

/// The id of the newest event; 0 if there never was one.
///
/// # Errors
/// [`StoreError`].
pub async fn latest(_conn: &mut Conn) -> Result<EventId, StoreError> {
    unimplemented!()
}
