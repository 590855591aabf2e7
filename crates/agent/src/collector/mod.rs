//! What a collector's own program says: of a configuration, and of itself.

mod args;
mod components;
mod config;
mod reason;
mod tool;

pub use args::ArgumentDocuments;
pub use components::{Inventory, inventory};
pub use config::{ConfigFacts, HealthEndpoint};
pub use reason::{MAX_REASON_BYTES, Redactor, of_failure, trim};
pub use tool::{ToolError, run_tool, validate};
