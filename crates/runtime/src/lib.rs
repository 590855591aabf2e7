//! What every program of this workspace shares: configuration files, logging, the clock, tasks, signals and process limits.
//!
//! It knows nothing of OpAMP, agents or HTTP. Start at [`config::load`] for files, [`logging::init`] for logs,
//! [`Tasks`] for long-running work and [`Clock`] for time.

pub mod clock;
pub mod config;
pub mod fd_limit;
pub mod logging;
pub mod signals;
pub mod tasks;

pub use clock::{Clock, ManualClock, SystemClock};
pub use config::{ByteSize, ConfigError, Environment, Loaded, SecretText};
pub use fd_limit::{FdLimit, raise_fd_limit};
pub use tasks::{TaskError, Tasks};
pub use tokio_util::sync::CancellationToken;
