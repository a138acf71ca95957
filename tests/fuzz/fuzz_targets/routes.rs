//! Any text is loaded as `routes.toml` or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| drop(corgate::routes::load_text(text)));
