//! The configurations of an offer, merged as the agent merges them.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| opamp_fuzz::otelcol_merge(data));
