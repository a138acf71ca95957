//! A contract of any text.
#![no_main]

use corgate::contract::Contract;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &str| {
    let _ = Contract::compile("fuzzed", document);
});
