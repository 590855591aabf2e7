//! A Collector configuration, written by whoever may write one.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| opamp_fuzz::otelcol_yaml(data));
