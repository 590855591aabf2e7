//! Request and response types of the REST API: what leaves and enters the admin plane as JSON.
//!
//! The server's handlers, the command line and test programs share them; the OpenAPI document is
//! generated from them. They hold no behavior: ids are text, times are RFC 3339, names are
//! snake_case. Requests refuse unknown fields; responses may gain fields at any time.
//!
//! Start with [`agents`] and [`configs`]; [`Page`] and [`Problem`] are what every endpoint shares.

pub mod agents;
pub mod audit;
pub mod checks;
pub mod config_source;
pub mod configs;
pub mod diffs;
pub mod dry_runs;
pub mod events;
pub mod explain;
pub mod fleet;
mod page;
pub mod plans;
mod problem;
pub mod rollouts;
pub mod secrets;
mod selector;
pub mod system;
pub mod tokens;

pub use jiff::Timestamp;
pub use page::{Page, PageQuery};
pub use problem::{Problem, ProblemKind};
pub use selector::SelectorInput;

/// Whether a count need not be told.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Labels and attributes: text by name, sorted.
pub type StringMap = std::collections::BTreeMap<String, String>;
