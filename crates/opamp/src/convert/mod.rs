//! From the generated messages to the plain types of `opamp-model` and back.

mod config;
mod packages;
mod values;
