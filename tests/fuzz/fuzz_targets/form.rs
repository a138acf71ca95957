//! Any bytes are read as a form that keeps its promises, or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| corgate_fuzz::form(body));
