//! A server's messages as an agent receives them.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| opamp_fuzz::client_receive(data));
