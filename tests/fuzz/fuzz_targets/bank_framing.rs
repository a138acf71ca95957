//! Any bytes of a bank are one answer however they are cut, or are refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| corgate_fuzz::bank_framing(bytes));
