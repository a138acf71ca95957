//! Fields by which the hub says something itself: who calls, which bank is meant, by which way a
//! request came.
//!
//! Whoever ends TLS has to take such fields out of what comes in (RFC 9700 section 4.13): a bank
//! believes them because only the hub can write them. This file decides which they are, in every
//! kind of mount and whatever a document declares. It must not know what the hub writes.

use http::HeaderName;

/// Who calls.
pub(crate) const X_CORAPI_CLIENT_ID: HeaderName = HeaderName::from_static("x-corapi-client-id");
/// Which bank is meant.
pub(crate) const X_CORAPI_TARGET_ID: HeaderName = HeaderName::from_static("x-corapi-target-id");
/// The name of a call on its way through all systems.
pub(crate) const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// Names, and beginnings of names (RFC 7239, RFC 9440, RFC 9110 section 7.6.3, W3C Trace Context).
const NAMES: [&str; 5] = ["forwarded", "via", "traceparent", "tracestate", "x-correlation-id"];
const BEGINNINGS: [&str; 3] = ["x-corapi-", "x-forwarded-", "client-cert"];

/// Whether the hub alone writes a field of this name. An underscore is a hyphen to some servers.
pub(super) fn is_hubs(name: &HeaderName) -> bool {
    let name = name.as_str().replace('_', "-");
    NAMES.contains(&&*name) || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_bank_believes_of_the_hub_is_the_hubs_in_any_spelling() {
        for name in [
            "X-CorAPI-Client-ID",
            "x_corapi_client_id",
            "X-CorAPI-Source",
            "Forwarded",
            "X-Forwarded-For",
            "X-Forwarded-Client-Cert",
            "X_Forwarded_Host",
            "Client-Cert",
            "Client-Cert-Chain",
            "Via",
            "traceparent",
            "X-Correlation-ID",
        ] {
            assert!(is_hubs(&name.parse().unwrap()), "{name}");
        }
        for name in ["X-Client", "X-Request-ID", "x-fapi-interaction-id", "client_id", "Forward"] {
            assert!(!is_hubs(&name.parse().unwrap()), "{name}");
        }
    }
}
