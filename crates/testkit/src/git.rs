//! Git repositories of a test's own, and the servers before them: over SSH, over HTTP.

mod http_server;
mod repository;
mod ssh_server;

pub use http_server::{HttpServer, Manners};
pub use repository::{Repository, run};
pub use ssh_server::SshServer;
