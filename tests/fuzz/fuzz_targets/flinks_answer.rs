//! Whatever a bank says in `flinks` becomes an answer or a fault, and tells no secret.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| corgate_fuzz::flinks_answer(input));
