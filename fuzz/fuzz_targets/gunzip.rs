//! A compressed body.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| opamp_fuzz::gunzip(data));
