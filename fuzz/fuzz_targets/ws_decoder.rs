//! Frames of a WebSocket, cut into chunks in two ways.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| opamp_fuzz::ws_decoder(data));
