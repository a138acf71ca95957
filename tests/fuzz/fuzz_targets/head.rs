//! A head of any lines, each `name:value`.
#![no_main]

use std::sync::LazyLock;

use corgate::contract::{AuthorizationPolicy, Contract};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

static CONTRACTS: LazyLock<Vec<Contract>> = LazyLock::new(|| {
    let compile = |(name, document)| Contract::compile(name, document);
    let contracts: Result<Vec<_>, _> = Contract::BUILT_IN.into_iter().map(compile).collect();
    contracts.expect("the built-in contracts compile")
});

fuzz_target!(|text: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            // A map holds 24,576 names at most; the edge's limit is far below.
            let _ = headers.try_append(name, value);
        }
    }
    for head in CONTRACTS.iter().flat_map(|contract| &contract.operations).map(|o| &o.head) {
        let _ = head.correlation_id(&headers);
        let _ = head.client_id(&headers);
        let _ = head.fields(&headers);
        let _ = head.target_id(&headers);
        let _ = head.authorization(&headers, AuthorizationPolicy::Refuse);
        let _ = head.media(&headers);
    }
});
