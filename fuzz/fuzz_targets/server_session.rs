//! An agent's messages one after the other.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| opamp_fuzz::server_session(data));
