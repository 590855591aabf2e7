//! An agent's message as a server receives it.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| opamp_fuzz::server_receive(data));
