//! Any text is loaded as `routes.toml` or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| corgate_fuzz::routes(text));
