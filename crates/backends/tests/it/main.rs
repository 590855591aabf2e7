//! The config source's documents as users write them.

mod examples;
