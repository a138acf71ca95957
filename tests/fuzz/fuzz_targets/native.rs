//! A native call keeps its contract or is refused in words that may be sent.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| corgate_fuzz::native(input));
