//! Any bytes are a head that every parser reads the same, or are refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|head: &[u8]| corgate_fuzz::framing(head));
