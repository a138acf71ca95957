//! Any header fields keep a contract, or are refused in words that may be sent.
#![no_main]

libfuzzer_sys::fuzz_target!(|lines: &[u8]| corgate_fuzz::head(lines));
