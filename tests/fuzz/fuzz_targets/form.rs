//! A request body of any bytes.
#![no_main]

use std::sync::LazyLock;

use corgate::contract::{Contract, Waivers};
use libfuzzer_sys::fuzz_target;

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    let (name, document) = Contract::BUILT_IN[0];
    Contract::compile(name, document).expect("a built-in contract compiles")
});

fuzz_target!(|body: &[u8]| {
    for operation in &CONTRACT.operations {
        let _ = operation.body.check(body, Waivers::default());
    }
});
