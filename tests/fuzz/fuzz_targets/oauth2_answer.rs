//! Whatever a bank says in `oauth2` becomes an answer or a fault, and tells no secret.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| corgate_fuzz::oauth2_answer(input));
