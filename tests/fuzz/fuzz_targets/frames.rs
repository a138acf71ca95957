//! The frames of an HTTP/2 connection are counted within bounds.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| corgate_fuzz::frames(input));
