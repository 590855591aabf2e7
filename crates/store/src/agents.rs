//! Agents: who they are, what they report and where they stand.
//!
//! Reports come in through [`crate::Db::apply_reports`] and [`crate::Db::flush_liveness`], many agents at a time;
//! everything else is a function over a connection.

mod apply;
mod detail;
mod edit;
mod filter;
mod history;
mod labels;
mod list;
mod liveness;
mod load;
mod report;
mod running;
mod view;
mod weight;

pub use detail::{find, find_by_uid};
pub use edit::{By, delete, detach_node, forget_sessions, set_approval, set_operator_labels};
pub use history::history;
pub use list::{AgentPage, ListAgents, count_matching, counts, list};
pub use load::{load_all, load_page};
pub use report::{
    AgentReport, Applied, Attachment, AttachmentChange, HealthChange, Liveness, NewAgent, Offered,
};
pub use running::{components, effective_config, running_their_own};
pub use view::{AgentChange, AgentDetail, AgentSummary, FleetCounts, StoredAgent};
