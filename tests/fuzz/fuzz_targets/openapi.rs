//! Any text is compiled as a contract or refused with the places of its mistakes.
#![no_main]

libfuzzer_sys::fuzz_target!(|document: &str| corgate_fuzz::openapi(document));
