//! What tests of the whole system share: servers on port 0, simulated agents, temporary databases.
//!
//! Nothing here is shipped. Everything panics instead of returning errors: a test that cannot set itself up has failed.
//!
//! ```no_run
//! # async fn example() {
//! use testkit::{TestServer, fleet};
//!
//! let server = TestServer::start().await;
//! let agents = server.fleet(3, |options| options.labels = vec!["env=prod".parse().unwrap()]).await;
//! server.api().release("base", "env=prod", "receivers: {}\n").await;
//! fleet::wait_until_all_run(&agents, "receivers: {}\n").await;
//! # }
//! ```

pub mod api;
pub mod database;
pub mod fleet;
pub mod git;
pub mod needs;
pub mod process;
mod server;
mod wait;

pub use api::{Answer, Api};
pub use database::TestDatabase;
pub use fleetsim::{ConfigStatus, Fleet};
pub use process::ServerProcess;
pub use server::{ADMIN_TOKEN, TestServer, TestServerBuilder};
pub use wait::{DEADLINE, wait_until, wait_until_some};
