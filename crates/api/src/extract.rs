//! What handlers take from a request, read strictly: unknown names are refused, and every refusal names its place.

mod body;
mod headers;
mod path;
mod query;

pub(crate) use body::{ConfigJson, Json};
pub(crate) use headers::{IdempotencyKey, NoPreconditions, Preconditions, etag};
pub(crate) use path::Path;
pub(crate) use query::Query;
