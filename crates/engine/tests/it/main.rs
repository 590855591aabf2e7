//! The engine on a real database, driven step by step with a clock that stands still unless it is moved.

mod attachments;
mod harness;
mod offers;
mod restarts;
